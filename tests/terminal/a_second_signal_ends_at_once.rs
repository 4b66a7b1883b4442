use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::program::program;
use crate::site::Site;

/// Takes a message and never answers its final dot; says when it has it.
fn silent_after_the_dot() -> (u16, mpsc::Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let port = listener.local_addr().expect("an address").port();
    let (seen, dots) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            converse(stream, &seen);
        }
    });
    (port, dots)
}

fn converse(mut stream: TcpStream, seen: &mpsc::Sender<TcpStream>) {
    let lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
    let mut say = |line: &str| stream.write_all(format!("{line}\r\n").as_bytes()).is_ok();
    say("220 silent.test");
    let mut content = false;
    for line in lines.map_while(Result::ok) {
        match line.as_str() {
            "." if content => break,
            _ if content => continue,
            "DATA" => content = say("354 go on"),
            _ => content = !say("250 fine") && content,
        }
    }
    let _ = seen.send(stream);
}

/// Waits for a line of the log.
fn until(log: &mut BufReader<ChildStderr>, wanted: &str) -> String {
    let mut all = String::new();
    while !all.contains(wanted) {
        let read = log.read_line(&mut all).expect("read");
        assert_ne!(read, 0, "'{wanted}' is not in:\n{all}");
    }
    all
}

fn interrupt(child: &Child) {
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(killed.expect("run kill").success());
}

#[test]
fn a_forced_stop_lists_what_is_in_doubt() {
    let (port, dots) = silent_after_the_dot();
    let site = Site::new(&format!(
        "[relay.main]\nkind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
         [send_port.default]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n"
    ));
    let sql = "INSERT INTO Alert (ToRecipients, Subject) VALUES ('ops@example.test', 'x')";
    site.database().execute(sql, []).expect("insert");
    let mut child = program(&site.path(""), &["run"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("start");
    let mut log = BufReader::new(child.stderr.take().expect("its log"));
    let _open = dots
        .recv_timeout(Duration::from_secs(60))
        .expect("a final dot");

    let begun = Instant::now();
    interrupt(&child);
    let output = until(&mut log, "shutdown is waiting for running transactions");
    assert!(
        output.contains("at_the_final_dot=1 longest_s=30"),
        "{output}"
    );
    interrupt(&child);
    let output = until(&mut log, "Start it before the lease runs out");
    assert_eq!(child.wait().expect("wait").code(), Some(5), "{output}");
    assert!(begun.elapsed() < Duration::from_secs(25), "it waited");
    for wanted in [
        "ended at once by a second signal",
        "may have been sent: 1",
        "alert 1, relay main, Message-ID <",
        "sendport-state",
    ] {
        assert!(output.contains(wanted), "'{wanted}' is not in:\n{output}");
    }
    assert!(!output.contains("0 outcomes"), "{output}");
}

#[test]
fn an_idle_service_stops_at_once() {
    let site = Site::new(
        "[relay.main]\nkind = \"discard\"\n[send_port.default]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n",
    );
    let mut child = program(&site.path(""), &["run"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("start");
    let mut log = BufReader::new(child.stderr.take().expect("its log"));
    until(&mut log, "instance registered");
    interrupt(&child);
    let output = until(&mut log, "service stopped, all outcomes recorded");
    assert!(!output.contains("shutdown is waiting"), "{output}");
    assert_eq!(child.wait().expect("wait").code(), Some(0));
}
