use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Child, Stdio};

use crate::program::program;
use crate::site::Site;
use crate::terminal::Terminal;

const PORT: &str = "[send_port.default]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n";
const DISCARD: &str = "[relay.main]\nkind = \"discard\"\n";

/// Another program changes the database for three seconds; pipes and JSON output show no progress.
#[test]
fn on_a_terminal_and_nowhere_else() {
    let site = Site::new(&format!("{DISCARD}{PORT}"));
    let folder = site.path("");
    let other = site.database();
    other.execute_batch("BEGIN IMMEDIATE").expect("lock");
    let piped = |arguments: &[&str]| {
        let mut command = program(&folder, arguments);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("run sendport")
    };
    let (pipe, json) = (
        piped(&["release", "--all"]),
        piped(&["release", "--all", "--json"]),
    );
    let mut terminal = Terminal::start(&folder, "release --all");
    terminal.read_until("release, 5 s");
    other.execute_batch("ROLLBACK").expect("let go");
    let (code, shown) = terminal.ended();
    assert_eq!(code, Some(0), "{shown}");
    let (before, after) = shown.split_once("release, 5 s").expect("it was shown");
    assert!(before.starts_with("\r\u{1b}[Krelease, 2 s"), "{shown:?}");
    assert!(after.contains("\r\u{1b}[K0 released, in "), "{shown:?}");
    let of = |child: Child| {
        let output = child.wait_with_output().expect("wait");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (text(output.stdout), text(output.stderr))
    };
    let (out, err) = of(pipe);
    assert!(out.starts_with("0 released, in "), "{out:?}");
    assert_eq!(err, "");
    let (out, err) = of(json);
    let released: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(released["Applied"], 0, "{out}");
    assert_eq!(err, "");
}

/// A relay greets once the line says that it is waited for.
#[test]
fn check_says_what_it_waits_for() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let relay = format!(
        "[relay.main]\nkind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n"
    );
    let site = Site::new(&format!("{relay}{PORT}"));
    let mut terminal = Terminal::start(&site.path(""), "check");
    let (mut relay, _) = listener.accept().expect("a connection");
    drop(listener);
    terminal.read_until("check: relay.main, 2 s");
    relay.write_all(b"554 5.3.2 not today\r\n").expect("greet");
    let (code, shown) = terminal.ended();
    assert_eq!(code, Some(1), "{shown}");
    assert!(
        shown.contains("\r\u{1b}[K") && shown.contains("check: relay.main, 2 s"),
        "{shown:?}"
    );
    assert!(
        shown.contains("sendport: 1 of the checks failed, in "),
        "{shown:?}"
    );
}
