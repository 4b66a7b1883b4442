//! Programs that people use: what they submit arrives octet for octet.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::*;
use crate::not_run::not_run;
use crate::support::received::sorted;

pub(super) const SEVEN_BIT: &[u8] = b"Date: Mon, 30 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@client.test>\r\nFrom: app@example.test\r\n\
    To: ops@example.test\r\nSubject: seven bit\r\n\r\n.dots\r\n..\r\n \r\nlast line\r\n";

pub(super) const EIGHT_BIT: &str = "Date: Mon, 30 Nov 2026 12:00:00 +0000\r\nMessage-ID: <2@client.test>\r\nFrom: app@example.test\r\n\
    To: ops@example.test\r\nSubject: eight bit\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: 8bit\r\n\r\nZ\u{e4}hler: 4711 \u{20ac}\r\n";

/// One line for each program that is missing.
fn run(program: &str, arguments: &[&str], input: Option<&Path>) -> Option<Output> {
    let input = input.map(|path| std::fs::File::open(path).expect("readable"));
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(input.map_or(Stdio::null(), Stdio::from));
    match command.output() {
        Ok(output) => {
            let shown = String::from_utf8_lossy(&output.stdout);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program}: {shown}{errors}");
            Some(output)
        }
        Err(_) => {
            not_run(&format!(
                "{program} as a client of the intake: it is not installed"
            ));
            None
        }
    }
}

/// Submits the two messages by a program, and compares them with what arrives.
async fn arrives_unchanged(
    program: &str,
    arguments: fn(SocketAddr, &str) -> Vec<String>,
    reads_input: bool,
) {
    let intake = Intake::start("").await;
    for (name, message) in [
        ("seven.eml", SEVEN_BIT),
        ("eight.eml", EIGHT_BIT.as_bytes()),
    ] {
        let path = intake.site.path(name);
        // swaks ends the last line itself.
        let message = match program {
            "swaks" => message.strip_suffix(b"\r\n").expect("a line"),
            _ => message,
        };
        std::fs::write(&path, message).expect("write");
        let arguments = arguments(intake.address, &path.display().to_string());
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        if run(program, &arguments, reads_input.then_some(path.as_path())).is_none() {
            return intake.stop().await;
        }
    }
    let relayed = intake.relayed().await;
    let found = sorted(relayed.iter().map(|it| without_added_fields(it)));
    let wanted = sorted([SEVEN_BIT.to_vec(), EIGHT_BIT.as_bytes().to_vec()].into_iter());
    for (found, wanted) in found.iter().zip(&wanted) {
        let (found, wanted) = (
            String::from_utf8_lossy(found),
            String::from_utf8_lossy(wanted),
        );
        assert_eq!(found, wanted, "{program}");
    }
    assert_eq!(found.len(), 2, "{program}");
    intake.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_submits() {
    let arguments = |address: SocketAddr, file: &str| {
        let url = format!("smtp://{address}/client.test");
        let fixed = [
            "-sS",
            "--mail-from",
            "app@example.test",
            "--mail-rcpt",
            "ops@example.test",
        ];
        let mut all: Vec<String> = fixed.map(str::to_owned).to_vec();
        all.extend(["-T".to_owned(), file.to_owned(), url]);
        all
    };
    arrives_unchanged("curl", arguments, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn swaks_submits() {
    let arguments = |address: SocketAddr, file: &str| {
        let server = format!("--server={}", address.ip());
        let port = format!("--port={}", address.port());
        let fixed = [
            "--from=app@example.test",
            "--to=ops@example.test",
            "--suppress-data",
        ];
        let mut all: Vec<String> = fixed.map(str::to_owned).to_vec();
        all.extend([server, port, format!("--data=@{file}")]);
        all
    };
    arrives_unchanged("swaks", arguments, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn msmtp_submits() {
    let arguments = |address: SocketAddr, _file: &str| {
        let fixed = [
            "--from=app@example.test",
            "--set-from-header=off",
            "--set-date-header=off",
        ];
        let mut all = vec![
            format!("--host={}", address.ip()),
            format!("--port={}", address.port()),
        ];
        all.extend(fixed.map(str::to_owned));
        all.push("ops@example.test".to_owned());
        all
    };
    arrives_unchanged("msmtp", arguments, true).await;
}

const PYTHON: &str = r"
import smtplib, sys
host, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with smtplib.SMTP(host, port) as client:
    client.ehlo('client.test')
    options = ['BODY=8BITMIME'] if client.has_extn('8bitmime') else []
    client.sendmail('app@example.test', ['ops@example.test'], open(path, 'rb').read(), mail_options=options)
";

#[tokio::test(flavor = "multi_thread")]
async fn python_submits() {
    let arguments = |address: SocketAddr, file: &str| {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        vec![
            "-c".to_owned(),
            PYTHON.to_owned(),
            host,
            port,
            file.to_owned(),
        ]
    };
    arrives_unchanged("python3", arguments, false).await;
}

/// Debian's package, which only Debian's own Node.js finds by its name.
const NODEMAILER: &str = "/usr/share/nodejs/nodemailer";

const NODE: &str = r"
const [host, port, file] = process.argv.slice(1);
const client = require('/usr/share/nodejs/nodemailer').createTransport({ host, port: Number(port), name: 'client.test' });
const envelope = { from: 'app@example.test', to: ['ops@example.test'], use8BitMime: true };
client.sendMail({ envelope, raw: require('fs').readFileSync(file) }).catch(error => { console.error(error); process.exit(1); });
";

#[tokio::test(flavor = "multi_thread")]
async fn nodemailer_submits() {
    if !Path::new(NODEMAILER).exists() {
        return not_run("nodemailer as a client of the intake: node-nodemailer is not installed");
    }
    let arguments = |address: SocketAddr, file: &str| {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let script = ["-e".to_owned(), NODE.to_owned(), "--".to_owned()];
        let mut all = script.to_vec();
        all.extend([host, port, file.to_owned()]);
        all
    };
    arrives_unchanged("node", arguments, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_pipelined_commands_and_long_messages_arrive() {
    let intake = Intake::start("").await;
    let header = "Date: Mon, 30 Nov 2026 12:00:00 +0000\r\nMessage-ID: <3@client.test>\r\nSubject: long\r\n\r\n";
    let line = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz\r\n";
    let long = format!("{header}{}", line.repeat(25 * 1024 * 1024 / line.len()));
    let mut client = RawClient::connect(intake.address);
    assert_eq!(&client.ask("EHLO client.test")[..3], "250");
    let (first, rest) = long.as_bytes().split_at(1_000_001);
    client.send(b"MAIL FROM:<app@example.test>\r\nRCPT TO:<ops@example.test>\r\nRCPT TO:<dba@example.test>\r\n");
    client.send(format!("BDAT {}\r\n", first.len()).as_bytes());
    client.send(first);
    client.send(format!("BDAT {} LAST\r\n", rest.len()).as_bytes());
    client.send(rest);
    let replies: Vec<_> = (0..5).map(|_| client.reply()).collect();
    assert!(
        replies[..4].iter().all(|it| it.starts_with("250 ")),
        "{replies:?}"
    );
    assert_eq!(replies[4], "250 2.0.0 queued as 1");
    // A second message on the same connection, by DATA with everything in one packet.
    client.send(b"MAIL FROM:<>\r\nRSET\r\nMAIL FROM:<app@example.test> BODY=8BITMIME SMTPUTF8\r\n");
    client.send("RCPT TO:<j\u{fc}rgen@example.test>\r\nDATA\r\n".as_bytes());
    let replies: Vec<_> = (0..5).map(|_| client.reply()).collect();
    assert!(replies[4].starts_with("354 "), "{replies:?}");
    let short = "Date: Mon, 30 Nov 2026 12:00:00 +0000\r\nMessage-ID: <4@client.test>\r\nTo: j\u{fc}rgen@example.test\r\nSubject: Z\u{e4}hler\r\n\r\nx\r\n";
    client.send(short.as_bytes());
    assert_eq!(client.ask("."), "250 2.0.0 queued as 2");
    assert_eq!(&client.ask("QUIT")[..3], "221");
    let relayed = intake.relayed().await;
    let found = sorted(relayed.iter().map(|it| without_added_fields(it)));
    let wanted = sorted([long.into_bytes(), short.as_bytes().to_vec()].into_iter());
    assert!(found == wanted, "the octets differ");
    let recipients =
        "SELECT group_concat(Address || ' ' || Status, ', ') FROM Recipient WHERE AlertId = 1";
    let recipients = intake.site.value(recipients);
    assert_eq!(
        recipients,
        "ops@example.test relayed, dba@example.test relayed"
    );
    assert_eq!(
        intake
            .site
            .value("SELECT Subject FROM Alert WHERE AlertId = 2"),
        "Z\u{e4}hler"
    );
    intake.stop().await;
}
