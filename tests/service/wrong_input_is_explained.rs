use crate::send_port_over;
use crate::site::{Site, text};

const DISCARD: &str = "[relay.main]\nkind = \"discard\"\n";

fn site_with(config: &str) -> Site {
    let site = Site::new(&send_port_over(DISCARD));
    std::fs::write(site.config(), config).expect("write");
    site
}

fn refused(config: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = site_with(config).sendport(arguments);
    (output.status.code(), text(&output))
}

#[test]
fn an_unknown_key_is_named_with_a_suggestion() {
    let (code, shown) = refused("[service]\npol_interval = \"1s\"\n", &["run"]);
    assert_eq!(code, Some(3));
    assert!(
        shown.contains("sendport.toml") && shown.contains("did you mean `poll_interval`?"),
        "{shown}"
    );
}

#[test]
fn a_configuration_without_send_port_says_what_to_write() {
    let (code, shown) = refused("environment = \"x\"\n", &["run"]);
    assert_eq!(code, Some(3));
    assert!(shown.contains("[send_port.default]"), "{shown}");
}

#[test]
fn a_missing_database_is_explained() {
    let (code, shown) = refused(
        "[database]\nconnection = \"sqlite:absent.db\"\n",
        &["status"],
    );
    assert_eq!(code, Some(4));
    assert!(shown.contains("sendport migrate"), "{shown}");
}

#[test]
fn a_configuration_file_that_is_not_there_is_named() {
    let site = Site::new(&send_port_over(DISCARD));
    std::fs::remove_file(site.config()).expect("remove");
    let output = site.sendport(&["run"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output).contains("sendport.toml"), "{}", text(&output));
}

#[test]
fn check_prints_a_line_for_each_finding_and_fails_by_the_first() {
    let site = Site::new(&send_port_over(DISCARD));
    let output = site.sendport(&["check"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        text(&output).contains("ok    environment: test"),
        "{}",
        text(&output)
    );

    let config = std::fs::read_to_string(site.config()).expect("read");
    let down = "[relay.main]\nkind = \"smtp\"\nhost = \"127.0.0.1\"\nport = 9\ntls = \"none\"\n";
    std::fs::write(site.config(), config.replace(DISCARD, down)).expect("write");
    let output = site.sendport(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("FAIL  relay.main: CONNECT"),
        "{}",
        text(&output)
    );
}

#[test]
fn an_insert_that_the_database_refuses_names_the_constraint() {
    let site = Site::new(&send_port_over(DISCARD));
    let wrong = "INSERT INTO Alert (ToRecipients, NotBefore) VALUES ('a@b', '2026-01-01 10:00')";
    let error = site
        .database()
        .execute(wrong, [])
        .expect_err("refused")
        .to_string();
    assert!(
        error.contains("CK_Alert_NotBefore_like_2026_01_31T12_00_00_000Z"),
        "{error}"
    );
}

/// Alerts that would fail later are refused at once, and nothing is inserted.
#[test]
fn an_alert_that_cannot_be_sent_is_not_inserted_by_hand() {
    let site = Site::new(&send_port_over(DISCARD));
    let to = ["--to", "ops@example.test"];
    for (arguments, shown) in [
        (
            vec!["--subject", "s"],
            "<--to <LIST>|--cc <LIST>|--bcc <LIST>>",
        ),
        (
            vec![to[0], to[1], "--payload", "{order"],
            "this is not JSON: ",
        ),
        (
            vec![to[0], to[1], "--payload", "[1]"],
            "expected a JSON object",
        ),
        (
            vec![to[0], to[1], "--headers", "X-A: b"],
            "this is not JSON: ",
        ),
    ] {
        let output = site.sendport(&[&["send"], &*arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(shown), "{}", text(&output));
    }
    assert_eq!(site.value("SELECT count(*) FROM Alert"), "0");
    let output = site.sendport(&[
        "send",
        to[0],
        to[1],
        "--subject",
        "s",
        "--send-port",
        "spare",
    ]);
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(
        text(&output),
        "alert 1 queued\nsendport: note: this configuration has no send port spare; it has: default; \
         no instance sends the alert: no instance of the service is running\n"
    );
}

/// A name that no configuration may hold would shut every service out of the database.
#[test]
fn an_environment_without_a_name_is_refused_everywhere() {
    let site = Site::new(&send_port_over(DISCARD));
    let long = "x".repeat(65);
    for name in ["", " ", &long] {
        for verb in ["adopt", "migrate"] {
            let mut arguments = vec![verb, "--environment", name];
            arguments.extend((verb == "adopt").then_some("--hold"));
            let output = site.sendport(&arguments);
            assert_eq!(output.status.code(), Some(2), "{}", text(&output));
            assert!(text(&output).contains("1 to 64"), "{}", text(&output));
        }
    }
    assert_eq!(site.value("SELECT Name FROM Environment"), "test");
}

/// What `run` refuses at its start, `check --offline` refuses in the same words.
#[test]
fn check_says_what_run_would_refuse() {
    let relay = |setting: &str| {
        let head = "[relay.main]\nkind = 'smtp'\nhost = '127.0.0.1'\n";
        send_port_over(&format!("{head}{setting}\n"))
    };
    let beside = |section: &str| format!("{section}\n{}", send_port_over(DISCARD));
    let password = "tls = 'starttls'\nauth = { mechanism = 'plain', username = 'u', password_file = 'absent' }";
    for (config, expected) in [
        (
            relay("ehlo_name = 'win pc'"),
            "relay.main.ehlo_name: expected a domain",
        ),
        (
            relay("ehlo_name = ''"),
            "relay.main.ehlo_name: expected a domain",
        ),
        (relay("ca_file = 'absent.pem'"), "relay.main.ca_file '"),
        (
            relay("timeout = { rcpt = '0s' }"),
            "relay.main.timeout.rcpt: 0 would never wait",
        ),
        (
            relay("port = 'x'"),
            "relay.main.port: expected a positive number up to 65535, found text",
        ),
        (relay(password), "relay.main.auth.password_file: the file"),
        (
            beside("[log]\nlevel = 'verbose'"),
            "log.level: 'verbose' is not a level",
        ),
        (
            beside("[http]\nlisten = '192.0.2.1:9587'"),
            "http.listen: cannot listen at 192.0.2.1:9587",
        ),
        (
            beside("[database]\nconnection_file = 'absent'"),
            "database.connection_file",
        ),
    ] {
        for arguments in [&["check", "--offline"][..], &["check"], &["run"]] {
            let (code, shown) = refused(&config, arguments);
            assert!(
                shown.contains(expected),
                "{arguments:?}, {expected}: {shown}"
            );
            assert_ne!(code, Some(0), "{arguments:?}: {shown}");
        }
    }
}
