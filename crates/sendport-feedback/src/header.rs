//! A header section (RFC 5322 section 2.2), or a group of fields that looks like one (RFC 3464 section 2.1.1).

use mail_parser::{HeaderValue, Message, MessageParser};
use sendport_core::domain::Timestamp;

/// Bytes of a header section that are read.
const LONGEST: usize = 64 * 1024;

/// The fields of a header section.
pub(crate) struct Header<'a> {
    bytes: &'a [u8],
    message: Option<Message<'a>>,
}

impl<'a> Header<'a> {
    /// Reads a header section, or what there is of one.
    pub(crate) fn read(bytes: &'a [u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(LONGEST)];
        Self {
            bytes,
            message: MessageParser::new().parse_headers(bytes),
        }
    }

    fn fields(&self) -> &[mail_parser::Header<'a>] {
        let message = self.message.as_ref();
        message
            .and_then(|it| it.parts.first())
            .map_or(&[], |part| &part.headers)
    }

    fn field(&self, name: &str) -> Option<&mail_parser::Header<'a>> {
        let mut fields = self.fields().iter();
        fields.find(|it| it.name.as_str().eq_ignore_ascii_case(name))
    }

    /// The value of the first field with this name as it is written, unfolded.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.value_of(self.field(name)?)
    }

    fn value_of(&self, field: &mail_parser::Header<'a>) -> Option<String> {
        let range = field.offset_start as usize..field.offset_end as usize;
        let value = String::from_utf8_lossy(self.bytes.get(range)?);
        Some(value.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// The values of each field with this name, as [`Self::text`].
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let fields = self.fields().iter();
        let fields = fields.filter(|it| it.name.as_str().eq_ignore_ascii_case(name));
        fields.filter_map(|it| self.value_of(it)).collect()
    }

    /// The first address of `From`, with its name, decoded (RFC 2047).
    pub(crate) fn from(&self) -> Option<String> {
        let field = self.field("From")?;
        let mailbox = field.value.as_address().and_then(|it| it.first());
        let decoded = mailbox.and_then(|it| match (&it.name, &it.address) {
            (Some(name), Some(address)) => Some(format!("{name} <{address}>")),
            (None, Some(address)) => Some(address.to_string()),
            _ => None,
        });
        decoded.or_else(|| self.value_of(field))
    }

    /// Whether there is a field with this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.field(name).is_some()
    }

    /// The subject, decoded (RFC 2047), in one line.
    pub(crate) fn subject(&self) -> String {
        let value = self.field("Subject").and_then(|it| it.value.as_text());
        let words = value.unwrap_or_default().split_whitespace();
        words.collect::<Vec<_>>().join(" ")
    }

    /// A moment (RFC 5322 section 3.3).
    pub(crate) fn date(&self, name: &str) -> Option<Timestamp> {
        let field = self.field(name)?;
        match &field.value {
            HeaderValue::DateTime(date) => moment(date),
            _ => moment(&mail_parser::DateTime::parse_rfc822(&self.text(name)?)?),
        }
    }

    /// Content-Type in lower case, and one of its parameters by name.
    pub(crate) fn content_type(&self) -> Option<&mail_parser::ContentType<'a>> {
        self.field("Content-Type")?.value.as_content_type()
    }
}

fn moment(date: &mail_parser::DateTime) -> Option<Timestamp> {
    let seconds = date.is_valid().then(|| date.to_timestamp())?;
    Timestamp::from_timestamp(seconds, 0)
}
