use crate::program::{ProgramOutput, run};
use crate::site::Site;

const PORT: &str = "[relay.main]\nkind = \"discard\"\n[send_port.default]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n\
    [send_port.default.attachments]\nmax_size = \"1KB\"\n";

fn send(site: &Site, more: &[&str]) -> ProgramOutput {
    run(&site.path(""), &[&["send"], more].concat())
}

/// The words are those that the alert's status would have a second later.
#[test]
fn refuses_invalid_alerts_without_inserting() {
    let site = Site::new(PORT);
    std::fs::write(site.path("large.bin"), [0; 2000]).expect("write");
    let to = ["--to", "ops@example.test"];
    for (option, column, most) in [
        ("--subject", "Subject", 998),
        ("--template", "Template", 128),
        ("--language", "Language", 35),
        ("--reference", "Reference", 200),
        ("--send-port", "SendPort", 64),
    ] {
        let long = "x".repeat(most + 1);
        let words = format!(
            "would fail: {column} has {} characters, and at most {most} are stored",
            most + 1
        );
        send(&site, &[&to[..], &["--body", "x", option, &long]].concat()).prints(6, &[&words]);
    }
    for (more, words) in [
        (
            &["--to", "ops@", "--subject", "x"][..],
            "'ops@' is not a mail address",
        ),
        (
            &["--to", "ops@example.test; b: c@d", "--subject", "x"],
            "groups are not supported",
        ),
        (
            &[&to[..], &["--template", "late"]].concat(),
            "there is no template 'late'",
        ),
        (
            &[&to[..], &["--subject", "a\nBcc: b@c"]].concat(),
            "Subject",
        ),
        (
            &[&to[..], &["--subject", "x", "--attach", "large.bin"]].concat(),
            "large.bin",
        ),
        (
            &[
                &to[..],
                &["--subject", "x", "--headers", r#"{"Bcc": "a@b"}"#],
            ]
            .concat(),
            "Bcc",
        ),
    ] {
        send(&site, more).prints(
            6,
            &[
                "nothing was inserted, because the alert would fail: ",
                words,
            ],
        );
    }
    for (more, words) in [
        (&["--to", "", "--subject", "x"][..], "expected an address"),
        (&["--to", " ; ", "--subject", "x"], "expected an address"),
        (&to, "--subject"),
    ] {
        send(&site, more).prints(2, &[words]);
    }
    assert_eq!(site.value("SELECT count(*) FROM Alert"), "0");
    send(&site, &[&to[..], &["--subject", "x"]].concat()).prints(0, &["alert 1 queued"]);
}

/// A reason in the view Queue is reported at once, whatever the time-out.
#[test]
fn reports_a_missing_instance_at_once() {
    let site = Site::new(PORT);
    let begun = std::time::Instant::now();
    let output = send(
        &site,
        &[
            "--to",
            "ops@example.test",
            "--subject",
            "x",
            "--wait",
            "--timeout",
            "600",
        ],
    );
    output.prints(
        6,
        &["alert 1 is queued: no instance of the service is running"],
    );
    assert!(begun.elapsed().as_secs() < 60, "it waited");
}

#[test]
fn a_database_of_another_environment_is_named() {
    let site = Site::new(PORT);
    let config = std::fs::read_to_string(site.config()).expect("read");
    let other = config.replace("environment = \"test\"", "environment = \"production\"");
    std::fs::write(site.config(), other).expect("write");
    let words =
        "belongs to the environment 'test', but this service is configured for 'production'";
    send(&site, &["--to", "ops@example.test", "--subject", "x"]).prints(4, &[words]);
    run(&site.path(""), &["check"]).prints(4, &[words]);
    run(&site.path(""), &["run"]).prints(4, &[words]);
    assert_eq!(site.value("SELECT count(*) FROM Alert"), "0");
    run(&site.path(""), &["status"]).prints(
        0,
        &["the configuration says environment 'production', the database 'test'"],
    );
}

/// One line says that it fails, and none that it is fine.
#[test]
fn check_reports_no_send_port_as_good_that_run_refuses() {
    let site = Site::new(PORT);
    let config = std::fs::read_to_string(site.config()).expect("read");
    std::fs::write(site.config(), config.replace("[\"main\"]", "[\"mian\"]")).expect("write");
    let output = run(&site.path(""), &["check"]);
    output.prints(
        3,
        &["FAIL  send_port.default.relays: there is no [relay.mian]"],
    );
    assert!(
        !output.out.contains("ok    send_port.default:"),
        "{}",
        output.out
    );
    run(&site.path(""), &["run"]).prints(3, &["there is no [relay.mian]"]);
}

/// Colors if they are requested, none in a pipe; and a line that closes it.
#[test]
fn check_closes_with_a_line_and_paints_where_it_may() {
    let site = Site::new(PORT);
    let output = run(&site.path(""), &["check"]);
    output.prints(0, &["ok    send_port.default: ", "nothing failed\n"]);
    assert!(!output.out.contains('\u{1b}'), "{}", output.out);
    let output = run(&site.path(""), &["check", "--color", "always"]);
    output.prints(0, &["\u{1b}[32mok\u{1b}[0m    send_port.default: "]);
}
