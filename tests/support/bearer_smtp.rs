//! An SMTP server that takes bearer tokens alone, and looks each of them up: XOAUTH2 and
//! OAUTHBEARER (RFC 7628), refusing as Gmail and Exchange Online do.

use std::net::SocketAddr;
use std::sync::Arc;

use openssl::base64::{decode_block, encode_block};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::token_endpoint::TokenBook;

/// The mailbox that may authenticate.
pub(crate) const MAILBOX: &str = "alerts@contoso.example";

/// What the server saw.
#[derive(Debug, Default, Clone)]
pub(crate) struct SessionRecord {
    pub(crate) accepted: Vec<String>,
    pub(crate) refused: Vec<String>,
    pub(crate) messages: usize,
    pub(crate) connections: usize,
}

/// The server. It ends with the test's runtime.
pub(crate) struct BearerSmtp {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    book: TokenBook,
    seen: Mutex<SessionRecord>,
    /// Valid or not: the mailbox may not be used.
    refuses_all: Mutex<bool>,
}

impl BearerSmtp {
    pub(crate) async fn start(book: TokenBook) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            book,
            seen: Mutex::default(),
            refuses_all: Mutex::default(),
        });
        let server = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.expect("a connection");
                let server = Arc::clone(&server);
                server.seen.lock().connections += 1;
                tokio::spawn(async move { server.converse(tcp).await });
            }
        });
        Self { address, shared }
    }

    pub(crate) fn refuse_all(&self, refuse: bool) {
        *self.shared.refuses_all.lock() = refuse;
    }

    pub(crate) fn seen(&self) -> SessionRecord {
        self.shared.seen.lock().clone()
    }
}

struct Wire(BufReader<TcpStream>);

impl Wire {
    async fn say(&mut self, text: &str) {
        // A client that went shows in what it reports.
        let _gone = self
            .0
            .get_mut()
            .write_all(format!("{text}\r\n").as_bytes())
            .await;
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).await.ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    }
}

impl Shared {
    async fn converse(&self, tcp: TcpStream) {
        let mut wire = Wire(BufReader::new(tcp));
        wire.say("220 outlook.example.test Microsoft ESMTP MAIL Service ready")
            .await;
        let mut authenticated = false;
        while let Some(line) = wire.line().await {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["EHLO", _] => {
                    let offer = "250-outlook.example.test\r\n250 AUTH XOAUTH2 OAUTHBEARER";
                    wire.say(offer).await;
                }
                ["AUTH", mechanism, ref rest @ ..] => {
                    authenticated = self
                        .authenticate(&mut wire, mechanism, rest.first().copied())
                        .await;
                }
                ["QUIT"] => return wire.say("221 2.0.0 bye").await,
                ["RSET"] => wire.say("250 2.0.0 reset").await,
                _ if !authenticated => {
                    let refusal = "530 5.7.57 Client not authenticated to send mail";
                    wire.say(refusal).await;
                }
                ["DATA"] => self.take_content(&mut wire).await,
                _ => wire.say("250 2.1.0 ok").await,
            }
        }
    }

    async fn take_content(&self, wire: &mut Wire) {
        wire.say("354 go").await;
        while wire.line().await.is_some_and(|line| line != ".") {}
        self.seen.lock().messages += 1;
        wire.say("250 2.0.0 accepted").await;
    }

    async fn authenticate(&self, wire: &mut Wire, mechanism: &str, initial: Option<&str>) -> bool {
        let message = match initial {
            Some(message) => message.to_owned(),
            None => {
                wire.say("334 ").await;
                wire.line().await.unwrap_or_default()
            }
        };
        let message = decode_block(&message).unwrap_or_default();
        let token = token_in(mechanism, &String::from_utf8_lossy(&message));
        let token = token.unwrap_or_else(|| panic!("no {mechanism} message: {message:?}"));
        if self.book.is_valid(&token) && !*self.refuses_all.lock() {
            self.seen.lock().accepted.push(token);
            wire.say("235 2.7.0 Authentication successful").await;
            return true;
        }
        self.seen.lock().refused.push(token);
        self.refuse(wire, mechanism).await;
        false
    }

    /// The reason as a challenge, the client's empty or one-byte response, and the refusal.
    async fn refuse(&self, wire: &mut Wire, mechanism: &str) {
        let reason = br#"{"status":"400","schemes":"Bearer","scope":"https://mail.example/"}"#;
        wire.say(&format!("334 {}", encode_block(reason))).await;
        let expected = if mechanism == "XOAUTH2" { "" } else { "AQ==" };
        assert_eq!(wire.line().await.as_deref(), Some(expected), "{mechanism}");
        wire.say("535 5.7.3 Authentication unsuccessful").await;
    }
}

/// The token of a message that is right in all the rest.
fn token_in(mechanism: &str, message: &str) -> Option<String> {
    let rest = match mechanism {
        "XOAUTH2" => message.strip_prefix(&format!("user={MAILBOX}\x01"))?,
        "OAUTHBEARER" => {
            let rest = message.strip_prefix(&format!("n,a={MAILBOX},\x01"))?;
            let rest = rest.strip_prefix("host=127.0.0.1\x01port=")?;
            rest.split_once('\x01')?.1
        }
        _ => return None,
    };
    let token = rest
        .strip_prefix("auth=Bearer ")?
        .strip_suffix("\x01\x01")?;
    Some(token.to_owned())
}
