//! Imports the certificates of a directory into the database.

use sendport_core::domain::CertificateChoice;
use sendport_smime::ParsedCertificate;
use sendport_store::certificates::CertificateStore;

use super::certificates::{
    CertificateImport, ImportedCertificate, SkipReason, check_choice, import_one, normal,
};
use super::{AppError, system_clock};
use crate::ldap::DirectoryEntry;

/// Imports the certificates of people that can be used for encryption now. A certificate that
/// contains email addresses is imported for those that the directory has for the person; one
/// without addresses for all of the person's. Unreadable certificates are reported and skipped.
///
/// # Errors
/// [`AppError::Config`] if `choice` is invalid; [`AppError::Store`], after some may have been added.
pub async fn import_people(
    store: &(impl CertificateStore + ?Sized),
    people: &[DirectoryEntry],
    choice: &CertificateChoice,
    url: &str,
) -> Result<Vec<ImportedCertificate>, AppError> {
    check_choice(choice)?;
    let mut imported = Vec::new();
    for person in people {
        let source = format!("{url} {}", person.name);
        for bytes in person.certificates.iter().chain(&person.signed) {
            match ParsedCertificate::parse_all(bytes) {
                Ok(found) => {
                    for certificate in &found {
                        let how = CertificateImport {
                            addresses: &[],
                            choice: choice.clone(),
                            source: &source,
                        };
                        imported.extend(import_of(store, certificate, person, &how).await?);
                    }
                }
                Err(why) => {
                    let name = person.name.clone();
                    imported.push(ImportedCertificate::skipped(name, why.into()));
                }
            }
        }
    }
    Ok(imported)
}

async fn import_of(
    store: &(impl CertificateStore + ?Sized),
    certificate: &ParsedCertificate,
    person: &DirectoryEntry,
    how: &CertificateImport<'_>,
) -> Result<Vec<ImportedCertificate>, AppError> {
    // Directories contain chains too.
    if certificate.is_authority() {
        return Ok(Vec::new());
    }
    match addresses_for(certificate, person) {
        Ok(addresses) => import_one(store, certificate, &addresses, how).await,
        Err(why) => Ok(vec![ImportedCertificate::skipped(
            certificate.subject(),
            why,
        )]),
    }
}

/// The addresses to import it for.
fn addresses_for(
    certificate: &ParsedCertificate,
    person: &DirectoryEntry,
) -> Result<Vec<String>, SkipReason> {
    certificate.check_usable(system_clock().now(), "the directory")?;
    let theirs = person.addresses.iter().filter_map(|it| normal(it).ok());
    let in_it = certificate.addresses();
    if in_it.is_empty() {
        return Ok(theirs.collect());
    }
    let common: Vec<_> = theirs.filter(|it| in_it.contains(it)).collect();
    match common.is_empty() {
        true => Err(SkipReason::OtherAddresses {
            certificate: in_it.join(", "),
            directory: person.addresses.join(", "),
        }),
        false => Ok(common),
    }
}
