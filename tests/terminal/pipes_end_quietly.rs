use std::process::Stdio;

use crate::program::program;
use crate::site::Site;

const PORT: &str = "[relay.main]\nkind = \"discard\"\n[send_port.default]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n";

/// As `sendport status > report` has it on a full disk.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_reported() {
    let site = Site::new(PORT);
    let sql = "INSERT INTO Alert (ToRecipients, Subject, Body) VALUES ('ops@example.test', 'x', '<p>y</p>')";
    site.database().execute(sql, []).expect("insert");
    for arguments in [
        &["status"][..],
        &["status", "1", "--json"],
        &["check"],
        &["preview", "1"],
        &["preview", "1", "--raw"],
        &["config", "show"],
        &["resolve"],
        &["template", "list"],
        &["migrate", "--print"],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let mut command = program(&site.path(""), arguments);
        command
            .stdout(full.expect("/dev/full"))
            .stderr(Stdio::piped());
        let output = command.output().expect("run sendport");
        let printed = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {printed}");
        assert!(
            printed.contains("No space left on device"),
            "{arguments:?}: {printed}"
        );
    }
}

/// As in `sendport status | head -0`: the reader ends, no error is printed, and the code stays.
#[test]
fn reader_may_close_the_pipe() {
    let site = Site::new(PORT);
    let sql = "INSERT INTO Alert (ToRecipients, Subject, Body) VALUES ('ops@example.test', 'x', '<p>y</p>')";
    site.database().execute(sql, []).expect("insert");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|it| it.local_addr())
        .expect("a port")
        .to_string();
    for (arguments, code) in [
        (&["status"][..], 0),
        (&["status", "1"], 0),
        (&["status", "--json"], 0),
        (&["check"], 0),
        (&["preview", "1"], 0),
        (&["preview", "1", "--raw"], 0),
        (&["config", "show"], 0),
        (&["resolve"], 0),
        (&["template", "list"], 0),
        (&["cert", "list"], 0),
        (&["migrate"], 0),
        (&["migrate", "--print"], 0),
        (&["probe", &port], 11),
        (&["probe", &port, "--json"], 11),
        (&["--help"], 0),
        (&["--version"], 0),
    ] {
        let mut command = program(&site.path(""), arguments);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = command.stdout(writer).stderr(Stdio::piped()).output();
        let output = output.expect("run sendport");
        let printed = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {printed}");
        assert!(
            !printed.contains("panicked") && !printed.contains("Broken pipe"),
            "{arguments:?}: {printed}"
        );
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let both = writer.try_clone().expect("a pipe");
        let ended = program(&site.path(""), arguments)
            .stdout(writer)
            .stderr(both)
            .status();
        assert_eq!(
            ended.expect("run sendport").code(),
            Some(code),
            "{arguments:?}"
        );
    }
}
