//! What is no mail server: a closed port, a silent one, a web server, something else.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::support::peer::{free_ports, listens, started};
use crate::support::probe::{probe, probe_at};
use crate::support::scripted_peer::{Peer, Step};

/// Where nothing comes.
const IMPATIENT: &[&str] = &["--to", "bob@example.test", "--timeout", "300ms"];
/// Where something comes, however slow the machine is.
const TO: &[&str] = &["--to", "bob@example.test", "--timeout", "60s"];

#[tokio::test]
async fn explains_a_closed_port() {
    let [port] = free_ports();
    let probed = probe_at(port, TO).await;
    probed.is_as_expected("closed_port", 11);
}

#[tokio::test]
async fn explains_an_unknown_name() {
    let probed = probe(&["no-such-host.invalid"]).await;
    probed.prints(
        10,
        &["failed at resolve", "The name does not exist in the DNS"],
    );
}

#[tokio::test]
async fn names_the_port_of_implicit_tls() {
    for (tls, port) in [("starttls", 587), ("implicit", 465), ("none", 25)] {
        let probed = probe(&["no-such-host.invalid", "--tls", tls]).await;
        let text = format!("port {port}, which belongs to --tls (HOST:PORT asks another)");
        probed.prints(10, &[&text]);
    }
}

#[tokio::test]
async fn explains_a_silent_port() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let silent = tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            open.push(listener.accept().await.expect("a connection"));
        }
    });
    probe_at(address, IMPATIENT)
        .await
        .is_as_expected("silent_port", 13);
    silent.abort();
}

#[tokio::test]
async fn explains_a_port_that_closes_at_once() {
    let peer = Peer::start(vec![vec![]]).await;
    let probed = probe_at(peer.address, TO).await;
    probed.is_as_expected("closed_at_once", 13);
}

#[tokio::test]
async fn explains_another_protocol() {
    let garbage = Step::Send(b"SSH-2.0-OpenSSH_9.2 \x1b[2J\x07\r\n".to_vec());
    let peer = Peer::start(vec![vec![garbage]]).await;
    let probed = probe_at(peer.address, TO).await;
    probed.is_as_expected("garbage", 13);
}

#[tokio::test]
async fn explains_an_endless_line() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let endless = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        while stream.write_all(&[b'2'; 4096]).await.is_ok() {}
    });
    let probed = probe_at(address, TO).await;
    probed.is_as_expected("endless_line", 13);
    endless.await.expect("the client to go");
}

/// Python's web server, which answers what is no request.
struct WebServer {
    process: Child,
    address: SocketAddr,
}

impl WebServer {
    async fn start() -> Self {
        started(async || {
            let [address] = free_ports();
            let process = Command::new("python3")
                .args(["-m", "http.server", "--bind", "127.0.0.1"])
                .arg(address.port().to_string())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("python3");
            let mut server = Self { process, address };
            let mut ticks = tokio::time::interval(std::time::Duration::from_millis(25));
            for _ in 0..400 {
                ticks.tick().await;
                if let Some(status) = server.process.try_wait().expect("its state") {
                    return Err(status.to_string());
                }
                if listens(address).await {
                    return Ok(server);
                }
            }
            Err("it does not listen".to_owned())
        })
        .await
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

#[tokio::test]
async fn explains_a_silent_web_server() {
    let server = WebServer::start().await;
    let probed = probe_at(server.address, IMPATIENT).await;
    probed.is_as_expected("web_server", 13);
}

#[tokio::test]
async fn explains_a_web_server_with_tls() {
    let server = WebServer::start().await;
    let arguments = [TO, &["--tls", "implicit"]].concat();
    let probed = probe_at(server.address, &arguments).await;
    probed.is_as_expected("web_server_tls", 12);
}

#[tokio::test]
async fn explains_an_http_response() {
    let answer = Step::Send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec());
    let peer = Peer::start(vec![vec![answer]]).await;
    let probed = probe_at(peer.address, TO).await;
    probed.is_as_expected("web_server_complains", 13);
}
