//! The folder of the recipients' certificates.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use openssl::x509::X509;

use super::candidate::Candidate;
use super::certificate::{RecipientCertificate, address_key, certificates_of};
use crate::domain::{Timestamp, parse_mailbox};

/// How long a look at the folder stands: a certificate that is put there is found after it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What files of certificates end in.
const ENDINGS: [&str; 4] = ["pem", "crt", "cer", "der"];

/// Certificates by the address that they are for, in lower case.
#[derive(Debug, Default)]
pub struct Directory {
    by_address: HashMap<String, Vec<Arc<RecipientCertificate>>>,
    /// Files without a readable certificate, and why.
    pub unreadable: Vec<String>,
}

/// A folder of PEM and DER files, read again when it changes.
#[derive(Debug)]
pub struct CertificateFolder {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    looked_at: Option<Instant>,
    files: BTreeMap<PathBuf, File>,
    directory: Arc<Directory>,
}

/// Certificates with the addresses that each is for.
type Held = Vec<(Vec<String>, Arc<RecipientCertificate>)>;

/// What a file held when it had this size and time.
#[derive(Debug, Clone)]
struct File {
    stamp: (u64, Option<SystemTime>),
    held: Result<Held, String>,
}

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
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.looked_at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return Ok(known.directory.clone());
        }
        let files = self.read(&known.files).map_err(|error| {
            let path = self.path.display();
            format!("the folder of certificates {path} cannot be read: {error}")
        })?;
        let changed = known.files.len() != files.len()
            || !known
                .files
                .iter()
                .zip(&files)
                .all(|(a, b)| a.0 == b.0 && a.1.stamp == b.1.stamp);
        if changed {
            known.directory = Arc::new(Directory::of(&files));
            known.files = files;
        }
        known.looked_at = Some(Instant::now());
        Ok(known.directory.clone())
    }

    /// Parses what is new or changed.
    fn read(&self, known: &BTreeMap<PathBuf, File>) -> std::io::Result<BTreeMap<PathBuf, File>> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let ending = path
                .extension()
                .unwrap_or_default()
                .to_string_lossy()
                .to_lowercase();
            // A link is followed; what is gone meanwhile is not there.
            let Ok(facts) = fs::metadata(&path) else {
                continue;
            };
            if !facts.is_file() || !ENDINGS.contains(&&*ending) {
                continue;
            }
            let stamp = (facts.len(), facts.modified().ok());
            let file = match known.get(&path) {
                Some(file) if file.stamp == stamp => file.clone(),
                _ => File {
                    stamp,
                    held: held(&path),
                },
            };
            files.insert(path, file);
        }
        Ok(files)
    }
}

/// The certificates of a file, each with the addresses that it is for: its own, and the one
/// that the file is named after.
fn held(path: &Path) -> Result<Held, String> {
    let shown = path.display();
    let octets = fs::read(path).map_err(|error| format!("{shown}: {error}"))?;
    let found = certificates_of(&octets).map_err(|why| format!("{shown}: {why}"))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let named = parse_mailbox(&stem)
        .ok()
        .map(|mailbox| address_key(&mailbox.address));
    let with_addresses = |certificate: X509| {
        let certificate = RecipientCertificate::new(certificate, &shown.to_string())?;
        let mut of = certificate.addresses.to_vec();
        of.extend(named.clone().filter(|name| !of.contains(name)));
        Some((of, Arc::new(certificate)))
    };
    Ok(found.into_iter().filter_map(with_addresses).collect())
}

impl Directory {
    fn of(files: &BTreeMap<PathBuf, File>) -> Self {
        let mut directory = Self::default();
        for file in files.values() {
            match &file.held {
                Ok(held) => held.iter().for_each(|(of, certificate)| {
                    for address in of {
                        let known = directory.by_address.entry(address.clone());
                        known.or_default().push(certificate.clone());
                    }
                }),
                Err(why) => directory.unreadable.push(why.clone()),
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
        let of_address = self.by_address.get(&address_key(address));
        of_address.into_iter().flatten().map(Candidate::of_folder)
    }
}
