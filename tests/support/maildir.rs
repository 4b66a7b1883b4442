//! Reads what Postfix delivered.

use std::fs;
use std::path::Path;

/// One message in the mailbox of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeliveredMessage {
    /// From `Delivered-To`, which Postfix writes.
    pub(crate) recipient: String,
    /// With its angle brackets; empty if there is none.
    pub(crate) message_id: String,
    /// The file: with the trace headers that Postfix puts on top, lines end in LF.
    pub(crate) bytes: Vec<u8>,
}

impl DeliveredMessage {
    /// Without Postfix's trace headers, and with CRLF: what the client sent after DATA.
    pub(crate) fn as_submitted(&self) -> Vec<u8> {
        let lines = self.bytes.split_inclusive(|byte| *byte == b'\n');
        let mut message = lines
            .skip_while(|line| !line.starts_with(b"Received: "))
            .skip(1)
            .skip_while(|line| line.starts_with(b"\t"));
        let mut submitted = Vec::with_capacity(self.bytes.len());
        message.by_ref().for_each(|line| {
            submitted.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
            submitted.extend_from_slice(b"\r\n");
        });
        submitted
    }

    fn from_bytes(bytes: Vec<u8>) -> Self {
        let end = bytes.windows(2).position(|pair| pair == b"\n\n");
        let header = String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]);
        let unfolded = header.replace("\n ", " ").replace("\n\t", " ");
        let field = |name: &str| {
            unfolded
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(found, _)| found.eq_ignore_ascii_case(name))
                .map_or_else(String::new, |(_, value)| value.trim().to_owned())
        };
        Self {
            recipient: field("Delivered-To"),
            message_id: field("Message-ID"),
            bytes,
        }
    }
}

/// How many messages are there. A maildir that nothing reached yet does not exist.
pub(super) fn count(maildir: &Path) -> usize {
    fs::read_dir(maildir.join("new")).map_or(0, Iterator::count)
}

/// All messages, in the order of their Message-ID and recipient.
pub(super) fn read(maildir: &Path) -> Vec<DeliveredMessage> {
    let Ok(entries) = fs::read_dir(maildir.join("new")) else {
        return Vec::new();
    };
    let mut messages: Vec<_> = entries
        .map(|entry| entry.expect("an entry of the maildir").path())
        .map(|path| fs::read(&path).expect("a delivered message"))
        .map(DeliveredMessage::from_bytes)
        .collect();
    messages.sort_by(|a, b| (&a.message_id, &a.recipient).cmp(&(&b.message_id, &b.recipient)));
    messages
}
