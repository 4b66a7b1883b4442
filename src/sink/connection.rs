//! The connection of a client: reads lines, writes replies. Replies are buffered while commands are
//! unread (RFC 2920).

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest command line (RFC 5321 section 4.5.3.1.4 asks for 512, extensions for more).
const MAX_COMMAND: usize = 4096;

/// The connection of a client.
pub(super) struct ClientConnection {
    tcp: TcpStream,
    input: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    output: Vec<u8>,
}

/// A command line, without its end.
pub(super) enum Line {
    Whole(String),
    TooLong,
    Closed,
}

impl ClientConnection {
    pub(super) fn new(tcp: TcpStream) -> Self {
        // Replies are written whole: waiting for more only delays them.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "setting TCP_NODELAY failed");
        }
        Self {
            tcp,
            input: Vec::new(),
            start: 0,
            output: Vec::new(),
        }
    }

    pub(super) fn reply(&mut self, reply: &str) {
        self.output.extend_from_slice(reply.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.tcp.write_all(&self.output).await?;
        self.output.clear();
        Ok(())
    }

    /// The next command. A person at a terminal may end it with LF alone.
    pub(super) async fn command(&mut self) -> io::Result<Line> {
        let mut scanned = 0;
        loop {
            let pending = &self.input[self.start..];
            if let Some(at) = pending[scanned..].iter().position(|&b| b == b'\n') {
                let line = &pending[..scanned + at];
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                let too_long = line.len() > MAX_COMMAND;
                let text = String::from_utf8_lossy(line).into_owned();
                self.start += scanned + at + 1;
                return Ok(if too_long {
                    Line::TooLong
                } else {
                    Line::Whole(text)
                });
            }
            scanned = pending.len();
            if scanned > MAX_COMMAND {
                return Ok(Line::TooLong);
            }
            if self.receive().await? == 0 {
                return Ok(Line::Closed);
            }
        }
    }

    /// A line of content, ended by CRLF and by nothing else; `None` where the client closed.
    /// A line longer than `limit` comes in pieces.
    pub(super) async fn content(&mut self, limit: usize) -> io::Result<Option<(Vec<u8>, bool)>> {
        let mut scanned = 0;
        loop {
            let pending = &self.input[self.start..];
            let found = pending[scanned..]
                .windows(2)
                .position(|pair| pair == b"\r\n");
            if let Some(at) = found {
                let line = pending[..scanned + at].to_vec();
                self.start += scanned + at + 2;
                return Ok(Some((line, true)));
            }
            // The CR of a CRLF that is not whole yet stays.
            scanned = pending.len().saturating_sub(1);
            if scanned > limit {
                let piece = pending[..scanned].to_vec();
                self.start += scanned;
                return Ok(Some((piece, false)));
            }
            if self.receive().await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn receive(&mut self) -> io::Result<usize> {
        self.flush().await?;
        self.input.drain(..self.start);
        self.start = 0;
        self.input.reserve(16_384);
        self.tcp.read_buf(&mut self.input).await
    }
}
