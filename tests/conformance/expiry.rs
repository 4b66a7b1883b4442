//! Alerts that end without being sent.

use RecipientStatus::{Delayed, Relayed};
use sendport_core::domain::{AlertId, AlertStatus, OutcomeKind, RecipientStatus, RelayCondition};
use sendport_store::{NewAlert, Renewal};

use crate::fixture::*;
use crate::queue::relay;

async fn expiring(store: &std::sync::Arc<dyn sendport_store::Store>, to: &str) -> AlertId {
    let alert = NewAlert {
        to_recipients: Some(to.to_owned()),
        subject: Some("s".to_owned()),
        expires_at: Some(now() + minutes(10)),
        ..NewAlert::default()
    };
    store.insert(&alert).await.expect("insert")
}

pub(crate) async fn past_expires_at_is_expired_without_a_claim(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = expiring(&store, "ops0@contoso.com; ops1@contoso.com").await;
    f.advance(minutes(9)).await;
    assert_eq!(expire(&store, 10).await, 0);
    f.advance(minutes(2)).await;
    assert_eq!(expire(&store, 10).await, 1);
    assert_eq!(expire(&store, 10).await, 0);
    let line = line(&store, id).await;
    assert_eq!(line.status, AlertStatus::Expired);
    assert_eq!(
        (
            line.recipient_count,
            line.failed_count,
            line.next_attempt_at
        ),
        (2, 2, None)
    );
    assert!(
        line.status_reason
            .expect("a reason")
            .starts_with("expired: not sent before ")
    );
    instance(&store, "a").await;
    let delivery = store
        .deliveries(Some(id), 1)
        .await
        .expect("deliveries")
        .remove(0);
    assert_eq!(
        (delivery.status.as_str(), delivery.attempt_count),
        ("expired", 0)
    );
    assert!(
        delivery
            .reply_text
            .expect("a text")
            .starts_with("expired: not sent before ")
    );
    assert_eq!(delivery.cause.as_deref(), Some("its time ran out"));
    assert_eq!(f.rows("FailedDelivery", "Status = 'expired'").await, 2);
    assert!(store.queue().await.expect("queue").is_empty());
}

pub(crate) async fn past_the_max_age_of_its_send_port_is_expired(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops@contoso.com").await;
    let mut port = send_port("default");
    port.max_age = minutes(30);
    store
        .register(&info("a"), LEASE, &[port], &[])
        .await
        .expect("register");
    f.advance(minutes(29)).await;
    assert_eq!(expire(&store, 10).await, 0);
    f.advance(minutes(2)).await;
    assert_eq!(expire(&store, 10).await, 1);
    assert_eq!(status(&store, id).await, AlertStatus::Expired);
}

pub(crate) async fn the_age_counts_from_a_later_not_before(f: &dyn Fixture) {
    let store = f.fresh().await;
    let mut port = send_port("default");
    port.max_age = minutes(30);
    store
        .register(&info("a"), LEASE, &[port], &[])
        .await
        .expect("register");
    let planned = |at| NewAlert {
        to_recipients: Some("ops0@contoso.com".to_owned()),
        not_before: Some(at),
        ..NewAlert::default()
    };
    let id = store.insert(&planned(now() + minutes(60))).await;
    let id = id.expect("insert");
    let never = "9999-12-31T00:00:00Z".parse().expect("a time");
    let never = store.insert(&planned(never)).await.expect("insert");
    f.advance(minutes(31)).await;
    assert_eq!(expire(&store, 10).await, 0, "it is not due");
    f.advance(minutes(58)).await;
    assert_eq!(
        expire(&store, 10).await,
        0,
        "it has been due for 29 minutes"
    );
    let not_before = load(&store, id).await.not_before.expect("a NotBefore");
    let lines = store.explanation(id).await.expect("explanation");
    let expires = lines.iter().find(|line| line.sentence.contains("expires"));
    let expires = expires.and_then(|line| line.at).expect("a time");
    assert_eq!(expires.timestamp(), (not_before + minutes(30)).timestamp());
    f.advance(minutes(2)).await;
    assert_eq!(expire(&store, 10).await, 1);
    assert_eq!(status(&store, id).await, AlertStatus::Expired);
    assert_eq!(status(&store, never).await, AlertStatus::Queued);
    let since = load(&store, id).await.queued_since();
    assert_eq!(Some(since), load(&store, id).await.not_before);
    assert!(
        !store
            .explanation(never)
            .await
            .expect("explanation")
            .is_empty()
    );
}

pub(crate) async fn without_a_published_send_port_two_days_are_the_limit(f: &dyn Fixture) {
    let store = f.fresh().await;
    let columns = "ToRecipients, Subject, SendPort";
    let id = f
        .insert(columns, "'ops@contoso.com', 's', 'nobody-has-it'")
        .await;
    f.advance(minutes(2 * 24 * 60 - 1)).await;
    assert_eq!(expire(&store, 10).await, 0);
    f.advance(minutes(2)).await;
    assert_eq!(expire(&store, 10).await, 1);
    assert_eq!(status(&store, id).await, AlertStatus::Expired);
}

pub(crate) async fn held_and_delayed_alerts_expire_too(f: &dyn Fixture) {
    let store = f.fresh().await;
    let held = f.alert_to("ops0@contoso.com").await;
    store
        .adopt("test", sendport_store::AdoptMode::Hold)
        .await
        .expect("adopt");
    let instance = instance(&store, "a").await;
    let delayed = f.alert_to("ops0@contoso.com").await;
    let (token, _) = claim_one(&store, instance).await;
    record(&store, instance, &outcome(delayed, token, 1, &[Delayed])).await;
    f.advance(minutes(2 * 24 * 60 + 1)).await;
    assert_eq!(expire(&store, 10).await, 2);
    assert_eq!(status(&store, held).await, AlertStatus::Expired);
    assert_eq!(status(&store, delayed).await, AlertStatus::Expired);
    let delivery = store
        .deliveries(Some(delayed), 1)
        .await
        .expect("deliveries")
        .remove(0);
    let text = delivery.reply_text.expect("a text");
    assert!(
        text.starts_with("expired: ") && text.contains("greylisted"),
        "{text}"
    );
}

/// No transaction came about: why, is all that there is to say.
pub(crate) async fn an_expired_recipient_keeps_the_reason_it_waited_for(f: &dyn Fixture) {
    let store = f.fresh().await;
    let instance = instance(&store, "a").await;
    let id = expiring(&store, "ops0@contoso.com; ops1@contoso.com").await;
    let (token, _) = claim_one(&store, instance).await;
    let mut outcome = released(id, token, minutes(1));
    if let OutcomeKind::Released { reason, .. } = &mut outcome.kind {
        *reason = Some("waits for relay main: 454 4.7.0 no TLS now".to_owned());
    }
    record(&store, instance, &outcome).await;
    f.advance(minutes(11)).await;
    assert_eq!(expire(&store, 10).await, 1);
    for delivery in store.deliveries(Some(id), 2).await.expect("deliveries") {
        let text = delivery.reply_text.expect("a text");
        let why = "; it waits for relay main: 454 4.7.0 no TLS now";
        assert!(
            text.starts_with("expired: ") && text.ends_with(why),
            "{text}"
        );
    }
}

/// Nothing is claimed for an unavailable relay: its reply is the only explanation.
pub(crate) async fn an_unclaimed_expired_recipient_keeps_the_relays_problem(f: &dyn Fixture) {
    let store = f.fresh().await;
    let instance = instance(&store, "a").await;
    let id = expiring(&store, "ops0@contoso.com; ops1@contoso.com").await;
    let output = Some("cannot connect: Connection refused");
    let open = relay("mail", RelayCondition::Open, output);
    let ports = ["default".to_owned()];
    let renewed = store.renew(instance, LEASE, &ports, &[open]).await;
    assert_eq!(renewed.expect("renew"), Renewal::Renewed);
    f.advance(minutes(11)).await;
    assert_eq!(expire(&store, 10).await, 1);
    let deliveries = store.deliveries(Some(id), 3).await.expect("deliveries");
    assert_eq!(deliveries.len(), 2);
    for delivery in deliveries {
        let text = delivery.reply_text.expect("a text");
        assert!(
            text.starts_with("expired: not sent before ")
                && text.contains("; relay mail unavailable since 20")
                && text.ends_with("Z: cannot connect: Connection refused"),
            "{text}"
        );
    }
}

pub(crate) async fn an_alert_that_is_being_sent_does_not_expire(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = expiring(&store, "ops0@contoso.com").await;
    let instance = instance(&store, "a").await;
    let (token, _) = claim_one(&store, instance).await;
    f.advance(minutes(11)).await;
    assert_eq!(expire(&store, 10).await, 0);
    record(&store, instance, &outcome(id, token, 1, &[Relayed])).await;
    assert_eq!(expire(&store, 10).await, 0);
    assert_eq!(status(&store, id).await, AlertStatus::Relayed);
}

pub(crate) async fn a_relayed_recipient_makes_an_expired_alert_partial(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = expiring(&store, "ops0@contoso.com; ops1@contoso.com").await;
    let instance = instance(&store, "a").await;
    let (token, _) = claim_one(&store, instance).await;
    record(
        &store,
        instance,
        &outcome(id, token, 1, &[Relayed, Delayed]),
    )
    .await;
    f.advance(minutes(11)).await;
    assert_eq!(expire(&store, 10).await, 1);
    assert_eq!(recipient_words(&store, id).await, ["relayed", "expired"]);
    assert_eq!(status(&store, id).await, AlertStatus::Partial);
}

pub(crate) async fn malformed_addresses_fail_where_others_expire(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = expiring(&store, "ops0@contoso.com; nobody at all").await;
    f.advance(minutes(11)).await;
    assert_eq!(expire(&store, 10).await, 1);
    assert_eq!(recipient_words(&store, id).await, ["expired", "failed"]);
    let lines = store.deliveries(Some(id), 10).await.expect("deliveries");
    assert_eq!(lines[1].enhanced_status_code.as_deref(), Some("5.1.3"));
}

pub(crate) async fn expire_keeps_its_limit(f: &dyn Fixture) {
    let store = f.fresh().await;
    expiring(&store, "ops@contoso.com").await;
    f.many(4).await;
    f.advance(minutes(2 * 24 * 60 + 1)).await;
    assert_eq!(expire(&store, 3).await, 3);
    assert_eq!(expire(&store, 3).await, 2);
    assert_eq!(expire(&store, 3).await, 0);
}

pub(crate) async fn an_alert_without_a_send_port_for_ten_minutes_fails(f: &dyn Fixture) {
    let store = f.fresh().await;
    let columns = "ToRecipients, Subject, SendPort";
    let unrouted = f.insert(columns, "'ops@contoso.com', 's', 'biling'").await;
    let routed = f.alert_to("ops@contoso.com").await;
    let instance = instance(&store, "a").await;
    assert_eq!(fail_unrouted(&store, minutes(10), 10).await, 0);
    for _ in 0..14 {
        f.advance(LEASE * 3 / 4).await;
        let renewal = store
            .renew(instance, LEASE, &["default".to_owned()], &[])
            .await;
        assert_eq!(renewal.expect("renew"), Renewal::Renewed);
    }
    assert_eq!(fail_unrouted(&store, minutes(10), 10).await, 1);
    assert_eq!(fail_unrouted(&store, minutes(10), 10).await, 0);
    let line = line(&store, unrouted).await;
    assert_eq!(line.status, AlertStatus::Failed);
    let reason = line.status_reason.expect("a reason");
    assert!(reason.contains("'biling'"), "{reason}");
    assert_eq!(recipient_words(&store, unrouted).await, ["failed"]);
    assert_eq!(status(&store, routed).await, AlertStatus::Queued);
}

pub(crate) async fn a_send_port_that_was_seen_lately_fails_nothing(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.alert_to("ops@contoso.com").await;
    instance(&store, "a").await;
    f.advance(minutes(9)).await;
    assert_eq!(fail_unrouted(&store, minutes(10), 10).await, 0);
    f.advance(minutes(2)).await;
    assert_eq!(fail_unrouted(&store, minutes(10), 10).await, 1);
}

pub(crate) async fn queue_names_a_missing_send_port_at_once(f: &dyn Fixture) {
    let store = f.fresh().await;
    let columns = "ToRecipients, Subject, SendPort";
    let odd = f.insert(columns, "'ops@contoso.com', 's', 'Default'").await;
    let blank = f
        .insert(columns, "'ops@contoso.com', 's', ' default'")
        .await;
    let tab = f
        .insert(columns, "'ops@contoso.com', 's', 'default\t'")
        .await;
    let unknown = f.insert(columns, "'ops@contoso.com', 's', 'biling'").await;
    let routed = f.alert_to("ops@contoso.com").await;
    let note = || store.note_unrouted(minutes(2), minutes(10), 10);
    instance(&store, "a").await;
    let mut noted = note().await.expect("note");
    noted.sort();
    let names = [" default", "Default", "biling", "default\t"];
    assert_eq!(noted, names.map(|name| (name.to_owned(), 1)));
    assert_eq!(note().await.expect("note"), [], "once is enough");
    for (alert, words) in [
        (odd, "'Default'"),
        (odd, "There is 'default'"),
        (blank, "named ' default'"),
        (blank, "There is 'default'"),
        (tab, "named 'default\t'"),
        (tab, "There is 'default'"),
        (unknown, "'biling'"),
    ] {
        let line = line(&store, alert).await;
        assert_eq!(line.status, AlertStatus::Queued);
        let reason = line.status_reason.expect("a reason");
        assert!(
            reason.contains(words) && reason.contains("10 minutes"),
            "{reason}"
        );
    }
    assert_eq!(line(&store, routed).await.status_reason, None);
    assert!(
        !line(&store, unknown)
            .await
            .status_reason
            .expect("it")
            .contains("There is")
    );
    let lines = store.queue().await.expect("queue");
    let of_blank = lines
        .iter()
        .find(|line| line.send_port == "' default'" || line.send_port == " default");
    let output = of_blank.and_then(|line| line.waiting_for.clone());
    let output = output.expect("what it waits for");
    assert!(
        output.contains("named ' default'") && output.contains("There is 'default'"),
        "{output}"
    );
}
