//! Notifies people of failures: a digest for each send port that names recipients of it.
//!
//! Every instance does it at full wall-clock intervals, and leaves the latest failures to
//! the next interval. So all instances read the same failures at the same
//! time, the store lets one of them report, and the others find none left.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use sendport_core::clock::Clock;
use sendport_core::domain::{AlertId, AlertStatus, InstanceId, Timestamp};
use sendport_store::digest::UnreportedFailures;
use sendport_store::{AlertLine, Event, EventSeverity, RefusedRow, Store, StoreError};

use super::log_event;
use super::refused_rows::{RefusedRows, event, names};
use crate::digest::{self, About};
use crate::observer::WorkerObserver;

/// Older failures are not reported: a service that starts to report must not start with
/// the failures of years.
const WITHIN: Duration = Duration::from_secs(24 * 3600);

/// The maximum number of alerts of one digest; more wait for the next one.
const MOST_ALERTS: u32 = 1000;

/// The failures of this time may be visible to one instance and not to another.
const GRACE: TimeDelta = TimeDelta::seconds(2);

/// Longest sleep: clocks are set, and refused alerts are tried again.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);

/// The recipients of the notice about one send port.
#[derive(Debug, Clone)]
pub struct Notice {
    /// The send port that failed.
    pub send_port: String,
    /// Addresses, separated by `;` or `,`.
    pub to: String,
    /// At most one digest in this time.
    pub interval: Duration,
}

/// All notices, and what a digest says about this site.
#[derive(Clone)]
pub struct Notices {
    /// Name of the environment.
    pub environment: String,
    /// One for each send port with a notice.
    pub notices: Vec<Notice>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
}

/// Notifies of failures.
pub(super) struct FailureNotifier {
    pub(super) store: Arc<dyn Store>,
    pub(super) instance: InstanceId,
    pub(super) notices: Notices,
    pub(super) observer: Arc<dyn WorkerObserver>,
}

/// A digest that was inserted here and is not final yet.
struct PendingDigest {
    digest: AlertId,
    send_port: String,
}

impl FailureNotifier {
    /// Notifies until it is dropped.
    pub(super) async fn run(self) {
        let started = self.notices.clock.now();
        let notices = self.notices.notices.clone();
        let mut reported: Vec<_> = notices.iter().map(|n| boundary(started, n)).collect();
        let mut watched = Vec::new();
        let mut left_out: Vec<_> = notices.iter().map(|_| RefusedRows::default()).collect();
        while !notices.is_empty() {
            tokio::time::sleep(self.until_next()).await;
            for ((notice, reported), left_out) in
                notices.iter().zip(&mut reported).zip(&mut left_out)
            {
                let reached = boundary(self.notices.clock.now(), notice);
                if reached == *reported {
                    continue;
                }
                if self.report(notice, reached, &mut watched, left_out).await {
                    *reported = reached;
                }
            }
            self.look_after(&mut watched).await;
        }
    }

    /// The time until the next boundary of any notice.
    fn until_next(&self) -> Duration {
        let now = self.notices.clock.now();
        let wait = |notice: &Notice| {
            let next = boundary(now, notice) + notice.interval;
            (next - now).to_std().unwrap_or_default()
        };
        let soonest = self.notices.notices.iter().map(wait).min();
        soonest.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP)
    }

    /// False if the database is unavailable: the next try follows soon.
    async fn report(
        &self,
        notice: &Notice,
        until: Timestamp,
        watched: &mut Vec<PendingDigest>,
        left_out: &mut RefusedRows,
    ) -> bool {
        match self.try_to_report(notice, until, left_out).await {
            Ok(digest) => {
                let send_port = notice.send_port.clone();
                watched.extend(digest.map(|digest| PendingDigest { digest, send_port }));
                true
            }
            Err(error) => {
                let send_port = &notice.send_port;
                tracing::warn!(send_port, %error, "failure digest failed, will be retried");
                false
            }
        }
    }

    async fn try_to_report(
        &self,
        notice: &Notice,
        until: Timestamp,
        left_out: &mut RefusedRows,
    ) -> Result<Option<AlertId>, StoreError> {
        let (send_port, without) = (notice.send_port.as_str(), left_out.ids());
        let found = self
            .store
            .unreported(send_port, WITHIN, MOST_ALERTS, &without)
            .await?;
        self.leave_out(send_port, left_out, &found.refused).await;
        let unreported = settled(found, until - GRACE);
        if unreported.lines.is_empty() {
            return Ok(None);
        }
        let about = About {
            send_port,
            environment: &self.notices.environment,
            to: &notice.to,
        };
        let alerts: Vec<_> = alerts(&unreported).into_iter().collect();
        let digest = digest::compose(&unreported, about);
        let inserted = self.store.insert_digest(&alerts, &digest).await?;
        self.leave_out(send_port, left_out, &inserted.refused).await;
        if let Some(digest) = inserted.digest {
            tracing::info!(
                send_port,
                alerts = alerts.len(),
                digest = digest.0,
                "failure digest queued"
            );
        }
        Ok(inserted.digest)
    }

    /// Alerts that cannot be read, or marked as reported; all others are reported.
    async fn leave_out(&self, send_port: &str, left_out: &mut RefusedRows, refused: &[RefusedRow]) {
        let since = self.notices.clock.now();
        let added = left_out.add(refused, since, Instant::now());
        let refused = &refused[..added];
        let Some(first) = refused.first() else {
            return;
        };
        tracing::error!(send_port, count = added, alert = first.alert.0, error = %first.why, "marking failures as reported failed");
        let message = format!(
            "the failure of {} cannot be read or marked as reported; {}: {}; while this instance runs, one digest \
             at most reports it; all other failures are reported",
            names(refused),
            first.alert,
            first.why
        );
        let only = Some(first.alert).filter(|_| added == 1);
        let event = event("failure-not-reported", EventSeverity::Error, only, message);
        self.log(Event {
            send_port: Some(send_port.to_owned()),
            ..event
        })
        .await;
    }

    /// Logs once each digest that was not relayed: no digest reports that
    /// by mail.
    async fn look_after(&self, watched: &mut Vec<PendingDigest>) {
        for one in std::mem::take(watched) {
            match self.store.alerts(Some(one.digest), 1).await {
                Ok(lines) if lines.iter().any(|line| !line.status.is_final()) => watched.push(one),
                Ok(lines) => self.announce(&one, lines.first()).await,
                Err(_) => watched.push(one),
            }
        }
    }

    async fn announce(&self, watched: &PendingDigest, line: Option<&AlertLine>) {
        let Some(line) = line.filter(|line| line.status != AlertStatus::Relayed) else {
            return;
        };
        let PendingDigest { digest, send_port } = watched;
        let status = line.status.as_str();
        let why = line.status_reason.as_deref();
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        tracing::error!(
            send_port,
            digest = digest.0,
            status,
            "failure digest not relayed"
        );
        let event = Event {
            severity: EventSeverity::Error,
            event_type: "digest-failed",
            instance: Some(self.instance),
            alert: Some(*digest),
            send_port: Some(send_port.clone()),
            relay: None,
            message: format!(
                "the digest of failures at send port {send_port} is {status}{why}: see Delivery for the alert {digest}, and FailedDelivery for what it tells of"
            ),
        };
        self.log(event).await;
    }

    async fn log(&self, event: Event) {
        let event = Event {
            instance: Some(self.instance),
            ..event
        };
        log_event(&*self.store, &*self.observer, &event).await;
    }
}

/// The last full interval of the clock.
fn boundary(now: Timestamp, notice: &Notice) -> Timestamp {
    let interval = i64::try_from(notice.interval.as_millis()).unwrap_or(i64::MAX);
    let reached = now.timestamp_millis().div_euclid(interval.max(1)) * interval;
    DateTime::from_timestamp_millis(reached).unwrap_or(now)
}

/// Removes the alerts with a failure after `until`.
fn settled(unreported: UnreportedFailures, until: Timestamp) -> UnreportedFailures {
    let late = unreported
        .lines
        .iter()
        .filter(|line| line.status_at > until);
    let late: BTreeSet<_> = late.map(|line| line.alert).collect();
    let lines = unreported.lines.into_iter();
    UnreportedFailures {
        alerts: unreported.alerts.saturating_sub(late.len() as u64),
        lines: lines.filter(|line| !late.contains(&line.alert)).collect(),
        ..UnreportedFailures::default()
    }
}

fn alerts(unreported: &UnreportedFailures) -> BTreeSet<AlertId> {
    unreported.lines.iter().map(|line| line.alert).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendport_store::digest::UnreportedLine;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of RFC 3339")
    }

    fn line(alert: i64, status_at: &str) -> UnreportedLine {
        UnreportedLine {
            alert: AlertId(alert),
            reference: None,
            subject: None,
            address: Some("a@x.com".to_owned()),
            status: "failed".to_owned(),
            status_at: at(status_at),
            relay: None,
            reply: None,
            advice: None,
        }
    }

    #[test]
    fn all_instances_look_at_the_same_moments() {
        let notice = Notice {
            send_port: "billing".to_owned(),
            to: "ops@contoso.com".to_owned(),
            interval: Duration::from_secs(300),
        };
        let expected = at("2026-11-21T09:35:00Z");
        assert_eq!(boundary(at("2026-11-21T09:35:00Z"), &notice), expected);
        assert_eq!(boundary(at("2026-11-21T09:39:59.999Z"), &notice), expected);
    }

    #[test]
    fn a_recent_failure_delays_all_failures_of_its_alert() {
        let until = at("2026-11-21T09:35:00Z");
        let lines = vec![
            line(1, "2026-11-21T09:31:00Z"),
            line(2, "2026-11-21T09:31:00Z"),
            line(2, "2026-11-21T09:35:00.001Z"),
        ];
        let digest = settled(
            UnreportedFailures {
                alerts: 2,
                lines,
                ..UnreportedFailures::default()
            },
            until,
        );
        assert_eq!(alerts(&digest), BTreeSet::from([AlertId(1)]));
        assert_eq!(digest.alerts, 1);
    }
}
