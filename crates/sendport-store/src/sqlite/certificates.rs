//! Recipients' certificates.

use async_trait::async_trait;
use rusqlite::{Transaction, params};
use sendport_core::domain::{
    CertificateAdded, CertificateChoice, CertificateEntry, CertificateId, CertificateRow,
    CertificateText, ExpiringCertificate, RevokedCertificate,
};

use super::connection::{SqliteError, write};
use super::operator_queries::{lines, readable_lines};
use super::values::{Columns, time_text, uuid_text};
use super::{SqliteStore, sql};
use crate::certificates::{CertificateStore, REMOVED_EVENT, REVOKED_EVENT, WhichCertificates};
use crate::{ColumnError, Event, StoreError};

/// Once for each certificate and number of days.
const NOTIFY_EXPIRY: &str = "INSERT INTO CertificateNotification (CertificateId, DaysLeft, NotifiedAt) VALUES (?1, ?2, ?3) \
    ON CONFLICT (CertificateId, DaysLeft) DO NOTHING";

/// Notifications about certificates that are gone.
const NOTIFY_EXPIRY_FORGET_REMOVED: &str = "DELETE FROM CertificateNotification WHERE NOT EXISTS \
    (SELECT 1 FROM Certificate c WHERE c.CertificateId = CertificateNotification.CertificateId)";

/// Once.
const REVOKE_CERTIFICATE: &str = "UPDATE Certificate SET RevokedAt = ?2, RevokedReason = ?3 WHERE CertificateId = ?1 AND RevokedAt IS NULL";

/// Remove_certificate.
const REMOVE_CERTIFICATE: &str = "DELETE FROM Certificate WHERE CertificateId = ?1";

#[async_trait]
impl CertificateStore for SqliteStore {
    async fn certificates(
        &self,
        which: WhichCertificates<'_>,
    ) -> Result<Vec<CertificateRow>, StoreError> {
        let (address, thumbprint) = match which {
            WhichCertificates::All => (None, None),
            WhichCertificates::Of(address) => (Some(address.to_owned()), None),
            WhichCertificates::WithThumbprint(it) => (None, Some(it.to_owned())),
        };
        self.operator_reader
            .call("list certificates", move |connection| {
                let values = params![address, thumbprint];
                readable_lines(connection, sql!("certificates"), values, row)
            })
            .await
    }

    async fn certificate_entries(
        &self,
        addresses: &[String],
    ) -> Result<Vec<CertificateEntry>, StoreError> {
        let wanted = serde_json::Value::from(addresses).to_string();
        self.reader
            .call("look certificates up", move |connection| {
                lines(
                    connection,
                    sql!("certificate_entries"),
                    params![wanted],
                    entry,
                )
            })
            .await
    }

    async fn certificate_pems(
        &self,
        ids: &[CertificateId],
    ) -> Result<Vec<(CertificateId, String)>, StoreError> {
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        let wanted = serde_json::Value::from(ids).to_string();
        let read = |row: &Columns<'_, '_>| {
            let pem = row.lossy("Pem")?.unwrap_or_default();
            Ok((CertificateId(row.integer("CertificateId")?), pem))
        };
        self.reader
            .call("read certificates", move |connection| {
                lines(connection, sql!("certificate_pems"), params![wanted], read)
            })
            .await
    }

    async fn add_certificate(
        &self,
        text: &CertificateText,
    ) -> Result<CertificateAdded, StoreError> {
        let (text, now) = (text.clone(), time_text(self.clock.now()));
        self.writer
            .call("add a certificate", move |connection| {
                write(connection, |tx| add(tx, &text, &now))
            })
            .await
    }

    async fn revoke_certificate(
        &self,
        id: CertificateId,
        reason: Option<&str>,
    ) -> Result<bool, StoreError> {
        let (reason, now) = (reason.map(str::to_owned), time_text(self.clock.now()));
        self.writer
            .call("revoke a certificate", move |connection| {
                write(connection, |tx| {
                    let mut revoke = tx.prepare_cached(REVOKE_CERTIFICATE)?;
                    let revoked = revoke.execute(params![id.0, now, reason])? > 0;
                    if revoked {
                        tx.execute(
                            sql!("revoke_certificate_event"),
                            params![id.0, now, REVOKED_EVENT, "revoked"],
                        )?;
                    }
                    Ok(revoked)
                })
            })
            .await
    }

    async fn remove_certificate(&self, id: CertificateId) -> Result<bool, StoreError> {
        let now = time_text(self.clock.now());
        self.writer
            .call("remove a certificate", move |connection| {
                write(connection, |tx| {
                    tx.execute(
                        sql!("revoke_certificate_event"),
                        params![id.0, now, REMOVED_EVENT, "removed"],
                    )?;
                    Ok(tx.execute(REMOVE_CERTIFICATE, params![id.0])? > 0)
                })
            })
            .await
    }

    async fn expiring_certificates(&self) -> Result<Vec<ExpiringCertificate>, StoreError> {
        self.operator_reader
            .call("list expiring certificates", |connection| {
                readable_lines(
                    connection,
                    sql!("expiring_certificates"),
                    params![],
                    expiring,
                )
            })
            .await
    }

    async fn notify_expiry(
        &self,
        id: CertificateId,
        days: u32,
        event: &Event,
    ) -> Result<bool, StoreError> {
        let (event, now) = (event.clone(), time_text(self.clock.now()));
        self.writer
            .call("record that a certificate expires", move |connection| {
                write(connection, |tx| notify_expiry(tx, id, days, &event, &now))
            })
            .await
    }
}

fn add(
    tx: &Transaction<'_>,
    it: &CertificateText,
    now: &str,
) -> Result<CertificateAdded, SqliteError> {
    let CertificateChoice {
        cipher,
        rsa_padding,
    } = &it.choice;
    let added = tx.execute(
        sql!("add_certificate"),
        params![
            it.address,
            it.bound_by.as_str(),
            it.thumbprint,
            it.sha256,
            it.subject,
            it.issuer,
            it.serial_number,
            time_text(it.valid_from),
            time_text(it.valid_to),
            it.key_usage,
            it.key_algorithm,
            it.capabilities,
            cipher,
            rsa_padding,
            it.pem,
            it.source,
            now,
            it.can_encrypt,
        ],
    )?;
    if added > 0 {
        return Ok(CertificateAdded::Added);
    }
    let values = params![it.address, it.sha256, it.capabilities, cipher, rsa_padding];
    Ok(match tx.execute(sql!("add_certificate_choice"), values)? {
        0 => CertificateAdded::Known,
        _ => CertificateAdded::Changed,
    })
}

fn notify_expiry(
    tx: &Transaction<'_>,
    id: CertificateId,
    days: u32,
    event: &Event,
    now: &str,
) -> Result<bool, SqliteError> {
    if tx.execute(NOTIFY_EXPIRY, params![id.0, days, now])? == 0 {
        return Ok(false);
    }
    let instance = event.instance.map(|id| uuid_text(id.0));
    tx.execute(
        sql!("log_event"),
        params![
            now,
            event.severity.as_str(),
            event.event_type,
            instance,
            event.alert.map(|id| id.0),
            event.send_port,
            event.relay,
            event.message
        ],
    )?;
    tx.execute(NOTIFY_EXPIRY_FORGET_REMOVED, [])?;
    Ok(true)
}

fn row(row: &Columns<'_, '_>) -> Result<CertificateRow, ColumnError> {
    let entry = entry(row)?;
    Ok(CertificateRow {
        id: entry.id,
        added_at: row.time("AddedAt")?,
        added_by: row.text("AddedBy")?,
        revoked: entry.revoked,
        text: CertificateText {
            address: entry.address,
            bound_by: entry.bound_by,
            thumbprint: entry.thumbprint,
            sha256: entry.sha256,
            subject: row.text("Subject")?,
            issuer: row.text("Issuer")?,
            serial_number: row.text("SerialNumber")?,
            valid_from: entry.valid_from,
            valid_to: row.time("ValidTo")?,
            key_usage: row.text("KeyUsage")?,
            can_encrypt: row.count("CanEncrypt")? != 0,
            key_algorithm: row.text("KeyAlgorithm")?,
            capabilities: entry.capabilities,
            choice: entry.choice,
            pem: row.text("Pem")?,
            source: row.text("Source")?,
        },
    })
}

fn entry(row: &Columns<'_, '_>) -> Result<CertificateEntry, ColumnError> {
    let reason = row.lossy("RevokedReason")?;
    Ok(CertificateEntry {
        id: CertificateId(row.integer("CertificateId")?),
        address: row.key("Address")?,
        bound_by: row.word("BoundBy")?,
        thumbprint: row.key("Thumbprint")?,
        sha256: row.key("Sha256Fingerprint")?,
        valid_from: row.time("ValidFrom")?,
        capabilities: row.optional_text("Capabilities")?,
        choice: CertificateChoice {
            cipher: row.optional_key("Cipher")?,
            rsa_padding: row.optional_key("RsaPadding")?,
        },
        revoked: row
            .optional_time("RevokedAt")?
            .map(|at| RevokedCertificate { at, reason }),
    })
}

fn expiring(row: &Columns<'_, '_>) -> Result<ExpiringCertificate, ColumnError> {
    Ok(ExpiringCertificate {
        id: CertificateId(row.integer("CertificateId")?),
        address: row.key("Address")?,
        thumbprint: row.key("Thumbprint")?,
        valid_to: row.time("ValidTo")?,
        days_left: row.count("DaysLeft")?,
        notified_at_days: row.optional_count("NotifiedAtDays")?,
    })
}
