use super::*;

fn moment() -> Moment {
    Moment {
        instant: Instant::now(),
        utc: Timestamp::UNIX_EPOCH,
    }
}

fn later(from: Moment, by: Duration) -> Moment {
    Moment {
        instant: from.instant + by,
        utc: from.utc + by,
    }
}

fn fault(at: Moment, trial: bool, reply: &str) -> RelayFault {
    RelayFault {
        at,
        trial,
        reply: reply.to_owned(),
        explanation: None,
    }
}

#[test]
fn a_refused_connection_opens_at_once_and_one_trial_closes_it() {
    let start = moment();
    let mut circuit = Circuit::new(start.utc);
    assert!(circuit.failed(fault(start, false, "connection refused")));
    assert_eq!(circuit.try_begin(start.instant), None);
    let after = later(start, FIRST_WAIT);
    assert_eq!(circuit.try_begin(after.instant), Some(Admission::Trial));
    assert_eq!(
        circuit.try_begin(after.instant),
        None,
        "one trial at a time"
    );
    assert!(circuit.succeeded(after, true));
    assert_eq!(circuit.allowance(after.instant), None);
}

#[test]
fn an_open_one_is_tried_no_sooner_than_asked_for() {
    let start = moment();
    let mut circuit = Circuit::new(start.utc);
    let hour = Duration::from_secs(3600);
    circuit.waits_at_least(start, hour);
    assert_eq!(circuit.allowance(start.instant), None, "it is in use");
    assert!(circuit.failed(fault(start, false, "429")));
    circuit.waits_at_least(start, hour);
    circuit.waits_at_least(start, FIRST_WAIT / 2);
    let early = later(start, hour - Duration::from_secs(1));
    assert_eq!(circuit.try_begin(early.instant), None);
    assert_eq!(circuit.retry_at(), Some(later(start, hour).utc));
    let due = later(start, hour);
    assert_eq!(circuit.try_begin(due.instant), Some(Admission::Trial));
}

#[test]
fn three_different_alerts_that_break_open_it_and_one_bad_alert_does_not() {
    let now = moment();
    let mut circuit = Circuit::new(now.utc);
    for _ in 0..10 {
        assert!(!circuit.broke(AlertId(1), fault(now, false, "421")));
    }
    assert!(!circuit.broke(AlertId(2), fault(now, false, "421")));
    assert!(circuit.broke(AlertId(3), fault(now, false, "421")));
    assert_eq!(circuit.condition(), RelayCondition::Open);
}

#[test]
fn many_messages_stopped_by_one_outage_count_once() {
    let now = moment();
    let mut circuit = Circuit::new(now.utc);
    assert!(circuit.failed(fault(now, false, "refused")));
    for _ in 0..50 {
        assert!(!circuit.failed(fault(now, false, "refused")));
    }
    assert_eq!(circuit.wait(now.instant), Some(FIRST_WAIT));
}

#[test]
fn a_relay_that_fails_and_works_many_times_a_minute_is_reported_once() {
    let start = moment();
    let mut circuit = Circuit::new(start.utc);
    assert!(circuit.failed(fault(start, false, "421")));
    assert!(circuit.succeeded(start, false));
    for _ in 0..50 {
        assert!(!circuit.failed(fault(start, false, "421")));
        assert!(!circuit.succeeded(start, false));
    }
    assert!(!circuit.failed(fault(start, false, "421")));
    let after = later(start, FIRST_WAIT);
    assert_eq!(circuit.try_begin(after.instant), Some(Admission::Trial));
    let lasting = circuit.failed(fault(after, true, "refused"));
    assert!(lasting, "the trial failed too");
    assert!(circuit.succeeded(after, true));
    let much_later = later(after, REPORT_EVERY);
    assert!(circuit.failed(fault(much_later, false, "refused")));
}

#[test]
fn a_success_between_breaks_forgets_them() {
    let now = moment();
    let mut circuit = Circuit::new(now.utc);
    for alert in 1..=20 {
        assert!(!circuit.broke(AlertId(alert), fault(now, false, "421")));
        circuit.succeeded(now, false);
    }
}

#[test]
fn a_refused_password_is_not_tried_again_within_fifteen_minutes() {
    let start = moment();
    let mut circuit = Circuit::new(start.utc);
    assert!(circuit.refused(AUTH_COOLDOWN, fault(start, false, "535")));
    let before = later(start, AUTH_COOLDOWN - Duration::from_secs(1));
    assert_eq!(circuit.try_begin(before.instant), None);
    assert!(
        circuit
            .try_begin(later(start, AUTH_COOLDOWN).instant)
            .is_some()
    );
    assert!(
        !circuit.refused(
            AUTH_COOLDOWN,
            fault(later(start, AUTH_COOLDOWN), false, "535")
        ),
        "no news"
    );
}

#[test]
fn a_refused_password_pauses_it_although_old_connections_still_work() {
    let start = moment();
    let mut circuit = Circuit::new(start.utc);
    assert!(circuit.refused(AUTH_COOLDOWN, fault(start, false, "535")));
    assert!(!circuit.succeeded(start, false));
    assert_eq!(
        circuit.declined(AlertId(1), fault(start, false, "554")),
        None
    );
    assert_eq!(circuit.condition(), RelayCondition::Paused);
    assert!(
        !circuit.refused(AUTH_COOLDOWN, fault(start, false, "535")),
        "no news, however many connections are refused"
    );
    let after = later(start, AUTH_COOLDOWN);
    assert_eq!(circuit.try_begin(after.instant), Some(Admission::Trial));
    assert!(circuit.succeeded(after, true));
}

#[test]
fn one_alert_to_a_domain_that_is_denied_does_not_take_the_relay_from_the_others() {
    let now = moment();
    let mut circuit = Circuit::new(now.utc);
    let mut denied = |alert| circuit.declined(AlertId(alert), fault(now, false, "554"));
    for _ in 0..10 {
        assert_eq!(denied(1), None);
    }
    assert_eq!(denied(2), None);
    assert_eq!(denied(3), Some(RelayCondition::Paused));
    assert_eq!(denied(4), None, "reported once");
    let after = later(now, AUTH_COOLDOWN);
    assert_eq!(circuit.try_begin(after.instant), Some(Admission::Trial));
    let still = circuit.declined(AlertId(1), fault(after, true, "554"));
    assert_eq!(still, None);
    assert_eq!(circuit.condition(), RelayCondition::Paused);
}

#[test]
fn a_relay_that_is_back_is_in_use_although_it_denies_the_alert_that_found_out() {
    let start = moment();
    let mut circuit = Circuit::new(start.utc);
    circuit.failed(fault(start, false, "refused"));
    let after = later(start, FIRST_WAIT);
    assert_eq!(circuit.try_begin(after.instant), Some(Admission::Trial));
    assert_eq!(
        circuit.declined(AlertId(1), fault(after, true, "554")),
        Some(RelayCondition::Closed)
    );
}

#[test]
fn waits_double_up_to_a_bound() {
    let mut now = moment();
    let mut circuit = Circuit::new(now.utc);
    let mut waits = Vec::new();
    for _ in 0..8 {
        circuit.failed(fault(now, !waits.is_empty(), ""));
        let wait = circuit.wait(now.instant).unwrap();
        waits.push(wait.as_secs());
        now = later(now, wait);
        assert!(circuit.try_begin(now.instant).is_some());
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
}

#[test]
fn two_different_alerts_that_meet_a_limit_open_it_and_one_does_not() {
    let now = moment();
    let mut circuit = Circuit::new(now.utc);
    let mut limited = |alert| circuit.limited(AlertId(alert), fault(now, false, "432"));
    for _ in 0..10 {
        assert!(!limited(1));
    }
    assert!(limited(2));
    assert!(!limited(3), "reported once");
    assert_eq!(circuit.throttle_reason(), Some("432"));
    assert_eq!(circuit.condition(), RelayCondition::Open);
}

#[test]
fn a_message_that_was_taken_between_two_refusals_for_a_limit_forgets_the_first() {
    let now = moment();
    let mut circuit = Circuit::new(now.utc);
    for alert in 1..=20 {
        assert!(!circuit.limited(AlertId(alert), fault(now, false, "432")));
        circuit.succeeded(now, false);
    }
}

/// Refuses the probe of `alert` for a limit as soon as one is due: the seconds until the next one.
fn refuse_probe(circuit: &mut Circuit, now: &mut Moment, alert: i64) -> u64 {
    *now = later(*now, circuit.wait(now.instant).expect("no trial"));
    assert_eq!(circuit.try_begin(now.instant), Some(Admission::Trial));
    circuit.limited(AlertId(alert), fault(*now, true, "432"));
    circuit
        .wait(now.instant)
        .expect("it was reported")
        .as_secs()
}

#[test]
fn the_interval_between_probes_grows_with_other_alerts_alone() {
    let mut now = moment();
    let mut circuit = Circuit::new(now.utc);
    for alert in [1, 2] {
        circuit.limited(AlertId(alert), fault(now, false, "432"));
    }
    assert_eq!(circuit.wait(now.instant), Some(FIRST_WAIT));
    for (alert, expected) in [
        (47, 4),
        (47, 4),
        (4, 8),
        (4, 8),
        (47, 8),
        (7, 16),
        (47, 16),
        (8, 32),
        (8, 32),
        (1, 64),
        (2, 128),
        (3, 240),
        (47, 240),
        (5, 240),
    ] {
        let interval = refuse_probe(&mut circuit, &mut now, alert);
        assert_eq!(interval, expected, "{alert}");
    }
    assert_eq!(circuit.probes.alerts.len(), 7, "it is bounded");
}

#[test]
fn a_throttle_that_ended_begins_anew() {
    let mut now = moment();
    let mut circuit = Circuit::new(now.utc);
    for _ in 0..2 {
        for alert in [1, 2] {
            circuit.limited(AlertId(alert), fault(now, false, "432"));
        }
        let intervals = [3, 4, 5].map(|alert| refuse_probe(&mut circuit, &mut now, alert));
        assert_eq!(intervals, [4, 8, 16]);
        now = later(now, LONGEST_PROBE_INTERVAL);
        assert_eq!(circuit.try_begin(now.instant), Some(Admission::Trial));
        assert!(circuit.succeeded(now, true));
        assert_eq!(circuit.throttle_reason(), None);
    }
}

#[test]
fn a_connection_that_fails_meanwhile_does_not_reset_the_interval() {
    let mut now = moment();
    let mut circuit = Circuit::new(now.utc);
    for alert in [1, 2] {
        circuit.limited(AlertId(alert), fault(now, false, "432"));
    }
    assert_eq!(refuse_probe(&mut circuit, &mut now, 1), 4);
    assert_eq!(refuse_probe(&mut circuit, &mut now, 2), 8);
    now = later(now, LONGEST_PROBE_INTERVAL);
    assert_eq!(circuit.try_begin(now.instant), Some(Admission::Trial));
    circuit.failed(fault(now, true, "connection refused"));
    assert_eq!(circuit.throttle_reason(), None);
    refuse_probe(&mut circuit, &mut now, 1);
    assert_eq!(refuse_probe(&mut circuit, &mut now, 3), 16);
}
