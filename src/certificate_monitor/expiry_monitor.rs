//! Looks at certificates: whether files changed, what ends, what cannot be used.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::CertificateMonitor;
use super::announced::Announced;
use crate::domain::Timestamp;
use crate::smime::{
    CertificateFolder, Encryptor, Identity, IdentityReload, RecipientCertificateError, Signer,
};
use crate::store::{Event, EventSeverity};

/// An end is announced so many days before.
const STAGES: [i64; 4] = [1, 7, 14, 30];

/// Remembers what it said.
pub(super) struct ExpiryMonitor {
    certificate_monitor: CertificateMonitor,
    announced: Announced,
    /// Of identities that are not valid: said again after a restart.
    loud: BTreeSet<String>,
    /// Of recipients' certificates, as they were found last.
    complaints: BTreeSet<String>,
}

impl ExpiryMonitor {
    pub(super) fn new(certificate_monitor: CertificateMonitor, announced: Announced) -> Self {
        Self {
            certificate_monitor,
            announced,
            loud: BTreeSet::new(),
            complaints: BTreeSet::new(),
        }
    }

    /// Reads files and takes its time.
    pub(super) fn look(&mut self) {
        let now = self.certificate_monitor.clock.now();
        let mut complaints = BTreeSet::new();
        for (port, protector) in self.certificate_monitor.protectors.clone() {
            if let Some(signer) = &protector.signer {
                self.look_at_signer(&port, signer, now);
            }
            if let Some(encryptor) = &protector.encryptor {
                let found = complaints_of(encryptor, now).into_iter();
                complaints.extend(found.map(|why| (port.clone(), why)));
            }
        }
        let key = |(port, why): &(String, String)| format!("{port} {why}");
        for said in complaints
            .iter()
            .filter(|it| !self.complaints.contains(&key(it)))
        {
            let (send_port, why) = said;
            tracing::warn!(send_port, %why, "recipient certificate is unusable");
        }
        self.complaints = complaints.iter().map(key).collect();
    }

    fn look_at_signer(&mut self, port: &str, signer: &Signer, now: Timestamp) {
        let looked = signer.look(now);
        let identity = signer.identity();
        if let Some(metrics) = self.certificate_monitor.metrics.send_port(port) {
            metrics.signing_certificate_ends(identity.ends().timestamp());
        }
        match looked {
            IdentityReload::Same => {}
            IdentityReload::Renewed => {
                let what = format!("signs by a new certificate: {identity}");
                let severity = EventSeverity::Information;
                self.announce(severity, "signing-certificate-renewed", port, &what);
            }
            IdentityReload::Unfit(why) => {
                let what = format!(
                    "goes on with its signing certificate, because what is in the files now cannot \
                     be used: {why}"
                );
                let severity = EventSeverity::Warning;
                self.announce(severity, "signing-certificate-unusable", port, &what);
            }
        }
        self.announce_end(port, &identity, now);
    }

    fn announce_end(&mut self, port: &str, identity: &Identity, now: Timestamp) {
        let about = format!("{port} {}", identity.fingerprint());
        if let Err(why) = identity.check_time(now) {
            if self.loud.insert(about) {
                let what = format!("signs nothing, and what it is to sign waits: {why}");
                self.announce(
                    EventSeverity::Error,
                    "signing-certificate-invalid",
                    port,
                    &what,
                );
            }
            return;
        }
        let Some(stage) = stage(identity.ends(), now) else {
            return;
        };
        if self.announced.is_new(&format!("{about} {stage}")) {
            let days = (identity.ends() - now).num_days();
            let what = format!(
                "signs by a certificate that ends in {days} days: {identity}; put a new one and its \
                 key in their place in time, a restart is not needed"
            );
            self.announce(
                EventSeverity::Warning,
                "signing-certificate-expiring",
                port,
                &what,
            );
        }
    }

    fn announce(
        &self,
        severity: EventSeverity,
        event_type: &'static str,
        send_port: &str,
        what: &str,
    ) {
        match severity {
            EventSeverity::Information => {
                tracing::info!(send_port, what, "signing certificate status changed")
            }
            EventSeverity::Warning => {
                tracing::warn!(send_port, what, "signing certificate status changed")
            }
            EventSeverity::Error => {
                tracing::error!(send_port, what, "signing certificate status changed")
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
        // Only fails when the driver that writes events is gone, and then nobody asks.
        let _ = self.certificate_monitor.events.send(event);
    }
}

/// The narrowest that an end is within.
fn stage(ends: Timestamp, now: Timestamp) -> Option<i64> {
    let within = |days: &&i64| ends - now <= chrono::TimeDelta::days(**days);
    STAGES.iter().find(within).copied()
}

/// What cannot be used or is not believed; what is only awaited is said by the alerts that wait.
fn complaints_of(encryptor: &Encryptor, now: Timestamp) -> Vec<String> {
    let directory = match encryptor.folder.as_ref().map(CertificateFolder::directory) {
        None => Arc::default(),
        Some(Ok(directory)) => directory,
        Some(Err(why)) => return vec![why],
    };
    let mut found = directory.unreadable.clone();
    found.extend(directory.useless(now));
    found.extend(encryptor.useless_own(now));
    if let Some(trust) = &encryptor.trust {
        trust.crls().want_urls(now);
        found.extend(trust.problems());
        let judged = directory.untrusted(trust, now).into_iter();
        let lasting =
            judged.filter(|why| !matches!(why, RecipientCertificateError::Awaited { .. }));
        found.extend(lasting.map(|why| why.to_string()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_said_in_four_stages() {
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
