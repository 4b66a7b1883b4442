//! The view `Relay`: one line a relay, with what an operator needs at night.

use std::sync::Arc;

use RelayCondition::{Closed, HalfOpen, Open, Paused};
use sendport_core::domain::{
    AuthKey, AuthOutcome, Command, EnhancedStatusCode, InstanceId, RelayCondition, RelayState,
    Reply,
};
use sendport_store::Store;

use crate::fixture::*;

fn state(condition: RelayCondition) -> RelayState {
    RelayState {
        relay: "mail".to_owned(),
        condition,
        since: now(),
        retry_at: None,
        reply: None,
        explanation: None,
        connections: Some(2),
        message_rate: Some("15/min".to_owned()),
        max_recipients: None,
        throttle_reason: None,
        share_wait: None,
    }
}

async fn renew(store: &Arc<dyn Store>, instance: InstanceId, states: &[RelayState]) {
    let renewed = store
        .renew(instance, LEASE, &["default".to_owned()], states)
        .await;
    renewed.expect("renew");
}

async fn shown(f: &dyn Fixture, column: &str) -> Option<String> {
    let view = f.table("Relay");
    f.scalar(&format!("SELECT {column} FROM {view} WHERE Relay = 'mail'"))
        .await
}

pub(crate) async fn the_worst_that_an_instance_says_is_the_line(f: &dyn Fixture) {
    let store = f.fresh().await;
    let reply = "535 5.7.8 it's wrong";
    let paused = RelayState {
        reply: Some(reply.to_owned()),
        explanation: Some("no-such-user".to_owned()),
        retry_at: Some(now() + chrono::TimeDelta::minutes(40)),
        ..state(Paused)
    };
    for one in [
        state(Closed),
        paused,
        state(Open),
        state(HalfOpen),
        state(Closed),
    ] {
        let id = instance(&store, "a").await;
        renew(&store, id, &[one]).await;
    }
    let stopped = instance(&store, "stopped").await;
    renew(&store, stopped, &[state(Open)]).await;
    store.retire(stopped).await.expect("retire");
    let line = "Condition = 'paused' AND InstanceCount = 5 AND ClosedCount = 2 AND HalfOpenCount = 1 \
                AND OpenCount = 1 AND PausedCount = 1";
    assert_eq!(f.rows("Relay", line).await, 1);
    assert_eq!(f.rows("Relay", "1 = 1").await, 1, "one line a relay");
    assert_eq!(f.rows("Relay", "RetryAt > Since").await, 1);
    assert_eq!(shown(f, "Reply").await.as_deref(), Some(reply));
    assert_eq!(
        shown(f, "Advice").await.as_deref(),
        Some("correct the address")
    );
}

pub(crate) async fn the_view_adds_the_limits_of_all_instances(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (a, b) = (instance(&store, "a").await, instance(&store, "b").await);
    let slowed = RelayState {
        connections: Some(1),
        max_recipients: Some(100),
        throttle_reason: Some("452 4.3.2 it's too much".to_owned()),
        ..state(Closed)
    };
    renew(&store, a, &[slowed]).await;
    renew(&store, b, &[state(Closed)]).await;
    assert_eq!(f.rows("Relay", "Connections = 3").await, 1);
    let fewest = "MaxRecipients = 100";
    assert_eq!(f.rows("Relay", fewest).await, 1, "one of them keeps to it");
    assert_eq!(
        shown(f, "MessageRate").await.as_deref(),
        Some("15/min + 15/min")
    );
    assert_eq!(
        shown(f, "ThrottleReason").await.as_deref(),
        Some("452 4.3.2 it's too much")
    );
    let unlimited = RelayState {
        connections: None,
        message_rate: None,
        ..state(Closed)
    };
    renew(&store, b, &[unlimited]).await;
    renew(&store, a, &[state(Closed)]).await;
    let any_number = "MaxRecipients IS NULL";
    assert_eq!(f.rows("Relay", any_number).await, 1, "no relay has a limit");
    let no_limit = "Connections IS NULL AND MessageRate IS NULL";
    assert_eq!(f.rows("Relay", no_limit).await, 1, "one has no limit");
}

pub(crate) async fn the_view_names_the_send_ports_of_a_relay(f: &dyn Fixture) {
    let store = f.fresh().await;
    let info = info("a");
    let ports = ["orders", "default"].map(send_port);
    let registered = store.register(&info, LEASE, &ports, &[]);
    registered.await.expect("register");
    let backup = RelayState {
        relay: "backup".to_owned(),
        ..state(Closed)
    };
    renew(&store, info.id, &[state(Closed), backup]).await;
    assert_eq!(f.rows("Relay", "1 = 1").await, 2);
    assert_eq!(
        shown(f, "SendPorts").await.as_deref(),
        Some("default, orders")
    );
    f.advance(LEASE_AND_MORE).await;
    assert_eq!(f.rows("Relay", "1 = 1").await, 0, "no instance runs");
}

pub(crate) async fn the_view_shows_the_last_authentication(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    renew(&store, a, &[state(Closed)]).await;
    assert_eq!(shown(f, "Authentication").await, None);
    let key = |secret: &str| AuthKey {
        relay: "mail".to_owned(),
        credential_fingerprint: secret.to_owned(),
    };
    let end = |secret: &str, verdict| {
        let (store, key) = (Arc::clone(&store), key(secret));
        async move { store.end_authentication(Some(a), &key, &verdict).await }
    };
    end("old", AuthOutcome::Accepted).await.expect("end");
    assert_eq!(
        shown(f, "Authentication").await.as_deref(),
        Some("accepted")
    );
    f.advance(std::time::Duration::from_secs(1)).await;
    let code = EnhancedStatusCode::new(5, 7, 8);
    let reply = Reply::new(Command::Auth, 535, Some(code), "it's wrong");
    let refused = AuthOutcome::Refused(reply.clone());
    end("new", refused).await.expect("end");
    assert_eq!(shown(f, "Authentication").await.as_deref(), Some("refused"));
    assert_eq!(
        shown(f, "AuthenticationReply").await.as_deref(),
        Some(reply.to_string().as_str())
    );
    let next = "AuthenticationRetryAt > AuthenticationAt";
    assert_eq!(f.rows("Relay", next).await, 1);
    let begun = store.begin_authentication(Some(a), &key("newest")).await;
    begun.expect("begin");
    assert_eq!(f.rows("RelayAuthentication", "1 = 1").await, 3);
}
