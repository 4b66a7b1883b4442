//! Over streams of replies with insertions, deletions, delays and closes at every position, with
//! and without PIPELINING, CHUNKING and enhanced codes, nothing counts as relayed that the server
//! did not take.
//!
//! A million streams: `PROPTEST_CASES=90000 cargo test --lib reply_streams`.

mod hostile_server;
mod scenario;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sendport_core::domain::{Command, SessionFacts};
use tokio::runtime::Runtime;
use tokio::time::sleep;

use self::hostile_server::{Log, Server, Tap};
use self::scenario::{Offers, Scenario, ToSend, scenarios};
use super::{Job, TransactionResult, submit};
use crate::extensions::Extensions;
use crate::observer::ObserverHandle;
use crate::relay::{BeforeFinalDot, SubmissionGate};
use crate::session::Session;
use crate::settings::timeouts::Timeouts;
use crate::stream::{Stream, Wire};

struct Open;

impl SubmissionGate for Open {
    fn may_send_final_dot(&self, _so_far: BeforeFinalDot<'_>) -> bool {
        true
    }
}

fn waits() -> Timeouts {
    let minute = Duration::from_secs(60);
    Timeouts {
        command: minute,
        mail: minute,
        rcpt: minute,
        data: minute,
        data_block: minute,
        end_of_data: minute,
        ..Timeouts::default()
    }
}

/// One relay, as [`SmtpRelay`](crate::SmtpRelay) asks it.
struct Client {
    offers: Offers,
    server: Server,
    log: Arc<Mutex<Log>>,
    kept: Option<Session>,
    lockstep: bool,
}

impl Client {
    fn new(scenario: &Scenario, offers: Offers) -> Self {
        let log = Arc::new(Mutex::new(Log::default()));
        Self {
            offers,
            server: Server::new(scenario, offers, &log),
            log,
            kept: None,
            lockstep: false,
        }
    }

    fn connect(&self) -> Session {
        let wire = Wire::Plain(Box::new(Tap::new(self.server.connect(), &self.log)));
        let extensions = Extensions {
            pipelining: self.offers.pipelining,
            chunking: self.offers.chunking,
            enhanced_status_codes: self.offers.codes,
            ..Extensions::default()
        };
        Session {
            stream: Stream::new(wire, ObserverHandle::default()),
            extensions,
            facts: SessionFacts::default(),
            transactions: 0,
            all_accepted: false,
            lockstep: false,
            ehlo: Some("EHLO client.example.test".to_owned()),
        }
    }

    async fn send(&mut self, message: &ToSend) -> TransactionResult {
        if let Some(session) = self.kept.take() {
            let done = self.try_on(session, message).await;
            if !done.stale {
                return done;
            }
        }
        let session = self.connect();
        self.try_on(session, message).await
    }

    async fn try_on(&mut self, mut session: Session, message: &ToSend) -> TransactionResult {
        session.lockstep = self.lockstep;
        let job = Job {
            envelope: &message.envelope,
            message: &message.content,
            gate: &Open,
            until: Command::EndOfData,
        };
        let done = submit(&mut session, &waits(), job).await;
        self.lockstep |= done.desync.is_some();
        self.kept = Some(session).filter(|_| done.reusable && !done.stale);
        done
    }
}

/// As [`SubmissionReport::is_accepted`](sendport_core::domain::SubmissionReport::is_accepted).
fn is_accepted(done: &TransactionResult) -> bool {
    let text = |it: &sendport_core::domain::CommandReply| {
        it.reply.command == Command::EndOfData && it.reply.is_success()
    };
    done.replies.iter().any(text)
}

async fn play(scenario: &Scenario, offers: Offers) -> Result<usize, TestCaseError> {
    let mut client = Client::new(scenario, offers);
    let mut relayed = 0;
    for (id, mail) in scenario.mails.iter().enumerate() {
        sleep(mail.pause).await;
        let done = client.send(&mail.to_send(id)).await;
        let accepted = is_accepted(&done);
        relayed += usize::from(accepted);
        judge(scenario, id, accepted, &client.log, offers)?;
        if scenario.is_nearly_honest() {
            prop_assert!(
                mail.refuses_all_of(&done.replies),
                "{offers:?}, {:?}",
                done.replies
            );
        }
    }
    Ok(relayed)
}

fn judge(
    scenario: &Scenario,
    id: usize,
    accepted: bool,
    log: &Mutex<Log>,
    offers: Offers,
) -> Result<(), TestCaseError> {
    let log = log.lock();
    if scenario.faults.is_empty() {
        let expected = scenario.mails[id].is_taken();
        prop_assert_eq!(accepted, expected, "an honest server's word, {:?}", offers);
    }
    if accepted {
        let text = "a success came behind the end of the message";
        prop_assert!(log.success_after_the_end(id), "{text}: {id}, {offers:?}");
        // An invented 354 makes the client begin before the server is there.
        let taken = log.taken(id) || scenario.invents("354");
        prop_assert!(taken, "the server took it: {id}, {offers:?}, {log:?}");
    }
    Ok(())
}

#[test]
fn nothing_is_relayed_without_a_success_behind_its_end() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime: Runtime = runtime.expect("a runtime");
    let mut relayed = 0;
    let counted = Mutex::new(&mut relayed);
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let outcome = TestRunner::new(config).run(&scenarios(), |scenario| {
        for offers in Offers::all() {
            let count = runtime.block_on(play(&scenario, offers))?;
            **counted.lock() += count;
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    assert!(relayed > 0, "something goes through");
}
