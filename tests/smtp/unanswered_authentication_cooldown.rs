//! A relay that twice in a row does not answer AUTH with 2yz is left alone like one that refuses
//! it: over an hour, and however many ask, no account sees more than two tries in a quarter of it.

use std::sync::Arc;

use async_trait::async_trait;
use sendport_core::clock::Clock;
use sendport_core::domain::{AuthDecision, AuthKey, AuthOutcome, Command, Timestamp};
use sendport_core::replies::ReplyTable;
use sendport_core::secret::Secret;
use sendport_smtp::relay::Relay as _;
use sendport_smtp::relay::authentication::{AuthLedger, AuthLedgerError};
use sendport_smtp::{RelayDependencies, SmtpRelay};
use sendport_store::Store;
use sendport_store::sqlite::SqliteStore;

use crate::support::client::{config, not_begun, relay_with_password, submit, surroundings};
use crate::support::moving_clock::MovingClock;
use crate::support::unanswered_auth::{AuthReaction, CallLog, UnansweredAuthServer};

const SETTINGS: &str = "tls = \"none\"\n\
                        auth = { mechanism = \"login\", username = \"alice\", allow_cleartext_auth = true }\n\
                        [timeout]\ncommand = \"200ms\"\n";

/// As a command shares what it knows.
struct Shared(Arc<dyn Store>);

#[async_trait]
impl AuthLedger for Shared {
    async fn begin(&self, key: &AuthKey) -> Result<AuthDecision, AuthLedgerError> {
        let decision = self.0.begin_authentication(None, key).await;
        decision.map_err(AuthLedgerError::new)
    }

    async fn end(&self, key: &AuthKey, outcome: AuthOutcome) -> Result<(), AuthLedgerError> {
        let recorded = self.0.end_authentication(None, key, &outcome).await;
        recorded.map_err(AuthLedgerError::new)
    }
}

const UNANSWERED: [AuthReaction; 6] = [
    AuthReaction::Replies("421 4.7.0 not now"),
    AuthReaction::Replies("454 4.7.0 later"),
    AuthReaction::Replies("garbage"),
    AuthReaction::Disconnects,
    AuthReaction::Hangs,
    AuthReaction::ChallengesAndDisconnects,
];

fn most_in_a_quarter(tries: &[Timestamp]) -> usize {
    let from = |first: &Timestamp| {
        let within = |at: &&Timestamp| **at >= *first && (**at - *first).num_minutes() < 15;
        tries.iter().filter(within).count()
    };
    tries.iter().map(from).max().unwrap_or_default()
}

#[tokio::test]
async fn cooldown_holds_over_an_hour_and_three_processes() {
    for instead in UNANSWERED {
        let clock = Arc::new(MovingClock::new());
        let (seen, at) = (CallLog::default(), Arc::clone(&clock));
        let noted = seen.clone();
        let peer = UnansweredAuthServer::start(instead, move || noted.add(at.now())).await;
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("sendport.db"), clock.clone());
        let store: Arc<dyn Store> = Arc::new(store.expect("a store"));
        store.migrate().await.expect("migrate");
        let process = || {
            let around = RelayDependencies {
                authentications: Arc::new(Shared(Arc::clone(&store))),
                clock: clock.clone(),
                ..surroundings(Some(Secret::new("secret".to_owned())))
            };
            SmtpRelay::new("test", &config(peer.address, SETTINGS), around).expect("settings")
        };
        let (a, b, mut check) = (process(), process(), process());
        for minute in 0..60 {
            if minute % 12 == 6 {
                check = process();
            }
            let (one, other, checked) = tokio::join!(
                submit(&a, &["a@example.test"]),
                submit(&b, &["b@example.test"]),
                check.verify(),
            );
            for reply in [not_begun(&one).0, not_begun(&other).0] {
                assert_eq!(reply.command, Command::Auth, "{reply}");
            }
            assert!(checked.is_err());
            clock.advance(60);
        }
        let tries = seen.all();
        assert_eq!(most_in_a_quarter(&tries), 2, "{instead:?}: {tries:?}");
        assert_eq!(tries.len(), 5, "two, and one a quarter from then on");
    }
}

#[tokio::test]
async fn cooldown_holds_without_a_database() {
    for instead in UNANSWERED {
        let seen = CallLog::default();
        let noted = seen.clone();
        let peer = UnansweredAuthServer::start(instead, move || noted.add(())).await;
        let relay = relay_with_password(peer.address, SETTINGS, Some("secret"));
        for attempt in 0..5 {
            let report = submit(&relay, &["a@example.test"]).await;
            let (reply, fault) = not_begun(&report);
            assert_eq!(reply.command, Command::Auth);
            let key = ReplyTable::built_in()
                .explain(reply)
                .map(|it| it.key.clone());
            let rests = key.as_deref() == Some("authentication-unanswered");
            assert_eq!(rests, attempt > 1, "{instead:?}: {reply}");
            assert_eq!(fault.is_some(), rests, "{instead:?}");
        }
        assert_eq!(seen.all().len(), 2);
        let rests = relay.cooldown_remaining().expect("it rests");
        assert!(rests.as_secs() > 14 * 60, "{rests:?}");
    }
}
