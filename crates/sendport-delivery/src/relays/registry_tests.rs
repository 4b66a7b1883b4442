use std::sync::atomic::AtomicI64;

use chrono::TimeDelta;
use sendport_core::clock::SystemClock;
use sendport_core::domain::{
    AlertId, Command, CommandReply, Reply, SessionFacts, SubmissionEnd, SubmissionReport, Timestamp,
};
use sendport_smtp::relay::discard::DiscardRelay;
use tokio::time::Instant;

use super::*;
use crate::relays::circuit::RelayFault;

fn registry() -> RelayRegistry {
    registry_at(Arc::new(SystemClock))
}

fn set_patience(registry: &mut RelayRegistry, patience: Duration) {
    let entry = registry.entries.get_mut("main").expect("an entry");
    Arc::get_mut(entry).expect("unused").patience = patience;
}

fn registry_at(clock: Arc<dyn Clock>) -> RelayRegistry {
    let relay: Arc<dyn Relay> = Arc::new(DiscardRelay::new("main", clock.clone()));
    let (events, _) = mpsc::unbounded_channel();
    RelayRegistry::new(vec![relay], Arc::new(ReplyTable::built_in()), clock, events)
}

fn answered(command: Command, code: u16) -> SubmissionReport {
    let reply = Reply::new(command, code, None, "overloaded");
    SubmissionReport {
        started_at: Timestamp::UNIX_EPOCH,
        ended_at: Timestamp::UNIX_EPOCH,
        facts: SessionFacts {
            remote_address: Some("192.0.2.1:25".to_owned()),
            ..SessionFacts::default()
        },
        replies: vec![CommandReply {
            ordinal: None,
            reply,
        }],
        end: SubmissionEnd::Answered,
    }
}

async fn report_of_three_alerts(report: &SubmissionReport) -> RelayCondition {
    let registry = registry();
    for alert in 1..=3 {
        let permit = registry
            .acquire("main", false)
            .await
            .expect("closed until now");
        registry.report(permit, AlertId(alert), 0, report);
    }
    registry.states()[0].condition
}

#[tokio::test]
async fn three_alerts_answered_421_after_the_final_dot_open_the_circuit() {
    let goodbye = answered(Command::EndOfData, 421);
    assert_eq!(report_of_three_alerts(&goodbye).await, RelayCondition::Open);
    let busy = answered(Command::EndOfData, 451);
    assert_eq!(report_of_three_alerts(&busy).await, RelayCondition::Closed);
}

#[tokio::test]
async fn a_preflight_refusal_does_not_change_the_circuit() {
    let registry = registry();
    let permit = registry
        .acquire("main", false)
        .await
        .expect("closed until now");
    let unreachable = SubmissionReport {
        end: SubmissionEnd::NotBegun {
            reply: Reply::absent(Command::Connect, "connection refused"),
            fault: None,
        },
        ..answered(Command::Connect, 0)
    };
    let begun_before = registry
        .acquire("main", false)
        .await
        .expect("closed until now");
    registry.report(permit, AlertId(1), 0, &unreachable);
    assert_eq!(registry.states()[0].condition, RelayCondition::Open);
    let preflight = SubmissionReport {
        facts: SessionFacts::default(),
        ..answered(Command::Mail, 554)
    };
    registry.report(begun_before, AlertId(2), 0, &preflight);
    assert_eq!(registry.states()[0].condition, RelayCondition::Open);
}

#[tokio::test]
async fn a_relay_that_does_not_answer_is_passed_over_where_there_is_another_one() {
    let mut registry = registry();
    let patience = Duration::from_millis(300);
    set_patience(&mut registry, patience);
    let mut hanging = Vec::new();
    while registry.entries["main"].limiter().try_acquire().is_some() {
        hanging.push(registry.acquire("main", true).await.expect("a permit"));
    }
    assert_eq!(registry.states()[0].reply, None, "it may answer yet");
    let asked = Instant::now();
    let found = registry.acquire("main", true).await.err();
    assert_eq!(found, Some(Unavailable::Stalled));
    let states = registry.states();
    let reply = states[0].reply.as_deref().expect("that it is silent");
    assert!(
        reply.starts_with("no message or connection attempt has ended since 20"),
        "{reply}"
    );
    assert_eq!(states[0].explanation.as_deref(), Some("relay-unresponsive"));
    assert!(asked.elapsed() >= patience / 2);
    let names = ["main".to_owned(), "second".to_owned()];
    assert_eq!(registry.allowance(&names), Some(0));
    let patient = registry.acquire("main", false);
    let patient = tokio::time::timeout(patience * 5, patient).await;
    assert!(patient.is_err(), "the only one is waited for");
    let permit = hanging.pop().expect("one that hangs");
    registry.report(permit, AlertId(1), 0, &answered(Command::EndOfData, 250));
    assert_eq!(registry.states()[0].reply, None);
    assert!(registry.acquire("main", true).await.is_ok());
}

/// The clock of the system is corrected in steps of half a second.
struct SteppingClock(AtomicI64);

impl Clock for SteppingClock {
    fn now(&self) -> Timestamp {
        let steps = self.0.fetch_add(1, Ordering::Relaxed);
        Timestamp::UNIX_EPOCH + TimeDelta::milliseconds(500 * steps)
    }
}

#[tokio::test]
async fn the_text_of_a_silent_relay_does_not_change() {
    let mut registry = registry_at(Arc::new(SteppingClock(AtomicI64::new(100))));
    set_patience(&mut registry, Duration::ZERO);
    let _hanging = registry.acquire("main", true).await.expect("a permit");
    let text = || registry.states()[0].reply.clone().expect("it is silent");
    let first = text();
    for _ in 0..4 {
        assert_eq!(text(), first);
    }
}

#[tokio::test]
async fn a_trial_is_not_claimed_for_while_all_connections_hang() {
    let registry = registry();
    let mut hanging = Vec::new();
    while registry.entries["main"].limiter().try_acquire().is_some() {
        hanging.push(registry.acquire("main", false).await.expect("a permit"));
    }
    let long_ago = Moment {
        instant: std::time::Instant::now() - Duration::from_secs(10),
        utc: Timestamp::UNIX_EPOCH,
    };
    let opened = registry.entries["main"].circuit().failed(RelayFault {
        at: long_ago,
        trial: false,
        reply: "refused".to_owned(),
        explanation: None,
    });
    assert!(opened);
    assert_eq!(registry.allowance(&["main".to_owned()]), Some(0));
    assert_eq!(
        registry.acquire("main", false).await.err(),
        Some(Unavailable::Unwell)
    );
    hanging.pop();
    assert_eq!(registry.allowance(&["main".to_owned()]), Some(1));
    let trial = registry.acquire("main", false).await;
    assert!(trial.is_ok_and(|permit| permit.trial));
}
