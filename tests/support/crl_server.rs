//! A web server for lists of revoked certificates: it has some, has others not yet, and never
//! answers for yet others.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Below this nothing is ever answered.
const SILENT: &str = "/silent/";

/// What it has, by path.
#[derive(Clone, Default)]
struct Files(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

/// The server, until it is dropped.
pub(crate) struct CrlServer {
    address: SocketAddr,
    files: Files,
    task: tokio::task::JoinHandle<()>,
}

impl CrlServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let files = Files::default();
        let serving = files.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, serving.clone()));
            }
        });
        Self {
            address,
            files,
            task,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Never answered.
    pub(crate) fn silent_url(&self, name: &str) -> String {
        self.url(&format!("{SILENT}{name}"))
    }

    pub(crate) fn publish(&self, path: &str, list: Vec<u8>) {
        let mut files = self.files.0.lock();
        files.insert(path.to_owned(), list);
    }
}

impl Drop for CrlServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, files: Files) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default();
    if path.starts_with(SILENT) {
        return std::future::pending().await;
    }
    let files = files.0.lock().get(path).cloned();
    let (status, body) = match files {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", b"not here".to_vec()),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    // The client may be gone.
    let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
}
