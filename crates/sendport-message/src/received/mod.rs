//! Messages that a client submitted whole: a relay gets their octets as they came, without the fields that only
//! a client or a final delivery may write.

mod content_type;
mod inspection;
mod part;
mod seven_bit;

pub use inspection::{AlreadyProtected, FromProblem, already_protected, from_field};
pub use seven_bit::{NotChanged, for_a_signature, for_seven_bits};

use sendport_core::header_fields::{fields, without_fields};

use crate::mime::HeaderPolicy;

/// Fields that are not passed on: `Bcc` would name its recipients to the others (RFC 5322 section 3.6.3), and only the
/// final delivery writes `Return-Path` (RFC 5321 section 4.4).
const REMOVED: [&[u8]; 3] = [b"bcc", b"resent-bcc", b"return-path"];

/// The message without `Bcc`, `Resent-Bcc` and `Return-Path` in its header section; every other octet as it came.
pub fn passed_on(message: Vec<u8>) -> Vec<u8> {
    without_fields(message, |name| {
        REMOVED
            .iter()
            .any(|removed| name.eq_ignore_ascii_case(removed))
    })
}

/// The message with only the fields that a send port allows, beside those that any message has: what it signs or
/// encrypts, it vouches for.
pub fn with_allowed_fields(message: Vec<u8>, policy: &HeaderPolicy) -> Vec<u8> {
    without_fields(message, |name| {
        !std::str::from_utf8(name).is_ok_and(|name| policy.allows_submitted(name))
    })
}

/// The fields of a header section in order: the name, and the whole field with its CRLF.
pub(crate) fn header_fields(message: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let fields = fields(message).into_iter();
    fields.map(|field| {
        let name = field.name(message).unwrap_or_default();
        (name, &message[field.start..field.end])
    })
}

/// The texts of a message as mail readers show them: subject, text, and HTML if there is any.
pub fn texts(message: &[u8]) -> (String, String, Option<String>) {
    let Some(parsed) = mail_parser::MessageParser::default().parse(message) else {
        let text = String::from_utf8_lossy(message).into_owned();
        return (String::new(), text, None);
    };
    let text = parsed.body_text(0).unwrap_or_default().into_owned();
    let html = parsed.html_bodies().find(|part| part.is_text_html());
    let html = html.and_then(|part| part.text_contents().map(str::to_owned));
    (parsed.subject().unwrap_or_default().to_owned(), text, html)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(message: &str) -> String {
        String::from_utf8(passed_on(message.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn removes_bcc_and_return_path_with_their_folded_lines() {
        let message = "Return-Path: <a@x>\r\nReceived: by y;\r\n today\r\nBCC: b@x,\r\n\tc@x\r\nSubject: 1\r\n\
                       Resent-Bcc : d@x\r\n\r\nBcc: text\r\n";
        assert_eq!(
            passed(message),
            "Received: by y;\r\n today\r\nSubject: 1\r\n\r\nBcc: text\r\n"
        );
    }

    #[test]
    fn everything_else_stays_as_it_came() {
        for message in [
            "",
            "\r\n",
            "\r\nBcc: in the body\r\n",
            "no header section\r\n",
            " folded first\r\nBccx: 1\r\n\r\n",
            "X-Bcc: a@x\r\nSubject: \r\n\r\nBcc: 1",
            "Subject: no end",
        ] {
            assert_eq!(passed(message), message);
        }
        let octets = b"Subject: \xff\x00\r\n\r\n\x80\r\n".to_vec();
        assert_eq!(passed_on(octets.clone()), octets);
        assert_eq!(passed("Bcc: only\r\n"), "");
    }

    #[test]
    fn shows_the_texts_of_any_message() {
        let message =
            b"Subject: =?utf-8?q?Z=C3=A4hler?=\r\nContent-Type: text/html\r\n\r\n<p>late</p>\r\n";
        let (subject, text, html) = texts(message);
        assert_eq!(subject, "Zähler");
        assert_eq!(text.trim(), "late");
        assert_eq!(html.as_deref(), Some("<p>late</p>\r\n"));
        assert_eq!(texts(b"\xff").0, "");
    }
}
