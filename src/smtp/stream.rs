//! The connection: plain or TLS, octets out in as few writes as possible, replies in.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_openssl::SslStream;

use super::observer::{ObserverHandle, Step};
use super::redaction::SecretRedactor;
use super::reply_parser::{ReplyParser, ReplySyntaxError, ServerReply};
use crate::domain::{Command, Reply};

/// What carries octets both ways: a TCP connection, or what stands in for one.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {
    /// The TCP connection, where it is one.
    fn tcp(&self) -> Option<&TcpStream>;
}

impl Transport for TcpStream {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

/// What the octets travel over.
pub(super) enum Wire {
    Plain(Box<dyn Transport>),
    Tls(Box<SslStream<Box<dyn Transport>>>),
}

impl Wire {
    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(plain) => plain.tcp(),
            Self::Tls(tls) => tls.get_ref().tcp(),
        }
    }

    fn send_at_once(&self) {
        let set = self.tcp().map(|tcp| tcp.set_nodelay(true));
        if let Some(Err(error)) = set {
            tracing::debug!(%error, "setting TCP_NODELAY failed");
        }
    }

    /// A delayed acknowledgement stalls servers that write in two portions for 40 ms. The
    /// switch is not lasting: it is set whenever the rest of an answer is waited for.
    fn acknowledge_at_once(&self) {
        #[cfg(target_os = "linux")]
        if let Some(Err(error)) = self.tcp().map(|tcp| tcp.set_quickack(true)) {
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
            Self::Plain(plain) => Pin::new(plain).poll_read(cx, buf),
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
            Self::Plain(plain) => Pin::new(plain).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_shutdown(cx),
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
pub(super) enum ReplyError {
    Timeout(Wait),
    Closed,
    Io(io::Error),
    NotSmtp(ReplySyntaxError),
    /// Something was here before anything was asked: a whole reply, or a part of one.
    Unsolicited(Option<ServerReply>),
}

/// What is said of a reply that came unsolicited.
const UNASKED: &str = "before it was asked";

/// The session ended because something was on the connection before anything was asked.
pub(super) fn came_unasked(reply: &Reply) -> bool {
    reply.code == 0 && reply.text.contains(UNASKED)
}

impl ReplyError {
    /// What stands for the reply to `command`.
    pub(super) fn into_reply(self, command: Command) -> Reply {
        match self {
            // A goodbye may come unsolicited (RFC 5321 section 3.8).
            Self::Unsolicited(Some(goodbye)) if goodbye.code == 421 => goodbye.into_reply(command),
            lost => Reply::absent(command, format!("{command}: {lost}")),
        }
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(Wait { limit, setting }) => {
                write!(f, "no answer within {limit:.1?} (setting {setting})")
            }
            Self::Closed => f.write_str("the server closed the connection without an answer"),
            Self::Io(cause) => write!(f, "the connection broke: {cause}"),
            Self::NotSmtp(what) => what.fmt(f),
            Self::Unsolicited(Some(reply)) => {
                let (code, text) = (reply.code, reply.first_line());
                write!(f, "the server said '{code} {text}' {UNASKED}")
            }
            Self::Unsolicited(None) => write!(f, "the server began a reply {UNASKED}"),
        }
    }
}

impl From<io::Error> for ReplyError {
    fn from(cause: io::Error) -> Self {
        match cause.kind() {
            // TLS without close_notify, and a close that crossed what we wrote.
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Io(cause),
        }
    }
}

impl From<ReplySyntaxError> for ReplyError {
    fn from(what: ReplySyntaxError) -> Self {
        match what {
            ReplySyntaxError::NotSmtp(_) => Self::NotSmtp(what),
            // The replies before it stand.
            ReplySyntaxError::Endless => Self::Io(io::Error::other(what)),
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
    observer: ObserverHandle,
    /// While a sign-in lasts.
    pub(super) secrets: SecretRedactor,
    /// The server may have seen an AUTH.
    pub(super) auth_tried: bool,
}

impl Stream {
    pub(super) fn new(wire: Wire, observer: ObserverHandle) -> Self {
        wire.send_at_once();
        Self {
            wire,
            parser: ReplyParser::default(),
            outgoing: Vec::new(),
            received: vec![0; 4096].into_boxed_slice(),
            heard: false,
            attempt_end: None,
            observer,
            secrets: SecretRedactor::default(),
            auth_tried: false,
        }
    }

    /// Tells whoever looks on.
    pub(super) fn notify(&self, step: impl FnOnce() -> Step) {
        self.observer.notify(step);
    }

    fn take_reply(&mut self) -> Result<Option<ServerReply>, ReplySyntaxError> {
        let taken = self.parser.take();
        let mut reply = taken.map_err(|what| self.without_secrets(what))?;
        if let Some(reply) = &mut reply {
            self.secrets.strike(reply);
            self.notify(|| Step::ReplyReceived(reply.clone()));
        }
        Ok(reply)
    }

    fn without_secrets(&self, mut what: ReplySyntaxError) -> ReplySyntaxError {
        if let ReplySyntaxError::NotSmtp(start) = &mut what {
            self.secrets.strike_start(start);
        }
        what
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

    /// Looks for what arrived although nothing was asked, in clear or over TLS. The reactor has
    /// a look at the connection first.
    ///
    /// # Errors
    /// [`ReplyError::Unsolicited`], [`ReplyError::Closed`] or [`ReplyError::Io`].
    pub(super) async fn quiet(&mut self) -> Result<(), ReplyError> {
        tokio::task::yield_now().await;
        poll_fn(|cx| Poll::Ready(self.check_quiet(cx))).await
    }

    fn check_quiet(&mut self, cx: &mut Context<'_>) -> Result<(), ReplyError> {
        if !self.has_leftover() {
            let mut arrived = ReadBuf::new(&mut self.received);
            match Pin::new(&mut self.wire).poll_read(cx, &mut arrived) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(cause)) => return Err(cause.into()),
                Poll::Ready(Ok(())) if arrived.filled().is_empty() => {
                    return Err(ReplyError::Closed);
                }
                Poll::Ready(Ok(())) => self.parser.feed(arrived.filled()),
            }
        }
        Err(ReplyError::Unsolicited(
            self.take_reply().unwrap_or_default(),
        ))
    }

    /// Octets arrived before anything was asked.
    pub(super) fn has_leftover(&self) -> bool {
        self.parser.has_leftover()
    }

    /// Puts a line into the next write.
    pub(super) fn queue(&mut self, line: &str) {
        self.notify(|| Step::CommandSent(line.to_owned()));
        self.outgoing.extend_from_slice(line.as_bytes());
        self.outgoing.extend_from_slice(b"\r\n");
    }

    /// Writes what was queued, in one write where the system takes it.
    pub(super) async fn flush(&mut self, wait: Wait) -> Result<(), ReplyError> {
        let outgoing = std::mem::take(&mut self.outgoing);
        let result = self.write(&outgoing, wait).await;
        self.outgoing = outgoing;
        self.outgoing.clear();
        result
    }

    /// Writes lines as they are. Each reply belongs to one command: with something unread on the
    /// connection nothing is written.
    pub(super) async fn write(&mut self, octets: &[u8], wait: Wait) -> Result<(), ReplyError> {
        self.quiet().await?;
        self.heard = false;
        let wire = &mut self.wire;
        let write = async {
            wire.write_all(octets).await?;
            Ok(wire.flush().await?)
        };
        timed(wait.within(self.attempt_end), write).await
    }

    /// Writes content for as long as nothing is heard: what arrives before the last octet is
    /// written, the end of the connection included, stops it, because it cannot be the reply.
    pub(super) async fn write_unanswered(
        &mut self,
        octets: &[u8],
        wait: Wait,
    ) -> Result<(), ReplyError> {
        self.quiet().await?;
        self.heard = false;
        let wait = wait.within(self.attempt_end);
        let write = async {
            let mut rest = octets;
            poll_fn(|cx| self.poll_write_unanswered(cx, &mut rest)).await?;
            Ok(self.wire.flush().await?)
        };
        timed(wait, write).await
    }

    fn poll_write_unanswered(
        &mut self,
        cx: &mut Context<'_>,
        rest: &mut &[u8],
    ) -> Poll<Result<(), ReplyError>> {
        while !rest.is_empty() {
            self.check_quiet(cx)?;
            let written = ready!(Pin::new(&mut self.wire).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(ReplyError::Io(io::ErrorKind::WriteZero.into())));
            }
            *rest = &rest[written..];
        }
        Poll::Ready(Ok(()))
    }

    /// The next reply.
    pub(super) async fn read_reply(&mut self, wait: Wait) -> Result<ServerReply, ReplyError> {
        let wait = wait.within(self.attempt_end);
        timed(wait, self.receive()).await
    }

    async fn receive(&mut self) -> Result<ServerReply, ReplyError> {
        loop {
            if let Some(reply) = self.take_reply()? {
                return Ok(reply);
            }
            // A whole answer is acknowledged by the next command.
            if self.heard {
                self.wire.acknowledge_at_once();
            }
            self.heard = true;
            match self.wire.read(&mut self.received).await? {
                0 => return Err(ReplyError::Closed),
                n => self.parser.feed(&self.received[..n]),
            }
        }
    }
}

async fn timed<T>(
    wait: Wait,
    work: impl Future<Output = Result<T, ReplyError>>,
) -> Result<T, ReplyError> {
    match tokio::time::timeout(wait.limit, work).await {
        Ok(result) => result,
        Err(_) => Err(ReplyError::Timeout(wait)),
    }
}
