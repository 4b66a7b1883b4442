//! Recipients' certificates into the database, whoever brings them, and whether they could be used.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::protectors::{crl_folder, fetch_lists, trusts};
use super::{AppError, system_clock};
use crate::config::Config;
use crate::domain::{
    BoundBy, CertificateAdded, CertificateChoice, CertificateEntry, CertificateRow, Timestamp,
    parse_mailbox,
};
use crate::smime::{
    Binding, Candidate, ContentCipher, CrlCache, ParsedCertificate, RecipientCertificate,
    RsaEncryption, Trust, UnknownWord, address_key,
};
use crate::store::certificates::CertificateStore;

/// Digits of a thumbprint.
const THUMBPRINT_DIGITS: usize = 40;

/// What an import is told beside the certificates.
#[derive(Debug, Clone, Default)]
pub struct CertificateImport<'a> {
    /// Whom they are for, whatever is in them; none: those in them.
    pub addresses: &'a [String],
    /// What is chosen for them.
    pub choice: CertificateChoice,
    /// Where they come from, in words: a file's path, an entry of a directory.
    pub source: &'a str,
}

/// What became of one certificate, for one address.
#[derive(Debug)]
pub struct ImportedCertificate {
    /// Whom it is for; none where it was skipped.
    pub address: Option<String>,
    /// Whose it is, by its subject.
    pub subject: String,
    /// What became of it, or why it was skipped.
    pub fate: Result<CertificateAdded, String>,
}

/// A row, and whether it could be encrypted to now.
#[derive(Debug)]
pub struct CheckedCertificate {
    /// The row.
    pub row: CertificateRow,
    /// Why it could not, in a sentence.
    pub usable: Result<(), String>,
    /// Another one for the same address could.
    pub has_successor: bool,
}

/// Puts the certificates of a file, or of a value of a directory's attribute, into the database:
/// PEM, DER or PKCS #7. Those of authorities and those without an address are skipped.
///
/// # Errors
/// [`AppError::Config`] where `octets` are none of these, an address is malformed, or certificates
/// of several owners would be bound to one address; [`AppError::Store`], some may have been
/// added then.
pub async fn import_certificates(
    store: &(impl CertificateStore + ?Sized),
    octets: &[u8],
    how: &CertificateImport<'_>,
) -> Result<Vec<ImportedCertificate>, AppError> {
    let source = how.source;
    let wrong = |what: String| AppError::Config(format!("{source}: {what}"));
    check_choice(&how.choice).map_err(AppError::Config)?;
    let given: Result<Vec<_>, _> = how.addresses.iter().map(|it| normal(it)).collect();
    let given = given.map_err(AppError::Config)?;
    let found = ParsedCertificate::parse_all(octets).map_err(|error| wrong(error.to_string()))?;
    refuse_strangers(&found, &given).map_err(wrong)?;
    let mut imported = Vec::new();
    for certificate in &found {
        imported.extend(import_one(store, certificate, &given, how).await?);
    }
    Ok(imported)
}

/// One certificate that does not name an address may be bound to it; of several nobody knows whose
/// they are.
fn refuse_strangers(found: &[ParsedCertificate], given: &[String]) -> Result<(), String> {
    let names =
        |it: &ParsedCertificate| given.iter().any(|address| it.addresses().contains(address));
    let strangers = found.iter().filter(|it| !it.is_authority() && !names(it));
    let strangers: Vec<_> = strangers.map(ParsedCertificate::subject).collect();
    if given.is_empty() || strangers.len() < 2 {
        return Ok(());
    }
    Err(format!(
        "{} certificates in it do not name the address ({}); import each from a file of its own",
        strangers.len(),
        strangers.join("; ")
    ))
}

pub(super) async fn import_one(
    store: &(impl CertificateStore + ?Sized),
    certificate: &ParsedCertificate,
    given: &[String],
    how: &CertificateImport<'_>,
) -> Result<Vec<ImportedCertificate>, AppError> {
    let subject = certificate.subject();
    let skipped = |why: &str| ImportedCertificate {
        address: None,
        subject: subject.clone(),
        fate: Err(why.to_owned()),
    };
    if certificate.is_authority() {
        return Ok(vec![skipped("it is an authority's, nobody decrypts by it")]);
    }
    let in_it: Vec<_> = certificate.addresses();
    let in_it: BTreeSet<_> = in_it.iter().filter_map(|it| normal(it).ok()).collect();
    let addresses = match given.is_empty() {
        true => in_it.iter().cloned().collect(),
        false => given.to_vec(),
    };
    if addresses.is_empty() {
        let why = "no mail address is in it; say by --address whom it is for";
        return Ok(vec![skipped(why)]);
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
        let fate = match certificate.to_row(&binding) {
            Ok(text) => Ok(store.add_certificate(&text).await?),
            Err(error) => Err(error.to_string()),
        };
        imported.push(ImportedCertificate {
            address: Some(address),
            subject: subject.clone(),
            fate,
        });
    }
    Ok(imported)
}

/// An address as it stands in the table.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub(super) fn normal(address: &str) -> Result<String, String> {
    let mailbox = parse_mailbox(address);
    let mailbox = mailbox.map_err(|error| format!("'{address}' is no mail address: {error}"))?;
    Ok(address_key(&mailbox.address))
}

pub(super) fn check_choice(choice: &CertificateChoice) -> Result<(), String> {
    let wrong = |option: &'static str| move |error: UnknownWord| format!("{option}: {error}");
    let cipher = choice.cipher.as_deref().map(str::parse::<ContentCipher>);
    cipher.transpose().map_err(wrong("--cipher"))?;
    let padding = choice.rsa_padding.as_deref();
    let padding = padding.map(str::parse::<RsaEncryption>);
    padding.transpose().map_err(wrong("--rsa-padding"))?;
    Ok(())
}

/// Looks at each row as the service does when it encrypts: whether it can be used, and whether it
/// is believed by every send port that names authorities. Lists of revoked certificates are
/// fetched first.
///
/// # Errors
/// [`AppError::Config`]: the authorities of a send port cannot be read.
pub async fn check_certificates(
    config: &Config,
    rows: Vec<CertificateRow>,
) -> Result<Vec<CheckedCertificate>, AppError> {
    let shelf = Arc::new(CrlCache::read_only(&crl_folder(config)));
    let trusts = trusts(config, &shelf)?;
    let judged = loop {
        let now = system_clock().now();
        let judge = |row: &CertificateRow| judged(row, &trusts, now);
        let judged: Vec<_> = rows.iter().map(judge).collect();
        if fetch_lists(&shelf).await == 0 {
            break judged;
        }
    };
    let usable = rows.iter().zip(&judged).filter(|(_, it)| it.is_ok());
    let served: BTreeSet<_> = usable.map(|(row, _)| row.text.address.clone()).collect();
    let checked = rows.into_iter().zip(judged);
    let checked = checked.map(|(row, usable)| CheckedCertificate {
        has_successor: served.contains(&row.text.address),
        row,
        usable,
    });
    Ok(checked.collect())
}

/// Why one cannot be used, or which send port does not believe it, in a sentence.
fn judged(row: &CertificateRow, trusts: &[(&str, Trust)], now: Timestamp) -> Result<(), String> {
    let parsed = RecipientCertificate::from_pem(&row.text.pem);
    let parsed = parsed.as_ref().map_err(Clone::clone);
    let candidate = Candidate::from_row(&CertificateEntry::from(row), parsed);
    let usable = candidate.check(None, now);
    usable.map_err(|why| why.to_string())?;
    for (port, trust) in trusts {
        let trusted = candidate.check(Some(trust), now);
        trusted.map_err(|why| format!("{why} (send port {port})"))?;
    }
    Ok(())
}

/// A thumbprint as it stands in the table, from how people copy it: with spaces, colons, in any
/// case, and with the invisible mark that Windows puts before it.
///
/// # Errors
/// What was expected, in a sentence.
pub fn thumbprint(text: &str) -> Result<String, String> {
    let ignored = |c: &char| !(c.is_whitespace() || matches!(c, ':' | '-' | '\u{200e}'));
    let digits: String = text.chars().filter(ignored).collect();
    match digits.len() == THUMBPRINT_DIGITS && digits.chars().all(|c| c.is_ascii_hexdigit()) {
        true => Ok(digits.to_uppercase()),
        false => Err(format!(
            "'{text}' is no thumbprint; write the {THUMBPRINT_DIGITS} hexadecimal digits that \
             `sendport cert list` shows"
        )),
    }
}

/// An address of the command line as it stands in the table.
///
/// # Errors
/// [`AppError::Config`]: what was expected, in a sentence.
pub fn certificate_owner(address: &str) -> Result<String, AppError> {
    normal(address).map_err(AppError::Config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbprint_is_read_as_windows_shows_it() {
        let shown = "\u{200e}0a 1B:2c-3d 4e 5f 60 71 82 93 a4 b5 c6 d7 e8 f9 0a 1b 2c 3d";
        let read = thumbprint(shown).unwrap();
        assert_eq!(read, "0A1B2C3D4E5F60718293A4B5C6D7E8F90A1B2C3D");
        for wrong in ["", "0a1b", "ops@contoso.com", &"g".repeat(40)] {
            assert!(thumbprint(wrong).is_err(), "{wrong}");
        }
    }
}
