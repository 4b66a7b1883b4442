//! One attachment as a part of a message.

use sendport_core::domain::{Attachment, AttachmentId, ContentDisposition, TransferEncoding};

use super::encoding::{self, Encoder, Survey};
use super::file_name::{ascii_fallback, safe_file_name};
use super::header::HeaderSection;
use super::media_type::MediaType;
use super::{MimeError, guard, parameter};

/// An attachment with checked columns, before its content.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) id: AttachmentId,
    file_name: Option<String>,
    media_type: MediaType,
    disposition: ContentDisposition,
    content_id: Option<String>,
    description: Option<String>,
    asked: TransferEncoding,
    pub(super) expected_bytes: u64,
}

impl Part {
    /// Checks every column that may be part of a header.
    pub(super) fn new(attachment: &Attachment) -> Result<Self, MimeError> {
        let given = |column: &Option<String>| {
            let text = column.as_deref().unwrap_or_default().trim().to_owned();
            (!text.is_empty()).then_some(text)
        };
        for (column, value) in [
            ("Attachment.FileName", &attachment.file_name),
            ("Attachment.MediaType", &attachment.media_type),
            ("Attachment.ContentId", &attachment.content_id),
            ("Attachment.Description", &attachment.description),
        ] {
            guard::check(column, value.as_deref().unwrap_or_default())?;
        }
        let bad = |column, problem| MimeError::BadAttachment {
            attachment: shown(attachment),
            column,
            problem,
        };
        let file_name = given(&attachment.file_name).map(|name| safe_file_name(&name));
        let media_type = match given(&attachment.media_type) {
            Some(written) => {
                MediaType::parse(&written).map_err(|problem| bad("MediaType", problem))?
            }
            None => MediaType::of_file(file_name.as_deref()),
        };
        let content_id = given(&attachment.content_id)
            .map(|written| content_id(&written).map_err(|problem| bad("ContentId", problem)))
            .transpose()?;
        Ok(Self {
            id: attachment.id,
            file_name,
            media_type,
            disposition: attachment.disposition,
            content_id,
            description: given(&attachment.description),
            asked: attachment.transfer_encoding,
            expected_bytes: encoding::encoded_length(
                attachment.transfer_encoding,
                attachment.size_bytes,
            ),
        })
    }

    /// The HTML can refer to it (RFC 2392).
    pub(super) fn belongs_to_html(&self) -> bool {
        self.disposition == ContentDisposition::Inline && self.content_id.is_some()
    }

    /// An alternative to the bodies, for calendar programs (RFC 6047 section 2.4).
    pub(super) fn is_invitation(&self) -> bool {
        self.disposition == ContentDisposition::Inline && self.media_type.is_invitation()
    }

    /// Uses the file's name as the Content-ID of an inline part that has none, where the HTML refers to
    /// that.
    pub(super) fn take_name_from(&mut self, html: &str) {
        let name = self.file_name.as_deref().unwrap_or_default();
        let is_inline = self.disposition == ContentDisposition::Inline;
        if is_inline && self.content_id.is_none() && html.contains(&format!("cid:{name}")) {
            self.content_id = content_id(name).ok();
        }
    }

    /// Its encoding depends on the whole content, which has to be examined first.
    pub(super) fn examines_first(&self) -> bool {
        self.media_type.is_message()
            || self.media_type.is_text()
            || self.asked == TransferEncoding::SevenBit
    }

    /// Appends the headers and the empty line; returns the encoder of the content.
    pub(super) fn open(&self, out: &mut Vec<u8>, survey: &Survey) -> Encoder {
        let (media_type, encoding) = self.sent_as(survey);
        out.extend(self.headers(&media_type, encoding, survey));
        out.extend_from_slice(b"\r\n");
        Encoder::new(encoding)
    }

    /// A `message/*` part that is not 7-bit is sent as octets.
    fn sent_as(&self, survey: &Survey) -> (MediaType, TransferEncoding) {
        let fits = survey.fits_7bit();
        if self.media_type.is_message() {
            return match fits {
                true => (self.media_type.clone(), TransferEncoding::SevenBit),
                false => (MediaType::bytes(), TransferEncoding::Base64),
            };
        }
        let encoding = match self.asked {
            TransferEncoding::SevenBit if !fits => TransferEncoding::Base64,
            TransferEncoding::Base64 if self.media_type.is_text() => survey.readable(),
            asked => asked,
        };
        (self.media_type.clone(), encoding)
    }

    fn headers(
        &self,
        media_type: &MediaType,
        encoding: TransferEncoding,
        survey: &Survey,
    ) -> Vec<u8> {
        let mut value = media_type.header_value();
        if let Some(charset) = survey.charset().filter(|_| media_type.lacks_charset()) {
            parameter::ascii(&mut value, "charset", charset);
        }
        let mut lines = match self.is_invitation() {
            true => format!("Content-Type: {value}\r\n"),
            false => self.as_file(value),
        };
        lines += &format!("Content-Transfer-Encoding: {encoding}\r\n");
        if let Some(id) = &self.content_id {
            lines += &format!("Content-ID: <{id}>\r\n");
        }
        let mut bytes = lines.into_bytes();
        let mut description = HeaderSection::default();
        description.text(
            "Content-Description",
            self.description.as_deref().unwrap_or_default(),
        );
        bytes.extend(description.into_bytes());
        bytes
    }

    /// Content-Type and Content-Disposition with the file's name.
    fn as_file(&self, mut media_type: String) -> String {
        let mut disposition = self.disposition.as_str().to_owned();
        if let Some(name) = &self.file_name {
            // For mail programs without RFC 2231. Some take a second `filename` for the real name, and
            // others for a defect.
            parameter::ascii(&mut media_type, "name", &ascii_fallback(name));
            match name.is_ascii() {
                true => parameter::ascii(&mut disposition, "filename", name),
                false => parameter::extended(&mut disposition, "filename", name),
            }
        }
        format!("Content-Type: {media_type}\r\nContent-Disposition: {disposition}\r\n")
    }
}

/// Estimated length of the encoded attachments.
pub fn expected_bytes(attachments: &[Attachment]) -> u64 {
    let expected = |attachment: &Attachment| {
        encoding::encoded_length(attachment.transfer_encoding, attachment.size_bytes)
    };
    attachments
        .iter()
        .map(expected)
        .fold(0, u64::saturating_add)
}

/// A Content-ID without its `<>`.
fn content_id(written: &str) -> Result<String, &'static str> {
    let bare = written
        .strip_prefix('<')
        .and_then(|id| id.strip_suffix('>'));
    let bare = bare.unwrap_or(written);
    let is_good = |b: u8| b.is_ascii_graphic() && !b"<>\"(),;\\".contains(&b);
    if bare.is_empty() || bare.len() > 255 || !bare.bytes().all(is_good) {
        return Err(
            "expected letters, digits and marks of ASCII without spaces, such as logo or logo@contoso.com",
        );
    }
    Ok(bare.to_owned())
}

/// For people.
fn shown(attachment: &Attachment) -> String {
    let name = attachment.file_name.as_deref().unwrap_or_default();
    let name: String = name.escape_debug().take(80).collect();
    format!("{} '{name}'", attachment.id.0)
}
