//! Content-Transfer-Encoding (RFC 2045 section 6) of contents that come in pieces.
//!
//! lettre 0.11 takes a content as a whole, encodes it, and formats the message as another copy: with an
//! attachment of 20 MiB the process peaked at 57 MiB, twice the message. Here the pieces go straight
//! into the message, which is the only copy.

mod encoder;
mod survey;

pub(crate) use encoder::Encoder;
pub(super) use survey::Survey;

use sendport_core::domain::TransferEncoding;

/// Octets in a line of base64, which has 76 characters.
const BASE64_LINE: usize = 57;
/// Longest line of quoted-printable, including the `=` of a soft line break.
const QUOTED_LINE: usize = 76;
/// Longest line of a message (RFC 5322 section 2.1.1).
const LONGEST_LINE: usize = 998;

/// Estimated length of a content of `bytes` octets after encoding.
pub(super) fn encoded_length(encoding: TransferEncoding, bytes: u64) -> u64 {
    let base64 = bytes.div_ceil(BASE64_LINE as u64) * 78;
    match encoding {
        TransferEncoding::Base64 => base64,
        // Applications ask for it where most of the content is ASCII.
        TransferEncoding::QuotedPrintable => bytes + bytes / 4,
        TransferEncoding::SevenBit => base64.max(bytes),
    }
}

#[cfg(test)]
mod tests;
