//! Recipients' certificates.

use async_trait::async_trait;
use sendport_core::domain::{
    CertificateAdded, CertificateChoice, CertificateEntry, CertificateId, CertificateRow,
    CertificateText, ExpiringCertificate, RevokedCertificate,
};
use tiberius::ToSql;

use super::SqlServerStore;
use super::error::unexpected;
use super::operator_queries::lines;
use super::values::{Fields, fit, fit_long, list_length, placeholders, stored};
use crate::certificates::{CertificateStore, REMOVED_EVENT, REVOKED_EVENT, WhichCertificates};
use crate::{ColumnError, Event, StoreError};

/// Most parameters of one list.
const MOST: usize = 500;

/// Certificates are a few thousand bytes each.
const MOST_PEMS: usize = 100;

#[async_trait]
impl CertificateStore for SqlServerStore {
    async fn certificates(
        &self,
        which: WhichCertificates<'_>,
    ) -> Result<Vec<CertificateRow>, StoreError> {
        const DOING: &str = "list certificates";
        let (condition, value) = match which {
            WhichCertificates::All => ("@P1 = N''", ""),
            WhichCertificates::Of(address) => ("Address = @P1", address),
            WhichCertificates::WithThumbprint(it) => ("Thumbprint = @P1", it),
        };
        let sql = include_str!("sql/certificates.sql").replace("{which}", condition);
        let rows = self.pool.rows(DOING, &sql, &[&value]).await?;
        lines(DOING, &rows, row)
    }

    async fn certificate_entries(
        &self,
        addresses: &[String],
    ) -> Result<Vec<CertificateEntry>, StoreError> {
        const DOING: &str = "look certificates up";
        let sql = include_str!("sql/certificate_entries.sql");
        let mut found = Vec::new();
        for chunk in addresses.chunks(MOST) {
            let (list, values) = list(chunk);
            let sql = sql.replace("{addresses}", &list);
            let rows = self.pool.rows(DOING, &sql, &values).await?;
            found.extend(lines(DOING, &rows, entry)?);
        }
        Ok(found)
    }

    async fn certificate_pems(
        &self,
        ids: &[CertificateId],
    ) -> Result<Vec<(CertificateId, String)>, StoreError> {
        const DOING: &str = "read certificates";
        let sql = include_str!("sql/certificate_pems.sql");
        let read = |f: &mut Fields<'_>| Ok((CertificateId(f.get()?), f.text()?));
        let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        let mut found = Vec::new();
        for chunk in ids.chunks(MOST_PEMS) {
            let (list, values) = list(chunk);
            let sql = sql.replace("{ids}", &list);
            let rows = self.pool.rows(DOING, &sql, &values).await?;
            found.extend(lines(DOING, &rows, read)?);
        }
        Ok(found)
    }

    async fn add_certificate(
        &self,
        text: &CertificateText,
    ) -> Result<CertificateAdded, StoreError> {
        const DOING: &str = "add a certificate";
        Ok(match self.add(DOING, text).await {
            // Another call was faster: it is there.
            Err(error) if is_taken(&error) => self.add(DOING, text).await?,
            other => other?,
        })
    }

    async fn revoke_certificate(
        &self,
        id: CertificateId,
        reason: Option<&str>,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "revoke a certificate";
        let sql = include_str!("sql/revoke_certificate.sql");
        let reason = reason.map(|reason| fit(reason, 400));
        self.counted(DOING, sql, &[&id.0, &reason, &REVOKED_EVENT])
            .await
    }

    async fn remove_certificate(&self, id: CertificateId) -> Result<bool, StoreError> {
        const DOING: &str = "remove a certificate";
        let sql = include_str!("sql/remove_certificate.sql");
        self.counted(DOING, sql, &[&id.0, &REMOVED_EVENT]).await
    }

    async fn expiring_certificates(&self) -> Result<Vec<ExpiringCertificate>, StoreError> {
        const DOING: &str = "list expiring certificates";
        let sql = include_str!("sql/expiring_certificates.sql");
        let rows = self.pool.rows(DOING, sql, &[]).await?;
        lines(DOING, &rows, expiring)
    }

    async fn notify_expiry(
        &self,
        id: CertificateId,
        days: u32,
        event: &Event,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "record that a certificate expires";
        let sql = include_str!("sql/notify_expiry.sql");
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let values: [&dyn ToSql; 6] = [
            &id.0,
            &days,
            &event.severity.as_str(),
            &event.event_type,
            &event.instance.map(|id| id.0),
            &fit_long(&event.message),
        ];
        self.counted(DOING, sql, &values).await
    }
}

impl SqlServerStore {
    async fn add(
        &self,
        doing: &'static str,
        it: &CertificateText,
    ) -> Result<CertificateAdded, StoreError> {
        let values: [&dyn ToSql; 17] = [
            &it.address,
            &it.bound_by.as_str(),
            &it.thumbprint,
            &it.sha256,
            &fit(&it.subject, 1000),
            &fit(&it.issuer, 1000),
            &fit(&it.serial_number, 128),
            &stored(it.valid_from),
            &stored(it.valid_to),
            &fit(&it.key_usage, 400),
            &fit(&it.key_algorithm, 64),
            &it.capabilities,
            &it.choice.cipher,
            &it.choice.rsa_padding,
            &it.pem,
            &fit(&it.source, 400),
            &it.can_encrypt,
        ];
        let sql = include_str!("sql/add_certificate.sql");
        let row = self.pool.row(doing, sql, &values).await?;
        let done = Fields::of(&row).count().map_err(|e| unexpected(doing, e))?;
        Ok(match done {
            0 => CertificateAdded::Known,
            1 => CertificateAdded::Added,
            _ => CertificateAdded::Changed,
        })
    }

    /// Whether a statement that answers a number did something.
    pub(super) async fn counted(
        &self,
        doing: &'static str,
        sql: &str,
        values: &[&dyn ToSql],
    ) -> Result<bool, StoreError> {
        let row = self.pool.row(doing, sql, values).await?;
        let count = Fields::of(&row).count();
        count.map(|n| n > 0).map_err(|e| unexpected(doing, e))
    }
}

/// A list of parameters and their values, in one of few lengths.
fn list<T: ToSql>(values: &[T]) -> (String, Vec<&dyn ToSql>) {
    let length = list_length(values.len());
    let last = values.last().into_iter().cycle();
    let padded = values.iter().chain(last).take(length);
    (
        placeholders(1, length),
        padded.map(|value| value as &dyn ToSql).collect(),
    )
}

/// Another call added the same certificate for the same address.
fn is_taken(error: &StoreError) -> bool {
    use std::error::Error as _;
    let cause = error.source();
    let cause = cause.and_then(|e| e.downcast_ref::<tiberius::error::Error>());
    matches!(cause.and_then(|e| e.code()), Some(2601 | 2627))
}

fn row(f: &mut Fields<'_>) -> Result<CertificateRow, ColumnError> {
    let id = CertificateId(f.get()?);
    let text = CertificateText {
        address: f.key()?,
        bound_by: f.word()?,
        thumbprint: f.key()?,
        sha256: f.key()?,
        subject: f.text()?,
        issuer: f.text()?,
        serial_number: f.text()?,
        valid_from: f.time()?,
        valid_to: f.time()?,
        key_usage: f.text()?,
        can_encrypt: f.get()?,
        key_algorithm: f.text()?,
        capabilities: f.maybe_text()?,
        choice: choice(f)?,
        pem: f.text()?,
        source: f.text()?,
    };
    Ok(CertificateRow {
        id,
        text,
        added_at: f.time()?,
        added_by: f.text()?,
        revoked: revoked(f)?,
    })
}

fn entry(f: &mut Fields<'_>) -> Result<CertificateEntry, ColumnError> {
    Ok(CertificateEntry {
        id: CertificateId(f.get()?),
        address: f.key()?,
        bound_by: f.word()?,
        thumbprint: f.key()?,
        sha256: f.key()?,
        valid_from: f.time()?,
        capabilities: f.maybe_text()?,
        choice: choice(f)?,
        revoked: revoked(f)?,
    })
}

fn choice(f: &mut Fields<'_>) -> Result<CertificateChoice, ColumnError> {
    Ok(CertificateChoice {
        cipher: f.maybe_key()?,
        rsa_padding: f.maybe_key()?,
    })
}

fn revoked(f: &mut Fields<'_>) -> Result<Option<RevokedCertificate>, ColumnError> {
    let (at, reason) = (f.maybe_time()?, f.maybe_text()?);
    Ok(at.map(|at| RevokedCertificate { at, reason }))
}

fn expiring(f: &mut Fields<'_>) -> Result<ExpiringCertificate, ColumnError> {
    Ok(ExpiringCertificate {
        id: CertificateId(f.get()?),
        address: f.key()?,
        thumbprint: f.key()?,
        valid_to: f.time()?,
        days_left: f.count()?,
        notified_at_days: f.maybe::<i32>()?.and_then(|days| u32::try_from(days).ok()),
    })
}
