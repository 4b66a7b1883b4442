//! Microsoft Graph as far as `sendMail` with MIME goes: it checks what it gets, takes it, refuses it, or loses its answer.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use openssl::base64::decode_block;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::token_endpoint::TokenBook;

/// The mailbox that it knows.
pub(crate) const MAILBOX: &str = "alerts@contoso.example";

/// Bytes of a request that it takes at most.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// A message that it took.
#[derive(Debug, Clone)]
pub(crate) struct TakenMessage {
    pub(crate) message_id: String,
    /// To, Cc and Bcc of its header.
    pub(crate) recipients: BTreeSet<String>,
    pub(crate) text: String,
}

/// What it does with the next request instead of judging it.
#[derive(Debug, Clone)]
pub(crate) enum NextAnswer {
    /// Status line, header lines, name of the error.
    Refuse(&'static str, &'static str, &'static str),
    /// Takes the message and closes the connection without an answer.
    TakeAndClose,
    /// Reads the header section of the request and closes the connection.
    CloseBeforeBody,
}

#[derive(Default)]
struct State {
    taken: Vec<TakenMessage>,
    refused: Vec<String>,
    instead: VecDeque<NextAnswer>,
    times: Vec<std::time::Instant>,
}

struct Shared {
    book: TokenBook,
    state: Mutex<State>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

/// The server. It ends with the test's runtime.
pub(crate) struct FakeGraph {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

impl FakeGraph {
    pub(crate) async fn start(book: TokenBook) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            book,
            state: Mutex::default(),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::spawn(async move { shared.converse(stream).await });
            }
        });
        Self {
            url: format!("http://{address}"),
            shared,
        }
    }

    pub(crate) fn next(&self, instead: NextAnswer) {
        self.shared.state.lock().instead.push_back(instead);
    }

    pub(crate) fn taken(&self) -> Vec<TakenMessage> {
        self.shared.state.lock().taken.clone()
    }

    /// The names of the errors that it answered with.
    pub(crate) fn refused(&self) -> Vec<String> {
        self.shared.state.lock().refused.clone()
    }

    /// When each request for a message came.
    pub(crate) fn times(&self) -> Vec<std::time::Instant> {
        self.shared.state.lock().times.clone()
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.shared.most_at_once.load(Ordering::SeqCst)
    }
}

impl Shared {
    async fn converse(&self, mut wire: TcpStream) {
        let Some((head, mut body)) = head_of(&mut wire).await else {
            return;
        };
        if head.starts_with("GET /v1.0/ ") {
            let answer = match self.refused_token(&head) {
                None => answer("200 OK", "", r#"{"value":[]}"#),
                Some(name) => error("401 Unauthorized", "", name),
            };
            let _gone = wire.write_all(answer.as_bytes()).await;
            return;
        }
        let instead = {
            let mut state = self.state.lock();
            state.times.push(std::time::Instant::now());
            state.instead.pop_front()
        };
        if matches!(instead, Some(NextAnswer::CloseBeforeBody)) {
            return;
        }
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        let response = self.respond(&mut wire, (&head, &mut body), instead).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        if let Some(response) = response {
            let _gone = wire.write_all(response.as_bytes()).await;
            let _gone = wire.shutdown().await;
        }
    }

    async fn respond(
        &self,
        wire: &mut TcpStream,
        (head, body): (&str, &mut Vec<u8>),
        instead: Option<NextAnswer>,
    ) -> Option<String> {
        let length: usize = header(head, "content-length")?.parse().ok()?;
        while body.len() < length {
            let mut more = [0; 16 * 1024];
            match wire.read(&mut more).await {
                // The request was not finished: nothing is taken.
                Ok(0) | Err(_) => return None,
                Ok(n) => body.extend_from_slice(&more[..n]),
            }
        }
        if let Some(NextAnswer::Refuse(status, headers, name)) = instead {
            self.state.lock().refused.push(name.to_owned());
            return Some(error(status, headers, name));
        }
        let response = match self.judge(head, body) {
            Ok(message) => {
                self.state.lock().taken.push(message);
                "HTTP/1.1 202 Accepted\r\nrequest-id: 4711\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
            }
            Err((status, name)) => {
                self.state.lock().refused.push(name.to_owned());
                error(status, "", name)
            }
        };
        (!matches!(instead, Some(NextAnswer::TakeAndClose))).then_some(response)
    }

    fn refused_token(&self, head: &str) -> Option<&'static str> {
        let token = header(head, "authorization")
            .and_then(|it| it.strip_prefix("Bearer ").map(str::to_owned));
        let Some(token) = token.filter(|token| self.book.is_valid(token)) else {
            return Some("InvalidAuthenticationToken");
        };
        let claims = token.split('.').nth(1).unwrap_or_default();
        let padding = "=".repeat((4 - claims.len() % 4) % 4);
        let claims = decode_block(&(claims.replace('-', "+").replace('_', "/") + &padding));
        let claims: serde_json::Value =
            serde_json::from_slice(&claims.unwrap_or_default()).unwrap_or_default();
        (claims["aud"] != "https://graph.microsoft.com").then_some("InvalidAuthenticationToken")
    }

    fn judge(&self, head: &str, body: &[u8]) -> Result<TakenMessage, (&'static str, &'static str)> {
        if let Some(name) = self.refused_token(head) {
            return Err(("401 Unauthorized", name));
        }
        if !head.starts_with(&format!("POST /v1.0/users/{MAILBOX}/sendMail HTTP/1.1\r\n")) {
            return Err(("404 Not Found", "ErrorInvalidUser"));
        }
        if body.len() > MOST_BYTES {
            return Err(("413 Payload Too Large", "RequestEntityTooLarge"));
        }
        if header(head, "content-type").as_deref() != Some("text/plain") {
            return Err(("400 Bad Request", "BadRequest"));
        }
        let mime = decode_block(std::str::from_utf8(body).unwrap_or_default());
        let mime = mime.map_err(|_| ("400 Bad Request", "ErrorMimeContentInvalidBase64String"))?;
        let parsed = mail_parser::MessageParser::default().parse(&mime);
        let parsed = parsed.ok_or(("400 Bad Request", "ErrorMimeContentInvalid"))?;
        let lists = [parsed.to(), parsed.cc(), parsed.bcc()];
        let addresses = lists.into_iter().flatten().flat_map(|list| list.iter());
        let recipients: BTreeSet<String> = addresses
            .filter_map(|it| it.address.as_deref().map(str::to_owned))
            .collect();
        if recipients.is_empty() {
            return Err(("400 Bad Request", "ErrorInvalidRecipients"));
        }
        Ok(TakenMessage {
            message_id: parsed.message_id().unwrap_or_default().to_owned(),
            recipients,
            text: String::from_utf8_lossy(&mime).into_owned(),
        })
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let (_, value) = fields.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
    Some(value.trim().to_owned())
}

async fn head_of(wire: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut received = Vec::new();
    loop {
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end + 2]).into_owned();
            return Some((head, received[end + 4..].to_vec()));
        }
        let mut more = [0; 4096];
        match wire.read(&mut more).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => received.extend_from_slice(&more[..n]),
        }
    }
}

fn error(status: &str, headers: &str, name: &str) -> String {
    let body = format!(r#"{{"error":{{"code":"{name}","message":"{name} of the test."}}}}"#);
    answer(status, headers, &body)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nrequest-id: 4711\r\n{headers}Content-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}
