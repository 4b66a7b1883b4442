//! Header sections of messages as they came: which octets are which field (RFC 5322 section 2.2). Lines end with CRLF.

/// The octets of one field of a header section, its folded lines and the last CRLF included.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Offset of its name in the message.
    pub start: usize,
    /// Offset behind its last line.
    pub end: usize,
}

impl Field {
    /// It has this name, in any case.
    pub fn is(&self, message: &[u8], name: &[u8]) -> bool {
        let found = self.name(message);
        found.is_some_and(|found| found.eq_ignore_ascii_case(name))
    }

    /// What stands before the colon; `None` for a line without one.
    pub fn name<'a>(&self, message: &'a [u8]) -> Option<&'a [u8]> {
        let field = &message[self.start..self.end];
        let colon = field.iter().position(|&byte| byte == b':')?;
        Some(field[..colon].trim_ascii_end())
    }

    /// What follows the colon, with its folds.
    pub fn value<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        let field = &message[self.start..self.end];
        let colon = field.iter().position(|&byte| byte == b':');
        colon.map_or(&[], |colon| field[colon + 1..].trim_ascii())
    }
}

/// Removes fields by their names; every other octet stays.
pub fn without_fields(mut message: Vec<u8>, is_removed: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    for field in fields(&message).into_iter().rev() {
        if field.name(&message).is_some_and(&is_removed) {
            message.drain(field.start..field.end);
        }
    }
    message
}

/// The offset behind the first CRLF.
fn line_end(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        from += text[from..].iter().position(|&byte| byte == b'\n')? + 1;
        if text[..from].ends_with(b"\r\n") {
            return Some(from);
        }
    }
}

/// The fields up to the first empty line.
pub fn fields(message: &[u8]) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    let mut start = 0;
    while start < message.len() {
        let rest = &message[start..];
        if rest.starts_with(b"\r\n") {
            break;
        }
        let length = line_end(rest).unwrap_or(rest.len());
        let end = start + length;
        match fields.last_mut() {
            Some(folded) if matches!(rest[0], b' ' | b'\t') => folded.end = end,
            _ => fields.push(Field { start, end }),
        }
        start = end;
    }
    fields
}
