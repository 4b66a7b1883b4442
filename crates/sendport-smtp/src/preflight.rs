//! Checks before MAIL: what no server, or not this one, could accept, with the codes of the standard.

use super::content::bare_line_end;
use super::extensions::Extensions;
use sendport_core::domain::{
    Command, EnhancedStatusCode, Envelope, ForwardPath, LocalCause, Reply,
};
use sendport_smime::SecuredMessage;

/// Rejects a message that cannot be submitted to any server.
pub(super) fn reject_locally(envelope: &Envelope, message: &SecuredMessage) -> Option<Reply> {
    let sender = envelope.reverse_path.0.as_deref().unwrap_or_default();
    if !sender.is_empty() && !is_valid_path(sender) {
        let what = "the sender's address has characters that would break the command MAIL";
        return Some(rejection(501, (5, 1, 7), what).because(LocalCause::SenderSyntax));
    }
    let at = bare_line_end(message.octets())?;
    let what = format!(
        "the message has a bare CR or LF at byte {at}; only CRLF may end a line, because some \
         servers would read commands behind it"
    );
    Some(rejection(554, (5, 6, 11), &what).because(LocalCause::BareLineEnd))
}

/// Rejects a message that a server with these extensions cannot accept.
pub(super) fn reject_by_extensions(
    extensions: &Extensions,
    envelope: &Envelope,
    message: &SecuredMessage,
) -> Option<Reply> {
    let octets = message.octets().len();
    if let Some(limit) = extensions.size_limit_below(octets) {
        let what =
            format!("the message has {octets} bytes, the relay accepts at most {limit} (SIZE)");
        return Some(rejection(552, (5, 3, 4), &what).because(LocalCause::SizeExceeded));
    }
    let sender = envelope.reverse_path.0.as_deref().unwrap_or_default();
    if !extensions.smtp_utf8 && !sender.is_ascii() {
        let what = "the sender's address is not ASCII, and the relay does not offer SMTPUTF8";
        return Some(rejection(553, (5, 6, 7), what));
    }
    if !message.is_8bit() {
        return None;
    }
    if !extensions.smtp_utf8 && message.is_international() {
        return reject_international(envelope);
    }
    if !extensions.eight_bit_mime {
        let what = "the message has bytes above 127, and the relay does not offer 8BITMIME";
        return Some(rejection(554, (5, 6, 3), what).because(LocalCause::EightBitNotOffered));
    }
    None
}

/// A message names its recipients: those whose addresses need SMTPUTF8 are rejected one by one
/// ([`reject_recipient`]). Any other message needs it for From or Reply-To.
fn reject_international(envelope: &Envelope) -> Option<Reply> {
    let ascii = |path: &ForwardPath| path.address.is_ascii();
    let paths = &envelope.forward_paths;
    if !paths.is_empty() && !paths.iter().any(ascii) {
        return None;
    }
    let what = "an address in From or Reply-To is not ASCII, and the relay does not offer SMTPUTF8";
    Some(rejection(553, (5, 6, 7), what))
}

/// Rejects a recipient that cannot be written into a command.
pub(super) fn reject_recipient(address: &str, smtp_utf8: bool) -> Option<Reply> {
    let local = |code, (class, subject, detail), what| {
        let enhanced = EnhancedStatusCode::new(class, subject, detail);
        Some(Reply::local(Command::Rcpt, code, enhanced, what))
    };
    if !is_valid_path(address) {
        return local(
            501,
            (5, 1, 3),
            "the address has characters that would break the command RCPT",
        );
    }
    if !smtp_utf8 && !address.is_ascii() {
        let what = "the address is not ASCII, and the relay does not offer SMTPUTF8";
        return local(553, (5, 6, 7), what);
    }
    None
}

/// No line end, no NUL, no other control, and neither angle bracket nor space outside
/// quotation marks.
fn is_valid_path(address: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for c in address.chars() {
        if c.is_control() || (!quoted && matches!(c, '<' | '>' | ' ')) {
            return false;
        }
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    !address.is_empty() && !quoted
}

/// Rejects the message as a whole.
pub(super) fn rejection(code: u16, (class, subject, detail): (u8, u16, u16), what: &str) -> Reply {
    let enhanced = EnhancedStatusCode::new(class, subject, detail);
    Reply::local(Command::Mail, code, enhanced, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_what_would_break_a_command() {
        for good in [
            "a@b.test",
            "\"a b\"@b.test",
            "\"<x>\"@b.test",
            "a+b=c@[192.0.2.1]",
        ] {
            assert_eq!(reject_recipient(good, false), None, "{good}");
        }
        for bad in [
            "",
            "a@b\r\nRSET",
            "a\n@b",
            "a\0@b",
            "a>@b",
            "<a@b",
            "a@b> NOTIFY=NEVER",
            "\"a@b",
        ] {
            let reply = reject_recipient(bad, true).expect(bad);
            assert_eq!(reply.to_string()[..9], *"501 5.1.3", "{bad:?}");
        }
        let reply = reject_recipient("jürgen@b.test", false).expect("not ASCII");
        assert_eq!(reply.to_string()[..9], *"553 5.6.7");
        assert_eq!(reject_recipient("jürgen@b.test", true), None);
    }
}
