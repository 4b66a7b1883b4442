//! What arrived, and what the database says of it.

use std::collections::BTreeMap;
use std::path::Path;

use super::database::Database;
use crate::support::received::messages;

/// All that is compared.
pub(super) struct Evidence {
    /// By alert.
    alerts: BTreeMap<String, Alert>,
    requests: Vec<Vec<String>>,
}

/// One alert.
#[derive(Debug, Default)]
struct Alert {
    status: String,
    reason: String,
    is_requeued: bool,
    /// Attempts whose end was not observed.
    unknown: u32,
    /// By address.
    recipients: BTreeMap<String, Recipient>,
}

#[derive(Debug, Default)]
struct Recipient {
    status: String,
    /// Messages that the sink has.
    arrived: u32,
    /// Attempts that say so.
    relayed: u32,
}

const ALERTS: &str = "SELECT a.AlertId, a.Status, a.StatusReason, r.RequeuedAt
    FROM {AlertStatus} a JOIN (SELECT AlertId, CASE WHEN RequeuedAt IS NULL THEN 0 ELSE 1 END AS RequeuedAt
                               FROM {AlertState}) r ON r.AlertId = a.AlertId";
const RECIPIENTS: &str = "SELECT AlertId, Address, Status FROM {Recipient}";
const UNKNOWN: &str =
    "SELECT AlertId, COUNT(*) FROM {Attempt} WHERE Outcome = 'unknown' GROUP BY AlertId";
/// Attempts whose content the relay took, and the recipients whose RCPT it took before.
const RELAYED: &str = "SELECT t.AlertId, r.Address, COUNT(*)
    FROM {Attempt} t
    JOIN {AttemptReply} p ON p.AttemptId = t.AttemptId AND p.RecipientOrdinal IS NOT NULL AND p.ReplyCode < 300
    JOIN {Recipient} r ON r.AlertId = t.AlertId AND r.Ordinal = p.RecipientOrdinal
    WHERE t.Outcome IN ('relayed', 'partial') GROUP BY t.AlertId, r.Address";
/// What each request counted, and what the auditor counted. A hold counts nothing: it is a rule for claims.
const REQUESTS: &str = "SELECT q.RequestId, q.Verb, q.AlertName, q.SendPort, q.State, q.AppliedCount, q.RefusedCount,
    CASE q.Verb WHEN 'hold' THEN q.AppliedCount ELSE
        (SELECT COUNT(*) FROM {StatusAudit} u WHERE u.RequestId = q.RequestId AND u.Status <> 'held') END
    FROM {OperatorRequest} q ORDER BY q.RequestId";

impl Evidence {
    pub(super) async fn read(database: &Database<'_>, mails: &Path) -> Self {
        let mut alerts: BTreeMap<String, Alert> = BTreeMap::new();
        for [id, status, reason, requeued] in four(database.rows(ALERTS).await) {
            let is_requeued = requeued == "1";
            alerts.insert(
                id,
                Alert {
                    status,
                    reason,
                    is_requeued,
                    ..Alert::default()
                },
            );
        }
        for row in database.rows(RECIPIENTS).await {
            let alert = alerts.get_mut(&row[0]).expect("its alert");
            alert.recipients.entry(row[1].clone()).or_default().status = row[2].clone();
        }
        for row in database.rows(UNKNOWN).await {
            alerts.get_mut(&row[0]).expect("its alert").unknown = number(&row[1]);
        }
        for row in database.rows(RELAYED).await {
            let alert = alerts.get_mut(&row[0]).expect("its alert");
            alert
                .recipients
                .get_mut(&row[1])
                .expect("its recipient")
                .relayed = number(&row[2]);
        }
        for mail in messages(mails) {
            let text = std::fs::read_to_string(mail).expect("a mail");
            let subject = text
                .lines()
                .find_map(|line| line.strip_prefix("Subject: Alert "));
            // The first alert is number 0 and has the key 1.
            let id = number(subject.expect("a subject")) + 1;
            let alert = alerts.get_mut(&id.to_string()).expect("its alert");
            for line in text.lines().map_while(|line| line.strip_prefix("X-")) {
                if let Some(address) = line.strip_prefix("Receiver: ") {
                    alert
                        .recipients
                        .entry(address.to_owned())
                        .or_default()
                        .arrived += 1;
                }
            }
        }
        let requests = database.rows(REQUESTS).await;
        Self { alerts, requests }
    }

    #[expect(
        clippy::print_stdout,
        reason = "what was tried is read beside a failure"
    )]
    pub(super) fn check(&self, alerts: u64, requests: u64) {
        println!("{}", self.summary());
        assert_eq!(self.alerts.len() as u64, alerts, "alerts");
        assert_eq!(self.requests.len() as u64, requests, "requests");
        let wrong = |alert: &Alert| alert.recipients.values().any(|it| !alert.is_right(it));
        let wrong: Vec<_> = self
            .alerts
            .iter()
            .filter(|(_, alert)| wrong(alert))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        let counted_otherwise = |row: &&Vec<String>| row[4] != "done" || row[5] != row[7];
        let wrong: Vec<_> = self.requests.iter().filter(counted_otherwise).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    fn summary(&self) -> String {
        let count = |status: &str| {
            self.alerts
                .values()
                .filter(|it| it.status == status)
                .count()
        };
        let unknown: u32 = self.alerts.values().map(|it| it.unknown).sum();
        let requeued = self.alerts.values().filter(|it| it.is_requeued).count();
        let statuses =
            ["relayed", "partial", "failed", "cancelled"].map(|it| format!("{it}: {}", count(it)));
        format!(
            "{} alerts, {statuses:?}, requeued: {requeued}, attempts in doubt: {unknown}",
            self.alerts.len()
        )
    }
}

impl Alert {
    fn is_right(&self, recipient: &Recipient) -> bool {
        let Recipient {
            status,
            arrived,
            relayed,
        } = recipient;
        let is_explained = *relayed <= *arrived && *arrived <= relayed + self.unknown;
        let is_doubled = *arrived > 1 && self.unknown == 0 && !self.is_requeued;
        let says_so = match (status.as_str(), *arrived) {
            ("relayed", 0) => false,
            ("cancelled", 1..) => self.reason.contains("may have been sent"),
            ("relayed" | "cancelled", _) => true,
            ("failed", _) => *arrived == 0,
            _ => false,
        };
        is_explained && !is_doubled && says_so
    }
}

fn four(rows: Vec<Vec<String>>) -> impl Iterator<Item = [String; 4]> {
    rows.into_iter()
        .map(|row| row.try_into().expect("four columns"))
}

fn number(text: &str) -> u32 {
    text.trim().parse().expect("a number")
}
