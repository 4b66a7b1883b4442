//! Attachments of an alert.

use serde::{Deserialize, Serialize};

use super::alert::word_enum;

/// The key of a row in `Attachment`. A message has its attachments in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttachmentId(pub i64);

word_enum! {
    /// Header `Content-Disposition` (RFC 2183).
    pub enum ContentDisposition {
        /// A file beside the text.
        Attachment = "attachment",
        /// Shown with the text; with a Content-ID it belongs to the HTML.
        Inline = "inline",
    }
}

word_enum! {
    /// The requested header `Content-Transfer-Encoding` (RFC 2045 section 6). Content that it would
    /// change is sent as base64.
    pub enum TransferEncoding {
        /// For any content.
        Base64 = "base64",
        /// Readable where the content is mostly ASCII.
        QuotedPrintable = "quoted-printable",
        /// Unencoded: short lines of ASCII that end in CRLF.
        SevenBit = "7bit",
    }
}

/// A row of `Attachment` without its content. Text is as the application wrote it, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its key.
    pub id: AttachmentId,
    /// File name.
    pub file_name: Option<String>,
    /// `type/subtype` with parameters (RFC 2045 section 5.1); by the file's name where absent.
    pub media_type: Option<String>,
    /// Inline or attachment.
    pub disposition: ContentDisposition,
    /// The id that `cid:` URLs of the HTML refer to, with or without `<>`.
    pub content_id: Option<String>,
    /// Header `Content-Description`.
    pub description: Option<String>,
    /// Requested encoding.
    pub transfer_encoding: TransferEncoding,
    /// Length of its content, in bytes.
    pub size_bytes: u64,
}
