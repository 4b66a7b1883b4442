use std::time::Duration;

use openssl::asn1::Asn1Time;
use openssl::x509::X509;

use crate::health::{self, Samples};
use crate::site::Site;
use crate::support::postfix::{PASSWORD, Postfix, PostfixOptions, USER};
use crate::{insert_many, send_port_over};

const WITHIN: Duration = Duration::from_secs(60);

fn relay(postfix: &Postfix, password: &str) -> String {
    send_port_over(&format!(
        "[relay.main]\nkind = \"smtp\"\nhost = \"localhost\"\nport = {}\ntls = \"starttls\"\nca_file = {:?}\n\
         auth = {{ mechanism = \"plain\", username = \"{USER}\", password = \"{password}\" }}\n",
        postfix.plain().port(),
        postfix.ca_file(),
    ))
}

/// In seconds since 1970.
fn not_after(pem: &[u8]) -> f64 {
    let certificate = X509::from_pem(pem).expect("a certificate");
    let epoch = Asn1Time::from_unix(0).expect("1970");
    let since = epoch.diff(certificate.not_after()).expect("a difference");
    f64::from(since.days) * 86_400.0 + f64::from(since.secs)
}

#[tokio::test(flavor = "multi_thread")]
async fn when_certificates_end_and_how_long_authentications_take() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let site = Site::watched(&relay(&postfix, PASSWORD));
    insert_many(&site, 1);
    let service = site.run();
    let address = site.health_address().await;
    let of_relay = |certificate| {
        format!(
            "sendport_certificate_not_after_timestamp_seconds{{certificate=\"{certificate}\",relay=\"main\"}}"
        )
    };
    let authority = not_after(&std::fs::read(postfix.ca_file()).expect("read"));
    let samples = Samples::of(address);
    assert_eq!(samples.get(&of_relay("ca")), Some(authority));
    site.wait_until_all_final(WITHIN).await;

    let samples = Samples::of(address);
    let shown = samples.get(&of_relay("relay")).expect("seen by now");
    assert!(shown > 1_600_000_000.0, "{shown}");
    samples.are(
        r#"
        sendport_connect_duration_seconds_count{relay="main"} 1
        sendport_tls_handshake_duration_seconds_count{relay="main"} 1
        sendport_authentication_duration_seconds_count{relay="main"} 1
        sendport_authentication_failures_total{relay="main"} 0
        sendport_relay_connections{relay="main"} 1
        sendport_relay_connections_limit{relay="main"} 10
        "#,
    );
    assert_eq!(service.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_counted_once() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let site = Site::watched(&relay(&postfix, "wrong"));
    insert_many(&site, 20);
    let service = site.run();
    let address = site.health_address().await;
    let paused = "sendport_relay_state{relay=\"main\",state=\"paused\"}";
    health::wait_for_sample(address, paused, 1.0).await;
    let samples = Samples::of(address);
    samples.are(
        r#"
        sendport_authentication_failures_total{relay="main"} 1
        sendport_authentication_duration_seconds_count{relay="main"} 0
        sendport_relay_state_changes_total{relay="main",state="paused"} 1
        "#,
    );
    let faults = "sendport_submission_faults_total{fault=\"configuration\",relay=\"main\"}";
    assert!(samples.get(faults).is_some_and(|count| count >= 1.0));
    let (_, text) = health::get(address, "/metrics");
    assert!(!text.contains("wrong") && !text.contains(USER));
    assert_eq!(service.stop(), Some(0));
}
