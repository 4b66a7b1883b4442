//! A relay that takes everything and writes down every line that it is sent.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

type Lines = Arc<Mutex<Vec<String>>>;

/// The relay, until it is dropped.
pub(crate) struct RecordingPeer {
    pub(crate) address: SocketAddr,
    lines: Lines,
    task: tokio::task::JoinHandle<()>,
}

impl RecordingPeer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let lines = Lines::default();
        let written = lines.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, written.clone()));
            }
        });
        Self {
            address,
            lines,
            task,
        }
    }

    /// Everything that it was sent so far, in the order of each connection.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }
}

impl Drop for RecordingPeer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Ends with the connection.
async fn take(stream: TcpStream, lines: Lines) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 peer.example.test ESMTP\r\n").await?;
    let mut content = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_owned();
        lines.lock().push(line.clone());
        let reply = match (content, line.as_str()) {
            (true, ".") => "250 2.0.0 accepted",
            (true, _) => continue,
            (false, "DATA") => "354 go",
            (false, "QUIT") => "221 2.0.0 bye",
            (false, _) => "250 ok",
        };
        content = reply.starts_with("354");
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
}
