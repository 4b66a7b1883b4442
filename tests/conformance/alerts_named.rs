//! Alerts looked for by name, and what `status` lists beside the queue.

use RecipientStatus::{Failed, Relayed};
use sendport_core::domain::{PublicId, RecipientStatus, RelayCondition, RelayState};
use sendport_store::NewAlert;

use crate::fixture::*;

pub(crate) async fn an_alert_is_found_by_its_public_id_and_by_its_reference(f: &dyn Fixture) {
    let store = f.fresh().await;
    let mut ids = Vec::new();
    for reference in [
        "order-1",
        "order-2",
        "order-2",
        "order-4\r\n",
        " \torder-4\n",
        "order-4 b",
    ] {
        let alert = NewAlert {
            to_recipients: Some("ops@contoso.com".to_owned()),
            reference: Some(reference.to_owned()),
            ..NewAlert::default()
        };
        ids.push(store.insert(&alert).await.expect("insert"));
    }
    let found = async |public_id: Option<PublicId>, reference: &str, limit: u32| {
        let found = store.alerts_named(public_id, reference, limit).await;
        let found = found.expect("look").into_iter();
        found.map(|line| line.alert_id).collect::<Vec<_>>()
    };
    assert_eq!(found(None, "order-1", 10).await, [ids[0]]);
    assert_eq!(found(None, "order-2", 10).await, [ids[2], ids[1]]);
    assert_eq!(found(None, "order-2", 1).await, [ids[2]]);
    // White space around it is no part of it.
    assert_eq!(found(None, "order-4", 10).await, [ids[4], ids[3]]);
    assert!(found(None, "order-3", 10).await.is_empty());
    let public_id = line(&store, ids[0]).await.public_id;
    let public_id = Some(PublicId(public_id.parse().expect("a public id")));
    assert_eq!(found(public_id, "order-3", 10).await, [ids[0]]);
    assert_eq!(found(public_id, "order-1", 10).await, [ids[0]], "once");
}

pub(crate) async fn the_last_failures_come_first(f: &dyn Fixture) {
    let store = f.fresh().await;
    let instance = instance(&store, "a").await;
    let mut failed = Vec::new();
    for _ in 0..2 {
        let id = f.alert_to("ops0@contoso.com; ops1@contoso.com").await;
        let (token, _) = claim_one(&store, instance).await;
        let outcome = outcome(id, token, 1, &[Relayed, Failed]);
        record(&store, instance, &outcome).await;
        f.advance(minutes(1)).await;
        failed.insert(0, id);
    }
    let lines = store.failures(10).await.expect("list");
    let ids: Vec<_> = lines.iter().map(|line| line.alert_id).collect();
    assert_eq!(ids, failed);
    let last = &lines[0];
    assert_eq!(last.address.as_deref(), Some("ops1@contoso.com"));
    assert_eq!(
        (last.status.as_str(), last.reply_code),
        ("failed", Some(550))
    );
    assert_eq!(last.reason.as_deref(), Some("no such user"));
    assert_eq!(store.failures(1).await.expect("list").len(), 1);
}

pub(crate) async fn relays_are_listed(f: &dyn Fixture) {
    let store = f.fresh().await;
    let instance = instance(&store, "a").await;
    assert!(store.relays().await.expect("list").is_empty());
    let state = RelayState {
        relay: "mail".to_owned(),
        condition: RelayCondition::Paused,
        since: now(),
        retry_at: Some(now()),
        reply: Some("535 5.7.8 no".to_owned()),
        explanation: None,
        connections: None,
        message_rate: None,
        max_recipients: None,
        throttle_reason: None,
        share_wait: None,
    };
    let ports = ["default".to_owned()];
    store
        .renew(instance, LEASE, &ports, &[state])
        .await
        .expect("renew");
    let lines = store.relays().await.expect("list");
    let [line] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert_eq!(
        (line.relay.as_str(), line.condition.as_str(), line.instances),
        ("mail", "paused", 1)
    );
    assert_eq!(line.reply.as_deref(), Some("535 5.7.8 no"));
    assert!(
        line.retry_at.is_some() && line.authentication.is_none(),
        "{line:?}"
    );
}
