//! A password is tried by one at a time, and one that was refused rests.

use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::{
    AuthDecision, AuthKey, AuthOutcome, Command, EnhancedStatusCode, InstanceId, Reply,
};
use sendport_store::Store;

use crate::fixture::*;

fn key(secret: &str) -> AuthKey {
    AuthKey {
        relay: "mail".to_owned(),
        credential_fingerprint: secret.to_owned(),
    }
}

fn refusal() -> Reply {
    let code = EnhancedStatusCode::new(5, 7, 8);
    let text = "Authentication credentials invalid; it's O'Brien's";
    Reply::new(Command::Auth, 535, Some(code), text)
}

async fn begin(
    store: &Arc<dyn Store>,
    instance: impl Into<Option<InstanceId>>,
    secret: &str,
) -> AuthDecision {
    let turn = store
        .begin_authentication(instance.into(), &key(secret))
        .await;
    turn.expect("begin an authentication")
}

async fn end(
    store: &Arc<dyn Store>,
    instance: impl Into<Option<InstanceId>>,
    secret: &str,
    verdict: AuthOutcome,
) {
    let key = key(secret);
    let ended = store.end_authentication(instance.into(), &key, &verdict);
    ended.await.expect("end an authentication");
}

async fn refuse(store: &Arc<dyn Store>, instance: InstanceId, secret: &str) {
    assert_eq!(
        begin(store, instance, secret).await,
        AuthDecision::ProceedAlone
    );
    end(store, instance, secret, AuthOutcome::Refused(refusal())).await;
}

pub(crate) async fn of_many_that_ask_at_once_one_tries(f: &dyn Fixture) {
    let here = f.fresh().await;
    let there = f.another().await;
    let mut instances = Vec::new();
    for n in 0..13 {
        instances.push(instance(&here, &format!("{n}")).await);
    }
    for secret in ["1", "2", "3", "4", "5"] {
        let mut asked = tokio::task::JoinSet::new();
        for n in 0..16 {
            let store = Arc::clone(if n % 2 == 0 { &here } else { &there });
            let instance = instances.get(n).copied();
            asked.spawn(async move { store.begin_authentication(instance, &key(secret)).await });
        }
        let turns: Result<Vec<_>, _> = asked.join_all().await.into_iter().collect();
        let turns = turns.expect("every one is answered");
        let of = |turn: AuthDecision| turns.iter().filter(|t| **t == turn).count();
        assert_eq!(
            (of(AuthDecision::ProceedAlone), of(AuthDecision::Wait)),
            (1, 15),
            "{turns:?}"
        );
    }
}

pub(crate) async fn an_accepted_secret_is_free_for_all(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (a, b) = (instance(&store, "a").await, instance(&store, "b").await);
    assert_eq!(begin(&store, a, "right").await, AuthDecision::ProceedAlone);
    assert_eq!(begin(&store, b, "right").await, AuthDecision::Wait);
    end(&store, a, "right", AuthOutcome::Accepted).await;
    for instance in [Some(a), Some(b), None] {
        assert_eq!(
            begin(&store, instance, "right").await,
            AuthDecision::Proceed
        );
        end(&store, instance, "right", AuthOutcome::NotAttempted).await;
    }
    f.advance(minutes(60 * 24 * 20)).await;
    assert_eq!(begin(&store, None, "right").await, AuthDecision::Proceed);
    assert_eq!(
        begin(&store, None, "another").await,
        AuthDecision::ProceedAlone
    );
}

pub(crate) async fn a_refused_secret_is_not_tried_for_15_minutes(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (a, b) = (instance(&store, "a").await, instance(&store, "b").await);
    refuse(&store, a, "wrong").await;
    f.advance(minutes(10)).await;
    for instance in [Some(a), Some(b), None] {
        let AuthDecision::Refused { reply, retry_in } = begin(&store, instance, "wrong").await
        else {
            panic!("it was refused ten minutes ago");
        };
        assert_eq!(reply, refusal());
        let off = retry_in.abs_diff(minutes(5));
        assert!(off < Duration::from_secs(20), "{retry_in:?}");
    }
    f.advance(minutes(5)).await;
    let b = instance(&store, "b, started again").await;
    assert_eq!(begin(&store, b, "wrong").await, AuthDecision::ProceedAlone);
    assert_eq!(begin(&store, None, "wrong").await, AuthDecision::Wait);
    end(&store, b, "wrong", AuthOutcome::Accepted).await;
    assert_eq!(begin(&store, None, "wrong").await, AuthDecision::Proceed);
}

pub(crate) async fn a_secret_that_was_right_can_be_refused(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    assert_eq!(begin(&store, a, "s").await, AuthDecision::ProceedAlone);
    end(&store, a, "s", AuthOutcome::Accepted).await;
    end(&store, a, "s", AuthOutcome::Refused(refusal())).await;
    let turn = begin(&store, a, "s").await;
    assert!(matches!(turn, AuthDecision::Refused { .. }), "{turn:?}");
}

pub(crate) async fn an_authentication_not_attempted_frees_the_turn(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (a, b) = (instance(&store, "a").await, instance(&store, "b").await);
    assert_eq!(begin(&store, a, "s").await, AuthDecision::ProceedAlone);
    end(&store, b, "s", AuthOutcome::NotAttempted).await;
    assert_eq!(begin(&store, b, "s").await, AuthDecision::Wait, "it is a's");
    end(&store, a, "s", AuthOutcome::NotAttempted).await;
    assert_eq!(begin(&store, None, "s").await, AuthDecision::ProceedAlone);
    end(&store, None, "s", AuthOutcome::NotAttempted).await;
    assert_eq!(f.rows("RelayAuthentication", "1 = 1").await, 0);
}

fn hang_up() -> Reply {
    Reply::absent(Command::Auth, "the server closed the connection")
}

async fn leave_unanswered(store: &Arc<dyn Store>, instance: Option<InstanceId>, output: Reply) {
    assert_eq!(
        begin(store, instance, "s").await,
        AuthDecision::ProceedAlone
    );
    end(store, instance, "s", AuthOutcome::Unanswered(output)).await;
}

pub(crate) async fn the_second_that_is_not_answered_counts_as_a_refusal(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (a, b) = (instance(&store, "a").await, instance(&store, "b").await);
    leave_unanswered(&store, Some(a), hang_up()).await;
    assert_eq!(
        f.rows("RelayAuthentication", "State = 'unanswered'").await,
        1
    );
    let busy = Reply::new(Command::Auth, 421, None, "not now");
    leave_unanswered(&store, None, busy.clone()).await;
    for instance in [Some(a), Some(b), None] {
        let AuthDecision::Refused { reply, retry_in } = begin(&store, instance, "s").await else {
            panic!("it rests");
        };
        assert_eq!(reply, busy);
        let off = retry_in.abs_diff(minutes(15));
        assert!(off < Duration::from_secs(20), "{retry_in:?}");
    }
    // And each later one at once.
    for _ in 0..2 {
        f.advance(minutes(15)).await;
        let c = instance(&store, "c").await;
        leave_unanswered(&store, Some(c), hang_up()).await;
        let turn = begin(&store, None, "s").await;
        assert!(
            matches!(&turn, AuthDecision::Refused { reply, .. } if *reply == hang_up()),
            "{turn:?}"
        );
    }
    f.advance(minutes(15)).await;
    assert_eq!(begin(&store, None, "s").await, AuthDecision::ProceedAlone);
    end(&store, None, "s", AuthOutcome::Accepted).await;
    assert_eq!(begin(&store, None, "s").await, AuthDecision::Proceed);
    end(&store, None, "s", AuthOutcome::Unanswered(hang_up())).await;
    assert_eq!(
        begin(&store, None, "s").await,
        AuthDecision::ProceedAlone,
        "the first again"
    );
}

pub(crate) async fn one_that_is_not_answered_takes_freedom_away(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (a, b) = (instance(&store, "a").await, instance(&store, "b").await);
    assert_eq!(begin(&store, a, "s").await, AuthDecision::ProceedAlone);
    end(&store, a, "s", AuthOutcome::Accepted).await;
    assert_eq!(begin(&store, a, "s").await, AuthDecision::Proceed);
    end(&store, a, "s", AuthOutcome::Unanswered(hang_up())).await;
    assert_eq!(begin(&store, a, "s").await, AuthDecision::ProceedAlone);
    assert_eq!(begin(&store, b, "s").await, AuthDecision::Wait);
    // Not tried: the next one is the second all the same.
    end(&store, a, "s", AuthOutcome::NotAttempted).await;
    leave_unanswered(&store, Some(b), hang_up()).await;
    let turn = begin(&store, a, "s").await;
    assert!(matches!(turn, AuthDecision::Refused { .. }), "{turn:?}");
}

pub(crate) async fn one_behind_a_refusal_is_the_second(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    refuse(&store, a, "s").await;
    f.advance(minutes(16)).await;
    leave_unanswered(&store, None, hang_up()).await;
    let turn = begin(&store, None, "s").await;
    assert!(matches!(turn, AuthDecision::Refused { .. }), "{turn:?}");
}

pub(crate) async fn an_instance_whose_answer_was_lost_asks_again(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (a, b) = (instance(&store, "a").await, instance(&store, "b").await);
    for _ in 0..3 {
        assert_eq!(begin(&store, a, "s").await, AuthDecision::ProceedAlone);
        assert_eq!(begin(&store, b, "s").await, AuthDecision::Wait, "it is a's");
    }
    end(&store, a, "s", AuthOutcome::Refused(refusal())).await;
    let turn = begin(&store, a, "s").await;
    assert!(matches!(turn, AuthDecision::Refused { .. }), "{turn:?}");
}

pub(crate) async fn an_earlier_refusal_stays_readable(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    refuse(&store, a, "s").await;
    f.advance(minutes(16)).await;
    let a = instance(&store, "a").await;
    for _ in 0..2 {
        assert_eq!(begin(&store, a, "s").await, AuthDecision::ProceedAlone);
        end(&store, a, "s", AuthOutcome::NotAttempted).await;
        let row = f.rows(
            "RelayAuthentication",
            "State = 'refused' AND ReplyCode = 535",
        );
        assert_eq!(row.await, 1);
    }
}

pub(crate) async fn a_dead_instance_frees_its_authentication(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (a, b) = (instance(&store, "a").await, instance(&store, "b").await);
    assert_eq!(begin(&store, a, "s").await, AuthDecision::ProceedAlone);
    store.retire(a).await.expect("retire");
    assert_eq!(
        begin(&store, b, "s").await,
        AuthDecision::ProceedAlone,
        "a stopped"
    );
    end(&store, a, "s", AuthOutcome::Accepted).await;
    let turn = begin(&store, b, "s").await;
    assert_eq!(turn, AuthDecision::Proceed, "what a saw late is true");
}

pub(crate) async fn a_second_crash_during_authentication_counts_as_a_refusal(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (a, b) = (instance(&store, "a").await, instance(&store, "b").await);
    assert_eq!(begin(&store, a, "s").await, AuthDecision::ProceedAlone);
    store.retire(a).await.expect("retire");
    for _ in 0..2 {
        assert_eq!(
            begin(&store, b, "s").await,
            AuthDecision::ProceedAlone,
            "its own"
        );
    }
    f.advance(LEASE_AND_MORE).await;
    let c = instance(&store, "c").await;
    for instance in [Some(c), None] {
        let AuthDecision::Refused { reply, retry_in } = begin(&store, instance, "s").await else {
            panic!("two died");
        };
        assert_eq!((reply.code, reply.command), (0, Command::Auth));
        assert!(reply.text.contains("ended before"), "{reply}");
        let off = retry_in.abs_diff(minutes(15));
        assert!(off < Duration::from_secs(20), "{retry_in:?}");
    }
    f.advance(minutes(15)).await;
    let d = instance(&store, "d").await;
    assert_eq!(begin(&store, d, "s").await, AuthDecision::ProceedAlone);
    store.retire(d).await.expect("retire");
    let turn = begin(&store, None, "s").await;
    assert!(
        matches!(turn, AuthDecision::Refused { .. }),
        "each later one"
    );
}

pub(crate) async fn a_try_without_an_end_counts_after_its_limit(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (info, ports) = (info("a"), [send_port("default")]);
    let registered = store.register(&info, minutes(60), &ports, &[]);
    registered.await.expect("register");
    for instance in [Some(info.id), None] {
        assert_eq!(
            begin(&store, instance, "s").await,
            AuthDecision::ProceedAlone
        );
        f.advance(minutes(4)).await;
        assert_eq!(begin(&store, None, "s").await, AuthDecision::Wait);
        f.advance(minutes(1)).await;
    }
    let turn = begin(&store, info.id, "s").await;
    assert!(matches!(turn, AuthDecision::Refused { .. }), "{turn:?}");
}

pub(crate) async fn relays_have_turns_of_their_own(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    refuse(&store, a, "s").await;
    let backup = AuthKey {
        relay: "backup".to_owned(),
        ..key("s")
    };
    let turn = store
        .begin_authentication(Some(a), &backup)
        .await
        .expect("begin");
    assert_eq!(turn, AuthDecision::ProceedAlone);
}

pub(crate) async fn a_secret_unused_for_a_day_is_forgotten(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    refuse(&store, a, "old").await;
    f.advance(minutes(23 * 60)).await;
    end(&store, a, "new", AuthOutcome::Accepted).await;
    assert_eq!(
        f.rows("RelayAuthentication", "CredentialFingerprint = 'old'")
            .await,
        1
    );
    f.advance(minutes(61)).await;
    end(&store, a, "new", AuthOutcome::Accepted).await;
    assert_eq!(
        f.rows("RelayAuthentication", "CredentialFingerprint = 'old'")
            .await,
        0
    );
    assert_eq!(
        f.rows("RelayAuthentication", "CredentialFingerprint = 'new'")
            .await,
        1
    );
}
