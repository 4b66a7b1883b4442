//! A file that goes with an alert.

use serde::{Deserialize, Serialize};

use super::alert::word_enum;

/// The key of a row in `Attachment`. Attachments stand in a message in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttachmentId(pub i64);

word_enum! {
    /// Header `Content-Disposition` (RFC 2183).
    pub enum ContentDisposition {
        /// Offered beside the text.
        Attachment = "attachment",
        /// Shown with the text; with a Content-ID it belongs to the HTML.
        Inline = "inline",
    }
}

word_enum! {
    /// Header `Content-Transfer-Encoding` (RFC 2045 section 6) that is asked for. What would not
    /// come out as it went in is sent as base64.
    pub enum TransferEncoding {
        /// Fits everything.
        Base64 = "base64",
        /// Readable where it is mostly ASCII.
        QuotedPrintable = "quoted-printable",
        /// As it is: short lines of ASCII that end in CRLF.
        SevenBit = "7bit",
    }
}

/// A row of `Attachment` without its content. Text is as the application wrote it: nothing in
/// here has been checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its key.
    pub id: AttachmentId,
    /// What a reader saves it as.
    pub file_name: Option<String>,
    /// `type/subtype` with parameters (RFC 2045 section 5.1); by the file's name where absent.
    pub media_type: Option<String>,
    /// How it is shown.
    pub disposition: ContentDisposition,
    /// What `cid:` in the HTML refers to, with or without `<>`.
    pub content_id: Option<String>,
    /// Header `Content-Description`.
    pub description: Option<String>,
    /// How it is sent.
    pub transfer_encoding: TransferEncoding,
    /// Length of its content.
    pub size_bytes: u64,
}
