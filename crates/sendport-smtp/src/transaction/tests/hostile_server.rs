//! A server by the book, whose replies are changed on their way; and what was seen on the wire.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, ReadHalf,
    WriteHalf,
};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;

use super::scenario::{Fault, Offers, Scenario, What, end_of};
use crate::stream::Transport;

/// Smaller than a large message, so that writing it takes turns with the server.
const BUFFER: usize = 128;

/// What EHLO is answered with.
const EHLO: &str = "250-relay.example.test\r\n250 HELP";

/// What crossed the wire, in its order.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// What the client wrote.
    written: Vec<u8>,
    replies: Vec<Sent>,
}

/// A reply as it went out.
#[derive(Debug, Clone)]
struct Sent {
    text: String,
    /// It is the server's answer to the content of this mail.
    answers: Option<usize>,
    invented: bool,
    /// So much had been written by the client when it began to arrive.
    behind: usize,
}

impl Sent {
    fn is_success(&self) -> bool {
        self.text.starts_with('2')
    }
}

impl Log {
    /// The position of the end of this message, when all of it was written.
    fn end_written(&self, id: usize) -> Option<usize> {
        let text = String::from_utf8_lossy(&self.written);
        let at = text.find(&end_of(id))?;
        let end = at + end_of(id).len();
        let start = text[..at].rfind("Subject: ").unwrap_or(0);
        let chunk = text[..start].trim_end().ends_with(" LAST");
        match chunk {
            true => Some(end),
            false => text[end..].starts_with(".\r\n").then_some(end + 3),
        }
    }

    fn came_after(&self, id: usize, wanted: impl Fn(&Sent) -> bool) -> bool {
        let Some(end) = self.end_written(id) else {
            return false;
        };
        let mut after = self.replies.iter().filter(|sent| sent.behind >= end);
        after.any(|sent| sent.is_success() && wanted(sent))
    }

    /// A success arrived behind the end of this mail.
    pub(super) fn success_after_the_end(&self, id: usize) -> bool {
        self.came_after(id, |_| true)
    }

    /// The server accepted it, or a success was invented that a client cannot distinguish from a real one.
    pub(super) fn taken(&self, id: usize) -> bool {
        self.came_after(id, |sent| sent.invented || sent.answers == Some(id))
    }
}

/// The client's end of a connection.
pub(super) struct Tap {
    wire: DuplexStream,
    log: Arc<Mutex<Log>>,
}

impl Tap {
    pub(super) fn new(wire: DuplexStream, log: &Arc<Mutex<Log>>) -> Self {
        let log = Arc::clone(log);
        Self { wire, log }
    }
}

impl Transport for Tap {
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.wire).poll_write(cx, buf))?;
        let mut log = self.log.lock();
        log.written.extend_from_slice(&buf[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

/// Serves any number of connections; replies are counted over all of them.
pub(super) struct Server {
    offers: Offers,
    faults: Arc<Vec<Fault>>,
    latency: Duration,
    count: Arc<Mutex<usize>>,
    log: Arc<Mutex<Log>>,
}

/// A reply of the server, and which mail's content it answers.
type Answer = (String, Option<usize>);

impl Server {
    pub(super) fn new(scenario: &Scenario, offers: Offers, log: &Arc<Mutex<Log>>) -> Self {
        Self {
            offers,
            faults: Arc::new(scenario.faults.clone()),
            latency: scenario.latency,
            count: Arc::default(),
            log: Arc::clone(log),
        }
    }

    /// The client's end of a new connection, greeted already.
    pub(super) fn connect(&self) -> DuplexStream {
        let (theirs, ours) = tokio::io::duplex(BUFFER);
        let (input, output) = tokio::io::split(ours);
        let (answers, outgoing) = unbounded_channel();
        let dialogue = Dialogue {
            input,
            unread: Vec::new(),
            says_codes: self.offers.says_codes,
            answers,
            sender: false,
            recipients: 0,
        };
        let network = Network {
            output,
            faults: Arc::clone(&self.faults),
            latency: self.latency,
            count: Arc::clone(&self.count),
            log: Arc::clone(&self.log),
        };
        tokio::spawn(dialogue.serve());
        tokio::spawn(network.carry(outgoing));
        theirs
    }
}

/// The way of the replies.
struct Network {
    output: WriteHalf<DuplexStream>,
    faults: Arc<Vec<Fault>>,
    latency: Duration,
    count: Arc<Mutex<usize>>,
    log: Arc<Mutex<Log>>,
}

impl Network {
    async fn carry(mut self, mut outgoing: UnboundedReceiver<Answer>) -> Option<()> {
        while let Some(answer) = outgoing.recv().await {
            let at = {
                let mut count = self.count.lock();
                *count += 1;
                *count - 1
            };
            let faults = Arc::clone(&self.faults);
            let here: Vec<_> = faults.iter().filter(|fault| fault.at == at).collect();
            if self.deliver(&answer, &here).await.is_none() {
                break;
            }
        }
        self.output.shutdown().await.ok()
    }

    /// `None` at the end of the connection.
    async fn deliver(&mut self, (text, answers): &Answer, faults: &[&Fault]) -> Option<()> {
        for fault in faults {
            match fault.what {
                What::Behind(_) | What::Torn | What::Deleted => continue,
                What::Before(spare) => self.send(spare, None, true, None).await?,
                What::Closed => return None,
                What::Late => {}
            }
            sleep(fault.delay).await;
        }
        sleep(self.latency).await;
        let torn = faults.iter().find(|fault| fault.what == What::Torn);
        if !faults.iter().any(|fault| fault.what == What::Deleted) {
            self.send(text, *answers, false, torn.copied()).await?;
        }
        for fault in faults {
            if let What::Behind(spare) = fault.what {
                sleep(fault.delay).await;
                self.send(spare, None, true, None).await?;
            }
        }
        Some(())
    }

    async fn send(
        &mut self,
        text: &str,
        answers: Option<usize>,
        invented: bool,
        torn: Option<&Fault>,
    ) -> Option<()> {
        {
            let mut log = self.log.lock();
            let behind = log.written.len();
            let text = text.to_owned();
            log.replies.push(Sent {
                text,
                answers,
                invented,
                behind,
            });
        }
        let (first, rest) = text.split_at(if torn.is_some() { 2 } else { text.len() });
        self.output.write_all(first.as_bytes()).await.ok()?;
        if let Some(torn) = torn {
            sleep(torn.delay).await;
        }
        let rest = format!("{rest}\r\n");
        self.output.write_all(rest.as_bytes()).await.ok()
    }
}

/// One session, as RFC 5321 and RFC 3030 have it.
struct Dialogue {
    input: ReadHalf<DuplexStream>,
    unread: Vec<u8>,
    says_codes: bool,
    answers: UnboundedSender<Answer>,
    sender: bool,
    recipients: usize,
}

impl Dialogue {
    async fn serve(mut self) -> Option<()> {
        loop {
            let line = self.line().await?;
            let word = line.split([' ', ':']).next().unwrap_or_default();
            match word {
                "MAIL" if line.contains("bad") => self.say("550", "5.1.8", "sender"),
                "MAIL" => {
                    self.sender = true;
                    self.say("250", "2.1.0", "sender ok");
                }
                "RCPT" if !self.sender => self.say("503", "5.5.1", "MAIL first"),
                "RCPT" if line.contains("bad") => self.say("550", "5.1.1", "unknown"),
                "RCPT" => {
                    self.recipients += 1;
                    self.say("250", "2.1.5", "recipient ok");
                }
                "DATA" if self.recipients == 0 => self.say("554", "5.5.1", "nobody"),
                "DATA" => self.data().await?,
                "BDAT" => self.chunk(&line).await?,
                "RSET" => {
                    self.reset();
                    self.say("250", "2.0.0", "reset");
                }
                "EHLO" => {
                    self.reset();
                    let _unheard = self.answers.send((EHLO.to_owned(), None));
                }
                "QUIT" => {
                    self.say("221", "2.0.0", "bye");
                    return Some(());
                }
                _ => self.say("500", "5.5.2", "what?"),
            }
        }
    }

    fn reset(&mut self) {
        self.sender = false;
        self.recipients = 0;
    }

    fn say(&self, code: &str, enhanced: &str, text: &str) {
        self.answer(code, enhanced, text, None);
    }

    fn answer(&self, code: &str, enhanced: &str, text: &str, answers: Option<usize>) {
        let reply = match self.says_codes {
            true => format!("{code} {enhanced} {text}"),
            false => format!("{code} {text}"),
        };
        // The receiver is gone after the end of the connection.
        let _unheard = self.answers.send((reply, answers));
    }

    async fn data(&mut self) -> Option<()> {
        // 354 has no enhanced code (RFC 2034 section 4).
        let _unheard = self.answers.send(("354 go".to_owned(), None));
        let mut content = String::new();
        loop {
            let line = self.line().await?;
            if line == "." {
                break;
            }
            content += &format!("{line}\r\n");
        }
        self.judge(&content);
        Some(())
    }

    async fn chunk(&mut self, line: &str) -> Option<()> {
        let bytes: usize = line.split(' ').nth(1)?.parse().ok()?;
        while self.unread.len() < bytes {
            self.receive().await?;
        }
        let chunk: Vec<u8> = self.unread.drain(..bytes).collect();
        match self.recipients {
            0 => self.say("503", "5.5.1", "nobody"),
            _ => self.judge(&String::from_utf8_lossy(&chunk)),
        }
        Some(())
    }

    fn judge(&mut self, content: &str) {
        let id = (0..3).find(|&id| content.contains(&end_of(id)));
        match content.contains("Subject: good") {
            true => self.answer("250", "2.0.0", "taken", id),
            false => self.answer("554", "5.7.1", "refused", id),
        }
        self.reset();
    }

    /// `None` at the end.
    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end + 2).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.receive().await?;
        }
    }

    async fn receive(&mut self) -> Option<()> {
        let mut received = [0; 256];
        match self.input.read(&mut received).await {
            Ok(0) | Err(_) => None,
            Ok(n) => {
                self.unread.extend_from_slice(&received[..n]);
                Some(())
            }
        }
    }
}
