//! The connection: plain or TLS, octets out in as few writes as possible, replies in.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_openssl::SslStream;

use super::observer::{Onlooker, Step};
use super::reply_parser::{NotAReply, ReplyParser, ServerReply};
use super::secrets_said::SecretsSaid;
use crate::domain::{Command, Reply};

/// What the octets travel over.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
}

impl Wire {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref(),
        }
    }

    /// A delayed acknowledgement stalls servers that write in two portions for 40 ms. The
    /// switch is not lasting: it is set whenever the rest of an answer is waited for.
    fn acknowledge_at_once(&self) {
        #[cfg(target_os = "linux")]
        if let Err(error) = self.tcp().set_quickack(true) {
            tracing::trace!(%error, "TCP_QUICKACK could not be set");
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

/// Longest wait for one thing, and the setting that says so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    pub(super) limit: Duration,
    pub(super) setting: &'static str,
}

impl Wait {
    pub(super) fn new(limit: Duration, setting: &'static str) -> Self {
        Self { limit, setting }
    }

    /// The shorter of this and what is left until the end of the attempt.
    pub(super) fn within(self, attempt_end: Option<Instant>) -> Self {
        let left = attempt_end.map(|end| end.saturating_duration_since(Instant::now()));
        match left {
            Some(left) if left < self.limit => Self::new(left, "timeout.attempt"),
            _ => self,
        }
    }
}

/// Why no reply came.
#[derive(Debug)]
pub(super) enum NoReply {
    TimedOut(Wait),
    Closed,
    Broke(io::Error),
    NotSmtp(NotAReply),
}

impl NoReply {
    /// What stands for the reply to `command`.
    pub(super) fn into_reply(self, command: Command) -> Reply {
        Reply::absent(command, format!("{command}: {self}"))
    }
}

impl fmt::Display for NoReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(Wait { limit, setting }) => {
                write!(f, "no answer within {limit:.1?} (setting {setting})")
            }
            Self::Closed => f.write_str("the server closed the connection without an answer"),
            Self::Broke(cause) => write!(f, "the connection broke: {cause}"),
            Self::NotSmtp(what) => what.fmt(f),
        }
    }
}

impl From<io::Error> for NoReply {
    fn from(cause: io::Error) -> Self {
        match cause.kind() {
            // TLS without close_notify, and a close that crossed what we wrote.
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Broke(cause),
        }
    }
}

/// A connection with its buffers. Dropping it closes it.
pub(super) struct Stream {
    wire: Wire,
    parser: ReplyParser,
    outgoing: Vec<u8>,
    received: Box<[u8]>,
    /// Something was received since the last write.
    heard: bool,
    attempt_end: Option<Instant>,
    onlooker: Onlooker,
    /// While a sign-in lasts.
    pub(super) secrets: SecretsSaid,
}

impl Stream {
    pub(super) fn new(wire: Wire, onlooker: Onlooker) -> Self {
        if let Err(error) = wire.tcp().set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        Self {
            wire,
            parser: ReplyParser::default(),
            outgoing: Vec::new(),
            received: vec![0; 4096].into_boxed_slice(),
            heard: false,
            attempt_end: None,
            onlooker,
            secrets: SecretsSaid::default(),
        }
    }

    /// Tells whoever looks on.
    pub(super) fn tell(&self, step: impl FnOnce() -> Step) {
        self.onlooker.tell(step);
    }

    /// Every wait from now on ends at this instant at the latest.
    pub(super) fn set_attempt_end(&mut self, end: Option<Instant>) {
        self.attempt_end = end;
    }

    pub(super) fn into_wire(self) -> Wire {
        self.wire
    }

    /// The octets travel over TLS.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.wire, Wire::Tls(_))
    }

    /// What binds a sign-in to this TLS channel (RFC 5929 section 4), if there is one.
    pub(super) fn tls_server_end_point(&self) -> Option<Vec<u8>> {
        match &self.wire {
            Wire::Plain(_) => None,
            Wire::Tls(tls) => super::tls::server_end_point(tls.ssl()),
        }
    }

    /// Nothing arrived, and the other end did not close, since the last reply was read: neither
    /// here nor, over TLS, in what OpenSSL holds. What did arrive is kept for the next reply.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        let mut arrived = ReadBuf::new(&mut self.received);
        let read = Pin::new(&mut self.wire).poll_read(&mut nobody, &mut arrived);
        self.parser.feed(arrived.filled());
        read.is_pending() && !self.has_leftover()
    }

    /// Octets arrived before anything was asked.
    pub(super) fn has_leftover(&self) -> bool {
        self.parser.has_leftover()
    }

    /// Puts a line into the next write.
    pub(super) fn queue(&mut self, line: &str) {
        self.tell(|| Step::Said(line.to_owned()));
        self.outgoing.extend_from_slice(line.as_bytes());
        self.outgoing.extend_from_slice(b"\r\n");
    }

    /// Puts octets into the next write as they are.
    pub(super) fn queue_octets(&mut self, octets: &[u8]) {
        self.outgoing.extend_from_slice(octets);
    }

    /// Writes what was queued, in one write where the system takes it.
    pub(super) async fn flush(&mut self, wait: Wait) -> Result<(), NoReply> {
        let outgoing = std::mem::take(&mut self.outgoing);
        let result = self.write(&outgoing, wait).await;
        self.outgoing = outgoing;
        self.outgoing.clear();
        result
    }

    /// Writes `octets` as they are.
    pub(super) async fn write(&mut self, octets: &[u8], wait: Wait) -> Result<(), NoReply> {
        self.heard = false;
        let wire = &mut self.wire;
        let write = async {
            wire.write_all(octets).await?;
            wire.flush().await
        };
        timed(wait.within(self.attempt_end), write).await
    }

    /// The next reply.
    pub(super) async fn read_reply(&mut self, wait: Wait) -> Result<ServerReply, NoReply> {
        let wait = wait.within(self.attempt_end);
        match tokio::time::timeout(wait.limit, self.receive()).await {
            Ok(result) => result,
            Err(_) => Err(NoReply::TimedOut(wait)),
        }
    }

    async fn receive(&mut self) -> Result<ServerReply, NoReply> {
        loop {
            if let Some(mut reply) = self.parser.take().map_err(NoReply::NotSmtp)? {
                self.secrets.strike(&mut reply);
                self.tell(|| Step::Heard(reply.clone()));
                return Ok(reply);
            }
            // A whole answer is acknowledged by the next command.
            if self.heard {
                self.wire.acknowledge_at_once();
            }
            self.heard = true;
            match self.wire.read(&mut self.received).await? {
                0 => return Err(NoReply::Closed),
                n => self.parser.feed(&self.received[..n]),
            }
        }
    }
}

async fn timed<T>(wait: Wait, work: impl Future<Output = io::Result<T>>) -> Result<T, NoReply> {
    match tokio::time::timeout(wait.limit, work).await {
        Ok(result) => result.map_err(NoReply::from),
        Err(_) => Err(NoReply::TimedOut(wait)),
    }
}
