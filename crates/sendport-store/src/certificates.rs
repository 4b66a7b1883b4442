//! Recipients' certificates in the database.

use async_trait::async_trait;
use sendport_core::domain::{
    CertificateAdded, CertificateEntry, CertificateId, CertificateRow, CertificateText,
    ExpiringCertificate,
};

use super::{Event, StoreError};

/// Which rows of `Certificate` are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichCertificates<'a> {
    /// All of them.
    All,
    /// Those for this address, in lower case.
    Of(&'a str),
    /// Those with this thumbprint, 40 digits in upper case: one for each address.
    WithThumbprint(&'a str),
}

/// Reads and keeps recipients' certificates. A certificate has one row for each address.
///
/// # Errors
/// As [`AlertStore`](super::AlertStore).
#[async_trait]
pub trait CertificateStore: Send + Sync {
    /// Whole rows, by address and what began last first. For people.
    async fn certificates(
        &self,
        which: WhichCertificates<'_>,
    ) -> Result<Vec<CertificateRow>, StoreError>;

    /// What is stored about the certificates of `addresses` (in lower case), revoked ones included,
    /// in any order: one question for hundreds of addresses.
    async fn certificate_entries(
        &self,
        addresses: &[String],
    ) -> Result<Vec<CertificateEntry>, StoreError>;

    /// The column `Pem` of rows; those that are gone are missing.
    async fn certificate_pems(
        &self,
        ids: &[CertificateId],
    ) -> Result<Vec<(CertificateId, String)>, StoreError>;

    /// Adds a certificate for an address. One that is there already for that address stays as it
    /// is, revoked if it was revoked; but what was chosen for it and the capabilities become those
    /// of `text` where `text` has some.
    async fn add_certificate(&self, text: &CertificateText)
    -> Result<CertificateAdded, StoreError>;

    /// Revokes a certificate, and writes the operator to `EventLog`. False, and nothing is done, where it is gone or
    /// was revoked before.
    async fn revoke_certificate(
        &self,
        id: CertificateId,
        reason: Option<&str>,
    ) -> Result<bool, StoreError>;

    /// Removes a row, and writes the operator to `EventLog`. False where it is gone.
    async fn remove_certificate(&self, id: CertificateId) -> Result<bool, StoreError>;

    /// The view `ExpiringCertificate`, ordered by the end of validity.
    async fn expiring_certificates(&self) -> Result<Vec<ExpiringCertificate>, StoreError>;

    /// Records that the expiry of a certificate was announced with so many days left, and logs the event, in one
    /// transaction. False, and nothing is written, where another instance did: of many
    /// concurrent calls one gets true.
    async fn notify_expiry(
        &self,
        id: CertificateId,
        days: u32,
        event: &Event,
    ) -> Result<bool, StoreError>;
}

/// `EventLog.EventType` of [`CertificateStore::revoke_certificate`].
pub(super) const REVOKED_EVENT: &str = "certificate-revoked";

/// `EventLog.EventType` of [`CertificateStore::remove_certificate`].
pub(super) const REMOVED_EVENT: &str = "certificate-removed";
