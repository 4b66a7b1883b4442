use std::time::Duration;

use chrono::{TimeDelta, Timelike};
use sendport::sink::{Sink, SinkOptions};
use sendport_core::clock::{Clock, SystemClock};
use sendport_core::domain::Timestamp;

use crate::site::Site;
use crate::{plain_relay, send_port_over};

/// The next full hour but one: shut until then, whenever the test runs.
fn opening(now: Timestamp) -> Timestamp {
    let later = now + TimeDelta::hours(2);
    later
        .with_minute(0)
        .and_then(|t| t.with_second(0))
        .and_then(|t| t.with_nanosecond(0))
        .expect("a full hour")
}

fn window(opening: Timestamp) -> String {
    let to = opening + TimeDelta::hours(1);
    format!(
        "[send_port.default.delivery_window]\nopen = [{{ from = \"{}\", to = \"{}\" }}]\nbypass_severities = [\"critical\"]\n",
        opening.format("%H:%M"),
        to.format("%H:%M"),
    )
}

/// Outside of its window a send port sends what is critical; everything else says until when
/// it waits, spends nothing, and can expire meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn an_alert_waits_for_the_opening_and_a_critical_one_passes() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = Sink::start(SinkOptions {
        listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        folder: folder.path().to_owned(),
        ..SinkOptions::default()
    })
    .await
    .expect("start");
    let opens = opening(SystemClock.now());
    let settings = send_port_over(&plain_relay(sink.local_addr())) + &window(opens);
    let site = Site::new(&settings);
    let insert = "INSERT INTO Alert (ToRecipients, Subject, Body, Reference, Severity, ExpiresAt) VALUES
        ('a@example.test', 's', 'b', 'waits', 'warning', NULL),
        ('a@example.test', 's', 'b', 'passes', 'CRITICAL', NULL),
        ('a@example.test', 's', 'b', 'expires', NULL, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+4 seconds'))";
    site.database().execute_batch(insert).expect("insert");
    let service = site.run();

    let within = Duration::from_secs(60);
    let status =
        |reference: &str| format!("SELECT Status FROM AlertStatus WHERE Reference = '{reference}'");
    site.wait_until(&status("passes"), "relayed", within).await;
    let reason = format!(
        "waits for the delivery window, which opens at {}",
        opens.format("%Y-%m-%dT%H:%M:%SZ")
    );
    let waits = "SELECT StatusReason FROM AlertStatus WHERE Reference = 'waits'";
    site.wait_until(waits, &reason, within).await;
    site.wait_until(&status("expires"), "expired", within).await;

    assert_eq!(site.value(&status("waits")), "queued");
    let columns = "SELECT AttemptCount || ' ' || substr(NextAttemptAt, 1, 16) FROM AlertStatus WHERE Reference = 'waits'";
    let expected = format!("0 {}", opens.format("%Y-%m-%dT%H:%M"));
    assert_eq!(site.value(columns), expected);
    assert_eq!(service.stop(), Some(0));
    assert_eq!(sink.received(), 1);
    sink.stop().await;
}
