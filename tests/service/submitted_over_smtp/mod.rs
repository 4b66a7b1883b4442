//! Messages that other programs submit to the intake: each is one alert, and its octets arrive at the relay.

mod clients;
mod clients_with_a_queue;
mod disks;
mod intake_and_database;
mod reports;
mod spooled;
mod telnet;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use sendport::sink::Sink;

use crate::site::{Service, Site};
use crate::support::received::received;
use crate::{any_port, plain_relay, send_port_over, sink_at};

/// A service with an intake, and the relay behind it.
struct Intake {
    site: Site,
    service: Service,
    sink: Sink,
    mails: tempfile::TempDir,
    address: SocketAddr,
}

const INTAKE: &str = "[intake.local]\nkind = \"smtp\"\nlisten = [\"127.0.0.1:0\"]\nsend_port = \"default\"\nallow_senders = [\"*\"]\n";

impl Intake {
    /// With further settings of the intake.
    async fn start(settings: &str) -> Self {
        let mails = tempfile::tempdir().expect("a folder");
        let sink = sink_at(any_port(), mails.path(), &[]).await;
        let site = Site::new(&format!(
            "{}{INTAKE}{settings}",
            send_port_over(&plain_relay(sink.local_addr()))
        ));
        let service = site.run();
        let address = site.intake_address().await;
        Self {
            site,
            service,
            sink,
            mails,
            address,
        }
    }

    /// The messages at the relay, when every alert is final.
    async fn relayed(&self) -> Vec<Vec<u8>> {
        self.site
            .wait_until_all_final(Duration::from_secs(60))
            .await;
        received(self.mails.path())
    }

    async fn stop(self) {
        assert_eq!(self.service.stop(), Some(0), "{}", self.site.log());
        self.sink.stop().await;
    }
}

/// A client that sends what it is told, octet for octet.
struct RawClient {
    stream: TcpStream,
    replies: BufReader<TcpStream>,
}

impl RawClient {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connect");
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("a time-out");
        let replies = BufReader::new(stream.try_clone().expect("a second handle"));
        let mut client = Self { stream, replies };
        assert!(client.reply().starts_with("220 "));
        client
    }

    fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).expect("write");
    }

    /// The last line of the next reply; empty where the connection is closed.
    fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.replies.read_line(&mut line).expect("a reply");
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.trim_end().to_owned();
            }
        }
    }

    fn ask(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes());
        self.reply()
    }

    /// One message over DATA; the reply to its final dot.
    fn submit(&mut self, from: &str, to: &[&str], content: &[u8]) -> String {
        assert_eq!(&self.ask(&format!("MAIL FROM:<{from}>"))[..3], "250");
        for to in to {
            assert_eq!(&self.ask(&format!("RCPT TO:<{to}>"))[..3], "250");
        }
        assert_eq!(&self.ask("DATA")[..3], "354");
        self.send(content);
        self.ask("\r\n.")
    }
}

/// The message without the fields that the intake put in front: `Received`, and `Date` and `Message-ID` if it had none.
fn without_added_fields(message: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(message);
    assert!(text.starts_with("Received: from "), "{text}");
    let mut rest = message;
    let mut is_first = true;
    while is_first || rest.starts_with(b"\t") {
        let end = rest
            .windows(2)
            .position(|two| two == b"\r\n")
            .expect("a line");
        rest = &rest[end + 2..];
        is_first = false;
    }
    rest.to_vec()
}
