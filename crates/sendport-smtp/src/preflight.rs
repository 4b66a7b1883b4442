//! Checks before MAIL: what no server, or not this one, could accept, with the codes of the standard.

use sendport_core::domain::{
    Address, Command, EnhancedStatusCode, Envelope, ForwardPath, LocalCause, Reply,
};
use sendport_smime::SecuredMessage;

use super::content::bare_line_end;
use super::extensions::Extensions;

/// Rejects a message that cannot be submitted to any server.
pub(super) fn reject_locally(message: &SecuredMessage) -> Option<Reply> {
    let at = bare_line_end(message.bytes())?;
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
    let bytes = message.bytes().len();
    if let Some(limit) = extensions.size_limit_below(bytes) {
        let what =
            format!("the message has {bytes} bytes, the relay accepts at most {limit} (SIZE)");
        return Some(rejection(552, (5, 3, 4), &what).because(LocalCause::SizeExceeded));
    }
    let sender = envelope.reverse_path.as_str();
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
/// ([`reject_recipient`]). Any other message needs it for From or Reply-To; one that a client submitted for any field.
fn reject_international(envelope: &Envelope) -> Option<Reply> {
    let ascii = |path: &ForwardPath| !path.address.is_international();
    let paths = &envelope.forward_paths;
    if !paths.is_empty() && !paths.iter().any(ascii) {
        return None;
    }
    let what = "a header field such as From or Reply-To is not ASCII, and the relay does not offer SMTPUTF8";
    Some(rejection(553, (5, 6, 7), what))
}

/// Rejects a recipient whose address the server cannot accept.
pub(super) fn reject_recipient(address: &Address, smtp_utf8: bool) -> Option<Reply> {
    if smtp_utf8 || !address.is_international() {
        return None;
    }
    let what = "the address is not ASCII, and the relay does not offer SMTPUTF8";
    let enhanced = EnhancedStatusCode::new(5, 6, 7);
    Some(Reply::local(Command::Rcpt, 553, enhanced, what))
}

/// Rejects the message as a whole.
pub(super) fn rejection(code: u16, (class, subject, detail): (u8, u16, u16), what: &str) -> Reply {
    let enhanced = EnhancedStatusCode::new(class, subject, detail);
    Reply::local(Command::Mail, code, enhanced, what)
}
