//! Checks certificates: changed files, expiry, and what cannot be used.

use std::collections::BTreeSet;
use std::sync::Arc;

use sendport_core::domain::Timestamp;
use sendport_smime::{
    CertificateFolder, Encryptor, Identity, IdentityReload, RecipientCertificateError, Signer,
};
use sendport_store::{Event, EventSeverity};

use super::CertificateMonitor;
use super::notice_log::NoticeLog;

/// Notices are published so many days before expiry.
const STAGES: [i64; 4] = [1, 7, 14, 30];

/// Checks certificates and remembers what it published.
pub(super) struct ExpiryMonitor {
    monitor: CertificateMonitor,
    notices: NoticeLog,
    /// Identities that were reported as not valid; reported again after a restart.
    not_valid: BTreeSet<String>,
    /// Problems of recipients' certificates at the last check.
    problems: BTreeSet<String>,
}

impl ExpiryMonitor {
    pub(super) fn new(monitor: CertificateMonitor, notices: NoticeLog) -> Self {
        Self {
            monitor,
            notices,
            not_valid: BTreeSet::new(),
            problems: BTreeSet::new(),
        }
    }

    /// Checks everything once. Reads files; not for the threads of the runtime.
    pub(super) fn check(&mut self) {
        let now = self.monitor.clock.now();
        let mut problems = BTreeSet::new();
        for (port, protector) in self.monitor.protectors.clone() {
            if let Some(signer) = &protector.signer {
                self.check_signer(&port, signer, now);
            }
            if let Some(encryptor) = &protector.encryptor {
                let of_port = problems_of(encryptor, now).into_iter();
                problems.extend(of_port.map(|why| (port.clone(), why)));
            }
        }
        let key = |(port, why): &(String, String)| format!("{port} {why}");
        let is_new = |it: &&(String, String)| !self.problems.contains(&key(it));
        for (send_port, why) in problems.iter().filter(is_new) {
            tracing::warn!(send_port, %why, "recipient certificate is unusable");
        }
        self.problems = problems.iter().map(key).collect();
    }

    fn check_signer(&mut self, port: &str, signer: &Signer, now: Timestamp) {
        let reload = signer.reload(now);
        let identity = signer.identity();
        if let Some(metrics) = self.monitor.metrics.send_port(port) {
            metrics.signing_certificate_ends(identity.expires_at().timestamp());
        }
        match reload {
            IdentityReload::Unchanged => {}
            IdentityReload::Renewed => {
                let what = format!("signs with a new certificate: {identity}");
                let severity = EventSeverity::Information;
                self.publish(severity, "signing-certificate-renewed", port, &what);
            }
            IdentityReload::Rejected(why) => {
                let what = format!(
                    "keeps its signing certificate, because what is in the files now cannot be \
                     used: {why}"
                );
                let severity = EventSeverity::Warning;
                self.publish(severity, "signing-certificate-unusable", port, &what);
            }
        }
        self.check_expiry(port, &identity, now);
    }

    fn check_expiry(&mut self, port: &str, identity: &Identity, now: Timestamp) {
        let about = format!("{port} {}", identity.fingerprint());
        if let Err(error) = identity.check_validity(now) {
            if self.not_valid.insert(about) {
                let what = format!("signs nothing, and alerts that it has to sign wait: {error}");
                let severity = EventSeverity::Error;
                self.publish(severity, "signing-certificate-invalid", port, &what);
            }
            return;
        }
        let Some(stage) = stage(identity.expires_at(), now) else {
            return;
        };
        if self.notices.insert(&format!("{about} {stage}")) {
            let days = (identity.expires_at() - now).num_days();
            let what = format!(
                "signs with a certificate that expires in {days} days: {identity}; replace it and \
                 its key in time, a restart is not needed"
            );
            let severity = EventSeverity::Warning;
            self.publish(severity, "signing-certificate-expiring", port, &what);
        }
    }

    fn publish(
        &self,
        severity: EventSeverity,
        event_type: &'static str,
        send_port: &str,
        what: &str,
    ) {
        match severity {
            EventSeverity::Information => {
                tracing::info!(send_port, what, "signing certificate status changed");
            }
            EventSeverity::Warning => {
                tracing::warn!(send_port, what, "signing certificate status changed");
            }
            EventSeverity::Error => {
                tracing::error!(send_port, what, "signing certificate status changed");
            }
        }
        let event = Event {
            severity,
            event_type,
            instance: None,
            alert: None,
            send_port: Some(send_port.to_owned()),
            relay: None,
            message: format!("send port {send_port} {what}"),
        };
        // Fails only after the driver that writes events ended, at shutdown.
        let _ = self.monitor.events.send(event);
    }
}

/// The narrowest stage that an expiry is within.
fn stage(expires_at: Timestamp, now: Timestamp) -> Option<i64> {
    let is_within = |days: &&i64| expires_at - now <= chrono::TimeDelta::days(**days);
    STAGES.iter().find(is_within).copied()
}

/// What cannot be used or is not trusted. Pending revocation is reported by the alerts that wait.
fn problems_of(encryptor: &Encryptor, now: Timestamp) -> Vec<String> {
    let directory = match encryptor.folder.as_ref().map(CertificateFolder::directory) {
        None => Arc::default(),
        Some(Ok(directory)) => directory,
        Some(Err(error)) => return vec![error.to_string()],
    };
    let mut problems = directory.unreadable.clone();
    problems.extend(directory.unusable(now));
    problems.extend(encryptor.unusable_own(now));
    if let Some(trust) = &encryptor.trust {
        trust.crls().request_urls(now);
        problems.extend(trust.problems());
        let untrusted = directory.untrusted(trust, now).into_iter();
        let is_pending =
            |error: &_| matches!(error, RecipientCertificateError::RevocationPending { .. });
        let lasting = untrusted.filter(|error| !is_pending(error));
        problems.extend(lasting.map(|error| error.to_string()));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announces_an_expiry_in_four_stages() {
        let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let in_hours = |hours| stage(now + chrono::TimeDelta::hours(hours), now);
        let at = [
            31 * 24,
            30 * 24,
            15 * 24,
            14 * 24,
            8 * 24,
            7 * 24,
            25,
            24,
            0,
        ];
        assert_eq!(
            at.map(in_hours),
            [
                None,
                Some(30),
                Some(30),
                Some(14),
                Some(14),
                Some(7),
                Some(7),
                Some(1),
                Some(1)
            ]
        );
    }
}
