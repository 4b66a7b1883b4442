//! The folder of the recipients' certificates.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openssl::x509::{X509, X509VerifyResult};
use parking_lot::Mutex;

use super::candidate::Candidate;
use super::certificate::{
    RecipientCertificate, RecipientCertificateError, address_key, certificates_of,
};
use super::file_cache::{FileCache, with_endings};
use super::trust::Trust;
use sendport_core::domain::{Timestamp, parse_mailbox};

/// What files of certificates end in.
const ENDINGS: [&str; 4] = ["pem", "crt", "cer", "der"];

/// So many files that cannot be read are named to a recipient.
const SHOWN: usize = 3;

/// Certificates by the address that they are for, in lower case.
#[derive(Debug, Default)]
pub struct Directory {
    by_address: HashMap<String, Vec<Arc<RecipientCertificate>>>,
    /// Files without a readable certificate, and why.
    pub unreadable: Vec<String>,
    /// Those of them that are named after an address.
    unreadable_of: HashMap<String, String>,
}

/// A folder of PEM and DER files, read again when it changes.
#[derive(Debug)]
pub struct CertificateFolder {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    files: FileCache<Held>,
    directory: Arc<Directory>,
}

/// Certificates with the addresses that each is for.
type Held = Vec<(Vec<String>, Arc<RecipientCertificate>)>;

impl CertificateFolder {
    /// Not read until it is needed.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            known: Mutex::default(),
        }
    }

    /// What is in it, at most five seconds ago. Reads files, so it may take its time.
    ///
    /// # Errors
    /// The folder cannot be read, in a sentence.
    pub fn directory(&self) -> Result<Arc<Directory>, String> {
        let mut known = self.known.lock();
        if known.files.is_fresh() {
            return Ok(known.directory.clone());
        }
        let paths = with_endings(&self.path, &ENDINGS).map_err(|error| {
            let path = self.path.display();
            format!("the folder of certificates {path} cannot be read: {error}")
        })?;
        if known.files.look(paths, held) {
            known.directory = Arc::new(Directory::of(&known.files));
        }
        Ok(known.directory.clone())
    }
}

/// The certificates of a file, each with the addresses that it is for: its own, and the one
/// that the file is named after. That is not for those who vouch for others in the file.
fn held(path: &Path) -> Result<Held, String> {
    let shown = path.display();
    let octets = fs::read(path).map_err(|error| format!("{shown}: {error}"))?;
    let found = certificates_of(&octets).map_err(|why| format!("{shown}: {why}"))?;
    let named = named_after(path);
    let companions: Arc<[X509]> = found.clone().into();
    let vouches = |it: &X509| {
        let issued = |other: &&X509| it.issued(other) == X509VerifyResult::OK;
        let mut others = companions.iter().filter(|other| **other != *it);
        others.any(|other| issued(&other))
    };
    let with_addresses = |certificate: X509| {
        let named = named.clone().filter(|_| !vouches(&certificate));
        let certificate = RecipientCertificate::new(certificate, &shown.to_string())?;
        let mut of = certificate.addresses.to_vec();
        of.extend(named.filter(|name| !of.contains(name)));
        Some((of, Arc::new(certificate.among(companions.clone()))))
    };
    Ok(found.into_iter().filter_map(with_addresses).collect())
}

/// The address that a file is named after.
fn named_after(path: &Path) -> Option<String> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mailbox = parse_mailbox(&stem).ok()?;
    Some(address_key(&mailbox.address))
}

impl Directory {
    fn of(files: &FileCache<Held>) -> Self {
        let mut directory = Self::default();
        for (path, held) in files.by_path() {
            match held {
                Ok(held) => held.iter().for_each(|(of, certificate)| {
                    for address in of {
                        let known = directory.by_address.entry(address.clone());
                        known.or_default().push(certificate.clone());
                    }
                }),
                Err(why) => {
                    directory.unreadable.push(why.clone());
                    let of = named_after(path).map(|address| (address, why.clone()));
                    directory.unreadable_of.extend(of);
                }
            }
        }
        directory
    }

    /// How many addresses there are certificates for.
    pub fn addresses(&self) -> usize {
        self.by_address.len()
    }

    /// Those of no use at a moment, in sentences.
    pub fn useless(&self, now: Timestamp) -> Vec<String> {
        let all = self.by_address.values().flatten();
        let mut why: Vec<_> = all
            .filter_map(|certificate| certificate.usable(now).err())
            .map(|why| why.to_string())
            .collect();
        why.sort();
        why.dedup();
        why
    }

    /// Those for an address.
    pub(super) fn candidates(&self, address: &str) -> impl Iterator<Item = Candidate> {
        let key = address_key(address);
        let unreadable = self
            .unreadable_of
            .get(&key)
            .map(|why| Candidate::unreadable(why));
        let of_address = self.by_address.get(&key).into_iter().flatten();
        of_address.map(Candidate::of_folder).chain(unreadable)
    }

    /// What to say besides where there is no certificate for somebody: it may be in a file that
    /// cannot be read.
    pub(super) fn doubts(&self) -> String {
        let shown: Vec<_> = self
            .unreadable
            .iter()
            .take(SHOWN)
            .map(String::as_str)
            .collect();
        let more = match self.unreadable.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        match shown.is_empty() {
            true => String::new(),
            false => format!(
                "; it may be in a file that cannot be read: {}{more}",
                shown.join("; ")
            ),
        }
    }

    /// Why those that could be used are not trusted.
    pub fn untrusted(&self, trust: &Trust, now: Timestamp) -> Vec<RecipientCertificateError> {
        let all = self.by_address.values().flatten();
        let usable = all.filter(|certificate| certificate.usable(now).is_ok());
        let mut why: Vec<_> = usable
            .filter_map(|certificate| trust.opinion(certificate, now).err())
            .collect();
        why.sort_by_key(ToString::to_string);
        why.dedup();
        why
    }
}
