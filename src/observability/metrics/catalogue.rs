//! Every metric once: name, kind, labels and meaning. docs/metrics.md holds the same table, and
//! a test compares them.

/// What a number is (Prometheus' metric types).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows, from zero at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often a value was at most so much: the upper bounds, in the unit of the name.
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// With its unit, as Prometheus' conventions have it.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Never an address, a subject or anything else that an application words.
    pub labels: &'static [&'static str],
    /// A sentence.
    pub help: &'static str,
}

impl Kind {
    /// The word after `# TYPE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// Between two machines, up to the time-outs of RFC 5321.
const OF_A_RELAY: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// A statement, up to the time-out of a command.
const OF_THE_DATABASE: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// From a moment to a day.
const OF_AN_ALERT: &[f64] = &[
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0,
];

macro_rules! catalogue {
    ($($constant:ident = $name:literal, $kind:expr, [$($label:literal),*], $help:literal;)+) => {
        $(pub(super) const $constant: Definition = Definition {
            name: $name,
            kind: $kind,
            labels: &[$($label),*],
            help: $help,
        };)+

        /// Every metric, in the order of the documentation.
        pub const ALL: &[Definition] = &[$($constant),+];
    };
}

use Kind::{Counter, Gauge, Histogram};

catalogue! {
    BUILD_INFO = "sendport_build_info", Gauge, ["version"],
        "1, with the version of the program.";
    START_TIME = "sendport_start_time_seconds", Gauge, [],
        "When the process started, in seconds since 1970.";
    READY = "sendport_ready", Gauge, [],
        "1 while /readyz answers 200.";
    LEASE_REMAINING = "sendport_lease_remaining_seconds", Gauge, [],
        "Remaining time of the lease of this instance; 0 while it holds none.";
    LEASES_LOST = "sendport_leases_lost_total", Counter, [],
        "How often the lease was lost and the instance registered again.";
    EVENTS = "sendport_events_total", Counter, ["type", "severity"],
        "Rows for the table EventLog, by its columns EventType and Severity.";
    CERTIFICATE_END = "sendport_recipient_certificate_not_after_timestamp_seconds", Gauge, [],
        "When the first certificate of the view ExpiringCertificate expires, in seconds since 1970; 0 if there is none.";

    DATABASE_UP = "sendport_database_up", Gauge, [],
        "1 if the database answered the latest query and has the schema that this program needs.";
    DATABASE_OUTAGES = "sendport_database_outages_total", Counter, [],
        "How often the database became unavailable.";
    DATABASE_ERRORS = "sendport_database_errors_total", Counter, ["operation"],
        "Database operations that failed; they are retried.";
    DATABASE_DURATION = "sendport_database_duration_seconds", Histogram(OF_THE_DATABASE), ["operation"],
        "Duration of a database operation.";

    SPOOL_ENTRIES = "sendport_spool_entries", Gauge, [],
        "Notes and outcomes in the state folder that the database does not have yet.";
    SPOOL_BYTES = "sendport_spool_bytes", Gauge, [],
        "Size of the spool file in the state folder.";
    SPOOL_WRITABLE = "sendport_spool_writable", Gauge, [],
        "0 while the state folder cannot be written and nothing is submitted.";
    UNRECORDED = "sendport_outcomes_unrecorded", Gauge, [],
        "Outcomes that the database refused; they are in the state folder.";
    UNCLAIMED = "sendport_alerts_unclaimed", Gauge, [],
        "Due alerts whose rows the database refuses to change; all others are sent.";

    QUEUE_UP = "sendport_queue_up", Gauge, [],
        "1 if the latest count of the queue succeeded; otherwise its metrics are missing.";
    QUEUE_UPDATED = "sendport_queue_updated_timestamp_seconds", Gauge, [],
        "When the queue was last counted, in seconds since 1970.";
    QUEUE_ALERTS = "sendport_queue_alerts", Gauge, ["send_port", "status"],
        "Alerts that are not final, of all instances together.";
    QUEUE_OLDEST = "sendport_queue_oldest_age_seconds", Gauge, ["send_port", "status"],
        "Age of the oldest of these since its insert; 0 if there is none.";
    QUEUE_UNROUTED = "sendport_queue_unrouted_alerts", Gauge, [],
        "Alerts that are not final and whose send port this instance does not have.";

    CLAIMS = "sendport_claims_total", Counter, ["send_port"],
        "Claims, including those that found nothing.";
    CLAIMED_ALERTS = "sendport_claimed_alerts_total", Counter, ["send_port"],
        "Alerts that were claimed.";
    IN_FLIGHT = "sendport_alerts_in_flight", Gauge, ["send_port"],
        "Alerts that this instance is processing.";
    ALERTS = "sendport_alerts_total", Counter, ["send_port", "status"],
        "Alerts that were processed and recorded, by their new status; a delayed one counts each time.";
    ALERTS_RELEASED = "sendport_alerts_released_total", Counter, ["send_port"],
        "Alerts that were released without an attempt: no relay was available, or the service stopped.";
    ALERTS_SWEPT = "sendport_alerts_swept_total", Counter, ["reason"],
        "Alerts that a sweep changed: expired, for an unknown send port, or taken over from a dead instance.";
    RECIPIENTS = "sendport_recipients_total", Counter, ["send_port", "status"],
        "Recipients of recorded alerts, by their new status; a delayed one counts each time.";
    RECIPIENTS_FAILED = "sendport_recipients_failed_total", Counter, ["send_port", "fault"],
        "Recipients that failed, by whose fault it was (the column Fault of Delivery).";
    DELIVERY_REPORTS = "sendport_delivery_reports_total", Counter, ["send_port", "action"],
        "Reports to the senders of submitted messages: failed, delayed or relayed.";
    DELIVERY_REPORTS_DROPPED = "sendport_delivery_reports_dropped_total", Counter, ["send_port"],
        "Such reports that were not sent, because they waited for a day (reports_per_minute).";
    CREATED_TO_RELAYED = "sendport_created_to_relayed_seconds", Histogram(OF_AN_ALERT), ["send_port"],
        "From the insert of an alert, or its NotBefore, until relays had accepted it for every recipient.";
    SIGNING_NOT_AFTER = "sendport_signing_certificate_not_after_timestamp_seconds", Gauge, ["send_port"],
        "When the signing certificate of the send port expires, in seconds since 1970; missing if it does not sign.";

    SUBMISSIONS = "sendport_submissions_total", Counter, ["relay", "reply_class"],
        "Submissions by what decided them: a reply (2xx, 4xx, 5xx), broken or in_doubt (no reply before or after the final dot), not_begun (connection, TLS or authentication failed), fenced (not begun, because of a cancel, a hold or a redirect that an operator requested meanwhile, or aborted before the final dot, because the lease might have expired).";
    SUBMISSION_FAULTS = "sendport_submission_faults_total", Counter, ["relay", "fault"],
        "Submissions that were not accepted, by the fault of the deciding reply.";
    SUBMITTED_BYTES = "sendport_submitted_bytes_total", Counter, ["relay"],
        "Bytes of the messages that a relay accepted.";
    CONNECT_DURATION = "sendport_connect_duration_seconds", Histogram(OF_A_RELAY), ["relay"],
        "Name resolution and TCP connection.";
    TLS_DURATION = "sendport_tls_handshake_duration_seconds", Histogram(OF_A_RELAY), ["relay"],
        "TLS handshakes that succeeded.";
    AUTHENTICATION_DURATION = "sendport_authentication_duration_seconds", Histogram(OF_A_RELAY), ["relay"],
        "Authentications that succeeded.";
    TRANSACTION_DURATION = "sendport_transaction_duration_seconds", Histogram(OF_A_RELAY), ["relay"],
        "SMTP transactions from MAIL to the last reply, whatever the result.";
    FINAL_DOT_DURATION = "sendport_final_dot_duration_seconds", Histogram(OF_A_RELAY), ["relay"],
        "From the final dot to its reply.";
    AUTHENTICATION_FAILURES = "sendport_authentication_failures_total", Counter, ["relay"],
        "Authentications that the relay refused permanently (5yz); the next one waits 15 minutes.";
    CONNECTIONS = "sendport_relay_connections", Gauge, ["relay"],
        "Connections of this instance that are open and authenticated.";
    CONNECTIONS_LIMIT = "sendport_relay_connections_limit", Gauge, ["relay"],
        "Maximum connections of this instance now.";
    RELAY_STATE = "sendport_relay_state", Gauge, ["relay", "state"],
        "1 for the current state of the relay's circuit: closed (in use), open, half_open, paused (needs a correction; tried again every 15 minutes).";
    RELAY_STATE_CHANGES = "sendport_relay_state_changes_total", Counter, ["relay", "state"],
        "How often the circuit changed into that state.";
    DOMAINS_UNREACHABLE = "sendport_relay_domains_unreachable", Gauge, ["relay"],
        "Domains whose mail hosts cannot be reached now, of a relay of kind mx; 0 for others.";
    RELAY_THROTTLED = "sendport_relay_throttled", Gauge, ["relay"],
        "1 while the service sends less than is configured, because the relay refused for a limit.";
    RELAY_THROTTLES = "sendport_relay_throttles_total", Counter, ["relay"],
        "How often throttling began.";
    CERTIFICATE_NOT_AFTER = "sendport_certificate_not_after_timestamp_seconds", Gauge, ["relay", "certificate"],
        "When a certificate expires, in seconds since 1970: relay (as last presented), client, ca (of ca_file, the first to expire), oauth2 (of the application).";

    INTAKE_CONNECTIONS = "sendport_intake_connections", Gauge, ["intake"],
        "Connections of clients.";
    INTAKE_CONNECTIONS_REFUSED = "sendport_intake_connections_refused_total", Counter, ["intake"],
        "Connections that were closed at once, because there were too many.";
    INTAKE_HANDSHAKES_FAILED = "sendport_intake_tls_handshakes_failed_total", Counter, ["intake"],
        "TLS handshakes with clients that failed.";
    INTAKE_AUTHENTICATIONS = "sendport_intake_authentications_total", Counter, ["intake", "result"],
        "Authentications of clients that succeeded or failed.";
    INTAKE_REFUSALS = "sendport_intake_refusals_total", Counter, ["intake", "code"],
        "Commands and messages that were answered with this 4yz or 5yz reply.";
    INTAKE_MESSAGES = "sendport_intake_messages_total", Counter, ["intake"],
        "Messages that were accepted: committed to the database, or kept in the spool.";
    INTAKE_RECIPIENTS = "sendport_intake_recipients_total", Counter, ["intake"],
        "Recipients of these messages.";
    INTAKE_BYTES = "sendport_intake_message_bytes_total", Counter, ["intake"],
        "Bytes of these messages.";
    INTAKE_COMMIT = "sendport_intake_commit_seconds", Histogram(OF_THE_DATABASE), ["intake"],
        "Time until a message was committed, or kept in the spool.";
    INTAKE_FILES = "sendport_intake_files", Gauge, ["intake"],
        "Message files in the pickup folder that are not committed yet.";
    INTAKE_CERTIFICATE_NOT_AFTER = "sendport_intake_certificate_not_after_timestamp_seconds", Gauge, ["intake"],
        "When the certificate of the intake expires, in seconds since 1970; only with TLS.";
    INTAKE_SPOOL_MESSAGES = "sendport_intake_spool_messages", Gauge, ["intake"],
        "Messages that wait in the spool for the database.";
    INTAKE_SPOOL_BYTES = "sendport_intake_spool_bytes", Gauge, ["intake"],
        "Bytes of these messages.";
    INTAKE_SPOOL_REFUSED = "sendport_intake_spool_refused_total", Counter, ["intake"],
        "Messages of the spool that the database refused for good, or whose files were damaged: a person has to look at them.";

    FEEDBACK_REPORTS = "sendport_feedback_reports_total", Counter, ["source", "kind", "result"],
        "Reports that were read from a feedback source: matched to a transaction, unmatched, or unreadable.";
    FEEDBACK_BOUNCES = "sendport_feedback_bounces_total", Counter, ["source", "class"],
        "Recipients that matched reports say got no message, by the class of the bounce.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_the_conventions() {
        let mut names: Vec<_> = ALL.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len(), "each name once");
        for metric in ALL {
            let name = metric.name;
            assert!(name.starts_with("sendport_"), "{name}");
            let counts = name.ends_with("_total");
            assert_eq!(counts, metric.kind == Kind::Counter, "{name}");
            assert!(metric.help.ends_with('.'), "{name}");
            if let Kind::Histogram(bounds) = metric.kind {
                assert!(name.ends_with("_seconds"), "{name}");
                assert!(bounds.is_sorted(), "{name}");
            }
        }
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let documented: Vec<_> = include_str!("../../../docs/metrics.md")
            .lines()
            .filter(|line| line.starts_with("| `sendport_"))
            .collect();
        let line = |metric: &Definition| {
            let labels: Vec<_> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
            let (name, kind) = (metric.name, metric.kind.as_str());
            format!(
                "| `{name}` | {kind} | {} | {} |",
                labels.join(", "),
                metric.help
            )
        };
        let expected: Vec<_> = ALL.iter().map(line).collect();
        assert_eq!(documented, expected, "\n{}\n", expected.join("\n"));
    }
}
