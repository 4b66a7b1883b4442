use std::time::Duration;

use sendport::sink::{Sink, SinkOptions};

use crate::site::Site;
use crate::{insert_many, plain_relay, send_port_over};

/// While the relay is down nothing is spent: no attempt, no retry delay; the database says
/// why nothing moves; and everything goes out when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn alerts_wait_unspent_and_go_out_when_the_relay_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = |listen| SinkOptions {
        listen,
        folder: folder.path().to_owned(),
        ..SinkOptions::default()
    };
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let sink = Sink::start(options(any)).await.expect("start");
    let address = sink.local_addr();
    sink.stop().await;

    let site = Site::new(&send_port_over(&plain_relay(address)));
    insert_many(&site, 20);
    let service = site.run();
    let waiting = "SELECT count(*) FROM Queue WHERE Status = 'queued' AND Depth = 20 AND WaitingFor LIKE 'relay main unavailable since %refused%'";
    site.wait_until(waiting, "1", Duration::from_secs(60)).await;
    assert_eq!(site.value("SELECT sum(AttemptCount) FROM AlertState"), "0");
    assert_eq!(
        site.value("SELECT count(*) FROM EventLog WHERE EventType = 'relay-circuit-opened'"),
        "1",
        "reported once"
    );

    let sink = Sink::start(options(address)).await.expect("start again");
    site.wait_until_all_final(Duration::from_secs(60)).await;
    site.wait_until(
        "SELECT count(*) FROM EventLog WHERE EventType = 'relay-circuit-closed'",
        "1",
        Duration::from_secs(60),
    )
    .await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(sink.received(), 20);
    assert_eq!(
        site.value("SELECT count(*) FROM Attempt WHERE Outcome = 'relayed'"),
        "20"
    );
    sink.stop().await;
}
