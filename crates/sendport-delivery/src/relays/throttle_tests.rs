//! Relays that refuse everything for a limit, by a clock that takes hours in no time: how often
//! the instances ask them, for which alerts, and how they go on.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use async_trait::async_trait;
use parking_lot::Mutex;
use sendport_core::clock::{SystemClock, Ticks};
use sendport_core::domain::{
    AlertId, Command, CommandReply, Envelope, RelayCondition, Reply, SessionFacts, SubmissionEnd,
    SubmissionReport, Timestamp,
};
use sendport_core::replies::ReplyTable;
use sendport_smime::SecuredMessage;
use sendport_smtp::relay::limits::Limiter;
use sendport_smtp::relay::{Relay, SessionError, SubmissionGate};
use sendport_smtp::settings::limits::{Connections, Limits, Rate};
use sendport_store::Event;
use tokio::sync::mpsc;

use super::*;
use crate::relays::reports::NextStep;

const TICK: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const ALERTS: i64 = 300;
/// How long the relay refuses everything.
const MINUTES: u32 = 60;

/// Its patterns are compiled when they are first asked, which takes a while.
static REPLIES: LazyLock<Arc<ReplyTable>> = LazyLock::new(|| Arc::new(ReplyTable::built_in()));

/// A clock that the test moves.
#[derive(Clone)]
struct Time(Arc<Mutex<Instant>>);

impl Time {
    fn now(&self) -> Instant {
        *self.0.lock()
    }

    fn pass(&self, by: Duration) {
        *self.0.lock() += by;
    }

    fn ticks(&self) -> Ticks {
        let time = self.clone();
        Ticks::from_fn(move || time.now())
    }
}

/// A relay that has limits and no server: the test answers for it.
struct Answered(Arc<Limiter>);

#[async_trait]
impl Relay for Answered {
    fn name(&self) -> &'static str {
        "main"
    }

    fn limiter(&self) -> &Arc<Limiter> {
        &self.0
    }

    async fn submit(
        &self,
        _envelope: &Envelope,
        _message: &SecuredMessage,
        _gate: &dyn SubmissionGate,
    ) -> SubmissionReport {
        accepted()
    }

    async fn verify(&self) -> Result<SessionFacts, SessionError> {
        Ok(SessionFacts::default())
    }

    async fn close(&self) {}
}

/// How a relay refuses for a limit.
#[derive(Debug, Clone, Copy)]
enum Refuses {
    /// 421, which ends the connection.
    AtTheGreeting,
    AtMail,
    /// 421 to MAIL.
    AtMailWithGoodbye,
    AtTheFinalDot,
    /// Messages in a time, and not connections.
    ForTheRate,
}

const ALL_WAYS: [Refuses; 5] = [
    Refuses::AtTheGreeting,
    Refuses::AtMail,
    Refuses::AtMailWithGoodbye,
    Refuses::AtTheFinalDot,
    Refuses::ForTheRate,
];

fn replied(replies: &[(Command, u16, &str)], end: SubmissionEnd) -> SubmissionReport {
    let reply = |(command, code, text): &(Command, u16, &str)| CommandReply {
        ordinal: (*command == Command::Rcpt).then_some(0),
        reply: Reply::new(*command, *code, None, *text),
    };
    SubmissionReport {
        started_at: Timestamp::UNIX_EPOCH,
        ended_at: Timestamp::UNIX_EPOCH,
        facts: SessionFacts {
            remote_address: Some("192.0.2.1:25".to_owned()),
            ..SessionFacts::default()
        },
        replies: replies.iter().map(reply).collect(),
        end,
    }
}

fn accepted() -> SubmissionReport {
    let replies = [
        (Command::Mail, 250, "ok"),
        (Command::Rcpt, 250, "ok"),
        (Command::Data, 354, "go"),
        (Command::EndOfData, 250, "taken"),
    ];
    replied(&replies, SubmissionEnd::Answered)
}

impl Refuses {
    fn report(self) -> SubmissionReport {
        use Command::{Data, EndOfData, Greeting, Mail, Rcpt};
        let too_many = "Too many concurrent SMTP connections";
        let exceeded = "Concurrent connections limit exceeded";
        let threads = "STOREDRV.ClientSubmit; sender thread limit exceeded";
        match self {
            Self::AtTheGreeting => SubmissionReport {
                facts: SessionFacts::default(),
                ..replied(
                    &[],
                    SubmissionEnd::NotBegun {
                        reply: Reply::new(Greeting, 421, None, too_many),
                        fault: None,
                    },
                )
            },
            Self::AtMail => replied(&[(Mail, 432, exceeded)], SubmissionEnd::Answered),
            Self::AtMailWithGoodbye => replied(&[(Mail, 421, too_many)], SubmissionEnd::Broken),
            Self::AtTheFinalDot => replied(
                &[
                    (Mail, 250, "ok"),
                    (Rcpt, 250, "ok"),
                    (Data, 354, "go"),
                    (EndOfData, 432, threads),
                ],
                SubmissionEnd::Answered,
            ),
            Self::ForTheRate => replied(
                &[(Mail, 451, "Server busy. Please try again later")],
                SubmissionEnd::Answered,
            ),
        }
    }
}

/// All instances, their queue, and what the relay sees.
struct World {
    time: Time,
    boards: Vec<RelayRegistry>,
    /// Alerts by when they are due.
    queue: BTreeSet<(Instant, i64)>,
    asked: Vec<(Instant, i64)>,
    taken: Vec<(Instant, i64)>,
    _events: mpsc::UnboundedReceiver<Event>,
}

impl World {
    fn new(limits: &Limits, instances: usize, alerts: i64) -> Self {
        let time = Time(Arc::new(Mutex::new(
            Instant::now() + Duration::from_secs(7200),
        )));
        let (events, received) = mpsc::unbounded_channel();
        let registry = || {
            let limiter = Limiter::new(limits.clone()).timed_by(time.ticks());
            let relay: Arc<dyn Relay> = Arc::new(Answered(Arc::new(limiter)));
            let (replies, clock) = (REPLIES.clone(), Arc::new(SystemClock));
            let registry = RelayRegistry::new(vec![relay], replies, clock, events.clone());
            registry.timed_by(time.ticks())
        };
        let boards = (0..instances).map(|_| registry()).collect();
        let start = time.now();
        Self {
            queue: (0..alerts).map(|alert| (start, alert)).collect(),
            time,
            boards,
            asked: Vec::new(),
            taken: Vec::new(),
            _events: received,
        }
    }

    fn membership(&self, rank: usize) -> Membership {
        Membership {
            instances: u32::try_from(self.boards.len()).unwrap(),
            rank: u32::try_from(rank).unwrap(),
            ..Membership::ALONE
        }
    }

    fn due(&mut self, most: u32) -> Vec<i64> {
        let now = self.time.now();
        let due = self.queue.iter().take_while(|(at, _)| *at <= now);
        let due: Vec<_> = due.take(most as usize).copied().collect();
        for alert in &due {
            self.queue.remove(alert);
        }
        due.into_iter().map(|(_, alert)| alert).collect()
    }

    /// One instance claims what it may, and the relay answers.
    async fn claim(&mut self, index: usize, answer: &dyn Fn(i64) -> SubmissionReport) {
        let names = ["main".to_owned()];
        let now = self.time.now();
        let most = self.boards[index].allowance(&names).unwrap_or(100);
        let due = self.due(most);
        let registry = &self.boards[index];
        let mut permits = Vec::new();
        for alert in due {
            let permit = tokio::select! {
                biased;
                permit = registry.acquire("main", false) => permit.ok(),
                () = std::future::ready(()) => None,
            };
            match permit {
                Some(permit) => permits.push((permit, alert)),
                None => drop(self.queue.insert((now, alert))),
            }
        }
        for (permit, alert) in permits {
            self.asked.push((now, alert));
            let wait = match registry.report(permit, AlertId(alert), 0, &answer(alert)) {
                NextStep::Final(None) => {
                    self.taken.push((now, alert));
                    continue;
                }
                NextStep::Final(Some(wait))
                | NextStep::Limited(wait)
                | NextStep::Unreached(wait) => wait,
                NextStep::SameRelay => Duration::from_secs(1),
                NextStep::NextRelay => Duration::ZERO,
            };
            self.queue.insert((now + wait, alert));
        }
    }

    async fn run(&mut self, length: Duration, answer: impl Fn(i64) -> SubmissionReport) {
        let end = self.time.now() + length;
        let mut tick = 0;
        while self.time.now() < end {
            for index in 0..self.boards.len() {
                let registry = &self.boards[index];
                registry.tick();
                if tick % 20 == index {
                    let membership = self.membership(index);
                    registry.apply_share(membership, membership.instances);
                }
                self.claim(index, &answer).await;
            }
            self.time.pass(TICK);
            tick += 1;
        }
    }

    /// Messages that the relay was asked for from `from` to `to` after `start`.
    fn asked_between(&self, start: Instant, from: Duration, to: Duration) -> usize {
        let within = |(at, _): &&(Instant, i64)| *at >= start + from && *at < start + to;
        self.asked.iter().filter(within).count()
    }
}

fn of_all(connections: u32) -> Limits {
    Limits {
        connections: Connections::OfAll(connections),
        ..Limits::of_each(connections)
    }
}

/// The bound of docs/operations.md: at the start each connection meets the limit once or twice;
/// then each instance makes one connection at a growing interval.
#[tokio::test]
async fn a_relay_that_refuses_everything_is_asked_rarely_and_for_one_alert_after_the_other() {
    for refuses in ALL_WAYS {
        for (limits, connections) in [(Limits::of_each(10), 10), (of_all(3), 3)] {
            for instances in [1, 3] {
                let case = format!("{refuses:?}, {connections} connections, {instances}");
                let mut world = World::new(&limits, instances, ALERTS);
                let start = world.time.now();
                world.run(MINUTE * MINUTES, |_| refuses.report()).await;
                let of_each = if connections == 3 { 3 } else { 10 * instances };
                let first = world.asked_between(start, Duration::ZERO, MINUTE);
                assert!(
                    first <= of_each + 10 * instances,
                    "{case}: {first} at first"
                );
                for minute in 1..MINUTES {
                    let asked = world.asked_between(start, MINUTE * minute, MINUTE * (minute + 1));
                    let most = if minute < 5 { 5 } else { 1 };
                    assert!(
                        asked <= most * instances,
                        "{case}: {asked} in minute {minute}"
                    );
                }
                let late: Vec<_> = world
                    .asked
                    .iter()
                    .filter(|(at, _)| *at >= start + MINUTE * 10)
                    .collect();
                assert!(late.len() >= 12, "{case}: {} probes", late.len());
                for pair in late.windows(2) {
                    let apart = pair[1].0 - pair[0].0;
                    assert!(apart <= MINUTE * 5, "{case}: {apart:?} apart");
                    assert_ne!(pair[0].1, pair[1].1, "{case}: another alert each time");
                }
                assert_eq!(
                    world.queue.len(),
                    usize::try_from(ALERTS).unwrap(),
                    "{case}"
                );

                let again = world.time.now();
                world.run(MINUTE * 60, |_| accepted()).await;
                assert_eq!(
                    world.taken.len(),
                    usize::try_from(ALERTS).unwrap(),
                    "{case}"
                );
                let took = world.taken.last().unwrap().0 - again;
                assert!(took <= MINUTE * 30, "{case}: {took:?}");
            }
        }
    }
}

/// After an instance that was killed, the next one says which window it waits for, and until when.
#[tokio::test]
async fn the_state_says_that_an_earlier_instance_may_have_used_the_rate() {
    let limits = Limits {
        message_rate: Some(Rate {
            count: 30,
            per: MINUTE,
        }),
        ..Limits::of_each(10)
    };
    let world = World::new(&limits, 1, 1);
    let registry = &world.boards[0];
    let wait = || registry.states()[0].share_wait.clone();
    assert_eq!(wait(), None, "it is alone");

    registry.leave();
    let with_the_dead_one = Membership {
        instances: 2,
        rank: 1,
        acknowledged: false,
        others_ended: None,
    };
    registry.apply_share(with_the_dead_one, 1);
    let lease = wait().expect("it waits for the lease");
    assert!(lease.contains("its lease has ended"), "{lease}");

    let after_the_lease = Membership {
        others_ended: Some(Duration::ZERO),
        ..Membership::ALONE
    };
    registry.apply_share(after_the_lease, 1);
    assert_eq!(registry.allowance(&["main".to_owned()]), Some(0));
    let window = wait().expect("it waits for the window");
    assert!(window.contains("may have used message_rate"), "{window}");
    assert_eq!(wait(), Some(window), "the time does not change");
    world.time.pass(MINUTE + Duration::from_secs(1));
    assert_eq!(wait(), None);
    assert_eq!(registry.allowance(&["main".to_owned()]), Some(30));
}

/// One that a relay always refuses for a limit waits alone, however often it comes.
#[tokio::test]
async fn one_alert_that_is_always_refused_for_a_limit_does_not_throttle_others() {
    // The greeting belongs to no alert.
    for refuses in &ALL_WAYS[1..] {
        let mut world = World::new(&Limits::of_each(10), 1, ALERTS);
        let answer = |alert| match alert {
            7 => refuses.report(),
            _ => accepted(),
        };
        let start = world.time.now();
        world.run(MINUTE * 60, answer).await;
        assert_eq!(world.taken.len(), usize::try_from(ALERTS - 1).unwrap());
        let took = world.taken.last().unwrap().0 - start;
        assert!(took <= MINUTE, "{refuses:?}: {took:?}");
        let shown = &world.boards[0].states()[0];
        assert_eq!(shown.condition, RelayCondition::Closed, "{refuses:?}");
        assert_eq!(
            (shown.connections, &shown.throttle_reason),
            (Some(10), &None),
            "{refuses:?}"
        );
        let refused = world.asked.iter().filter(|(_, alert)| *alert == 7).count();
        assert!(
            (15..=25).contains(&refused),
            "{refuses:?}: {refused} times in an hour"
        );
    }
}

/// The last two alerts probe alternately.
#[tokio::test]
async fn the_next_probe_is_another_alerts_where_there_is_one() {
    let mut world = World::new(&Limits::of_each(10), 1, 2);
    world.run(MINUTE * 60, |_| Refuses::AtMail.report()).await;
    let probes: Vec<_> = world.asked.iter().map(|(_, alert)| alert).collect();
    assert!(probes.len() >= 15, "{}", probes.len());
    assert!(
        probes.windows(2).skip(3).all(|pair| pair[0] != pair[1]),
        "{probes:?}"
    );
}

/// Two that a quiet relay always refuses for a limit throttle it again and again, and wait alone;
/// no good one waits for longer than the first intervals.
#[tokio::test]
async fn two_that_are_always_refused_hold_up_no_good_one() {
    for (refuses, instances) in ALL_WAYS[1..].iter().flat_map(|way| [(way, 1), (way, 3)]) {
        let mut world = World::new(&Limits::of_each(10), instances, 2);
        let answer = |alert| match alert {
            0 | 1 => refuses.report(),
            _ => accepted(),
        };
        for good in 2..20 {
            let quiet = MINUTE * if good == 2 { 60 } else { 7 };
            world.run(quiet, answer).await;
            let inserted = world.time.now();
            world.queue.insert((inserted, good));
            world.run(MINUTE, answer).await;
            let (at, alert) = world.taken.last().copied().unwrap_or((world.time.now(), 0));
            let waited = at.saturating_duration_since(inserted);
            let case = format!("{refuses:?}, {instances} instances, {waited:?}");
            assert_eq!(alert, good, "{case}");
            assert!(waited <= Duration::from_secs(10), "{case}");
        }
        let refused = world.asked.iter().filter(|(_, alert)| *alert < 2);
        let (refused, minutes) = (refused.count(), 60 + 17 * 7 + 18);
        assert!(refused <= minutes, "{refuses:?}: {refused} times");
    }
}
