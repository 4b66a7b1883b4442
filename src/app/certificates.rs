//! Imports recipients' certificates into the database, and checks whether they can be used.

use std::collections::BTreeSet;
use std::sync::Arc;

use sendport_core::domain::{
    BoundBy, CertificateAdded, CertificateChoice, CertificateEntry, CertificateRow, Timestamp,
    parse_mailbox,
};
use sendport_smime::{
    Binding, Candidate, CertificateReadError, ContentCipher, CrlCache, ParsedCertificate,
    RecipientCertificate, RecipientCertificateError, RsaEncryption, Trust, address_key,
};
use sendport_store::certificates::CertificateStore;

use super::protection::{crl_folder, fetch_lists, trusts};
use super::{AppError, SettingError, system_clock};
use crate::config::Config;

/// Digits of a thumbprint.
const THUMBPRINT_DIGITS: usize = 40;

/// Options of an import.
#[derive(Debug, Clone, Default)]
pub struct CertificateImport<'a> {
    /// Addresses to bind them to; empty: those in the certificates.
    pub addresses: &'a [String],
    /// The settings for encryption to them.
    pub choice: CertificateChoice,
    /// Describes the origin: the path of a file, an entry of a directory.
    pub source: &'a str,
}

/// The result for one certificate and one address.
#[derive(Debug)]
pub struct ImportedCertificate {
    /// Its address; `None` if it was skipped.
    pub address: Option<String>,
    /// Its subject.
    pub subject: String,
    /// The change, or why it was skipped.
    pub result: Result<CertificateAdded, SkipReason>,
}

impl ImportedCertificate {
    /// It is not imported.
    pub(super) fn skipped(subject: String, why: SkipReason) -> Self {
        Self {
            address: None,
            subject,
            result: Err(why),
        }
    }
}

/// Why a certificate is not imported.
#[derive(Debug, thiserror::Error)]
pub enum SkipReason {
    /// It belongs to an authority.
    #[error("it belongs to an authority, which decrypts no email")]
    Authority,
    /// It has no address, and none was given.
    #[error("it contains no email address; name one with --address")]
    NoAddress,
    /// The directory has it with other addresses.
    #[error("it is for {certificate}, but the directory has it with {directory}")]
    OtherAddresses {
        /// Those in the certificate, with commas.
        certificate: String,
        /// Those of the directory's entry, with commas.
        directory: String,
    },
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] CertificateReadError),
    /// It cannot be used for encryption now.
    #[error(transparent)]
    Unusable(#[from] RecipientCertificateError),
}

/// Why a certificate of the database cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UnusableCertificate {
    /// For any send port.
    #[error(transparent)]
    Anywhere(#[from] RecipientCertificateError),
    /// A send port does not trust it.
    #[error("{source} (send port {send_port})")]
    Untrusted {
        /// The send port.
        send_port: String,
        /// Why.
        source: RecipientCertificateError,
    },
}

/// A row, and whether it can be used for encryption now.
#[derive(Debug)]
pub struct CheckedCertificate {
    /// The row.
    pub row: CertificateRow,
    /// Why it cannot be used.
    pub usable: Result<(), UnusableCertificate>,
    /// This certificate or another one for its address can be used.
    pub address_is_served: bool,
}

/// Imports the certificates of a file or of an attribute's value (PEM, DER or PKCS #7). Skips
/// those of authorities and those without an address.
///
/// # Errors
/// [`AppError::Config`] if `bytes` have another format, an address is malformed, or certificates
/// of several owners would be bound to one address; [`AppError::Store`], after some may have been
/// added.
pub async fn import_certificates(
    store: &(impl CertificateStore + ?Sized),
    bytes: &[u8],
    how: &CertificateImport<'_>,
) -> Result<Vec<ImportedCertificate>, AppError> {
    let source = how.source;
    check_choice(&how.choice)?;
    let given = how.addresses.iter().map(|it| normal(it));
    let given: Vec<_> = given.collect::<Result<_, _>>()?;
    let found = ParsedCertificate::parse_all(bytes);
    let found = found.map_err(|error| AppError::config_at(source, error))?;
    refuse_strangers(&found, &given, source)?;
    let mut imported = Vec::new();
    for certificate in &found {
        imported.extend(import_one(store, certificate, &given, how).await?);
    }
    Ok(imported)
}

/// Binds at most one certificate to an address that it does not contain: the owners of several are
/// unknown.
fn refuse_strangers(
    found: &[ParsedCertificate],
    given: &[String],
    source: &str,
) -> Result<(), SettingError> {
    let names =
        |it: &ParsedCertificate| given.iter().any(|address| it.addresses().contains(address));
    let strangers = found.iter().filter(|it| !it.is_authority() && !names(it));
    let strangers: Vec<_> = strangers.map(ParsedCertificate::subject).collect();
    if given.is_empty() || strangers.len() < 2 {
        return Ok(());
    }
    let what = format!(
        "{} certificates in it do not name the address ({}); import each from a file of its own",
        strangers.len(),
        strangers.join("; ")
    );
    Err(SettingError::at(source, what))
}

pub(super) async fn import_one(
    store: &(impl CertificateStore + ?Sized),
    certificate: &ParsedCertificate,
    given: &[String],
    how: &CertificateImport<'_>,
) -> Result<Vec<ImportedCertificate>, AppError> {
    let subject = certificate.subject();
    if certificate.is_authority() {
        let why = SkipReason::Authority;
        return Ok(vec![ImportedCertificate::skipped(subject, why)]);
    }
    let in_it: Vec<_> = certificate.addresses();
    let in_it: BTreeSet<_> = in_it.iter().filter_map(|it| normal(it).ok()).collect();
    let addresses = match given.is_empty() {
        true => in_it.iter().cloned().collect(),
        false => given.to_vec(),
    };
    if addresses.is_empty() {
        let why = SkipReason::NoAddress;
        return Ok(vec![ImportedCertificate::skipped(subject, why)]);
    }
    let mut imported = Vec::new();
    for address in addresses {
        let binding = Binding {
            address: &address,
            bound_by: match in_it.contains(&address) {
                true => BoundBy::Certificate,
                false => BoundBy::Operator,
            },
            choice: &how.choice,
            source: how.source,
        };
        let result = match certificate.to_row(&binding) {
            Ok(text) => Ok(store.add_certificate(&text).await?),
            Err(error) => Err(error.into()),
        };
        imported.push(ImportedCertificate {
            address: Some(address),
            subject: subject.clone(),
            result,
        });
    }
    Ok(imported)
}

/// An address as the table stores it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn normal(address: &str) -> Result<String, SettingError> {
    let mailbox = parse_mailbox(address);
    let wrong = |error| SettingError::at(format_args!("'{address}' is no mail address"), error);
    Ok(address_key(&mailbox.map_err(wrong)?.address))
}

pub(super) fn check_choice(choice: &CertificateChoice) -> Result<(), SettingError> {
    let wrong = |option: &'static str| move |error| SettingError::at(option, error);
    let cipher = choice.cipher.as_deref().map(str::parse::<ContentCipher>);
    cipher.transpose().map_err(wrong("--cipher"))?;
    let padding = choice.rsa_padding.as_deref();
    let padding = padding.map(str::parse::<RsaEncryption>);
    padding.transpose().map_err(wrong("--rsa-padding"))?;
    Ok(())
}

/// Checks each row as the service does before it encrypts: whether it can be used, and whether
/// every send port with authorities trusts it. Downloads CRLs first.
///
/// # Errors
/// [`AppError::Config`]: the authorities of a send port cannot be read.
pub async fn check_certificates(
    config: &Config,
    rows: Vec<CertificateRow>,
) -> Result<Vec<CheckedCertificate>, AppError> {
    let crl_cache = Arc::new(CrlCache::read_only(&crl_folder(config)));
    let trusts = trusts(config, &crl_cache)?;
    let results = loop {
        let now = system_clock().now();
        let results: Vec<_> = rows.iter().map(|row| check(row, &trusts, now)).collect();
        if fetch_lists(&crl_cache).await == 0 {
            break results;
        }
    };
    let usable = rows.iter().zip(&results).filter(|(_, it)| it.is_ok());
    let served: BTreeSet<_> = usable.map(|(row, _)| row.text.address.clone()).collect();
    let checked = rows.into_iter().zip(results);
    let checked = checked.map(|(row, usable)| CheckedCertificate {
        address_is_served: served.contains(&row.text.address),
        row,
        usable,
    });
    Ok(checked.collect())
}

/// Whether one can be used, and every send port trusts it.
fn check(
    row: &CertificateRow,
    trusts: &[(&str, Trust)],
    now: Timestamp,
) -> Result<(), UnusableCertificate> {
    let parsed = RecipientCertificate::from_pem(&row.text.pem);
    let parsed = parsed.as_ref().map_err(Clone::clone);
    let candidate = Candidate::from_row(&CertificateEntry::from(row), parsed);
    candidate.check(None, now)?;
    for (port, trust) in trusts {
        let trusted = candidate.check(Some(trust), now);
        trusted.map_err(|source| UnusableCertificate::Untrusted {
            send_port: (*port).to_owned(),
            source,
        })?;
    }
    Ok(())
}

/// A text that is no thumbprint.
#[derive(Debug, thiserror::Error)]
#[error(
    "'{0}' is no thumbprint; write the {THUMBPRINT_DIGITS} hexadecimal digits that \
     `sendport cert list` shows"
)]
pub struct ThumbprintError(String);

/// A thumbprint as the table stores it, from the forms that people copy: with spaces, colons, in any
/// case, and with the invisible mark that Windows puts in front.
///
/// # Errors
/// [`ThumbprintError`].
pub fn thumbprint(text: &str) -> Result<String, ThumbprintError> {
    let ignored = |c: &char| !(c.is_whitespace() || matches!(c, ':' | '-' | '\u{200e}'));
    let digits: String = text.chars().filter(ignored).collect();
    match digits.len() == THUMBPRINT_DIGITS && digits.chars().all(|c| c.is_ascii_hexdigit()) {
        true => Ok(digits.to_uppercase()),
        false => Err(ThumbprintError(text.to_owned())),
    }
}

/// An address of the command line as the table stores it.
///
/// # Errors
/// [`AppError::Config`]: what was expected, in a sentence.
pub fn certificate_owner(address: &str) -> Result<String, AppError> {
    Ok(normal(address)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_thumbprint_as_windows_shows_it() {
        let shown = "\u{200e}0a 1B:2c-3d 4e 5f 60 71 82 93 a4 b5 c6 d7 e8 f9 0a 1b 2c 3d";
        let read = thumbprint(shown).unwrap();
        assert_eq!(read, "0A1B2C3D4E5F60718293A4B5C6D7E8F90A1B2C3D");
        for wrong in ["", "0a1b", "ops@contoso.com", &"g".repeat(40)] {
            assert!(thumbprint(wrong).is_err(), "{wrong}");
        }
    }
}
