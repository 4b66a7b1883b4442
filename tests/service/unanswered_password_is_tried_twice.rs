use std::time::Duration;

use crate::site::Site;
use crate::support::silent_about_auth::{Instead, Seen, SilentAboutAuth};
use crate::{insert_many, send_port_over};

const WITHIN: Duration = Duration::from_secs(60);

/// Two instances, `check` and `probe` share what they know: a relay that hangs up on AUTH sees
/// two of them, however often it is asked.
#[tokio::test(flavor = "multi_thread")]
async fn by_all_instances_and_commands_together() {
    let seen = Seen::default();
    let noted = seen.clone();
    let peer = SilentAboutAuth::start(Instead::HangsUp, move || noted.add(())).await;
    let site = Site::new(&send_port_over(&format!(
        "[relay.main]\nkind = \"smtp\"\nhost = \"{}\"\nport = {}\ntls = \"none\"\n\
         auth = {{ mechanism = \"login\", username = \"alice\", password = \"secret\", \
         allow_cleartext_auth = true }}\n",
        peer.address.ip(),
        peer.address.port()
    )));
    insert_many(&site, 20);
    site.sendport(&["check"]);
    assert_eq!(seen.all().len(), 1);
    let instances = [site.run(), site.run()];
    let rests = "SELECT count(*) FROM RelaySignIn WHERE State = 'refused' AND ReplyCode = 0";
    site.wait_until(rests, "1", WITHIN).await;
    for _ in 0..3 {
        for command in [&["check"][..], &["probe", "--relay", "main"]] {
            let output = site.sendport(command);
            let said = crate::site::text(&output);
            assert!(said.contains("not tried again for 15 minutes"), "{said}");
        }
    }
    for instance in instances {
        assert_eq!(instance.stop(), Some(0));
    }
    assert_eq!(seen.all().len(), 2);
    assert_eq!(site.value("SELECT count(*) FROM Attempt"), "0");
}
