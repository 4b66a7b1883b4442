//! What a parser makes of a message, and what it should be.

use mail_parser::{
    Address, HeaderForm, HeaderValue, Message, MessageParser, MessagePart, MimeHeaders, PartType,
};
use openssl::sha::sha256;
use serde::Deserialize;

use crate::inserted::{FROM, File, Inserted, REPLY_TO, TO};

#[derive(Debug, Deserialize)]
pub(crate) struct Read {
    pub(crate) defects: Vec<String>,
    subject: String,
    from: Vec<Person>,
    to: Vec<Person>,
    reply_to: Vec<Person>,
    alert_name: Option<String>,
    structure: String,
    plain: Option<String>,
    html: Option<String>,
    attachments: Vec<Attached>,
}

/// Name, empty where there is none, and address.
type Person = (String, String);

#[derive(Debug, Deserialize)]
struct Attached {
    file_name: Option<String>,
    media_type: String,
    disposition: String,
    content_id: Option<String>,
    description: Option<String>,
    length: usize,
    /// None where the parser has only a text that it made of the bytes.
    sha256: Option<String>,
}

impl Read {
    /// Fails where anything differs from what was inserted.
    pub(crate) fn assert_equals(&self, message: &Inserted, parser: &str) {
        let of = format!("{} as {parser} reads it", message.key);
        assert_eq!(self.defects, Vec::<String>::new(), "{of}");
        assert_eq!(self.subject, message.subject, "{of}");
        if let Some(structure) = &message.structure {
            assert_eq!(&self.structure, structure, "{of}");
        }
        match &message.html {
            Some(html) => assert_eq!(lines(self.html.as_deref()), lines(Some(html)), "{of}"),
            None => assert_eq!(
                lines(self.plain.as_deref()),
                lines(message.text.as_deref()),
                "{of}"
            ),
        }
        let files = message.in_order();
        assert_eq!(self.attachments.len(), files.len(), "{of}");
        for (read, file) in self.attachments.iter().zip(files) {
            read.assert_equals(file, &of);
        }
    }
}

impl Read {
    /// Fails where a name in the header is another than the one that was inserted.
    pub(crate) fn assert_named(&self, message: &Inserted, parser: &str) {
        let of = format!("{} as {parser} reads it", message.key);
        let person = |name: &str, address: &str| (name.to_owned(), address.to_owned());
        let names = &message.names;
        let from = names.from.as_deref().unwrap_or(FROM.0);
        assert_eq!(self.from, [person(from, FROM.1)], "{of}");
        let to = names.to.as_deref().unwrap_or_default();
        assert_eq!(self.to, [person(to, TO)], "{of}");
        let reply_to = names.reply_to.iter().map(|name| person(name, REPLY_TO));
        assert_eq!(self.reply_to, reply_to.collect::<Vec<_>>(), "{of}");
        assert_eq!(self.alert_name, message.alert_name, "{of}");
    }
}

impl Attached {
    fn assert_equals(&self, file: &File, of: &str) {
        let name = file.arrives_as.as_ref().or(file.file_name.as_ref());
        assert_eq!(self.file_name.as_ref(), name, "{of}");
        if let Some(media_type) = &file.media_type {
            let essence = media_type.split(';').next().unwrap_or_default();
            assert_eq!(self.media_type, essence, "{of}");
        }
        let disposition = file.disposition.as_deref().unwrap_or("attachment");
        assert_eq!(self.disposition, disposition, "{of}");
        let bare = |id: &Option<String>| {
            id.as_deref()
                .map(|id| id.trim_matches(['<', '>']).to_owned())
        };
        assert_eq!(bare(&self.content_id), bare(&file.content_id), "{of}");
        assert_eq!(self.description, file.description, "{of}");
        if let Some(found) = &self.sha256 {
            let content = file.content();
            assert_eq!(self.length, content.len(), "{of}: {name:?}");
            assert_eq!(*found, hex(&content), "{of}: {name:?}");
        }
    }
}

/// A text without its last line ends; which ones they are is the reader's business.
fn lines(text: Option<&str>) -> Option<String> {
    text.map(|text| text.replace("\r\n", "\n").trim_end_matches('\n').to_owned())
}

fn hex(bytes: &[u8]) -> String {
    sha256(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub(crate) fn by_mail_parser(bytes: &[u8]) -> Read {
    let message = MessageParser::default().parse(bytes).expect("a message");
    let text = |part: Option<&MessagePart<'_>>| {
        part.and_then(|part| part.text_contents())
            .map(str::to_owned)
    };
    let mut leaves = Vec::new();
    let structure = nested(&message, &message.parts[0], &mut leaves);
    let (files, texts): (Vec<_>, Vec<_>) = leaves
        .into_iter()
        .partition(|part| part.content_disposition().is_some());
    let is_html = |part: &&&MessagePart<'_>| matches!(part.body, PartType::Html(_));
    Read {
        defects: Vec::new(),
        subject: message.subject().unwrap_or_default().to_owned(),
        from: people(message.from()),
        to: people(message.to()),
        reply_to: people(message.reply_to()),
        alert_name: alert_name(&message),
        structure,
        plain: text(texts.iter().find(|part| !is_html(part)).copied()),
        html: text(texts.iter().find(is_html).copied()),
        attachments: files.into_iter().map(attached).collect(),
    }
}

fn people(found: Option<&Address<'_>>) -> Vec<Person> {
    let all = found.into_iter().flat_map(Address::iter);
    let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
    all.map(|one| (owned(one.name()), owned(one.address())))
        .collect()
}

fn alert_name(message: &Message<'_>) -> Option<String> {
    let mut found = message.header_as("X-Alert-Name", HeaderForm::Text);
    match found.pop()? {
        HeaderValue::Text(text) => Some(text.into_owned()),
        other => panic!("{other:?} is no text"),
    }
}

fn nested<'a>(
    message: &'a Message<'a>,
    part: &'a MessagePart<'a>,
    leaves: &mut Vec<&'a MessagePart<'a>>,
) -> String {
    let PartType::Multipart(inner) = &part.body else {
        leaves.push(part);
        return media_type(part);
    };
    let inner: Vec<_> = inner
        .iter()
        .map(|&id| nested(message, &message.parts[id as usize], leaves))
        .collect();
    format!("{}({})", media_type(part), inner.join(","))
}

fn media_type(part: &MessagePart<'_>) -> String {
    let found = part.content_type().expect("every part has one");
    format!("{}/{}", found.ctype(), found.subtype().unwrap_or_default())
}

fn attached(part: &MessagePart<'_>) -> Attached {
    let charset = part
        .content_type()
        .and_then(|found| found.attribute("charset"));
    // A text in another charset, or in none, is decoded already.
    let is_decoded = media_type(part).starts_with("text/") && charset != Some("utf-8");
    let bytes = match &part.body {
        PartType::Message(inner) => inner.raw_message().to_vec(),
        _ => part.contents().to_vec(),
    };
    Attached {
        file_name: part.attachment_name().map(str::to_owned),
        media_type: media_type(part),
        disposition: part
            .content_disposition()
            .map_or_else(String::new, |found| found.ctype().to_owned()),
        content_id: part.content_id().map(str::to_owned),
        description: part.content_description().map(str::to_owned),
        length: bytes.len(),
        sha256: (!is_decoded).then(|| hex(&bytes)),
    }
}
