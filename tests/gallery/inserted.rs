//! What goes in: the files of `messages/`, and how an application inserts them.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use serde::Deserialize;

use crate::site::Site;

/// A message as its file says it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inserted {
    #[serde(skip)]
    pub(crate) key: String,
    pub(crate) subject: String,
    pub(crate) text: Option<String>,
    pub(crate) html: Option<String>,
    pub(crate) structure: Option<String>,
    pub(crate) alert_name: Option<String>,
    #[serde(default)]
    pub(crate) names: Names,
    #[serde(default, rename = "attachment")]
    pub(crate) attachments: Vec<File>,
}

/// The names before the addresses.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Names {
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) reply_to: Option<String>,
}

/// The sender of all messages.
pub(crate) const FROM: (&str, &str) = ("Contoso alerts", "alerts@example.test");
/// The recipient.
pub(crate) const TO: &str = "ops@example.test";
/// Reply-To, where the message has one.
pub(crate) const REPLY_TO: &str = "desk@example.test";

/// One of its attachments.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) file_name: Option<String>,
    pub(crate) arrives_as: Option<String>,
    pub(crate) media_type: Option<String>,
    pub(crate) disposition: Option<String>,
    pub(crate) content_id: Option<String>,
    pub(crate) description: Option<String>,
    transfer_encoding: Option<String>,
    text: Option<String>,
    hex: Option<String>,
    file: Option<String>,
    pseudo_random: Option<usize>,
}

impl Inserted {
    /// The attachments in the order of the message: those that belong to the HTML first.
    pub(crate) fn in_order(&self) -> Vec<&File> {
        let is_shown = |file: &&File| {
            self.html.is_some()
                && file.disposition.as_deref() == Some("inline")
                && file.content_id.is_some()
        };
        let (mut first, rest): (Vec<_>, Vec<_>) = self.attachments.iter().partition(is_shown);
        first.extend(rest);
        first
    }
}

impl File {
    pub(crate) fn content(&self) -> Vec<u8> {
        match (&self.text, &self.hex, &self.file, self.pseudo_random) {
            (Some(text), None, None, None) => text.clone().into_bytes(),
            (None, Some(hex), None, None) => bytes(hex),
            (None, None, Some(file), None) => std::fs::read(folder().join(file)).expect("a file"),
            (None, None, None, Some(length)) => pseudo_random(length),
            _ => panic!("{self:?} needs one of text, hex, file, pseudo_random"),
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gallery")
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16);
    pairs.map(|pair| byte(pair).expect("hexadecimal")).collect()
}

/// The same bytes in every run; nothing packs them.
pub(crate) fn pseudo_random(length: usize) -> Vec<u8> {
    let mut state = 0x4711_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// All messages, in the order of their files.
pub(crate) fn gallery() -> Vec<Inserted> {
    let entries = std::fs::read_dir(folder().join("messages")).expect("a folder");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let read = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).expect("readable");
        let message: Inserted =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let key = file
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        Inserted { key, ..message }
    };
    files.iter().map(read).collect()
}

/// Inserts each; the public ids.
pub(crate) fn insert(site: &Site, gallery: &[Inserted]) -> Vec<String> {
    let mut database = site.database();
    let messages = gallery.iter();
    messages
        .map(|message| {
            let to = mailbox(message.names.to.as_deref(), TO);
            insert_one(&mut database, message, "default", &to)
        })
        .collect()
}

/// RFC 5322 section 3.4, the name as a quoted string.
fn mailbox(name: Option<&str>, address: &str) -> String {
    let quoted = |name: &str| name.replace('\\', "\\\\").replace('"', "\\\"");
    match name {
        Some(name) => format!("\"{}\" <{address}>", quoted(name)),
        None => address.to_owned(),
    }
}

/// Inserts one with its attachments in one transaction; its public id.
pub(crate) fn insert_one(
    database: &mut Connection,
    message: &Inserted,
    send_port: &str,
    to: &str,
) -> String {
    let transaction = database.transaction().expect("begin");
    let body = message.html.as_ref().or(message.text.as_ref());
    let format = if message.html.is_some() {
        "html"
    } else {
        "text"
    };
    let names = &message.names;
    let from = names
        .from
        .as_deref()
        .map(|name| mailbox(Some(name), FROM.1));
    let reply_to = names
        .reply_to
        .as_deref()
        .map(|name| mailbox(Some(name), REPLY_TO));
    transaction
        .execute(
            "INSERT INTO Alert (SendPort, ToRecipients, Subject, Body, BodyFormat, FromAddress, ReplyTo, AlertName)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![send_port, to, message.subject, body, format, from, reply_to, message.alert_name],
        )
        .expect("insert");
    let alert = transaction.last_insert_rowid();
    for file in &message.attachments {
        attach(&transaction, alert, file);
    }
    let id = transaction
        .query_row(
            "SELECT PublicId FROM Alert WHERE AlertId = ?1",
            [alert],
            |row| row.get(0),
        )
        .expect("its id");
    transaction.commit().expect("commit");
    id
}

fn attach(database: &Connection, alert: i64, file: &File) {
    let sql = "INSERT INTO Attachment (AlertId, FileName, MediaType, Content, Disposition, ContentId, Description, TransferEncoding)
               VALUES (?1, ?2, ?3, ?4, coalesce(?5, 'attachment'), ?6, ?7, coalesce(?8, 'base64'))";
    let values = params![
        alert,
        file.file_name,
        file.media_type,
        file.content(),
        file.disposition,
        file.content_id,
        file.description,
        file.transfer_encoding,
    ];
    database.execute(sql, values).expect("attach");
}
