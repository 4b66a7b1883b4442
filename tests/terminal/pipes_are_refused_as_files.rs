use std::process::Command;

use crate::program::run;
use crate::site::Site;

const PORT: &str = "[relay.main]\nkind = \"discard\"\n[send_port.default]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n";

fn site(settings: &str) -> Site {
    let site = Site::new(&format!("{PORT}{settings}"));
    let made = Command::new("mkfifo").arg(site.path("pipe")).status();
    assert!(made.expect("mkfifo").success());
    site
}

#[test]
fn a_pipe_as_an_argument_is_refused() {
    let site = site("");
    let to = ["send", "--to", "ops@example.test"];
    for arguments in [
        &[&to[..], &["--subject", "x", "--attach", "pipe"]].concat()[..],
        &[&to[..], &["--body-file", "pipe"]].concat(),
        &["preview", "--template", "late", "--payload", "pipe"],
        &["cert", "import", "pipe"],
    ] {
        let output = run(&site.path(""), arguments);
        let code = output.code.unwrap_or_default();
        assert_ne!(code, 0, "{arguments:?}");
        output.prints(code, &["expected a regular file, found a pipe"]);
    }
}

#[test]
fn a_pipe_as_replies_file_is_refused() {
    let site = site("[replies]\nfile = \"pipe\"\n");
    run(&site.path(""), &["check", "--offline"]).prints(
        3,
        &["replies.file", "expected a regular file, found a pipe"],
    );
}
