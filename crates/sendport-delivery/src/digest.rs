//! The message that reports failures: its text, and the alert that carries it.
//!
//! A digest is an alert of the origin [`AlertOrigin::Digest`], made by the service. Its
//! `Payload` names the relays of the failures, so that it goes through another one first.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sendport_core::clock::utc_text;
use sendport_core::domain::{Alert, AlertOrigin, Priority};
use sendport_store::NewAlert;
use sendport_store::digest::{UnreportedFailures, UnreportedLine};
use serde::{Deserialize, Serialize};

/// Lines of recipients in one digest; the rest is a number and a query.
const MOST_LINES: usize = 50;
/// Characters of a text from outside.
const LONGEST_TEXT: usize = 300;

/// The source of the failures in a digest.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Name of the send port.
    pub send_port: &'a str,
    /// Name of the environment.
    pub environment: &'a str,
    /// Recipients, as configured.
    pub to: &'a str,
}

/// What the dispatcher reads in the payload of a digest.
#[derive(Serialize, Deserialize)]
struct Payload {
    failed_relays: BTreeSet<String>,
}

/// The alert that reports `unreported`.
pub fn compose(unreported: &UnreportedFailures, about: About<'_>) -> NewAlert {
    let failed_relays = unreported
        .lines
        .iter()
        .filter_map(|line| line.relay.clone());
    let payload = Payload {
        failed_relays: failed_relays.collect(),
    };
    NewAlert {
        to_recipients: Some(about.to.to_owned()),
        subject: Some(subject(unreported, about)),
        body: Some(body(unreported, about)),
        payload: serde_json::to_string(&payload).ok(),
        send_port: about.send_port.to_owned(),
        priority: Priority::Urgent,
        ..NewAlert::default()
    }
}

/// `relays` in the order in which `alert` tries them: for a digest, those that the failures
/// name come last.
pub fn relay_order<'r>(alert: &Alert, relays: &'r [String]) -> Vec<&'r str> {
    let failed = failed_relays(alert);
    let mut order: Vec<&str> = relays.iter().map(String::as_str).collect();
    order.sort_by_key(|relay| failed.contains(*relay));
    order
}

fn failed_relays(alert: &Alert) -> BTreeSet<String> {
    let payload = alert
        .payload
        .as_deref()
        .filter(|_| alert.origin == AlertOrigin::Digest);
    let read = payload.and_then(|json| serde_json::from_str::<Payload>(json).ok());
    read.map_or_else(BTreeSet::new, |payload| payload.failed_relays)
}

fn subject(unreported: &UnreportedFailures, about: About<'_>) -> String {
    let About {
        send_port,
        environment,
        ..
    } = about;
    let count = counted(unreported);
    format!("sendport: {count} failed at send port {send_port} ({environment})")
}

/// `12 recipients`; where not all lines are known, alerts are what can be counted.
fn counted(unreported: &UnreportedFailures) -> String {
    let known: BTreeSet<_> = unreported.lines.iter().map(|line| line.alert).collect();
    if (known.len() as u64) < unreported.alerts {
        return number(unreported.alerts, "alert");
    }
    number(unreported.lines.len() as u64, "recipient")
}

fn number(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn body(unreported: &UnreportedFailures, about: About<'_>) -> String {
    let mut text = format!(
        "{} failed or expired at the send port {} of the environment {}.\n",
        counted(unreported),
        about.send_port,
        about.environment
    );
    let mut alert = None;
    for line in unreported.lines.iter().take(MOST_LINES) {
        if alert.replace(line.alert) != Some(line.alert) {
            let _ = write!(text, "\n{}", heading(line));
        }
        text += &recipient(line);
    }
    text + &rest(unreported, about.send_port)
}

fn heading(line: &UnreportedLine) -> String {
    let mut text = format!("Alert {}", line.alert);
    if let Some(reference) = &line.reference {
        let _ = write!(text, ", reference {}", one_line(reference));
    }
    if let Some(subject) = &line.subject {
        let _ = write!(text, ": {}", one_line(subject));
    }
    text + "\n"
}

fn recipient(line: &UnreportedLine) -> String {
    let who = line
        .address
        .as_deref()
        .map_or_else(|| "the alert as a whole".to_owned(), one_line);
    let at = utc_text(line.status_at);
    let mut text = format!("  {who}: {} at {at}", line.status);
    if let Some(relay) = &line.relay {
        let _ = write!(text, ", relay {relay}");
    }
    if let Some(reply) = &line.reply {
        let _ = write!(text, "\n    {}", one_line(reply));
    }
    if let Some(advice) = &line.advice {
        let _ = write!(text, "\n    What to do: {}", one_line(advice));
    }
    text + "\n"
}

/// What is not listed, and where to find all of it.
fn rest(unreported: &UnreportedFailures, send_port: &str) -> String {
    let listed = &unreported.lines[..unreported.lines.len().min(MOST_LINES)];
    let recipients = unreported.lines.len() - listed.len();
    let known: BTreeSet<_> = unreported.lines.iter().map(|line| line.alert).collect();
    let alerts = unreported.alerts.saturating_sub(known.len() as u64);
    let mut parts = Vec::new();
    if recipients > 0 {
        parts.push(number(recipients as u64, "more recipient"));
    }
    if alerts > 0 {
        parts.push(number(alerts, "more alert"));
    }
    let lead = if parts.is_empty() {
        "All failures".to_owned()
    } else {
        format!("And {}", parts.join(" and "))
    };
    let quoted = send_port.replace('\'', "''");
    format!(
        "\n{lead}: SELECT * FROM sendport.FailedDelivery WHERE SendPort = '{quoted}' ORDER BY StatusAt DESC;\n\
         (On SQLite the view has no schema: FailedDelivery.)\n"
    )
}

/// A text from outside, on one line and bounded: a subject may have failed for its line
/// breaks.
fn one_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = text.trim().chars().take(LONGEST_TEXT).map(clean).collect();
    if text.trim().chars().nth(LONGEST_TEXT).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
