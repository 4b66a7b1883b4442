//! What keeps alerts waiting: the view `Queue`, and the running instances.

use std::sync::Arc;

use sendport_core::domain::{
    AlertStatus, InstanceCondition, Outcome, OutcomeKind, RecipientStatus, RelayCondition,
    RelayState,
};
use sendport_store::{AdoptMode, QueueDepth, QueueLine, Store};

use crate::fixture::*;

async fn only_line(store: &Arc<dyn Store>) -> QueueLine {
    let mut lines = store.queue().await.expect("queue");
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

async fn waiting_for(store: &Arc<dyn Store>) -> String {
    only_line(store)
        .await
        .waiting_for
        .expect("it waits for something")
}

pub(crate) fn relay(name: &str, condition: RelayCondition, reply: Option<&str>) -> RelayState {
    RelayState {
        relay: name.to_owned(),
        condition,
        since: now(),
        retry_at: reply.map(|_| now() + minutes(15)),
        reply: reply.map(str::to_owned),
        explanation: None,
        connections: None,
        message_rate: None,
        max_recipients: None,
        throttle_reason: None,
        share_wait: None,
    }
}

pub(crate) async fn without_an_instance_the_queue_says_so(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(2).await;
    f.advance(minutes(3)).await;
    let line = only_line(&store).await;
    assert_eq!(
        (line.send_port.as_str(), line.status, line.depth),
        ("default", AlertStatus::Queued, 2)
    );
    assert!(
        (179..240).contains(&line.oldest_age_seconds),
        "{}",
        line.oldest_age_seconds
    );
    assert_eq!(
        line.waiting_for.as_deref(),
        Some("no instance of the service is running")
    );
    let stopped = instance(&store, "stopped").await;
    store.retire(stopped).await.expect("retire");
    assert_eq!(
        waiting_for(&store).await,
        "no instance of the service is running"
    );
}

pub(crate) async fn depth_is_counted_by_send_port_and_status(f: &dyn Fixture) {
    let store = f.fresh().await;
    assert_eq!(store.depths().await.expect("depths"), []);
    f.many(3).await;
    f.insert("ToRecipients, SendPort", "'ops@contoso.com', 'biling'")
        .await;
    f.advance(minutes(3)).await;
    let a = instance(&store, "a").await;
    let (token, alerts) = claim(&store, a, 1).await;
    let counted = || async {
        let mut lines = store.depths().await.expect("depths");
        lines.sort_by(|a, b| (&a.send_port, a.status).cmp(&(&b.send_port, b.status)));
        for line in &lines {
            let age = line.oldest_age_seconds;
            assert!((179..240).contains(&age), "{age}");
        }
        let short = |line: QueueDepth| (line.send_port, line.status.as_str(), line.depth);
        lines.into_iter().map(short).collect::<Vec<_>>()
    };
    let is = |port: &str, status: &'static str, depth| (port.to_owned(), status, depth);
    let biling = is("biling", "queued", 1);
    let expected = [
        biling.clone(),
        is("default", "queued", 2),
        is("default", "sending", 1),
    ];
    assert_eq!(counted().await, expected);
    let relayed = outcome(alerts[0], token, 1, &[RecipientStatus::Relayed]);
    record(&store, a, &relayed).await;
    assert_eq!(counted().await, [biling, is("default", "queued", 2)]);
}

pub(crate) async fn without_the_send_port_the_queue_says_so(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.insert("ToRecipients, SendPort", "'ops@contoso.com', 'biling'")
        .await;
    instance(&store, "a").await;
    let text = waiting_for(&store).await;
    assert_eq!(text, "no running instance has a send port named 'biling'");
}

pub(crate) async fn a_paused_relay_is_named_with_its_reply(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(1).await;
    let a = instance(&store, "a").await;
    let reply = "535 5.7.8 Authentication credentials invalid";
    let states = [relay("mail", RelayCondition::Paused, Some(reply))];
    store
        .renew(a, LEASE, &["default".to_owned()], &states)
        .await
        .expect("renew");
    let text = waiting_for(&store).await;
    assert!(text.starts_with("relay mail paused since "), "{text}");
    assert!(text.ends_with(reply), "{text}");
    let states = [
        relay("mail", RelayCondition::Open, Some("421 busy")),
        relay("backup", RelayCondition::Closed, None),
    ];
    store
        .renew(a, LEASE, &["default".to_owned()], &states)
        .await
        .expect("renew");
    assert_eq!(
        only_line(&store).await.waiting_for,
        None,
        "the second relay is there"
    );
    assert_eq!(
        f.rows("RelayState", "1 = 1").await,
        2,
        "states are replaced"
    );
}

pub(crate) async fn an_alert_at_a_silent_relay_names_the_relay(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(1).await;
    let a = instance(&store, "a").await;
    claim_one(&store, a).await;
    let silent = "no message or connection attempt has ended since 2026-01-31T12:00:00Z";
    for (explanation, output) in [
        (None, None),
        (
            Some("relay-unresponsive"),
            Some(format!("relay mail: {silent}")),
        ),
    ] {
        let states = [RelayState {
            explanation: explanation.map(str::to_owned),
            ..relay("mail", RelayCondition::Closed, Some(silent))
        }];
        let ports = ["default".to_owned()];
        let renewed = store.renew(a, LEASE, &ports, &states).await;
        renewed.expect("renew");
        assert_eq!(only_line(&store).await.waiting_for, output);
    }
}

pub(crate) async fn a_delayed_alert_shows_when_it_is_due(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.alert_to("ops0@contoso.com").await;
    let a = instance(&store, "a").await;
    let states = [relay("mail", RelayCondition::Closed, None)];
    store
        .renew(a, LEASE, &["default".to_owned()], &states)
        .await
        .expect("renew");
    let (token, id) = claim_one(&store, a).await;
    record(
        &store,
        a,
        &outcome(id, token, 1, &[RecipientStatus::Delayed]),
    )
    .await;
    let text = waiting_for(&store).await;
    assert!(text.starts_with("due at "), "{text}");
}

pub(crate) async fn a_held_alert_waits_for_an_operator(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(1).await;
    store.adopt("test", AdoptMode::Hold).await.expect("adopt");
    assert_eq!(
        waiting_for(&store).await,
        "held by an operator until released"
    );
}

pub(crate) async fn an_alert_held_in_doubt_refers_to_the_view(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(2).await;
    let a = holding_instance(&store, "a").await;
    let (token, alerts) = claim(&store, a, 2).await;
    let b = instance(&store, "b").await;
    f.advance(LEASE_AND_MORE).await;
    holding_instance(&store, "c").await;
    assert_eq!(take_over(&store, b, 1).await, 1);
    let statuses = [RecipientStatus::Queued];
    let mut other = outcome(alerts[1], token, 1, &statuses);
    let OutcomeKind::Decided(decision) = &mut other.kind else {
        panic!("decided");
    };
    decision.attempt = None;
    record(&store, a, &other).await;
    let held = || async {
        let lines = store.queue().await.expect("queue");
        let held = lines
            .into_iter()
            .find(|line| line.status == AlertStatus::Held);
        held.and_then(|line| line.waiting_for).expect("it is held")
    };
    assert_eq!(held().await, "held in doubt: see the view InDoubt");
    store.adopt("test", AdoptMode::Hold).await.expect("adopt");
    let table = f.state_table();
    f.sql(&format!(
        "UPDATE {table} SET StatusReasonCode = 'in-doubt' WHERE AttemptCount = 1"
    ))
    .await;
    assert_eq!(
        held().await,
        "1 held in doubt: see the view InDoubt; the others held by an operator until released"
    );
}

pub(crate) async fn an_alert_outside_the_delivery_window_shows_the_window(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(1).await;
    let a = instance(&store, "a").await;
    let states = [relay("mail", RelayCondition::Closed, None)];
    let ports = ["default".to_owned()];
    let renewed = store.renew(a, LEASE, &ports, &states);
    renewed.await.expect("renew");
    let (token, id) = claim_one(&store, a).await;
    let reason = "waits for the delivery window Mon-Fri 08:00-18:00; it's closed";
    let kind = OutcomeKind::Released {
        retry_in: minutes(30),
        reason: Some(reason.to_owned()),
    };
    let waiting = Outcome {
        alert: id,
        token,
        kind,
    };
    record(&store, a, &waiting).await;
    let text = waiting_for(&store).await;
    assert!(text.starts_with(&format!("{reason}, due at ")), "{text}");
    let shown = line(&store, id).await;
    assert_eq!(shown.status_reason.as_deref(), Some(reason));
    assert_eq!(
        (shown.status, shown.attempt_count),
        (AlertStatus::Queued, 0)
    );
    f.advance(minutes(30)).await;
    let a = instance(&store, "a").await;
    let renewed = store.renew(a, LEASE, &ports, &states);
    renewed.await.expect("renew");
    assert_eq!(waiting_for(&store).await, reason, "due, not claimed yet");
    let (token, _) = claim_one(&store, a).await;
    assert_eq!(
        line(&store, id).await.status_reason,
        None,
        "it waits no more"
    );
    record(&store, a, &released(id, token, minutes(1))).await;
    assert_eq!(line(&store, id).await.status_reason, None);
}

pub(crate) async fn a_wait_for_the_share_of_a_limit_is_shown(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(1).await;
    let reason = "waits until 2026-01-31T12:00:00Z: it's another instance";
    let waits = RelayState {
        share_wait: Some(reason.to_owned()),
        ..relay("mail", RelayCondition::Closed, None)
    };
    let ports = ["default".to_owned()];
    let a = instance(&store, "a").await;
    store
        .renew(a, LEASE, &ports, &[waits])
        .await
        .expect("renew");
    assert_eq!(waiting_for(&store).await, format!("relay mail: {reason}"));
    let view = f.table("Relay");
    let sql = format!("SELECT ThrottleReason FROM {view} WHERE Relay = 'mail'");
    let shown = f.scalar(&sql);
    assert_eq!(shown.await.as_deref(), Some(reason));
    let sends = instance(&store, "b").await;
    let states = [relay("mail", RelayCondition::Closed, None)];
    store
        .renew(sends, LEASE, &ports, &states)
        .await
        .expect("renew");
    assert_eq!(
        only_line(&store).await.waiting_for,
        None,
        "the other instance sends"
    );
}

pub(crate) async fn nothing_to_wait_for_says_nothing(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(1).await;
    let a = instance(&store, "a").await;
    let states = [relay("mail", RelayCondition::Closed, None)];
    store
        .renew(a, LEASE, &["default".to_owned()], &states)
        .await
        .expect("renew");
    assert_eq!(only_line(&store).await.waiting_for, None);
    claim_one(&store, a).await;
    let line = only_line(&store).await;
    assert_eq!(
        (line.status, line.waiting_for),
        (AlertStatus::Sending, None)
    );
}

pub(crate) async fn instances_show_which_are_alive(f: &dyn Fixture) {
    let store = f.fresh().await;
    instance(&store, "frozen").await;
    f.advance(LEASE_AND_MORE).await;
    instance(&store, "living").await;
    let stopped = instance(&store, "stopped").await;
    store.retire(stopped).await.expect("retire");
    let lines = store.instances(10).await.expect("instances");
    let alive: Vec<_> = lines
        .iter()
        .map(|line| (line.name.as_str(), line.alive))
        .collect();
    assert_eq!(alive[0], ("living", true));
    assert!(alive.contains(&("frozen", false)) && alive.contains(&("stopped", false)));
    assert_eq!(lines[0].host_name, "host-of-living");
    assert_eq!(
        (lines[0].process_id, lines[0].version.as_str()),
        (4711, "0.1.0")
    );
    assert_eq!(
        lines[0].lease_until - lines[0].renewed_at,
        chrono::TimeDelta::seconds(60)
    );
}

pub(crate) async fn the_reason_why_an_instance_sends_nothing_is_shown(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(1).await;
    let one = instance(&store, "one").await;
    let condition = InstanceCondition {
        waiting_for: Some("the state folder is full".to_owned()),
        ..InstanceCondition::default()
    };
    store.show_condition(one, &condition).await.expect("show");
    assert_eq!(
        waiting_for(&store).await,
        "instance one: the state folder is full"
    );
    let line = store.instances(1).await.expect("instances").remove(0);
    assert_eq!(line.waiting_for, condition.waiting_for);
    let two = instance(&store, "two").await;
    let states = [relay("mail", RelayCondition::Closed, None)];
    let ports = ["default".to_owned()];
    let renewed = store.renew(two, LEASE, &ports, &states).await;
    renewed.expect("renew");
    assert_eq!(
        only_line(&store).await.waiting_for,
        None,
        "another one sends"
    );
    store.show_condition(two, &condition).await.expect("show");
    assert!(waiting_for(&store).await.contains("state folder"));
    let fine = InstanceCondition::default();
    store.show_condition(one, &fine).await.expect("show");
    assert_eq!(only_line(&store).await.waiting_for, None);
}

pub(crate) async fn leases_of_a_dead_instance_are_shown(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(1).await;
    let dead = instance(&store, "dead").await;
    claim_one(&store, dead).await;
    f.advance(LEASE_AND_MORE).await;
    // What another one could not record has nothing to do with it.
    let one = instance(&store, "one").await;
    let condition = InstanceCondition {
        unrecorded: 2,
        unrecorded_since: Some(now()),
        ..InstanceCondition::default()
    };
    store.show_condition(one, &condition).await.expect("show");
    let output = waiting_for(&store).await;
    assert!(
        output.starts_with("leased to instance dead, whose lease ended at 20"),
        "{output}"
    );
}

pub(crate) async fn unrecorded_outcomes_of_an_instance_are_shown(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(1).await;
    let one = instance(&store, "one").await;
    claim_one(&store, one).await;
    assert_eq!(only_line(&store).await.waiting_for, None);
    let since = now();
    let condition = InstanceCondition {
        unrecorded: 1,
        unrecorded_since: Some(since),
        ..InstanceCondition::default()
    };
    store.show_condition(one, &condition).await.expect("show");
    let output = waiting_for(&store).await;
    assert!(
        output.starts_with("1 outcomes not recorded by instance one since 20"),
        "{output}"
    );
    let line = store.instances(1).await.expect("instances").remove(0);
    assert_eq!(line.unrecorded_count, 1);
    let why = "outcomes: 1 cannot be recorded since 2026-01-31T12:00:00Z: the disk is full";
    let stops = InstanceCondition {
        waiting_for: Some(why.to_owned()),
        ..condition.clone()
    };
    store.show_condition(one, &stops).await.expect("show");
    let output = waiting_for(&store).await;
    assert_eq!(output, format!("instance one: {why}"));
    let shown = line.unrecorded_since.expect("a time");
    assert_eq!(shown.timestamp_millis(), since.timestamp_millis());
}

pub(crate) async fn unclaimed_alerts_of_an_instance_are_shown(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(1).await;
    let one = instance(&store, "one").await;
    let since = now() + minutes(1);
    let condition = InstanceCondition {
        unclaimed: 1,
        unclaimed_since: Some(since),
        ..InstanceCondition::default()
    };
    let states = [relay("mail", RelayCondition::Closed, None)];
    let ports = ["default".to_owned()];
    let renewed = store.renew(one, LEASE, &ports, &states).await;
    renewed.expect("renew");
    assert_eq!(only_line(&store).await.waiting_for, None);
    store.show_condition(one, &condition).await.expect("show");
    let output = waiting_for(&store).await;
    let expected = "1 alerts refused by the database to instance one since 20";
    assert!(output.starts_with(expected), "{output}");
    let line = store.instances(1).await.expect("instances").remove(0);
    assert_eq!(line.unclaimed_count, 1);
    let shown = line.unclaimed_since.expect("a time");
    assert_eq!(shown.timestamp_millis(), since.timestamp_millis());
    let before = InstanceCondition {
        unclaimed_since: Some(now() - minutes(60)),
        ..condition
    };
    store.show_condition(one, &before).await.expect("show");
    let waiting_for = only_line(&store).await.waiting_for;
    assert_eq!(waiting_for, None, "what came later is not among them");
}
