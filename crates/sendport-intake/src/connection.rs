//! The connection of a client: bounded lines in, replies out.
//!
//! What is stored never depends on a length that the client announces. Replies are collected while commands are
//! unread (RFC 2920) and written before the connection waits for more.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_openssl::SslStream;

use crate::reply::Reply;

/// Longest command line with its end. RFC 5321 section 4.5.3.1.4 asks for 512; SIZE, BODY, SMTPUTF8, AUTH, ENVID and
/// ORCPT (RFC 3461 section 4) add less than 1,300 to it.
pub(crate) const COMMAND_LINE: usize = 2048;

/// Longest line of an AUTH exchange with its end (RFC 4954 section 4).
pub(crate) const AUTH_LINE: usize = 12_288;

/// Octets of a line that is too long that are read to find its end.
const MOST_EXCESS: usize = 65_536;

/// Octets that one read may bring while commands are read.
const COMMAND_READ: usize = 1024;

/// Replies are written when so many octets of them are collected.
const MOST_OUTPUT: usize = 4096;

/// At an end of a session, octets are read for so long, so that the last reply arrives: a close with unread octets
/// resets the connection.
const LINGER: Duration = Duration::from_secs(2);
const MOST_LINGER: usize = 1 << 20;

/// A TCP connection, or its substitute in a test.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Transport for T {}

/// The connection, unencrypted or encrypted.
pub(crate) enum Wire {
    Plain(Box<dyn Transport>),
    Tls(Box<SslStream<Box<dyn Transport>>>),
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
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

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("the client closed the connection")]
    Closed,
    #[error("the client did not read a reply in time")]
    ReplyTimeout,
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineError {
    /// Longer than its limit; it was skipped.
    TooLong,
    /// So long that its end was not looked for.
    Endless,
    /// LF without CR.
    BareLineFeed,
    /// CR without LF.
    BareCarriageReturn,
    /// NUL or another control character.
    Control,
    /// Not UTF-8.
    NotUtf8,
}

/// A connection with its buffers. Dropping it closes the connection.
pub(crate) struct Connection {
    wire: Wire,
    input: Vec<u8>,
    /// Where the unread part of `input` begins.
    start: usize,
    /// Octets of the current line that were dropped because it is too long.
    skipped: usize,
    output: Vec<u8>,
    reply_timeout: Duration,
}

impl Connection {
    pub(crate) fn new(wire: Wire, reply_timeout: Duration) -> Self {
        Self {
            wire,
            input: Vec::new(),
            start: 0,
            skipped: 0,
            output: Vec::new(),
            reply_timeout,
        }
    }

    /// Without its buffers, for a handshake.
    pub(crate) fn into_wire(self) -> Wire {
        self.wire
    }

    /// Adds a reply to the next write.
    pub(crate) fn queue(&mut self, reply: &Reply) {
        reply.write(&mut self.output);
    }

    /// Writes the collected replies.
    pub(crate) async fn flush(&mut self) -> Result<(), ConnectionError> {
        if self.output.is_empty() {
            return Ok(());
        }
        let output = std::mem::take(&mut self.output);
        let write = async {
            self.wire.write_all(&output).await?;
            self.wire.flush().await
        };
        match tokio::time::timeout(self.reply_timeout, write).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(ConnectionError::ReplyTimeout),
        }
    }

    /// Octets that are received and not read.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.input[self.start..]
    }

    /// Marks octets as read.
    pub(crate) fn consume(&mut self, octets: usize) {
        self.start += octets;
        if self.start == self.input.len() {
            self.input.clear();
            self.start = 0;
        }
    }

    /// Writes what is collected, then waits for at most `most` octets.
    pub(crate) async fn receive(&mut self, most: usize) -> Result<(), ConnectionError> {
        self.flush().await?;
        self.input.drain(..self.start);
        self.start = 0;
        if self.input.is_empty() && self.input.capacity() > most {
            self.input = Vec::new();
        }
        self.input.reserve(most);
        let received = (&mut self.wire)
            .take(most as u64)
            .read_buf(&mut self.input)
            .await?;
        if received == 0 {
            return Err(ConnectionError::Closed);
        }
        Ok(())
    }

    /// The next line without its CRLF, at most `most` octets long with it. Nothing is lost if the future is dropped.
    pub(crate) async fn line(
        &mut self,
        most: usize,
    ) -> Result<Result<String, LineError>, ConnectionError> {
        if self.output.len() > MOST_OUTPUT {
            self.flush().await?;
        }
        let mut searched = 0;
        loop {
            let unread = self.unread();
            if let Some(at) = memchr::memchr(b'\n', &unread[searched..]) {
                let end = searched + at;
                let line = match self.skipped + end < most {
                    true => text_of_line(&unread[..end]),
                    false => Err(LineError::TooLong),
                };
                // It may be a password.
                self.input[self.start..self.start + end].fill(0);
                self.consume(end + 1);
                self.skipped = 0;
                return Ok(line);
            }
            searched = unread.len();
            if self.skipped + searched >= most {
                self.consume(searched);
                self.skipped += searched;
                searched = 0;
            }
            if self.skipped > MOST_EXCESS {
                return Ok(Err(LineError::Endless));
            }
            self.receive(COMMAND_READ).await?;
        }
    }

    /// Ends the session after its last reply.
    pub(crate) async fn close(mut self) {
        if self.flush().await.is_err() {
            return;
        }
        let rest = async {
            self.wire.shutdown().await?;
            let mut left = MOST_LINGER;
            let mut unread = [0; 1024];
            while left > 0 {
                match self.wire.read(&mut unread).await? {
                    0 => break,
                    read => left = left.saturating_sub(read),
                }
            }
            io::Result::Ok(())
        };
        // Whatever happens, the connection is over.
        let _closed = tokio::time::timeout(LINGER, rest).await;
    }
}

/// `line` is what precedes a LF.
fn text_of_line(line: &[u8]) -> Result<String, LineError> {
    let line = line.strip_suffix(b"\r").ok_or(LineError::BareLineFeed)?;
    if line.contains(&b'\r') {
        return Err(LineError::BareCarriageReturn);
    }
    let text = std::str::from_utf8(line).map_err(|_| LineError::NotUtf8)?;
    match text.chars().any(|c| c.is_control() && c != '\t') {
        true => Err(LineError::Control),
        false => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `line` returns for octets that arrive in pieces.
    async fn lines(octets: &[u8], piece: usize, most: usize) -> Vec<Result<String, LineError>> {
        let (mut client, server) = tokio::io::duplex(64);
        let mut connection = Connection::new(Wire::Plain(Box::new(server)), Duration::from_secs(1));
        let pieces: Vec<Vec<u8>> = octets.chunks(piece).map(<[u8]>::to_vec).collect();
        let writing = tokio::spawn(async move {
            for piece in pieces {
                if client.write_all(&piece).await.is_err() {
                    break;
                }
            }
        });
        let mut lines = Vec::new();
        while let Ok(line) = connection.line(most).await {
            let ends = line == Err(LineError::Endless);
            lines.push(line);
            if ends {
                break;
            }
        }
        drop(connection);
        writing.await.unwrap();
        lines
    }

    #[tokio::test]
    async fn lines_are_the_same_however_they_arrive() {
        let octets = b"NOOP\r\n\r\nbare\nNO\rOP\r\n\xff\r\nNUL\0\r\nlong line\r\nQUIT\r\n";
        let expected = [
            Ok("NOOP".to_owned()),
            Ok(String::new()),
            Err(LineError::BareLineFeed),
            Err(LineError::BareCarriageReturn),
            Err(LineError::NotUtf8),
            Err(LineError::Control),
            Err(LineError::TooLong),
            Ok("QUIT".to_owned()),
        ];
        for piece in 1..octets.len() {
            assert_eq!(lines(octets, piece, 10).await, expected, "{piece}");
        }
    }

    #[tokio::test]
    async fn a_line_may_be_as_long_as_its_limit() {
        let with = |length: usize| [vec![b'x'; length - 2], b"\r\n".to_vec()].concat();
        assert_eq!(lines(&with(2048), 100, 2048).await, [Ok("x".repeat(2046))]);
        assert_eq!(
            lines(&with(2049), 100, 2048).await,
            [Err(LineError::TooLong)]
        );
    }

    #[tokio::test]
    async fn an_endless_line_is_given_up() {
        let octets = vec![b'x'; 1 << 20];
        assert_eq!(lines(&octets, 4096, 2048).await, [Err(LineError::Endless)]);
    }
}
