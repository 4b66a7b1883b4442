use std::time::Duration;

use sendport::sink::{Sink, SinkOptions};

use crate::site::Site;
use crate::{insert_many, plain_relay, send_port_over};

/// SIGTERM in the middle of much work: exit code 0, nothing is left leased, what arrived is
/// recorded, and a second start sends the rest; nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_records_what_was_submitted_and_releases_the_rest() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = SinkOptions {
        folder: folder.path().to_owned(),
        ..SinkOptions::default()
    };
    let sink = Sink::start(options).await.expect("start");
    let site = Site::new(&send_port_over(&plain_relay(sink.local_addr())));
    insert_many(&site, 3_000);
    let service = site.run();
    sink.wait_for(500).await;
    assert_eq!(service.stop(), Some(0));

    assert_eq!(
        site.value(
            "SELECT count(*) FROM AlertState WHERE LeaseToken IS NOT NULL OR Status = 'sending'"
        ),
        "0"
    );
    let relayed = site.value("SELECT count(*) FROM AlertState WHERE Status = 'relayed'");
    assert_eq!(relayed, sink.received().to_string());
    assert_eq!(
        site.value("SELECT sum(AttemptCount) FROM AlertState"),
        relayed,
        "the rest spent nothing"
    );

    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(sink.received(), 3_000);
    sink.stop().await;
}
