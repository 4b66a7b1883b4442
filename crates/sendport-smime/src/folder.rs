//! `certificates_folder`: recipients' certificates in files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openssl::x509::{X509, X509VerifyResult};
use parking_lot::Mutex;
use sendport_core::domain::{Timestamp, parse_mailbox};
use sendport_core::file_watch::{FileCache, IoError, files_with_extension};
use sendport_core::regular_file;

use super::candidate::Candidate;
use super::certificate::{
    CertificateReadError, RecipientCertificate, address_key, certificates_from,
};
use super::error::{FileError, RecipientCertificateError};
use super::trust::Trust;

/// Extensions of certificate files.
const EXTENSIONS: [&str; 4] = ["pem", "crt", "cer", "der"];

/// So many unreadable files are named in an error about a recipient.
const MOST_NAMED: usize = 3;

/// Certificates by address, in lower case.
#[derive(Debug, Default)]
pub struct Directory {
    by_address: HashMap<String, Vec<Arc<RecipientCertificate>>>,
    /// Files without a readable certificate, and why.
    pub unreadable: Vec<String>,
    /// Those of them that are named after an address.
    unreadable_by_address: HashMap<String, String>,
}

/// A folder of PEM and DER files, read again when it changes.
#[derive(Debug)]
pub struct CertificateFolder {
    path: PathBuf,
    state: Mutex<State>,
}

/// The folder itself cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the folder of certificates {} cannot be read: {error}", .path.display())]
pub struct FolderError {
    path: PathBuf,
    #[source]
    error: IoError,
}

/// Why a file of the folder cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum CertificateFileError {
    #[error(transparent)]
    Io(#[from] IoError),
    #[error(transparent)]
    Certificate(#[from] CertificateReadError),
}

#[derive(Debug, Default)]
struct State {
    files: Files,
    directory: Arc<Directory>,
}

type Files = FileCache<FileCertificates, FileError<CertificateFileError>>;

/// The certificates of one file with the addresses that each is for.
type FileCertificates = Vec<(Vec<String>, Arc<RecipientCertificate>)>;

impl CertificateFolder {
    /// Reads nothing yet.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            state: Mutex::default(),
        }
    }

    /// The content of the folder, at most five seconds old. Reads files; not for the threads of
    /// the runtime.
    ///
    /// # Errors
    /// [`FolderError`]. A file that cannot be read is part of the [`Directory`].
    pub fn directory(&self) -> Result<Arc<Directory>, FolderError> {
        let mut state = self.state.lock();
        if state.files.is_fresh() {
            return Ok(state.directory.clone());
        }
        let paths = files_with_extension(&self.path, &EXTENSIONS);
        let paths = paths.map_err(|error| FolderError {
            path: self.path.clone(),
            error: error.into(),
        })?;
        if state.files.refresh(paths, parse) {
            state.directory = Arc::new(Directory::new(&state.files));
        }
        Ok(state.directory.clone())
    }
}

fn parse(path: &Path) -> Result<FileCertificates, FileError<CertificateFileError>> {
    certificates_of_file(path).map_err(|error| FileError {
        path: path.to_owned(),
        error,
    })
}

/// Each certificate is for the addresses that it contains, and for the one that the file is named
/// after unless it issued another certificate of the file.
fn certificates_of_file(path: &Path) -> Result<FileCertificates, CertificateFileError> {
    let bytes = regular_file::read(path).map_err(IoError::from)?;
    let certificates = certificates_from(&bytes)?;
    let named = address_of_file(path);
    let companions: Arc<[X509]> = certificates.clone().into();
    let is_issuer = |it: &X509| {
        let issued = |other: &&X509| it.issued(other) == X509VerifyResult::OK;
        let mut others = companions.iter().filter(|other| **other != *it);
        others.any(|other| issued(&other))
    };
    let with_addresses = |certificate: X509| {
        let named = named.clone().filter(|_| !is_issuer(&certificate));
        let certificate = RecipientCertificate::new(certificate, &path.display().to_string())?;
        let mut addresses = certificate.addresses.to_vec();
        addresses.extend(named.filter(|name| !addresses.contains(name)));
        let certificate = certificate.with_companions(companions.clone());
        Some((addresses, Arc::new(certificate)))
    };
    Ok(certificates
        .into_iter()
        .filter_map(with_addresses)
        .collect())
}

/// The address that a file is named after.
fn address_of_file(path: &Path) -> Option<String> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mailbox = parse_mailbox(&stem).ok()?;
    Some(address_key(&mailbox.address))
}

impl Directory {
    fn new(files: &Files) -> Self {
        let mut directory = Self::default();
        for (path, parsed) in files.by_path() {
            match parsed {
                Ok(certificates) => {
                    for (addresses, certificate) in certificates {
                        directory.add(addresses, certificate);
                    }
                }
                Err(error) => {
                    let why = error.to_string();
                    directory.unreadable.push(why.clone());
                    let address = address_of_file(path).map(|address| (address, why));
                    directory.unreadable_by_address.extend(address);
                }
            }
        }
        directory
    }

    fn add(&mut self, addresses: &[String], certificate: &Arc<RecipientCertificate>) {
        for address in addresses {
            let of_address = self.by_address.entry(address.clone());
            of_address.or_default().push(certificate.clone());
        }
    }

    /// How many addresses there are certificates for.
    pub fn addresses(&self) -> usize {
        self.by_address.len()
    }

    /// Why certificates cannot be used at a moment, in sentences.
    pub fn unusable(&self, now: Timestamp) -> Vec<String> {
        let all = self.by_address.values().flatten();
        let mut errors: Vec<_> = all
            .filter_map(|certificate| certificate.check_usable(now).err())
            .map(|error| error.to_string())
            .collect();
        errors.sort();
        errors.dedup();
        errors
    }

    /// The certificates for an address.
    pub(super) fn candidates(&self, address: &str) -> impl Iterator<Item = Candidate> {
        let key = address_key(address);
        let unreadable = self.unreadable_by_address.get(&key);
        let unreadable = unreadable.map(|why| Candidate::from_unreadable_file(why));
        let of_address = self.by_address.get(&key).into_iter().flatten();
        of_address.map(Candidate::from_folder).chain(unreadable)
    }

    /// Continues an error about a missing certificate: it may be in an unreadable file.
    pub(super) fn unreadable_hint(&self) -> String {
        let named: Vec<_> = self
            .unreadable
            .iter()
            .take(MOST_NAMED)
            .map(String::as_str)
            .collect();
        let more = match self.unreadable.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        match named.is_empty() {
            true => String::new(),
            false => format!(
                "; it may be in a file that cannot be read: {}{more}",
                named.join("; ")
            ),
        }
    }

    /// Why usable certificates are not trusted.
    pub fn untrusted(&self, trust: &Trust, now: Timestamp) -> Vec<RecipientCertificateError> {
        let all = self.by_address.values().flatten();
        let usable = all.filter(|certificate| certificate.check_usable(now).is_ok());
        let mut errors: Vec<_> = usable
            .filter_map(|certificate| trust.assess(certificate, now).err())
            .collect();
        errors.sort_by_key(ToString::to_string);
        errors.dedup();
        errors
    }
}
