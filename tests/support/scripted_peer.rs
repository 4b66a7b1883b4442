//! A server that follows a script to the letter, for what real servers do once a year.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use openssl::ssl::{Ssl, SslAcceptor};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tokio::task::JoinHandle;
use tokio_openssl::SslStream;

/// What the server does next.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Write these bytes at once.
    Send(Vec<u8>),
    /// Read a line that begins like this.
    Expect(&'static str),
    /// Read content up to the line with the dot alone.
    Content,
    /// Read a last chunk, the command and as many bytes as it says.
    Chunk,
    /// Read something, no matter what.
    Something,
    /// Find that nothing was written behind the line that was read last.
    Alone,
    /// Shake hands.
    Tls,
    /// Read until the client goes, which it has to do without another line.
    ClientGoes,
    /// Wait until the test is here, too.
    Meet(Arc<Barrier>),
    /// Say nothing more, and go on listening.
    Mute,
}

pub(crate) fn send(text: &str) -> Step {
    Step::Send(format!("{text}\r\n").into_bytes())
}

pub(crate) use Step::{Alone, Chunk, ClientGoes, Content, Expect, Mute, Something, Tls};

/// Greeting and EHLO with these extensions.
pub(crate) fn hello(extensions: &[&str]) -> Vec<Step> {
    let mut steps = vec![send("220 peer.example.test ESMTP")];
    steps.extend(hello_again(extensions));
    steps
}

/// EHLO with these extensions.
pub(crate) fn hello_again(extensions: &[&str]) -> Vec<Step> {
    let mut reply = "250-peer.example.test\r\n".to_owned();
    for extension in extensions {
        reply += &format!("250-{extension}\r\n");
    }
    vec![
        Expect("EHLO client.example.test"),
        send(&(reply + "250 HELP")),
    ]
}

/// `steps` and then `more`.
pub(crate) fn then(mut steps: Vec<Step>, more: impl IntoIterator<Item = Step>) -> Vec<Step> {
    steps.extend(more);
    steps
}

/// A transaction with one recipient that goes well.
pub(crate) fn good_transaction() -> Vec<Step> {
    vec![
        Expect("MAIL FROM:<alerts@example.test>"),
        send("250 2.1.0 ok"),
        Expect("RCPT TO:"),
        send("250 2.1.5 ok"),
        Expect("DATA"),
        send("354 go"),
        Content,
        send("250 2.0.0 accepted"),
    ]
}

/// The peer, serving one script a connection, one after the other.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    task: JoinHandle<Vec<String>>,
}

impl Peer {
    pub(crate) async fn start(scripts: Vec<Vec<Step>>) -> Self {
        Self::start_with(scripts, None).await
    }

    pub(crate) async fn start_with(scripts: Vec<Vec<Step>>, acceptor: Option<SslAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            let mut heard = Vec::new();
            for script in scripts {
                let (tcp, _) = listener.accept().await.expect("a connection");
                tcp.set_nodelay(true).expect("each step by itself");
                let mut connection = Connection::new(tcp, acceptor.clone());
                connection.play(script).await;
                heard.append(&mut connection.heard);
            }
            heard
        });
        Self { address, task }
    }

    /// Waits for the end of the script. The lines that it heard, content included.
    pub(crate) async fn finish(self) -> Vec<String> {
        self.task.await.expect("the client kept to the script")
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

struct Connection {
    plain: Option<TcpStream>,
    tls: Option<Box<dyn Duplex>>,
    acceptor: Option<SslAcceptor>,
    input: Vec<u8>,
    heard: Vec<String>,
}

impl Connection {
    fn new(tcp: TcpStream, acceptor: Option<SslAcceptor>) -> Self {
        Self {
            plain: Some(tcp),
            tls: None,
            acceptor,
            input: Vec::new(),
            heard: Vec::new(),
        }
    }

    async fn play(&mut self, script: Vec<Step>) {
        for step in script {
            match step {
                Step::Send(bytes) => {
                    // A client that hung up on us shows in what it reports.
                    let _sent = self.wire().write_all(&bytes).await;
                    let _sent = self.wire().flush().await;
                }
                Expect(start) => {
                    let line = self.line().await;
                    let line = line.unwrap_or_else(|| panic!("expected '{start}', found the end"));
                    assert!(
                        line.starts_with(start),
                        "expected '{start}', found '{line}'"
                    );
                }
                Content => while self.line().await.expect("content") != "." {},
                Chunk => self.chunk().await,
                Something => drop(self.line().await),
                Alone => assert!(self.input.is_empty(), "the client was to wait for a reply"),
                Tls => self.shake_hands().await,
                Step::Meet(test) => {
                    test.wait().await;
                }
                Mute => self
                    .wire()
                    .shutdown()
                    .await
                    .expect("the end of the session"),
                ClientGoes => {
                    let line = self.line().await;
                    assert_eq!(line, None, "the client was to go");
                }
            }
        }
    }

    async fn shake_hands(&mut self) {
        let tcp = self.plain.take().expect("plain until now");
        let acceptor = self.acceptor.as_ref().expect("a certificate");
        let ssl = Ssl::new(acceptor.context()).expect("ssl");
        let mut stream = SslStream::new(ssl, tcp).expect("stream");
        // A client that refuses the certificate says so itself.
        let _shaken = Pin::new(&mut stream).accept().await;
        self.tls = Some(Box::new(stream));
    }

    fn wire(&mut self) -> &mut dyn Duplex {
        match (&mut self.tls, &mut self.plain) {
            (Some(tls), _) => tls.as_mut(),
            (None, Some(tcp)) => tcp,
            (None, None) => unreachable!("one of them is there"),
        }
    }

    async fn chunk(&mut self) {
        let line = self.line().await.expect("expected BDAT, found the end");
        let bytes = line
            .strip_prefix("BDAT ")
            .and_then(|rest| rest.strip_suffix(" LAST"));
        let bytes = bytes.unwrap_or_else(|| panic!("expected 'BDAT ... LAST', found '{line}'"));
        let bytes = bytes.parse().expect("a number");
        while self.input.len() < bytes {
            assert!(
                self.receive().await,
                "expected {bytes} octets, found the end"
            );
        }
        let chunk: Vec<_> = self.input.drain(..bytes).collect();
        self.heard
            .push(String::from_utf8_lossy(&chunk).into_owned());
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.input[..end]).into_owned();
                self.input.drain(..end + 2);
                self.heard.push(line.clone());
                return Some(line);
            }
            if !self.receive().await {
                return None;
            }
        }
    }

    /// False at the end.
    async fn receive(&mut self) -> bool {
        let mut received = [0; 4096];
        match self.wire().read(&mut received).await {
            Ok(0) | Err(_) => false,
            Ok(n) => {
                self.input.extend_from_slice(&received[..n]);
                true
            }
        }
    }
}
