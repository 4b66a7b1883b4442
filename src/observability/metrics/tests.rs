use std::time::Duration;

use sendport_core::domain::{AlertStatus, Fault, RecipientStatus, RelayCondition};
use sendport_delivery::observer::SendPortActivity;
use sendport_smtp::relay::observer::{
    CertificateRole, RelayActivity, RelayObserver as _, SubmissionClass,
};

use super::catalogue::Kind;
use super::*;

fn metrics() -> Metrics {
    Metrics::new(["default"], ["main", "spare"], ["local"], ["bounces"])
}

#[track_caller]
fn shows(metrics: &Metrics, line: &str) {
    let text = metrics.render();
    assert!(text.lines().any(|found| found == line), "{line}\n{text}");
}

#[test]
fn a_rate_has_a_zero_to_begin_with() {
    let metrics = metrics();
    for line in [
        "sendport_alerts_total{send_port=\"default\",status=\"failed\"} 0",
        "sendport_recipients_failed_total{fault=\"configuration\",send_port=\"default\"} 0",
        "sendport_submissions_total{relay=\"spare\",reply_class=\"in_doubt\"} 0",
        "sendport_relay_state_changes_total{relay=\"main\",state=\"paused\"} 0",
        "sendport_authentication_failures_total{relay=\"main\"} 0",
        "sendport_database_errors_total{operation=\"renew\"} 0",
        "sendport_database_outages_total 0",
    ] {
        shows(&metrics, line);
    }
}

#[test]
fn events_are_counted_at_their_relay_and_send_port() {
    let metrics = metrics();
    let main = metrics.relay("main").unwrap();
    let submitted = |class, fault, bytes| RelayActivity::Submission {
        class,
        fault,
        bytes,
    };
    main.record(submitted(SubmissionClass::Accepted, None, 1200));
    let refused = submitted(SubmissionClass::Permanent, Some(Fault::Message), 99);
    main.record(refused);
    main.record(RelayActivity::FinalDot(Duration::from_millis(30)));
    main.record(RelayActivity::ConditionChange(RelayCondition::HalfOpen));
    main.record(RelayActivity::Certificate(
        CertificateRole::Client,
        1_900_000_000,
    ));
    let port = metrics.send_port("default").unwrap();
    port.record(SendPortActivity::Claim(3));
    port.record(SendPortActivity::Alert(AlertStatus::Relayed));
    port.record(SendPortActivity::Recipient(RecipientStatus::Failed));
    port.record(SendPortActivity::RecipientFailure(Fault::Recipient));
    port.record(SendPortActivity::WorkBegin);
    for line in [
        "sendport_submissions_total{relay=\"main\",reply_class=\"2xx\"} 1",
        "sendport_submissions_total{relay=\"main\",reply_class=\"5xx\"} 1",
        "sendport_submission_faults_total{fault=\"message\",relay=\"main\"} 1",
        "sendport_submitted_bytes_total{relay=\"main\"} 1200",
        "sendport_final_dot_duration_seconds_bucket{relay=\"main\",le=\"0.025\"} 0",
        "sendport_final_dot_duration_seconds_bucket{relay=\"main\",le=\"0.05\"} 1",
        "sendport_relay_state_changes_total{relay=\"main\",state=\"half_open\"} 1",
        "sendport_certificate_not_after_timestamp_seconds{certificate=\"client\",relay=\"main\"} 1900000000",
        "sendport_claims_total{send_port=\"default\"} 1",
        "sendport_claimed_alerts_total{send_port=\"default\"} 3",
        "sendport_alerts_total{send_port=\"default\",status=\"relayed\"} 1",
        "sendport_recipients_total{send_port=\"default\",status=\"failed\"} 1",
        "sendport_recipients_failed_total{fault=\"recipient\",send_port=\"default\"} 1",
        "sendport_alerts_in_flight{send_port=\"default\"} 1",
    ] {
        shows(&metrics, line);
    }
    port.record(SendPortActivity::WorkEnd);
    shows(
        &metrics,
        "sendport_alerts_in_flight{send_port=\"default\"} 0",
    );
}

#[test]
fn a_queue_that_cannot_be_counted_shows_no_old_figures() {
    let metrics = metrics();
    let depth = |send_port, alerts| Depth {
        send_port,
        status: "queued",
        alerts,
        oldest: 77,
    };
    let found = [depth("default", 5), depth("a@b.example", 2), depth("x", 1)];
    metrics.queue.counted(1_500, found);
    let queued = "sendport_queue_alerts{send_port=\"default\",status=\"queued\"} 5";
    shows(&metrics, queued);
    shows(&metrics, "sendport_queue_unrouted_alerts 3");
    shows(&metrics, "sendport_queue_updated_timestamp_seconds 1.5");
    assert!(
        !metrics.render().contains("a@b"),
        "no text from outside is a label"
    );

    metrics.queue.counted(2_500, []);
    let none = "sendport_queue_oldest_age_seconds{send_port=\"default\",status=\"queued\"} 0";
    shows(&metrics, none);
    metrics.queue.unknown();
    shows(&metrics, "sendport_queue_up 0");
    assert!(!metrics.render().contains("sendport_queue_alerts{"));
    assert!(!metrics.render().contains("sendport_queue_unrouted_alerts "));
}

#[test]
fn an_outage_counts_once() {
    let metrics = metrics();
    for answers in [false, true, false, false, true, false] {
        metrics.service.database_answers(answers);
    }
    shows(&metrics, "sendport_database_outages_total 2");
    shows(&metrics, "sendport_database_up 0");
}

/// What `promtool check metrics` asks for, and Prometheus' page on names.
#[test]
fn names_follow_the_conventions_of_prometheus() {
    let ends = |name: &str, ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    for metric in catalogue::ALL {
        let name = metric.name;
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(
            name.starts_with("sendport_") && name.chars().all(word),
            "{name}"
        );
        assert!(!ends(name, &["_count", "_sum", "_bucket"]), "{name}");
        let is_counter = metric.kind == Kind::Counter;
        assert_eq!(name.ends_with("_total"), is_counter, "{name}");
        let no_base_unit = ["milliseconds", "minutes", "hours", "kilobytes", "percent"];
        assert!(
            !no_base_unit.iter().any(|unit| name.contains(unit)),
            "{name}"
        );
        if matches!(metric.kind, Kind::Histogram(_)) {
            assert!(ends(name, &["_seconds", "_bytes"]), "{name}");
        }
        assert!(!metric.help.is_empty(), "{name}");
        assert!(!metric.labels.contains(&"le"), "{name}");
    }
}
