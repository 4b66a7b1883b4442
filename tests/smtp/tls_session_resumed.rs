//! The second connection to a relay resumes the TLS session of the first, of both versions.

use std::time::Duration;

use sendport_smtp::relay::Relay;
use tokio::time::{Instant, interval};

use crate::support::client::{relay, submit};
use crate::support::postfix::{Postfix, PostfixOptions};

const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_second_connection_resumes_the_session() {
    if !Postfix::available() {
        return;
    }
    for version in ["TLSv1.2", "TLSv1.3"] {
        let this_alone = format!(">={version}, <={version}");
        let main_cf = [
            ("smtpd_tls_loglevel", "2"),
            ("smtpd_tls_protocols", this_alone.as_str()),
        ];
        let postfix = Postfix::start(PostfixOptions {
            main_cf: main_cf
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
            ..PostfixOptions::default()
        })
        .await;
        let settings = format!(
            "tls = \"starttls\"\nca_file = \"{}\"\nidle_timeout = \"0s\"",
            postfix.ca_file().display()
        );
        let relay = relay(postfix.plain(), &settings);
        let mut fingerprints = Vec::new();
        for _ in 0..3 {
            let report = submit(&relay, &["bob@example.test"]).await;
            assert!(report.is_accepted(), "{report:?}");
            assert_eq!(report.facts.tls_version.as_deref(), Some(version));
            fingerprints.push(report.facts.peer_fingerprint);
        }
        assert!(fingerprints[0].is_some());
        assert!(fingerprints.iter().all(|one| *one == fingerprints[0]));
        relay.close().await;
        wait_until_resumed(&postfix, 2, version).await;
    }
}

/// Postfix's log comes after its replies.
async fn wait_until_resumed(postfix: &Postfix, times: usize, version: &str) {
    let resumed = || postfix.mail_log().matches("Reusing old session").count();
    let deadline = Instant::now() + WITHIN;
    let mut ticks = interval(Duration::from_millis(25));
    while resumed() < times {
        let found = resumed();
        assert!(
            Instant::now() < deadline,
            "{version}: resumed {found} times instead of {times}"
        );
        ticks.tick().await;
    }
}
