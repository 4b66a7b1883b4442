//! The message that a probe submits.

use std::fmt::Write as _;

use sendport_core::domain::{Address, Message, Timestamp};
use sendport_smime::SecuredMessage;
use sendport_smime::{self, ProtectionPlan, SmimeError};

const LINE: &str = "This line is only here to make the message as long as was asked for.\r\n";

/// Its content. The addresses are valid: an invalid one could add a header.
pub(super) struct ProbeMessage<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a [Address],
    /// The probing host.
    pub(super) host: &'a str,
    /// Least size in bytes.
    pub(super) size: usize,
    pub(super) now: Timestamp,
}

/// A message that says what it is, padded to its size.
pub(super) fn message(parts: &ProbeMessage<'_>) -> Result<SecuredMessage, SmimeError> {
    let id = uuid::Uuid::new_v4().simple();
    let message_id = format!("<{id}@{}>", parts.host.trim_matches(['[', ']'].as_slice()));
    let to = match parts.to.is_empty() {
        true => "undisclosed-recipients:;".to_owned(),
        false => {
            let to: Vec<_> = parts.to.iter().map(Address::as_str).collect();
            to.join(",\r\n ")
        }
    };
    let mut bytes = String::new();
    let date = sendport_core::clock::format(parts.now, "%a, %d %b %Y %H:%M:%S +0000");
    let lines = [
        format!("Date: {date}"),
        format!("From: {}", parts.from),
        format!("To: {to}"),
        "Subject: sendport probe".to_owned(),
        format!("Message-ID: {message_id}"),
        "MIME-Version: 1.0".to_owned(),
        "Content-Type: text/plain; charset=us-ascii".to_owned(),
        "Auto-Submitted: auto-generated".to_owned(),
        String::new(),
        "This is a test message of `sendport probe`. Mail gets through.".to_owned(),
    ];
    for line in lines {
        // Writing to memory does not fail.
        let _written = write!(bytes, "{line}\r\n");
    }
    pad(&mut bytes, parts.size);
    let bytes = bytes.into_bytes();
    sendport_smime::secure(Message { message_id, bytes }, &ProtectionPlan::Unprotected)
}

/// Pads with whole lines, and one of the missing length.
fn pad(bytes: &mut String, size: usize) {
    while bytes.len() + LINE.len() + 3 <= size {
        bytes.push_str(LINE);
    }
    let missing = size.saturating_sub(bytes.len());
    if missing > 2 {
        bytes.push_str(&"x".repeat(missing - 2));
        bytes.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendport_core::clock::{Clock, SystemClock};

    fn made(size: usize) -> SecuredMessage {
        let parts = ProbeMessage {
            from: "a@b.test",
            to: &["c@d.test", "e@f.test"].map(|it| it.parse().expect("an address")),
            host: "[192.0.2.1]",
            size,
            now: SystemClock.now(),
        };
        message(&parts).expect("a message")
    }

    #[test]
    fn has_the_requested_size_in_short_lines() {
        let least = made(0).bytes().len();
        for size in [least + 3, least + 70, least + 140, 10_000, 99_999] {
            let message = made(size);
            assert_eq!(message.bytes().len(), size);
            let text = std::str::from_utf8(message.bytes()).expect("text");
            assert!(text.ends_with("\r\n") && !text.replace("\r\n", "").contains(['\r', '\n']));
            assert!(text.split("\r\n").all(|line| line.len() < 500));
        }
        assert!(made(0).message_id().ends_with("@192.0.2.1>"));
    }
}
