use std::time::Duration;

use crate::site::Site;
use crate::support::unanswered_auth::{AuthReaction, CallLog, UnansweredAuthServer};
use crate::{insert_many, send_port_over};

const WITHIN: Duration = Duration::from_secs(60);

/// A service that crashes after each AUTH, and is started again at once: the account sees two tries,
/// and then none for the cooldown.
#[tokio::test(flavor = "multi_thread")]
async fn is_a_try_that_was_not_answered() {
    let seen = CallLog::default();
    let (noted, (output, mut saw)) = (seen.clone(), tokio::sync::mpsc::unbounded_channel());
    let peer = UnansweredAuthServer::start(AuthReaction::Hangs, move || {
        noted.add(());
        output.send(()).expect("the test waits");
    })
    .await;
    let site = Site::new(&send_port_over(&format!(
        "[relay.main]\nkind = \"smtp\"\nhost = \"{}\"\nport = {}\ntls = \"none\"\n\
         auth = {{ mechanism = \"login\", username = \"alice\", password_file = \"password\", \
         allow_cleartext_auth = true }}\n",
        peer.address.ip(),
        peer.address.port()
    )));
    std::fs::write(site.path("password"), "one\n").expect("write");
    insert_many(&site, 20);
    for _ in 0..2 {
        let service = site.run();
        let auth = tokio::time::timeout(WITHIN, saw.recv()).await;
        auth.expect("it signs in").expect("the peer runs");
        service.kill();
    }
    let paused = "SELECT count(*) FROM RelayState s JOIN Instance i USING (InstanceId)
                  WHERE s.Condition = 'paused' AND i.StoppedAt IS NULL";
    let service = site.run();
    site.wait_until(paused, "1", WITHIN).await;
    let checked = crate::site::text(&site.sendport(&["check"]));
    assert!(checked.contains("not tried again"), "{checked}");
    assert!(checked.contains("ended before it noted"), "{checked}");
    assert_eq!(service.stop(), Some(0));
    assert_eq!(seen.all().len(), 2);
}
