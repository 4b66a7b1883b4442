use std::time::{Duration, Instant};

use crate::health::Samples;
use crate::site::Site;
use crate::support::limiting_peer::{LimitingPeer, PeerLimits};
use crate::{insert_many, plain_relay, send_port_over};

/// Exchange Online's limits, a minute of its clock in two seconds of ours.
const MOST: PeerLimits = PeerLimits {
    connections: 3,
    messages: 30,
    window: Duration::from_secs(2),
};

/// Two instances, one started later and one killed: together they never ask for more than is
/// configured, and for most of it.
#[tokio::test(flavor = "multi_thread")]
async fn two_instances_never_ask_a_relay_for_more_than_is_configured() {
    let peer = LimitingPeer::start(MOST).await;
    let limits = "max_connections = 3\nmessage_rate = \"30/2s\"\nmessages_per_connection = 20\n";
    let relay = plain_relay(peer.address) + limits;
    let site = Site::new(&send_port_over(&relay));
    insert_many(&site, 400);
    let begun = Instant::now();
    let first = site.run();
    let relayed =
        |count| format!("SELECT count(*) >= {count} FROM AlertState WHERE Status = 'relayed'");
    site.wait_until(&relayed(60), "1", Duration::from_secs(60))
        .await;
    let second = site.run();
    let both = "SELECT count(*) FROM Instance WHERE ShareCount = 2";
    site.wait_until(both, "2", Duration::from_secs(60)).await;
    let by_both = "SELECT count(DISTINCT InstanceId) FROM Attempt";
    site.wait_until(by_both, "2", Duration::from_secs(60)).await;
    first.kill();
    site.wait_until_all_final(Duration::from_secs(120)).await;

    let seen = peer.seen();
    assert_eq!((seen.refused_connections, seen.refused_messages), (0, 0));
    assert_eq!(
        site.value("SELECT count(*) FROM AlertStatus WHERE Status = 'relayed'"),
        "400"
    );
    assert!(
        seen.accepted >= 400 && seen.accepted <= 403,
        "{} accepted",
        seen.accepted
    );
    // 400 messages are 26 seconds; a start, a share and a dead lease cost some more, and a busy
    // machine more than that.
    assert!(
        begun.elapsed() < Duration::from_secs(140),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(second.stop(), Some(0));
}

/// Nothing of the limits is configured, only the window: they are learned, and the relay is
/// asked for too much rarely.
#[tokio::test(flavor = "multi_thread")]
async fn limits_that_are_not_configured_are_learned() {
    let peer = LimitingPeer::start(MOST).await;
    let relay = plain_relay(peer.address) + "message_rate = \"100000/2s\"\n";
    let site = Site::watched(&send_port_over(&relay));
    insert_many(&site, 400);
    let begun = Instant::now();
    let service = site.run();
    let slowed = "SELECT count(*) FROM RelayState WHERE Relay = 'main' AND ThrottleReason LIKE '4__ 4.7.%' AND MessageRate LIKE '%/2s'";
    site.wait_until(slowed, "1", Duration::from_secs(60)).await;
    site.wait_until_all_final(Duration::from_secs(120)).await;

    let (seen, took) = (peer.seen(), begun.elapsed());
    assert_eq!(
        site.value("SELECT count(*) FROM AlertStatus WHERE Status = 'relayed'"),
        "400"
    );
    assert_eq!(seen.accepted, 400, "none twice");
    // Ten connections find out at the start; then steps that double from one window on.
    assert!(seen.refused_messages <= 20, "{seen:?}");
    assert!(seen.refused_connections <= 20, "{seen:?}");
    // 400 messages are 26 seconds. How much of the limit is used is a matter of the simulation
    // beside the code; here it is used at all, however busy the machine is.
    assert!(took < Duration::from_secs(100), "{took:?}");
    let reported = "SELECT count(*) FROM EventLog WHERE EventType = 'relay-throttled'";
    assert_eq!(site.value(reported), "1", "said once");
    Samples::of(site.health_address().await).are(
        r#"
        sendport_relay_throttles_total{relay="main"} 1
        sendport_events_total{severity="warning",type="relay-throttled"} 1
        sendport_submissions_total{relay="main",reply_class="2xx"} 400
        sendport_alerts_total{send_port="default",status="relayed"} 400
        "#,
    );
    assert_eq!(service.stop(), Some(0));
}

/// Of a relay that takes three connections, two instances that know nothing of it: each learns from
/// a few refusals of its own, and no message is lost, sent twice, or counted as an attempt that failed.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_two_instances_learns_how_many_connections_a_relay_takes() {
    let most = PeerLimits {
        messages: usize::MAX,
        ..MOST
    };
    let peer = LimitingPeer::start(most).await;
    let relay = plain_relay(peer.address) + "message_rate = \"100000/2s\"\n";
    let site = Site::new(&send_port_over(&relay));
    let instances = [site.run(), site.run()];
    // Only what is used is learned, so there is always more to send until both met the limit.
    let both = "SELECT count(*) = 2 FROM RelayState
                WHERE ThrottleReason LIKE '4%' OR (Condition <> 'closed' AND Reply LIKE '4%')";
    let inserted = insert_until(&site, both, Duration::from_secs(60)).await;
    site.wait_until_all_final(Duration::from_secs(120)).await;
    assert_eq!(
        site.value("SELECT count(*) FROM AlertStatus WHERE Status = 'relayed'"),
        inserted.to_string()
    );
    let attempts = site.value("SELECT count(*) FROM Attempt");
    assert_eq!(attempts, inserted.to_string(), "none was spent");
    let seen = peer.seen();
    assert_eq!(seen.accepted, inserted, "none twice");
    // The window is two seconds, so steps follow each other fast.
    assert!(seen.refused_connections <= 40, "{seen:?}");
    for instance in instances {
        assert_eq!(instance.stop(), Some(0));
    }
}

/// Keeps alerts waiting until `sql` is true; returns how many were inserted.
async fn insert_until(site: &Site, sql: &str, within: Duration) -> usize {
    let deadline = tokio::time::Instant::now() + within;
    let mut look = tokio::time::interval(Duration::from_millis(100));
    let mut inserted = 0;
    loop {
        look.tick().await;
        if site.value(sql) == "1" {
            return inserted;
        }
        let late = tokio::time::Instant::now() >= deadline;
        assert!(!late, "not true after {inserted} alerts: {sql}");
        let waiting = "SELECT count(*) < 500 FROM AlertState WHERE FinalAt IS NULL";
        if site.value(waiting) == "1" {
            insert_many(site, 500);
            inserted += 500;
        }
    }
}

/// Each message has a connection of its own, and no window has more of them than is configured,
/// of both instances together.
#[tokio::test(flavor = "multi_thread")]
async fn two_instances_never_connect_more_often_than_is_configured() {
    let window = Duration::from_secs(2);
    let peer = LimitingPeer::start(PeerLimits {
        connections: usize::MAX,
        messages: usize::MAX,
        window,
    })
    .await;
    let limits = "connect_rate = \"5/2s\"\nmessages_per_connection = 1\n";
    let site = Site::new(&send_port_over(&(plain_relay(peer.address) + limits)));
    insert_many(&site, 40);
    let instances = [site.run(), site.run()];
    let both = "SELECT count(*) FROM Instance WHERE ShareCount = 2";
    site.wait_until(both, "2", Duration::from_secs(60)).await;
    site.wait_until_all_final(Duration::from_secs(60)).await;

    let seen = peer.seen();
    assert_eq!(
        site.value("SELECT count(*) FROM AlertStatus WHERE Status = 'relayed'"),
        "40"
    );
    assert_eq!((seen.accepted, seen.connects.len()), (40, 40));
    assert!(seen.most_connects(window) <= 5, "{:?}", seen.connects);
    for instance in instances {
        assert_eq!(instance.stop(), Some(0));
    }
}
