//! Which environment a database belongs to, and what a copy may still do.

use sendport_core::domain::{AlertStatus, InstanceInfo, RecipientStatus};
use sendport_store::{AdoptMode, Event, EventSeverity, Renewal, StoreErrorKind};

use crate::fixture::*;

pub(crate) async fn the_first_name_is_kept(f: &dyn Fixture) {
    let store = f.fresh().await;
    assert_eq!(store.environment().await.expect("environment"), None);
    assert_eq!(
        store.name_environment("production").await.expect("name"),
        "production"
    );
    assert_eq!(
        store.name_environment("test").await.expect("name"),
        "production"
    );
    let name = store.environment().await.expect("environment");
    assert_eq!(name.as_deref(), Some("production"));
}

pub(crate) async fn adopting_expires_everything_that_waits(f: &dyn Fixture) {
    let store = f.fresh().await;
    store.name_environment("test").await.expect("name");
    let done = f.alert_to("ops0@contoso.com").await;
    let instance = instance(&store, "a").await;
    let (token, _) = claim_one(&store, instance).await;
    record(
        &store,
        instance,
        &outcome(done, token, 1, &[RecipientStatus::Relayed]),
    )
    .await;
    let sending = f.alert_to("ops0@contoso.com").await;
    claim_one(&store, instance).await;
    let queued = f.alert_to("ops0@contoso.com").await;
    let report = store.adopt("copy", AdoptMode::Expire).await.expect("adopt");
    assert_eq!(report.previous_environment.as_deref(), Some("test"));
    assert_eq!(report.alerts, 2);
    assert_eq!(
        store.environment().await.expect("environment").as_deref(),
        Some("copy")
    );
    assert_eq!(status(&store, done).await, AlertStatus::Relayed);
    for id in [sending, queued] {
        let line = line(&store, id).await;
        assert_eq!(line.status, AlertStatus::Expired);
        assert!(line.status_reason.expect("a reason").contains("'copy'"));
        assert_eq!(recipient_words(&store, id).await, ["expired"]);
    }
    assert!(store.queue().await.expect("queue").is_empty());
}

pub(crate) async fn adopting_holds_everything_that_waits(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(3).await;
    let report = store.adopt("test", AdoptMode::Hold).await.expect("adopt");
    assert_eq!((report.previous_environment, report.alerts), (None, 3));
    let a = instance(&store, "a").await;
    assert!(claim(&store, a, 10).await.1.is_empty());
    assert_eq!(
        store.queue().await.expect("queue")[0].status,
        AlertStatus::Held
    );
    assert_eq!(release(&store, None).await.applied, 3);
    assert_eq!(release(&store, None).await.applied, 0);
    assert_eq!(claim(&store, a, 10).await.1.len(), 3);
}

pub(crate) async fn one_held_alert_can_be_released(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(2).await;
    let chosen = f.alert_to("ops@contoso.com").await;
    store.adopt("test", AdoptMode::Hold).await.expect("adopt");
    assert_eq!(release(&store, Some(chosen)).await.applied, 1);
    assert_eq!(release(&store, Some(chosen)).await.applied, 0);
    let a = instance(&store, "a").await;
    assert_eq!(claim_one(&store, a).await.1, chosen);
}

pub(crate) async fn adopting_ends_every_lease(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(1).await;
    let a = instance(&store, "a").await;
    let (token, id) = claim_one(&store, a).await;
    store.adopt("test", AdoptMode::Hold).await.expect("adopt");
    let renewal = store.renew(a, LEASE, &[], &[]).await.expect("renew");
    assert_eq!(renewal, Renewal::Lost);
    record(&store, a, &released(id, token, minutes(0))).await;
    assert_eq!(status(&store, id).await, AlertStatus::Held);
    assert_eq!(f.rows("Instance", "1 = 1").await, 0);
    let new = f.alert_to("ops0@contoso.com").await;
    let (_, claimed) = claim(&store, a, 1).await;
    assert!(claimed.is_empty(), "it is the new environment's");
    let b = instance(&store, "b").await;
    assert_eq!(claim_one(&store, b).await.1, new);
}

/// The instance that an adoption ended does not come back, and changes no send port of the others.
pub(crate) async fn an_instance_of_another_environment_cannot_register(f: &dyn Fixture) {
    let store = f.fresh().await;
    store.name_environment("test").await.expect("name");
    let a = instance(&store, "a").await;
    store.adopt("copy", AdoptMode::Hold).await.expect("adopt");
    let mut port = send_port("default");
    port.from_address = "other@contoso.com".to_owned();
    for again in [InstanceInfo { id: a, ..info("a") }, info("a")] {
        let registered = store.register(&again, LEASE, &[port.clone()], &[]).await;
        let refused = registered.expect_err("another environment");
        assert_eq!(refused.kind(), StoreErrorKind::Schema);
        assert!(refused.what().contains("belongs to the environment 'copy'"));
    }
    assert_eq!(f.rows("Instance", "1 = 1").await, 0);
    let changed = "FromAddress = 'other@contoso.com'";
    assert_eq!(f.rows("SendPort", changed).await, 0);
    let own = InstanceInfo {
        environment: "copy".to_owned(),
        ..info("b")
    };
    store
        .register(&own, LEASE, &[port], &[])
        .await
        .expect("register");
    assert_eq!(f.rows("Instance", "1 = 1").await, 1);
}

pub(crate) async fn an_event_is_a_row(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let id = f.alert_to("ops@contoso.com").await;
    for severity in [
        EventSeverity::Information,
        EventSeverity::Warning,
        EventSeverity::Error,
    ] {
        let event = Event {
            severity,
            event_type: "relay-circuit-opened",
            instance: Some(a),
            alert: Some(id),
            send_port: Some("default".to_owned()),
            relay: Some("mail".to_owned()),
            message: "it's down".to_owned(),
        };
        store.log_event(&event).await.expect("log");
    }
    let written = "EventType = 'relay-circuit-opened' AND SendPort = 'default' AND Relay = 'mail' \
                   AND Message = 'it''s down' AND LoggedAt IS NOT NULL AND InstanceId IS NOT NULL";
    assert_eq!(f.rows("EventLog", written).await, 3);
    assert_eq!(f.rows("EventLog", "Severity = 'warning'").await, 1);
}
