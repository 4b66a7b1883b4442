//! The keys of a send port, and the signatures that they make.

use std::collections::BTreeMap;
use std::sync::Arc;

use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::DkimSigner;
use openssl::error::ErrorStack;
use sendport_core::domain::domain_to_ascii;

use super::key::KeyError;
use super::key_file::KeyFile;
use super::settings::DkimConfig;

/// The fields that are signed (RFC 6376 section 5.4.1).
const SIGNED: [&str; 16] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Resent-From",
    "Resent-To",
];

/// A note about a key file.
const EXPOSED: &str = "every user of this host can read the private key: chmod o-r its key_file, and replace a key that others may have";

/// A section whose key file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {source}")]
pub struct KeyFileError {
    /// The name of the key: the last part of the section.
    pub name: String,
    /// The file.
    file: String,
    #[source]
    source: KeyError,
}

/// OpenSSL made no signature.
#[derive(Debug, thiserror::Error)]
#[error("no DKIM signature for {domain}: {why}")]
pub struct SignError {
    domain: String,
    why: String,
}

/// What verifiers have to find in the DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedKey {
    /// The name of the key: the last part of the section.
    pub section: String,
    /// `<selector>._domainkey.<domain>`.
    pub name: String,
    /// The text of its TXT record.
    pub record: String,
    /// Such as `RSA of 2048 bits`.
    pub kind: String,
    /// What verifiers may not like about it, and who else can read it.
    pub weaknesses: Vec<&'static str>,
}

/// The DKIM keys of a send port.
#[derive(Debug, Clone, Default)]
pub struct DkimKeys(Arc<[DkimKey]>);

#[derive(Debug)]
struct DkimKey {
    section: String,
    /// In ASCII and lower case.
    domain: String,
    selector: String,
    file: KeyFile,
}

impl DkimKeys {
    /// Reads the key files of the sections, by their names.
    ///
    /// # Errors
    /// [`KeyFileError`]: the first file that cannot be used.
    pub fn read(sections: &BTreeMap<String, DkimConfig>) -> Result<Self, KeyFileError> {
        let key = |(name, config): (&String, &DkimConfig)| {
            let file = KeyFile::read(config.key_file.clone()).map_err(|source| KeyFileError {
                name: name.clone(),
                file: config.key_file.display().to_string(),
                source,
            })?;
            Ok(DkimKey {
                section: name.clone(),
                domain: in_ascii(&config.domain),
                selector: config.selector.clone(),
                file,
            })
        };
        let keys = sections.iter().map(key).collect::<Result<_, _>>()?;
        Ok(Self(keys))
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A key signs for messages from this domain.
    pub fn has_key_for(&self, from_domain: &str) -> bool {
        self.of(&in_ascii(from_domain)).next().is_some()
    }

    /// The `DKIM-Signature` fields of a message whose From is of `from_domain`, each with its line end: of each key for
    /// that domain; if there is none, of each key for the longest domain above it. Empty: no key is for it. They go in
    /// front of the message.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn sign(&self, message: &[u8], from_domain: &str) -> Result<String, SignError> {
        let mut fields = String::new();
        for key in self.of(&in_ascii(from_domain)) {
            let signer = DkimSigner::from_key(key.file.current())
                .domain(&key.domain)
                .selector(&key.selector)
                // The second one is absent, so nobody can add another field of this name.
                .headers(SIGNED.into_iter().flat_map(|name| [name, name]));
            let signature = signer.sign(message).map_err(|error| SignError {
                domain: key.domain.clone(),
                why: error.to_string(),
            })?;
            fields += &signature.to_header();
        }
        Ok(fields)
    }

    /// What has to be published.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn published(&self) -> Result<Vec<PublishedKey>, ErrorStack> {
        let published = |key: &DkimKey| {
            let private = key.file.current();
            let has_rsa = || {
                let mut others = self.0.iter().filter(|other| other.domain == key.domain);
                others.any(|other| other.file.current().is_rsa())
            };
            let weakness = private
                .weakness()
                .filter(|_| private.is_rsa() || !has_rsa());
            let exposure = key.file.is_exposed().then_some(EXPOSED);
            Ok(PublishedKey {
                section: key.section.clone(),
                name: format!("{}._domainkey.{}", key.selector, key.domain),
                record: private.record()?,
                kind: private.kind(),
                weaknesses: weakness.into_iter().chain(exposure).collect(),
            })
        };
        self.0.iter().map(published).collect()
    }

    fn of(&self, from_domain: &str) -> impl Iterator<Item = &DkimKey> {
        let is_for = |key: &&DkimKey| {
            let rest = from_domain.strip_suffix(key.domain.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let longest = self.0.iter().filter(is_for).map(|key| key.domain.len());
        let longest = longest.max();
        self.0
            .iter()
            .filter(is_for)
            .filter(move |key| Some(key.domain.len()) == longest)
            .collect::<Vec<_>>()
            .into_iter()
    }
}

/// A name that is no domain stays as it is, and fits no key.
fn in_ascii(domain: &str) -> String {
    domain_to_ascii(domain).map_or_else(|_| domain.to_owned(), |it| it.to_ascii_lowercase())
}
