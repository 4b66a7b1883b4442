//! What cannot be put on the wire, said in the standard's numbers before any server is asked.

use super::content::bare_line_end;
use crate::domain::{Command, EnhancedStatusCode, Envelope, Reply, SecuredMessage};

/// Says why the message cannot be submitted to any server.
pub(super) fn refuse_locally(envelope: &Envelope, message: &SecuredMessage) -> Option<Reply> {
    let sender = envelope.reverse_path.0.as_deref().unwrap_or_default();
    if !sender.is_empty() && !may_stand_in_a_path(sender) {
        let what = "the sender's address has characters that would break the command MAIL";
        return Some(refusal(501, (5, 1, 7), what));
    }
    if !sender.is_ascii() {
        let what = "the sender's address is not ASCII, and SMTPUTF8 is not supported here";
        return Some(refusal(553, (5, 6, 7), what));
    }
    let at = bare_line_end(message.octets())?;
    let what = format!(
        "the message has a bare CR or LF at octet {at}; only CRLF may end a line, because \
         some servers would read commands behind it"
    );
    Some(refusal(554, (5, 6, 11), &what))
}

/// Says why a recipient cannot be put on the wire.
pub(super) fn refuse_recipient(address: &str) -> Option<Reply> {
    let local = |code, (class, subject, detail), what| {
        let enhanced = EnhancedStatusCode::new(class, subject, detail);
        Some(Reply::local(Command::Rcpt, code, enhanced, what))
    };
    if !may_stand_in_a_path(address) {
        return local(
            501,
            (5, 1, 3),
            "the address has characters that would break the command RCPT",
        );
    }
    if !address.is_ascii() {
        let what = "the address is not ASCII, and SMTPUTF8 is not supported here";
        return local(553, (5, 6, 7), what);
    }
    None
}

/// No line end, no NUL, no other control, and neither angle bracket nor space outside
/// quotation marks.
fn may_stand_in_a_path(address: &str) -> bool {
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

/// A refusal of the message as a whole, before a server was asked.
pub(super) fn refusal(code: u16, (class, subject, detail): (u8, u16, u16), what: &str) -> Reply {
    let enhanced = EnhancedStatusCode::new(class, subject, detail);
    Reply::local(Command::Mail, code, enhanced, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_breaks_the_command_is_put_on_the_wire() {
        for good in [
            "a@b.test",
            "\"a b\"@b.test",
            "\"<x>\"@b.test",
            "a+b=c@[192.0.2.1]",
        ] {
            assert_eq!(refuse_recipient(good), None, "{good}");
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
            let reply = refuse_recipient(bad).expect(bad);
            assert_eq!(reply.to_string()[..9], *"501 5.1.3", "{bad:?}");
        }
        let reply = refuse_recipient("jürgen@b.test").expect("not ASCII");
        assert_eq!(reply.code, 553);
    }
}
