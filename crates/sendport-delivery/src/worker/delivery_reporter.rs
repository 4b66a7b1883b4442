//! Reports to the senders of submitted messages what became of them (RFC 3461 section 5.2).
//!
//! Every instance looks for what is not reported yet. The store lets one of them insert each report, which is an alert
//! of its own, in the transaction that records what was reported: a crash repeats no report and loses none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sendport_core::clock::Clock;
use sendport_core::domain::{AlertId, InstanceId, ReportAction, StoredMessage};
use sendport_message::delivery_report::MOST_RECIPIENTS;
use sendport_store::delivery_reports::{
    NewReport, ReportCandidate, ReportResult, ReportSearch, UnreportedMessage, UnreportedRecipient,
};
use sendport_store::{Event, EventSeverity, RefusedRow, Store, StoreError};

use super::log_event;
use super::refused_rows::{RefusedRows, event};
use crate::delivery_report::{ReportPlan, ReportRules, ReportSource, compose};
use crate::observer::{SendPortActivity, WorkerObserver};

/// What is older when the service starts is not reported: it must not begin with the failures of years.
const HORIZON: Duration = Duration::from_secs(3 * 24 * 3600);

/// A report that could not be sent for so long is not sent.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// What was recorded lately may be visible only now.
const GRACE: Duration = Duration::from_secs(30);

/// The time of `reports_per_minute`.
const MINUTE: Duration = Duration::from_secs(60);

/// Messages of one search.
const BATCH: u32 = 100;

const DROPPED: &str = "it could not be sent within a day, because of reports_per_minute";

/// What is reported, by send port.
#[derive(Debug, Clone)]
pub struct Reports {
    /// Name of this host.
    pub host_name: String,
    /// The name that an intake gives itself, where it is not that of the host, by the name of the intake.
    pub intake_host_names: BTreeMap<String, String>,
    /// One for each send port.
    pub rules: Vec<ReportRules>,
}

impl Reports {
    /// The name that the client of this intake knows.
    fn reporting_mta(&self, intake: &str) -> &str {
        let own = self.intake_host_names.get(intake);
        own.unwrap_or(&self.host_name)
    }
}

/// Reports to senders.
pub(super) struct DeliveryReporter {
    pub(super) store: Arc<dyn Store>,
    pub(super) instance: InstanceId,
    pub(super) reports: Reports,
    pub(super) clock: Arc<dyn Clock>,
    /// Between two searches.
    pub(super) interval: Duration,
    pub(super) observer: Arc<dyn WorkerObserver>,
}

/// One kind of report of one send port.
struct Kind {
    rules: ReportRules,
    action: ReportAction,
    /// Everything before is reported; `None`: it is not known.
    reported_until: Option<Instant>,
    /// Messages that the database refuses to read or to record.
    left_out: RefusedRows,
    /// Reports wait for `reports_per_minute`.
    is_limited: bool,
}

/// What became of a message with something to report.
enum Handled {
    /// Nothing is left to report of it now.
    Done,
    /// It waits for `reports_per_minute`.
    Waits,
}

impl DeliveryReporter {
    /// Reports until it is dropped.
    pub(super) async fn run(self) {
        let mut kinds: Vec<_> = self.reports.rules.iter().flat_map(kinds).collect();
        let mut failing = false;
        while !kinds.is_empty() {
            tokio::time::sleep(self.interval).await;
            let mut result = Ok(());
            for kind in &mut kinds {
                let reported = self.report(kind).await;
                result = result.and(reported);
            }
            match result {
                Ok(()) => failing = false,
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(%error, "delivery reports failed, will be retried");
                }
                Err(error) => tracing::debug!(%error, "delivery reports failed, will be retried"),
            }
        }
    }

    /// Reports what can be reported now.
    async fn report(&self, kind: &mut Kind) -> Result<(), StoreError> {
        let begun = Instant::now();
        loop {
            let found = self.search(kind).await?;
            let is_last = found.len() < BATCH as usize;
            for candidate in found {
                match self.handle(kind, candidate).await {
                    Ok(Handled::Done) => {}
                    Ok(Handled::Waits) => {
                        kind.reported_until = begun.checked_sub(candidate.age);
                        return Ok(());
                    }
                    Err(error) if error.is_transient() => return Err(error),
                    Err(error) => self.leave_out(kind, candidate.alert, &error).await,
                }
            }
            if is_last {
                kind.reported_until = Some(begun);
                kind.is_limited = false;
                return Ok(());
            }
        }
    }

    async fn search(&self, kind: &Kind) -> Result<Vec<ReportCandidate>, StoreError> {
        let (rules, action) = (&kind.rules, kind.action);
        let within = kind.reported_until.map(|until| until.elapsed() + GRACE);
        let without = kind.left_out.ids();
        let search = ReportSearch {
            send_port: &rules.send_port,
            action,
            after: match action {
                ReportAction::Delayed => rules.delay_after,
                ReportAction::Failed | ReportAction::Relayed => Duration::ZERO,
            },
            within: within.unwrap_or(HORIZON).min(HORIZON),
            by_default: rules.applies_by_default(action),
            without: &without,
            limit: BATCH,
        };
        self.store.reportable(search).await
    }

    /// Reports what is to be reported of one message.
    async fn handle(
        &self,
        kind: &mut Kind,
        candidate: ReportCandidate,
    ) -> Result<Handled, StoreError> {
        let (alert, action) = (candidate.alert, kind.action);
        let Some(stored) = self.store.received(alert).await? else {
            return Ok(Handled::Done);
        };
        let most = u32::try_from(MOST_RECIPIENTS).unwrap_or(u32::MAX);
        loop {
            let found = self.store.unreported_message(alert, action, most);
            let Some(mut message) = found.await? else {
                return Ok(Handled::Done);
            };
            let recipients = std::mem::take(&mut message.recipients);
            let is_last = recipients.len() < MOST_RECIPIENTS;
            let plan = ReportPlan::of(&kind.rules, action, &stored, recipients);
            for (reason, ordinals) in plan.left_out {
                self.insert(kind, alert, ordinals, Err(reason)).await?;
            }
            let reported = plan.reported;
            if !reported.is_empty() {
                let ordinals: Vec<_> = reported.iter().map(|it| it.ordinal).collect();
                if candidate.age > LONGEST_WAIT {
                    self.drop_report(kind, alert, ordinals).await?;
                } else if self.has_room(kind).await? {
                    let source = (&stored, &message, &*reported);
                    self.send(kind, alert, source).await?;
                } else {
                    return Ok(Handled::Waits);
                }
            }
            if is_last {
                return Ok(Handled::Done);
            }
        }
    }

    async fn send(
        &self,
        kind: &Kind,
        alert: AlertId,
        (stored, message, recipients): (&StoredMessage, &UnreportedMessage, &[UnreportedRecipient]),
    ) -> Result<(), StoreError> {
        let content = self.store.received_piece(alert, 0).await?;
        let source = ReportSource {
            action: kind.action,
            host_name: self.reports.reporting_mta(&stored.intake),
            now: self.clock.now(),
            stored,
            message,
            content: &content.unwrap_or_default(),
            recipients,
        };
        let Some(report) = compose(&kind.rules, &source) else {
            return Ok(());
        };
        let ordinals: Vec<_> = recipients.iter().map(|it| it.ordinal).collect();
        let count = ordinals.len();
        if let Some(report) = self.insert(kind, alert, ordinals, Ok(report)).await? {
            let (send_port, action) = (&kind.rules.send_port, kind.action.as_str());
            tracing::info!(
                send_port,
                alert = alert.0,
                report = report.0,
                action,
                recipients = count,
                "delivery report queued"
            );
            self.record(kind, SendPortActivity::Report(kind.action));
        }
        Ok(())
    }

    /// The alert that is the report, where one was inserted.
    async fn insert(
        &self,
        kind: &Kind,
        alert: AlertId,
        recipients: Vec<u32>,
        message: Result<sendport_core::domain::ReceivedMessage, String>,
    ) -> Result<Option<AlertId>, StoreError> {
        let report = NewReport {
            alert,
            send_port: kind.rules.send_port.clone(),
            action: kind.action,
            recipients,
            message,
        };
        Ok(match self.store.insert_report(report).await? {
            ReportResult::Inserted(id) => Some(id),
            ReportResult::Recorded | ReportResult::Outdated => None,
        })
    }

    /// False, and that is announced once, while reports have to wait.
    async fn has_room(&self, kind: &mut Kind) -> Result<bool, StoreError> {
        let rules = &kind.rules;
        let recent = self.store.recent_reports(&rules.send_port, MINUTE).await?;
        let has_room = recent < rules.per_minute;
        if !has_room && !std::mem::replace(&mut kind.is_limited, true) {
            let (send_port, per_minute) = (&rules.send_port, rules.per_minute);
            tracing::warn!(
                send_port,
                per_minute,
                "delivery reports wait for reports_per_minute"
            );
            let message = format!(
                "more than {per_minute} reports a minute (reports_per_minute) are to be sent at send port {send_port}: \
                 the others wait, for a day at most"
            );
            self.log(
                kind,
                event(
                    "delivery-reports-limited",
                    EventSeverity::Warning,
                    None,
                    message,
                ),
            )
            .await;
        }
        Ok(has_room)
    }

    /// It waited too long.
    async fn drop_report(
        &self,
        kind: &Kind,
        alert: AlertId,
        recipients: Vec<u32>,
    ) -> Result<(), StoreError> {
        self.insert(kind, alert, recipients, Err(DROPPED.to_owned()))
            .await?;
        let send_port = &kind.rules.send_port;
        tracing::warn!(send_port, alert = alert.0, "delivery report dropped");
        self.record(kind, SendPortActivity::ReportDropped);
        Ok(())
    }

    /// A message that cannot be read, or whose report cannot be recorded.
    async fn leave_out(&self, kind: &mut Kind, alert: AlertId, error: &StoreError) {
        let refused = RefusedRow {
            alert,
            why: error.to_string(),
        };
        let since = self.clock.now();
        if kind.left_out.add(&[refused], since, Instant::now()) == 0 {
            return;
        }
        let send_port = &kind.rules.send_port;
        tracing::error!(send_port, alert = alert.0, %error, "delivery report failed");
        let message = format!(
            "no report can be sent about alert {alert}, until the service starts again: {error}; all others are sent"
        );
        let failed = event(
            "delivery-report-failed",
            EventSeverity::Error,
            Some(alert),
            message,
        );
        self.log(kind, failed).await;
    }

    fn record(&self, kind: &Kind, activity: SendPortActivity) {
        if let Some(observer) = self.observer.send_port(&kind.rules.send_port) {
            observer.record(activity);
        }
    }

    async fn log(&self, kind: &Kind, event: Event) {
        let event = Event {
            instance: Some(self.instance),
            send_port: Some(kind.rules.send_port.clone()),
            ..event
        };
        log_event(&*self.store, &*self.observer, &event).await;
    }
}

/// Failures are looked for where operators are notified, too: why there is no report is recorded.
fn kinds(rules: &ReportRules) -> Vec<Kind> {
    let is_wanted =
        |action: &&ReportAction| rules.notifies_senders() || **action == ReportAction::Failed;
    let wanted = ReportAction::ALL.iter().filter(is_wanted);
    let kind = |action: &ReportAction| Kind {
        rules: rules.clone(),
        action: *action,
        reported_until: None,
        left_out: RefusedRows::default(),
        is_limited: false,
    };
    wanted.map(kind).collect()
}
