use std::net::SocketAddr;
use std::time::Duration;

use crate::site::Site;
use crate::support::postfix::{PASSWORD, Postfix, PostfixOptions, USER};
use crate::{insert_many, send_port_over};

const WITHIN: Duration = Duration::from_secs(60);
const FAILURE: &str = "authentication failed: authentication failure";

/// `password`: the setting that holds it.
fn authenticated_relay(address: SocketAddr, password: &str) -> String {
    send_port_over(&format!(
        "[relay.main]\nkind = \"smtp\"\nhost = \"{}\"\nport = {}\ntls = \"none\"\n\
         auth = {{ mechanism = \"plain\", username = \"{USER}\", {password}, allow_cleartext_auth = true }}\n",
        address.ip(),
        address.port()
    ))
}

/// Ten connections each of two instances authenticate at once: the server sees one try, a
/// restart makes none, and a changed password is tried at once.
#[tokio::test]
async fn a_refused_password_is_tried_once_by_two_instances_with_ten_permits() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let site = Site::new(&authenticated_relay(
        postfix.plain(),
        "password = \"wrong\"",
    ));
    insert_many(&site, 40);
    let instances = [site.run(), site.run()];
    let paused = "SELECT count(*) FROM RelayState s JOIN Instance i USING (InstanceId)
                  WHERE s.Condition = 'paused' AND i.StoppedAt IS NULL";
    site.wait_until(paused, "2", WITHIN).await;
    postfix.wait_for_log(FAILURE, WITHIN).await;
    for instance in instances {
        assert_eq!(instance.stop(), Some(0));
    }
    let again = site.run();
    site.wait_until(paused, "1", WITHIN).await;
    assert_eq!(again.stop(), Some(0));
    assert_eq!(postfix.mail_log().matches(FAILURE).count(), 1);
    assert_eq!(site.value("SELECT count(*) FROM Attempt"), "0");
    let waiting = site.value("SELECT WaitingFor FROM Queue");
    assert!(waiting.contains("no instance"), "{waiting}");

    let config = std::fs::read_to_string(site.config()).expect("read");
    let config = config.replace("\"wrong\"", &format!("{PASSWORD:?}"));
    std::fs::write(site.config(), config).expect("write");
    let recovered = site.run();
    site.wait_until_all_final(WITHIN).await;
    let relayed = "SELECT count(*) FROM AlertStatus WHERE Status = 'relayed'";
    assert_eq!(site.value(relayed), "40");
    assert_eq!(site.value("SELECT Authentication FROM Relay"), "accepted");
    assert_eq!(recovered.stop(), Some(0));
    assert_eq!(postfix.mail_log().matches(FAILURE).count(), 1);
}

/// The password file changes while two instances do not try the refused one: they need no restart.
#[tokio::test]
async fn a_password_file_that_is_changed_is_tried_at_once() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let site = Site::new(&authenticated_relay(
        postfix.plain(),
        "password_file = \"password\"",
    ));
    let file = site.path("password");
    std::fs::write(&file, "wrong\n").expect("write");
    insert_many(&site, 20);
    let instances = [site.run(), site.run()];
    let paused = "SELECT count(*) FROM RelayState s JOIN Instance i USING (InstanceId)
                  WHERE s.Condition = 'paused' AND i.StoppedAt IS NULL";
    site.wait_until(paused, "2", WITHIN).await;
    postfix.wait_for_log(FAILURE, WITHIN).await;

    std::fs::write(&file, format!("{PASSWORD}\n")).expect("write");
    site.wait_until_all_final(WITHIN).await;
    let relayed = "SELECT count(*) FROM AlertStatus WHERE Status = 'relayed'";
    assert_eq!(site.value(relayed), "20");
    assert_eq!(postfix.mail_log().matches(FAILURE).count(), 1);
    for instance in instances {
        assert_eq!(instance.stop(), Some(0));
    }
}
