use std::time::Duration;

use crate::site::Site;
use crate::support::limiting_peer::{LimitingPeer, PeerLimits, Refusal};
use crate::{insert_many, plain_relay, send_port_over};

/// Of what is asked while it refuses nothing, it takes everything.
const NO_LIMIT: PeerLimits = PeerLimits {
    connections: usize::MAX,
    messages: usize::MAX,
    window: Duration::from_secs(1),
};

/// What servers say while another program uses the mailbox's connections.
const REFUSALS: [Refusal; 4] = [
    ("", "421 4.7.0 Too many concurrent SMTP connections"),
    ("MAIL", "432 4.3.2 Concurrent connections limit exceeded"),
    ("MAIL", "421 4.7.0 Too many concurrent SMTP connections"),
    (
        ".",
        "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",
    ),
];

const ALERTS: u32 = 100;

/// Connections that may begin after the relay is known to refuse: one of each that there may be, which began before it
/// knew, and one for each pause that it made since, of 2, 4, 8 seconds and so on.
fn bound(paused: u32) -> u32 {
    10 + (paused + 2).next_power_of_two().ilog2()
}

/// It is refused for a while, nothing is spent, and then everything is relayed.
async fn wait_out(refusal: Refusal, max_connections: &str) {
    let peer = LimitingPeer::start(NO_LIMIT).await;
    peer.refuse(Some(refusal));
    let relay = plain_relay(peer.address) + max_connections;
    let site = Site::new(&send_port_over(&relay));
    insert_many(&site, ALERTS);
    let service = site.run();
    let refuses = "SELECT count(*) FROM Relay WHERE Reply LIKE '4%' AND RetryAt IS NOT NULL";
    site.wait_until(refuses, "1", Duration::from_secs(60)).await;
    let before = peer.seen().connects.len();
    // Pauses of 2, 4 and 8 seconds.
    let probed_twice = "SELECT count(*) FROM Relay WHERE Reply LIKE '4%'
         AND (julianday(RetryAt) - julianday(Since)) * 86400 > 13.9";
    site.wait_until(probed_twice, "1", Duration::from_secs(60))
        .await;

    let connects = peer.seen().connects.len() - before;
    let paused =
        "SELECT CAST(round((julianday(RetryAt) - julianday(Since)) * 86400) AS INTEGER) FROM Relay";
    let paused: u32 = site.value(paused).parse().expect("seconds");
    assert!(
        connects <= bound(paused) as usize,
        "{refusal:?}: {connects} connections in {paused} seconds"
    );
    let spent = "SELECT max(AttemptCount) FROM AlertState";
    assert_eq!(site.value(spent), "0", "{refusal:?}");
    assert_eq!(
        site.value("SELECT count(*) FROM Attempt"),
        "0",
        "{refusal:?}"
    );
    let code = refusal.1.get(..3).expect("a code");
    let shown = format!(
        "SELECT count(*) FROM Relay WHERE Condition IN ('open', 'half_open')
         AND Reply LIKE '{code} %' AND RetryAt IS NOT NULL"
    );
    site.wait_until(&shown, "1", Duration::from_secs(60)).await;
    let waits = format!(
        "SELECT count(*) > 0 FROM Queue WHERE WaitingFor LIKE 'relay main unavailable since %{code} %'"
    );
    site.wait_until(&waits, "1", Duration::from_secs(60)).await;
    let reasons = format!(
        "SELECT count(*) >= 2 FROM AlertStatus WHERE Status = 'delayed'
         AND StatusReason LIKE 'waits for the limits of relay main: {code} %'"
    );
    site.wait_until(&reasons, "1", Duration::from_secs(60))
        .await;
    let reported = format!(
        "SELECT count(*) >= 2 FROM Delivery WHERE ReplyCode = {code} AND Cause IS NOT NULL"
    );
    assert_eq!(site.value(&reported), "1", "{refusal:?}");

    peer.refuse(None);
    site.wait_until_all_final(Duration::from_secs(120)).await;
    let relayed = "SELECT count(*) FROM AlertStatus WHERE Status = 'relayed'";
    assert_eq!(site.value(relayed), ALERTS.to_string(), "{refusal:?}");
    assert_eq!(
        peer.seen().accepted,
        ALERTS as usize,
        "{refusal:?}: none twice"
    );
    let over = "SELECT Condition FROM Relay";
    site.wait_until(over, "closed", Duration::from_secs(60))
        .await;
    assert_eq!(service.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_another_program_uses_up_is_waited_out_and_spends_no_attempt() {
    let mut cases = tokio::task::JoinSet::new();
    for refusal in REFUSALS {
        cases.spawn(wait_out(refusal, ""));
        cases.spawn(wait_out(refusal, "max_connections = 3\n"));
    }
    while let Some(case) = cases.join_next().await {
        case.expect("it was waited out");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_a_limit_keeps_back_expires_with_that_reply() {
    for refusal in REFUSALS {
        let peer = LimitingPeer::start(NO_LIMIT).await;
        peer.refuse(Some(refusal));
        let ports = send_port_over(&plain_relay(peer.address));
        let ports = ports.replace("relays =", "max_age = \"6s\"\nrelays =");
        let site = Site::new(&ports);
        let service = site.run();
        let runs = "SELECT count(*) FROM Instance";
        site.wait_until(runs, "1", Duration::from_secs(60)).await;
        insert_many(&site, 1);
        site.wait_until_all_final(Duration::from_secs(60)).await;
        let found = site.value(
            "SELECT Status || ' ' || AttemptCount || ' ' || ReplyCode || ' ' || ReplyText FROM Delivery",
        );
        let (code, text) = (&refusal.1[..3], &refusal.1[10..]);
        assert!(
            found.starts_with(&format!("expired 0 {code} expired: ")),
            "{found}"
        );
        assert!(found.ends_with(text), "{found}");
        assert_eq!(site.value("SELECT Status FROM AlertStatus"), "expired");
        assert_eq!(service.stop(), Some(0));
    }
}
