//! One connection to the sink.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{Shared, Verdict};
use crate::domain::ReversePath;
use crate::eml;

/// RFC 5321 section 4.5.3.1.4 asks for 512 and extensions for more.
const LONGEST_COMMAND: u64 = 4096;

/// RFC 5321 section 4.5.3.1.8 asks for at least 100.
const MOST_RECIPIENTS: usize = 1000;

/// Where a mail transaction stands.
#[derive(Default)]
struct Transaction {
    sender: Option<ReversePath>,
    receivers: Vec<String>,
}

struct Session {
    stream: BufReader<TcpStream>,
    out: Vec<u8>,
    shared: Arc<Shared>,
    transaction: Transaction,
}

/// What follows a command.
enum Next {
    Command,
    Content,
    End,
}

/// Serves one connection until QUIT, the end of the connection, or a stop between messages.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>, stop: CancellationToken) {
    // Without it each reply to a pipelined group could wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let mut session = Session {
        stream: BufReader::with_capacity(64 * 1024, stream),
        out: Vec::new(),
        shared,
        transaction: Transaction::default(),
    };
    if let Err(error) = session.run(&stop).await {
        tracing::debug!(%error, "sink lost a connection");
    }
}

impl Session {
    async fn run(&mut self, stop: &CancellationToken) -> std::io::Result<()> {
        self.reply("220 sink.sendport.example ESMTP sendport sink");
        loop {
            if self.stream.buffer().is_empty() {
                self.flush().await?;
            }
            let mut line = Vec::new();
            let read = tokio::select! {
                biased;
                read = read_line(&mut self.stream, &mut line) => read?,
                () = stop.cancelled() => {
                    self.reply("421 4.3.2 the sink is stopping");
                    return self.flush().await;
                }
            };
            if read == 0 {
                return Ok(());
            }
            match self.command(&line) {
                Next::Command => {}
                Next::Content => {
                    self.flush().await?;
                    self.receive().await?;
                }
                Next::End => return self.flush().await,
            }
        }
    }

    fn reply(&mut self, line: &str) {
        self.out.extend_from_slice(line.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        if !self.out.is_empty() {
            self.stream.get_mut().write_all(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    fn command(&mut self, line: &[u8]) -> Next {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\r', '\n']);
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => self.ehlo(),
            "HELO" => self.reply("250 sink.sendport.example"),
            "MAIL" => self.mail(rest),
            "RCPT" => self.rcpt(rest),
            "DATA" => return self.data(),
            "RSET" => {
                self.transaction = Transaction::default();
                self.reply("250 2.0.0 ok");
            }
            "NOOP" => self.reply("250 2.0.0 ok"),
            "VRFY" => self.reply("252 2.5.0 send some mail and see"),
            "QUIT" => {
                self.reply("221 2.0.0 bye");
                return Next::End;
            }
            _ => self.reply("500 5.5.2 command not known"),
        }
        Next::Command
    }

    fn ehlo(&mut self) {
        self.transaction = Transaction::default();
        let size = self.shared.options.max_size;
        self.reply("250-sink.sendport.example");
        self.reply("250-PIPELINING");
        self.reply(&format!("250-SIZE {size}"));
        self.reply("250-8BITMIME");
        self.reply("250 ENHANCEDSTATUSCODES");
    }

    fn mail(&mut self, rest: &str) {
        let Some((path, parameters)) = path(rest, "FROM:") else {
            return self.reply("501 5.5.4 write MAIL FROM:<address>");
        };
        if self.transaction.sender.is_some() {
            return self.reply("503 5.5.1 there is a sender already");
        }
        let declared = parameters
            .split(' ')
            .find_map(|p| p.strip_prefix("SIZE=")?.parse::<usize>().ok());
        if declared.is_some_and(|size| size > self.shared.options.max_size) {
            return self.reply("552 5.3.4 message too large");
        }
        self.transaction.sender = Some(ReversePath(Some(path).filter(|path| !path.is_empty())));
        self.reply("250 2.1.0 sender ok");
    }

    fn rcpt(&mut self, rest: &str) {
        let Some((address, _)) = path(rest, "TO:").filter(|(address, _)| !address.is_empty())
        else {
            return self.reply("501 5.5.4 write RCPT TO:<address>");
        };
        if self.transaction.sender.is_none() {
            return self.reply("503 5.5.1 MAIL first");
        }
        if self.transaction.receivers.len() >= MOST_RECIPIENTS {
            return self.reply("452 4.5.3 too many recipients");
        }
        match self.shared.verdict(&address) {
            Verdict::Refuse => self.reply("550 5.1.1 no such user here"),
            Verdict::Delay => self.reply("451 4.2.1 mailbox busy, try again later"),
            Verdict::Accept => {
                self.transaction.receivers.push(address);
                self.reply("250 2.1.5 recipient ok");
            }
        }
    }

    fn data(&mut self) -> Next {
        if self.transaction.sender.is_none() || self.transaction.receivers.is_empty() {
            self.reply("503 5.5.1 MAIL and at least one accepted RCPT first");
            return Next::Command;
        }
        self.reply("354 end with <CRLF>.<CRLF>");
        Next::Content
    }

    /// Only CRLF.CRLF ends the content (RFC 5321 section 4.1.1.4).
    async fn receive(&mut self) -> std::io::Result<()> {
        let mut content = Vec::new();
        let mut too_large = false;
        let mut at_line_start = true;
        loop {
            let mut line = Vec::new();
            // A line without an end, larger than any message, must not fill the memory.
            let limit = self.shared.options.max_size as u64 + 1024;
            (&mut self.stream)
                .take(limit)
                .read_until(b'\n', &mut line)
                .await?;
            if line.is_empty() {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if at_line_start && line == b".\r\n" {
                break;
            }
            let stuffed = at_line_start && line.starts_with(b".");
            at_line_start = line.ends_with(b"\r\n");
            too_large |= content.len() + line.len() > self.shared.options.max_size;
            if too_large {
                content.clear();
            } else {
                content.extend_from_slice(&line[usize::from(stuffed)..]);
            }
        }
        let transaction = std::mem::take(&mut self.transaction);
        if too_large {
            self.reply("552 5.3.4 message too large");
        } else {
            self.store(transaction, content).await;
        }
        Ok(())
    }

    async fn store(&mut self, transaction: Transaction, content: Vec<u8>) {
        let folder = self.shared.options.folder.clone();
        let sender = transaction.sender.unwrap_or(ReversePath(None));
        let stem = message_id(&content).unwrap_or_else(|| "message".to_owned());
        let job = move || {
            eml::write(
                &folder,
                &stem,
                Some((&sender, &transaction.receivers)),
                &content,
            )
        };
        match tokio::task::spawn_blocking(job).await {
            Ok(Ok(file)) => {
                let number = self.shared.count_received();
                let name = file
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                self.reply(&format!("250 2.0.0 stored as number {number}: {name}"));
            }
            Ok(Err(error)) => self.reply(&format!("452 4.3.1 cannot store: {}", error.kind())),
            Err(_) => self.reply("451 4.3.0 cannot store"),
        }
    }
}

/// A line, cut at the longest that a command may have.
async fn read_line(
    stream: &mut BufReader<TcpStream>,
    line: &mut Vec<u8>,
) -> std::io::Result<usize> {
    stream.take(LONGEST_COMMAND).read_until(b'\n', line).await
}

/// The address and the parameters after `FROM:` or `TO:`.
fn path(rest: &str, keyword: &str) -> Option<(String, String)> {
    let head = rest.get(..keyword.len())?;
    if !head.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let (address, parameters) = rest[keyword.len()..]
        .trim_start()
        .strip_prefix('<')?
        .split_once('>')?;
    Some((address.to_owned(), parameters.trim().to_ascii_uppercase()))
}

/// For the file's name.
fn message_id(content: &[u8]) -> Option<String> {
    let header = content
        .split(|octet| *octet == b'\n')
        .take_while(|line| line.len() > 1);
    let mut lines = header.map(|line| String::from_utf8_lossy(line).into_owned());
    let line = lines.find(|line| line.to_ascii_lowercase().starts_with("message-id:"))?;
    Some(line["message-id:".len()..].trim().to_owned())
}
