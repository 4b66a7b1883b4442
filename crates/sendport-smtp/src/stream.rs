//! The connection, with or without TLS: writes commands in as few writes as possible, reads replies.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sendport_core::domain::{Command, LocalCause, Reply};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_openssl::SslStream;

use super::observer::{ObserverHandle, Step};
use super::redaction::SecretRedactor;
use super::reply_parser::{ReplyParser, ReplySyntaxError, ServerReply};

/// A TCP connection, or its substitute in a test.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {
    /// The TCP connection, where it is one.
    fn tcp(&self) -> Option<&TcpStream>;
}

impl Transport for TcpStream {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

/// The connection, unencrypted or encrypted.
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

    /// A delayed acknowledgement stalls servers that write in two portions for 40 ms. The kernel
    /// resets the option, so it is set whenever the rest of a reply is awaited.
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

/// Longest wait for one thing, and the setting that limits it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    pub(super) limit: Duration,
    pub(super) setting: &'static str,
    /// What is left of the whole attempt is shorter than the setting of this step.
    pub(super) is_rest_of_attempt: bool,
}

impl Wait {
    pub(super) fn new(limit: Duration, setting: &'static str) -> Self {
        Self {
            limit,
            setting,
            is_rest_of_attempt: false,
        }
    }

    /// The shorter of this and what is left until the end of the attempt.
    pub(super) fn within(self, attempt_end: Option<Instant>) -> Self {
        let left = attempt_end.map(|end| end.saturating_duration_since(Instant::now()));
        match left {
            Some(left) if left < self.limit => Self {
                limit: left,
                setting: "timeout.attempt",
                is_rest_of_attempt: true,
            },
            _ => self,
        }
    }
}

/// Why no reply was received.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplyError {
    #[error("no answer within {:.1?} (setting {})", .0.limit, .0.setting)]
    Timeout(Wait),
    #[error("the server closed the connection without an answer")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
    /// Not a reply in the sense of RFC 5321 section 4.2.
    #[error(transparent)]
    NotSmtp(ReplySyntaxError),
    /// Received before a command asked for it: a whole reply, or the start of one.
    #[error("{}", unsolicited(.0.as_ref()))]
    Unsolicited(Option<ServerReply>),
}

fn unsolicited(reply: Option<&ServerReply>) -> String {
    match reply {
        Some(reply) => {
            let (code, text) = (reply.code, reply.first_line());
            format!("the server said '{code} {text}' before it was asked")
        }
        None => "the server began a reply before it was asked".to_owned(),
    }
}

impl ReplyError {
    /// The other end closed the connection, or the connection broke.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Closed | Self::Io(_))
    }

    pub(super) fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }

    fn cause(&self) -> LocalCause {
        match self {
            Self::Timeout(_) => LocalCause::Timeout,
            Self::Io(cause)
                if cause
                    .get_ref()
                    .is_some_and(|it| it.is::<ReplySyntaxError>()) =>
            {
                LocalCause::NotSmtp
            }
            Self::Closed | Self::Io(_) => LocalCause::ConnectionClosed,
            Self::NotSmtp(error) if error.is_http() => LocalCause::HttpServer,
            Self::NotSmtp(_) => LocalCause::NotSmtp,
            Self::Unsolicited(_) => LocalCause::Desync,
        }
    }

    /// The local reply that replaces the missing reply to `command`.
    pub(super) fn into_reply(self, command: Command) -> Reply {
        match self {
            // A server may send 421 at any time (RFC 5321 section 3.8).
            Self::Unsolicited(Some(reply)) if reply.code == 421 => reply.into_reply(command),
            error => {
                let what = format!("{command}: {error}");
                Reply::absent(command, what).because(error.cause())
            }
        }
    }
}

impl From<io::Error> for ReplyError {
    fn from(cause: io::Error) -> Self {
        match cause.kind() {
            // TLS without close_notify, and a close that crossed a write.
            io::ErrorKind::UnexpectedEof => Self::Closed,
            _ => Self::Io(cause),
        }
    }
}

impl From<ReplySyntaxError> for ReplyError {
    fn from(error: ReplySyntaxError) -> Self {
        match error {
            ReplySyntaxError::NotSmtp(_) => Self::NotSmtp(error),
            // The replies before it remain valid.
            ReplySyntaxError::Endless => Self::Io(io::Error::other(error)),
        }
    }
}

/// A connection with its buffers. Dropping it closes the connection.
pub(super) struct Stream {
    wire: Wire,
    parser: ReplyParser,
    outgoing: Vec<u8>,
    received: Box<[u8]>,
    /// Something was received since the last write.
    has_received: bool,
    attempt_end: Option<Instant>,
    observer: ObserverHandle,
    /// The secrets of the authentication in progress.
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
            has_received: false,
            attempt_end: None,
            observer,
            secrets: SecretRedactor::default(),
            auth_tried: false,
        }
    }

    /// Notifies the observer.
    pub(super) fn notify(&self, step: impl FnOnce() -> Step) {
        self.observer.notify(step);
    }

    fn take_reply(&mut self) -> Result<Option<ServerReply>, ReplySyntaxError> {
        let parsed = self.parser.take();
        let mut reply = parsed.map_err(|what| self.without_secrets(what))?;
        if let Some(reply) = &mut reply {
            self.secrets.redact(reply);
            self.notify(|| Step::ReplyReceived(reply.clone()));
        }
        Ok(reply)
    }

    fn without_secrets(&self, mut what: ReplySyntaxError) -> ReplySyntaxError {
        if let ReplySyntaxError::NotSmtp(start) = &mut what {
            self.secrets.redact_start(start);
        }
        what
    }

    /// Bounds every later wait by this instant.
    pub(super) fn set_attempt_end(&mut self, end: Option<Instant>) {
        self.attempt_end = end;
    }

    pub(super) fn into_wire(self) -> Wire {
        self.wire
    }

    /// The connection is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.wire, Wire::Tls(_))
    }

    /// The channel binding `tls-server-end-point` (RFC 5929 section 4), with TLS.
    pub(super) fn tls_server_end_point(&self) -> Option<Vec<u8>> {
        match &self.wire {
            Wire::Plain(_) => None,
            Wire::Tls(tls) => super::tls::server_end_point(tls.ssl()),
        }
    }

    /// Checks that nothing unsolicited has arrived, encrypted or not. Yields first, so that the
    /// reactor polls the connection.
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

    /// Bytes arrived before a command asked for them.
    pub(super) fn has_leftover(&self) -> bool {
        self.parser.has_leftover()
    }

    /// Adds a line to the next write.
    pub(super) fn queue(&mut self, line: &str) {
        self.notify(|| Step::CommandSent(line.to_owned()));
        self.outgoing.extend_from_slice(line.as_bytes());
        self.outgoing.extend_from_slice(b"\r\n");
    }

    /// Writes the queued lines, in one write where the system accepts it.
    pub(super) async fn flush(&mut self, wait: Wait) -> Result<(), ReplyError> {
        let outgoing = std::mem::take(&mut self.outgoing);
        let result = self.write(&outgoing, wait).await;
        self.outgoing = outgoing;
        self.outgoing.clear();
        result
    }

    /// Writes lines as they are. Each reply belongs to one command: nothing is written while
    /// something unread is on the connection.
    pub(super) async fn write(&mut self, bytes: &[u8], wait: Wait) -> Result<(), ReplyError> {
        self.quiet().await?;
        self.has_received = false;
        let wire = &mut self.wire;
        let write = async {
            wire.write_all(bytes).await?;
            Ok(wire.flush().await?)
        };
        timed(wait.within(self.attempt_end), write).await
    }

    /// Writes content as long as nothing arrives. What arrives before the last byte is written, the
    /// end of the connection included, cannot be the reply to the content, and stops the write.
    pub(super) async fn write_unanswered(
        &mut self,
        bytes: &[u8],
        wait: Wait,
    ) -> Result<(), ReplyError> {
        self.quiet().await?;
        self.has_received = false;
        let wait = wait.within(self.attempt_end);
        let write = async {
            let mut rest = bytes;
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
            // The next command acknowledges a whole reply.
            if self.has_received {
                self.wire.acknowledge_at_once();
            }
            self.has_received = true;
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
