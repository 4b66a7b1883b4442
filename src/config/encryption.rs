//! Section `[send_port.<name>.encryption]`: to whose certificates, and how.

use std::path::PathBuf;

use serde::Deserialize;

use super::Problem;
use crate::smime::{ContentCipher, RsaEncryption, WhenMissing};

/// Where the recipients' certificates are, and what an envelope is made of.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncryptionConfig {
    /// Folder of PEM and DER files, beside the database's certificates.
    pub certificates_folder: Option<PathBuf>,
    /// What becomes of an alert where somebody has no usable certificate.
    #[serde(default)]
    pub when_missing: WhenMissing,
    /// By what content is encrypted.
    #[serde(default)]
    pub cipher: ContentCipher,
    /// For RSA keys.
    #[serde(default)]
    pub rsa_padding: RsaEncryption,
    /// PEM file of our own certificates, one of each kind of key: we can read everything, too.
    pub own_certificate_file: Option<PathBuf>,
    /// A reader that is known to open a stronger cipher gets it.
    #[serde(default = "follow_capabilities")]
    pub follow_capabilities: bool,
    /// Ciphers of the past are allowed.
    #[serde(default)]
    pub legacy: bool,
}

fn follow_capabilities() -> bool {
    true
}

impl EncryptionConfig {
    /// Every path that it names.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let folder = self.certificates_folder.iter_mut();
        folder.chain(&mut self.own_certificate_file)
    }

    /// What keeps it from working; `key` is that of the section.
    pub(super) fn problems(&self, key: &str) -> Vec<Problem> {
        let problem = |below: &str, what: &str| Problem {
            key: format!("{key}.{below}"),
            what: what.to_owned(),
        };
        let mut found = Vec::new();
        let folder = self.certificates_folder.as_deref();
        if folder.is_some_and(|folder| folder.as_os_str().is_empty()) {
            found.push(problem(
                "certificates_folder",
                "it is empty; write the path of a folder with recipients' certificates, or leave \
                 it out where all of them are in the database",
            ));
        }
        if self.cipher == ContentCipher::TripleDes && !self.legacy {
            found.push(problem(
                "cipher",
                "\"3des-cbc\" is broken; leave it out, or write legacy = true, too, where the \
                 recipients can read nothing else",
            ));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_has_to_be_called_so() {
        let found = |text: &str| {
            let section: EncryptionConfig = toml::from_str(text).unwrap();
            section.problems("e").len()
        };
        assert_eq!(found(""), 0);
        assert_eq!(found("certificates_folder = 'c'"), 0);
        assert_eq!(found("certificates_folder = ''"), 1);
        assert_eq!(found("certificates_folder = 'c'\ncipher = '3des-cbc'"), 1);
        let legacy = "certificates_folder = 'c'\ncipher = '3des-cbc'\nlegacy = true";
        assert_eq!(found(legacy), 0);
    }
}
