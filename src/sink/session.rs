//! The session of a client.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use sendport_smtp::content::unstuffed;
use sendport_smtp::relay::eml::{TemporaryFile, envelope_lines};
use tokio::net::TcpStream;

use super::commands::{Request, parse};
use super::connection::{ClientConnection, Line};
use super::{Received, Shared};

/// Largest message, as `SIZE` says.
const MAX_MESSAGE: usize = 50 * 1024 * 1024;

/// Most recipients of a transaction (RFC 5321 section 4.5.3.1.8 asks for 100).
const MAX_RECIPIENTS: usize = 1000;

/// Serves until the client leaves or the sink stops.
pub(super) async fn serve(tcp: TcpStream, shared: Arc<Shared>) {
    let mut session = Session {
        connection: ClientConnection::new(tcp),
        shared: Arc::clone(&shared),
        sender: None,
        recipients: Vec::new(),
    };
    let served = tokio::select! {
        served = session.run() => served,
        () = shared.stopping.cancelled() => session.stop().await,
    };
    if let Err(error) = served {
        tracing::debug!(%error, "session ended");
    }
}

struct Session {
    connection: ClientConnection,
    shared: Arc<Shared>,
    sender: Option<String>,
    recipients: Vec<String>,
}

impl Session {
    async fn run(&mut self) -> io::Result<()> {
        self.connection
            .reply("220 sink.localhost ESMTP sendport sink");
        loop {
            let line = match self.connection.command().await? {
                Line::Whole(line) => line,
                Line::Closed => return Ok(()),
                Line::TooLong => {
                    self.connection.reply("421 4.5.2 line too long");
                    return self.connection.flush().await;
                }
            };
            match parse(&line) {
                Request::Quit => {
                    self.connection.reply("221 2.0.0 bye");
                    return self.connection.flush().await;
                }
                Request::Data if !self.recipients.is_empty() => {
                    if !self.data().await? {
                        return Ok(());
                    }
                }
                request => self.answer(request),
            }
        }
    }

    async fn stop(&mut self) -> io::Result<()> {
        self.connection.reply("421 4.3.2 the sink stops");
        self.connection.flush().await
    }

    fn answer(&mut self, request: Request) {
        let reply = match request {
            Request::Ehlo => {
                self.reset();
                self.connection.reply("250-sink.localhost");
                self.connection.reply("250-PIPELINING");
                self.connection.reply(&format!("250-SIZE {MAX_MESSAGE}"));
                self.connection.reply("250-8BITMIME");
                self.connection.reply("250-SMTPUTF8");
                "250 ENHANCEDSTATUSCODES"
            }
            Request::Helo => {
                self.reset();
                "250 sink.localhost"
            }
            Request::Mail(sender, size) => self.mail(sender, size),
            Request::Rcpt(address) => self.rcpt(address),
            Request::Data if self.sender.is_none() => "503 5.5.1 MAIL first",
            Request::Data => "554 5.5.1 no valid recipients",
            Request::Rset => {
                self.reset();
                "250 2.0.0 reset"
            }
            Request::Noop => "250 2.0.0 ok",
            Request::Vrfy => "252 2.5.2 send and see",
            Request::Malformed => "501 5.5.4 syntax error in the arguments",
            Request::Unknown | Request::Quit => "500 5.5.2 unknown command",
        };
        self.connection.reply(reply);
    }

    fn reset(&mut self) {
        self.sender = None;
        self.recipients.clear();
    }

    fn mail(&mut self, sender: String, size: Option<u64>) -> &'static str {
        if self.sender.is_some() {
            return "503 5.5.1 one MAIL at a time";
        }
        if size.is_some_and(|size| size > MAX_MESSAGE as u64) {
            return "552 5.3.4 the message is too large";
        }
        self.sender = Some(sender);
        "250 2.1.0 sender ok"
    }

    fn rcpt(&mut self, address: String) -> &'static str {
        if self.sender.is_none() {
            return "503 5.5.1 MAIL first";
        }
        if self.recipients.len() >= MAX_RECIPIENTS {
            return "452 4.5.3 too many recipients";
        }
        if self.shared.refuses(&address) {
            return "550 5.1.1 no such user here";
        }
        if self.shared.delays(&address) {
            return "451 4.2.1 the mailbox is busy, try later";
        }
        self.recipients.push(address);
        "250 2.1.5 recipient ok"
    }

    /// False where the client closed.
    async fn data(&mut self) -> io::Result<bool> {
        self.connection.reply("354 go on, end with a dot");
        let Some(message) = self.message().await? else {
            return Ok(false);
        };
        if message.len() > MAX_MESSAGE {
            self.connection.reply("552 5.3.4 the message is too large");
            self.reset();
            return Ok(true);
        }
        let bytes = message.len();
        match self.store(message).await {
            Ok(file) => self.accept(file, bytes),
            Err(error) => {
                tracing::warn!(%error, "sink write failed");
                self.connection
                    .reply("451 4.3.0 the message could not be written");
            }
        }
        self.reset();
        Ok(true)
    }

    fn accept(&mut self, file: PathBuf, bytes: usize) {
        let number = self.shared.count.borrow().saturating_add(1);
        self.connection
            .reply(&format!("250 2.0.0 message {number} is stored"));
        let received = Received {
            sender: self.sender.take().unwrap_or_default(),
            recipients: std::mem::take(&mut self.recipients),
            file,
            bytes,
        };
        self.shared.note(received);
    }

    /// The content up to CRLF.CRLF, without dot-stuffing (RFC 5321 section 4.5.2). A message that is too
    /// large is read to its end and not stored.
    async fn message(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut message = Vec::new();
        let mut at_line_start = true;
        loop {
            let Some((line, ended)) = self.connection.content(MAX_MESSAGE).await? else {
                return Ok(None);
            };
            if at_line_start && ended && line == b"." {
                return Ok(Some(message));
            }
            let kept = if at_line_start {
                unstuffed(&line)
            } else {
                &line
            };
            if message.len() <= MAX_MESSAGE {
                message.extend_from_slice(kept);
                if ended {
                    message.extend_from_slice(b"\r\n");
                }
            }
            at_line_start = ended;
        }
    }

    async fn store(&self, message: Vec<u8>) -> io::Result<PathBuf> {
        let recipients = self.recipients.iter().map(String::as_str);
        let head = envelope_lines(self.sender.as_deref().unwrap_or_default(), recipients);
        let folder = self.shared.folder.clone();
        let written = tokio::task::spawn_blocking(move || {
            let id = message_id(&message);
            TemporaryFile::write(&folder, &id, &[head.as_bytes(), &message])?.publish()
        });
        written.await.map_err(io::Error::other)?
    }
}

/// The value of `Message-ID`, or nothing.
fn message_id(message: &[u8]) -> String {
    let header = message.split(|&byte| byte == b'\n');
    header
        .take_while(|line| !line.trim_ascii().is_empty())
        .filter_map(|line| std::str::from_utf8(line).ok()?.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("message-id"))
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default()
}
