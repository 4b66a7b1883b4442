use std::path::Path;
use std::time::Duration;

use crate::program::{ProgramOutput, run};
use crate::site::Site;

const RELAY: &str = "[relay.main]\nkind = \"discard\"\n";

fn send_port(name: &str) -> String {
    format!("[send_port.{name}]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n")
}

fn send(folder: &Path, send_port: &str, more: &[&str]) -> ProgramOutput {
    let arguments = [
        "send",
        "--to",
        "ops@example.test",
        "--subject",
        "x",
        "--send-port",
        send_port,
    ];
    run(folder, &[&arguments[..], more].concat())
}

/// One sees where a name ends, and which of two it is.
#[test]
fn in_keys_lists_and_tables() {
    let ports = [r#""a b""#, r#""x,y""#, "erp"].map(send_port).concat();
    let site = Site::new(&format!("{RELAY}{ports}"));
    let folder = site.path("");
    run(&folder, &["check"]).prints(
        0,
        &[
            "ok    send_port.\"a b\": from",
            "ok    send_port.\"x,y\": from",
            "ok    send_port.erp: from",
        ],
    );
    let sent = send(&folder, "it's, ok", &[]);
    let note = "has no send port \"it's, ok\"; it has: \"a b\", erp, \"x,y\"; no instance sends";
    sent.prints(0, &[note]);
    assert_eq!(
        sent.out, "alert 1 queued\n",
        "the note is on the other stream"
    );
    for arguments in [&["status"][..], &["status", "1"]] {
        run(&folder, arguments).prints(0, &["\"it's, ok\""]);
    }
    run(&folder, &["preview", "1"]).prints(6, &["it has: \"a b\", erp, \"x,y\""]);
    let sent = send(&folder, "erp  ", &[]);
    sent.prints(0, &["alert 2 queued\n"]);
    assert_eq!(
        sent.err, "",
        "databases compare without the blanks at the end"
    );
    let config = std::fs::read_to_string(site.config()).expect("read");
    std::fs::write(
        site.config(),
        config.replacen("alerts@example.test", "alerts@", 1),
    )
    .expect("write");
    let wrong = "sendport.toml: send_port.\"a b\".from: 'alerts@' is not a mail address";
    run(&folder, &["check", "--offline"]).prints(3, &["FAIL  configuration: ", wrong]);
}

/// What the database knows of another instance's send port.
#[tokio::test]
async fn a_send_port_of_another_instance() {
    let site = Site::new(&format!("{RELAY}{}", send_port("erp")));
    let service = site.run();
    let there = "SELECT count(*) FROM SendPort WHERE Name = 'erp'";
    site.wait_until(there, "1", Duration::from_secs(60)).await;
    let config = std::fs::read_to_string(site.config()).expect("read");
    std::fs::write(
        site.config(),
        config.replace("[send_port.erp]", "[send_port.default]"),
    )
    .expect("write");
    for (name, who) in [
        ("erp", "another instance that runs has it"),
        // It has none, or had none when the service looked.
        ("crm", "a send port named 'crm'"),
    ] {
        let output = send(&site.path(""), name, &[]);
        output.prints(0, &["it has: default; ", who]);
    }
    let output = send(&site.path(""), "erp", &["--wait", "--json"]);
    output.prints(0, &[]);
    let value: serde_json::Value = serde_json::from_str(&output.out).expect("one document");
    assert_eq!(value["Alert"]["Status"], "relayed");
    assert_eq!(value["Deliveries"][0]["Address"], "ops@example.test");
    assert_eq!(service.stop(), Some(0));
}
