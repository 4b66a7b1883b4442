//! Header sections of messages as they came: which octets are which field (RFC 5322 section 2.2).

use memchr::memmem;

/// The octets of one field of a header section, its folded lines and the last CRLF included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Field {
    /// It has this name, in any case.
    pub(super) fn is(&self, message: &[u8], name: &[u8]) -> bool {
        let found = self.name(message);
        found.is_some_and(|found| found.eq_ignore_ascii_case(name))
    }

    /// What stands before the colon; `None` for a line without one.
    pub(super) fn name<'a>(&self, message: &'a [u8]) -> Option<&'a [u8]> {
        let field = &message[self.start..self.end];
        let colon = field.iter().position(|&byte| byte == b':')?;
        Some(field[..colon].trim_ascii_end())
    }

    /// What follows the colon, with its folds.
    pub(super) fn value<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        let field = &message[self.start..self.end];
        let colon = field.iter().position(|&byte| byte == b':');
        colon.map_or(&[], |colon| field[colon + 1..].trim_ascii())
    }
}

/// Those up to the first empty line.
pub(super) fn fields(message: &[u8]) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    let mut start = 0;
    while start < message.len() {
        let rest = &message[start..];
        if rest.starts_with(b"\r\n") {
            break;
        }
        let length = memmem::find(rest, b"\r\n").map_or(rest.len(), |at| at + 2);
        let end = start + length;
        match fields.last_mut() {
            Some(folded) if matches!(rest[0], b' ' | b'\t') => folded.end = end,
            _ => fields.push(Field { start, end }),
        }
        start = end;
    }
    fields
}
