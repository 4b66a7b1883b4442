//! Which attachments a send port takes: decided by names and lengths, before a content is read.

use sendport_core::byte_size::ByteSize;
use sendport_core::domain::Attachment;
use sendport_message::mime::{extension, safe_file_name};

use super::Refusal;
use crate::settings::AttachmentsConfig;

/// The rules of one send port.
#[derive(Debug, Clone)]
pub(super) struct AttachmentRules {
    config: AttachmentsConfig,
    /// In lower case, without a dot.
    forbidden: Vec<String>,
}

impl AttachmentRules {
    pub(super) fn new(config: &AttachmentsConfig) -> Self {
        let bare = |extension: &String| extension.trim().trim_start_matches('.').to_lowercase();
        Self {
            forbidden: config.forbidden_extensions.iter().map(bare).collect(),
            config: config.clone(),
        }
    }

    /// The refusal that fails the alert.
    pub(super) fn check(&self, port: &str, attachments: &[Attachment]) -> Result<(), Refusal> {
        for attachment in attachments {
            self.check_one(port, attachment)?;
        }
        let (sum, limit) = (total(attachments), self.config.max_total_size);
        if sum <= limit.0 {
            return Ok(());
        }
        let count = attachments.len();
        Err(too_large(
            &format!("the {count} attachments together have {sum} bytes"),
            port,
            limit,
            "max_total_size",
        ))
    }

    fn check_one(&self, port: &str, attachment: &Attachment) -> Result<(), Refusal> {
        let name = safe_file_name(attachment.file_name.as_deref().unwrap_or_default());
        let shown: String = name.escape_debug().take(120).collect();
        if let Some(found) = extension(&name).filter(|found| self.forbidden.contains(found)) {
            return Err(Refusal::new(
                "attachment-forbidden",
                format!(
                    "attachment '{shown}': the send port '{port}' takes no .{found} files; put it into an archive, or take the extension out of attachments.forbidden_extensions"
                ),
            ));
        }
        if attachment.size_bytes <= self.config.max_size.0 {
            return Ok(());
        }
        Err(too_large(
            &format!("attachment '{shown}' has {} bytes", attachment.size_bytes),
            port,
            self.config.max_size,
            "max_size",
        ))
    }
}

/// The lengths of all contents.
fn total(attachments: &[Attachment]) -> u64 {
    let lengths = attachments.iter().map(|attachment| attachment.size_bytes);
    lengths.fold(0, u64::saturating_add)
}

fn too_large(what: &str, port: &str, limit: ByteSize, key: &str) -> Refusal {
    Refusal::new(
        "attachment-too-large",
        format!(
            "{what}, the send port '{port}' takes at most {} ({limit}); send less, or a link, or raise attachments.{key}",
            limit.0
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendport_core::domain::{AttachmentId, ContentDisposition, TransferEncoding};

    fn file(name: &str, size_bytes: u64) -> Attachment {
        Attachment {
            id: AttachmentId(1),
            file_name: Some(name.to_owned()),
            media_type: None,
            disposition: ContentDisposition::Attachment,
            content_id: None,
            description: None,
            transfer_encoding: TransferEncoding::Base64,
            size_bytes,
        }
    }

    fn refused(attachments: &[Attachment]) -> Option<Refusal> {
        let rules = AttachmentRules::new(&AttachmentsConfig::default());
        rules.check("default", attachments).err()
    }

    #[test]
    fn attachments_that_are_too_large_are_named_with_the_limit() {
        assert_eq!(refused(&[file("a.zip", 10_000_000), file("b", 0)]), None);
        let refusal = refused(&[file("a.zip", 10_000_001)]).expect("too large");
        assert_eq!(refusal.explanation, "attachment-too-large");
        for part in [
            "'a.zip' has 10000001 bytes",
            "at most 10000000 (10MB)",
            "attachments.max_size",
        ] {
            assert!(refusal.reason.contains(part), "{}", refusal.reason);
        }
        let three = [
            file("a", 9_000_000),
            file("b", 9_000_000),
            file("c", 9_000_000),
        ];
        let reason = refused(&three).expect("too large").reason;
        assert!(
            reason.starts_with("the 3 attachments together have 27000000 bytes"),
            "{reason}"
        );
    }

    #[test]
    fn programs_are_refused_however_their_names_are_written() {
        for name in [
            "setup.exe",
            "SETUP.EXE",
            "x.pdf.vbs",
            "a.js ",
            "a.dll.",
            "c:\\x\\a.exe",
            "a.exe:b.txt",
        ] {
            let refusal = refused(&[file(name, 1)]).expect(name);
            assert_eq!(refusal.explanation, "attachment-forbidden");
        }
        for name in ["a.exe.txt", "exe", "a.json"] {
            assert_eq!(refused(&[file(name, 1)]), None, "{name}");
        }
    }
}
