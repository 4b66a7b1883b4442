//! What Windows programs write in front of a text.

/// A text in UTF-16 is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the message is UTF-16: write it as UTF-8 or ASCII, in Windows PowerShell with -Encoding ascii"
)]
pub struct Utf16;

/// The start of a message without the byte order mark of UTF-8.
///
/// # Errors
/// [`Utf16`], which a mark says, too.
pub fn without_byte_order_mark(start: &[u8]) -> Result<&[u8], Utf16> {
    match start {
        [0xef, 0xbb, 0xbf, rest @ ..] => Ok(rest),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(Utf16),
        _ => Ok(start),
    }
}
