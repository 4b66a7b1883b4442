use std::time::Duration;

use crate::send_port_over;
use crate::site::{Site, text};

const DISCARD: &str = "[relay.main]\nkind = \"discard\"\n";

#[tokio::test]
async fn a_test_mail_is_relayed_and_an_unknown_send_port_is_named() {
    let site = Site::new(&send_port_over(DISCARD));
    let service = site.run();
    let running = "SELECT count(*) FROM Instance WHERE StoppedAt IS NULL";
    site.wait_until(running, "1", Duration::from_secs(60)).await;
    let sent = site.sendport(&["test-mail", "--to", "me@example.test"]);
    let output = text(&sent);
    assert!(sent.status.success(), "{output}");
    assert!(
        output.contains("alert 1 queued") && output.contains("relayed"),
        "{output}"
    );
    assert_eq!(
        site.value("SELECT Subject || ', ' || Status FROM AlertStatus"),
        "Test of send port default, relayed"
    );
    let other = site.sendport(&[
        "test-mail",
        "--to",
        "me@example.test",
        "--send-port",
        "nope",
        "--timeout",
        "1",
    ]);
    assert!(!other.status.success());
    assert!(text(&other).contains("nope"), "{}", text(&other));
    assert!(text(&other).contains("nothing was inserted"));
    assert_eq!(site.value("SELECT count(*) FROM Alert"), "1");
    let wrong = site.sendport(&["test-mail", "--to", ";"]);
    assert_eq!(wrong.status.code(), Some(1), "{}", text(&wrong));
    assert_eq!(service.stop(), Some(0));
}
