use std::time::Duration;

use crate::site::Site;
use crate::support::unanswered_auth::{AuthReaction, CallLog, UnansweredAuthServer};
use crate::{insert_many, send_port_over};

const CAUSE: &str = "The relay twice did not answer an authentication";
const ADVICE: &str = "Read the relay";
const WITHIN: Duration = Duration::from_secs(60);

/// Two instances, `check` and `probe` share what they know: a relay that hangs up on AUTH sees
/// two of them, however often it is asked, until the password is another one.
#[tokio::test(flavor = "multi_thread")]
async fn by_all_instances_and_commands_together() {
    let seen = CallLog::default();
    let noted = seen.clone();
    let peer = UnansweredAuthServer::start(AuthReaction::Disconnects, move || noted.add(())).await;
    let site = Site::new(&send_port_over(&format!(
        "[relay.main]\nkind = \"smtp\"\nhost = \"{}\"\nport = {}\ntls = \"none\"\n\
         auth = {{ mechanism = \"login\", username = \"alice\", password_file = \"password\", \
         allow_cleartext_auth = true }}\n",
        peer.address.ip(),
        peer.address.port()
    )));
    let file = site.path("password");
    std::fs::write(&file, "one\n").expect("write");
    insert_many(&site, 20);
    site.sendport(&["check"]);
    assert_eq!(seen.all().len(), 1);
    let instances = [site.run(), site.run()];
    let paused = "SELECT count(*) FROM RelayState s JOIN Instance i USING (InstanceId)
                  WHERE s.Condition = 'paused' AND i.StoppedAt IS NULL";
    site.wait_until(paused, "2", WITHIN).await;
    let host = peer.address.to_string();
    let password = file.to_str().expect("text");
    let by_hand = [
        "probe",
        &host,
        "--tls",
        "none",
        "--auth",
        "login",
        "--user",
        "alice",
        "--password-file",
        password,
        "--allow-cleartext-auth",
    ];
    for _ in 0..3 {
        for command in [&["check"][..], &["probe", "--relay", "main"], &by_hand] {
            let output = site.sendport(command);
            let message = crate::site::text(&output);
            assert!(
                message.contains("not tried again for 15 minutes"),
                "{message}"
            );
            assert!(
                message.contains(CAUSE) && message.contains(ADVICE),
                "{message}"
            );
            assert!(
                !message.contains("AUTH: AUTH") && !message.contains("connection-lost"),
                "{message}"
            );
        }
    }
    assert_eq!(seen.all().len(), 2);
    let shown = format!("SELECT count(*) FROM Relay WHERE Advice LIKE '{ADVICE}%'");
    assert_ne!(site.value(&shown), "0");
    let reported = format!(
        "SELECT count(*) FROM EventLog WHERE EventType = 'relay-paused'
         AND Message LIKE '%{CAUSE}%{ADVICE}%' AND Message NOT LIKE '%has to mend it%'"
    );
    assert_eq!(site.value(&reported), "2");
    std::fs::write(&file, "another\n").expect("write");
    let rest = "SELECT count(*) FROM RelayAuthentication WHERE State = 'refused' AND ReplyCode = 0";
    site.wait_until(rest, "2", WITHIN).await;
    for instance in instances {
        assert_eq!(instance.stop(), Some(0));
    }
    assert_eq!(seen.all().len(), 4, "another password, two tries");
    assert_eq!(site.value("SELECT count(*) FROM Attempt"), "0");
}
