//! A server that accepts everything up to AUTH, counts the AUTH commands, and answers none properly.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it does instead of answering AUTH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthReaction {
    Replies(&'static str),
    Disconnects,
    Hangs,
    /// Asks for the name, and then hangs up.
    ChallengesAndDisconnects,
}

/// The server, until it is dropped.
pub(crate) struct UnansweredAuthServer {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl UnansweredAuthServer {
    /// `saw` is called at each AUTH.
    pub(crate) async fn start(
        instead: AuthReaction,
        saw: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let saw = Arc::new(saw);
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let saw = Arc::clone(&saw);
                // A client that goes ends its session.
                tokio::spawn(async move { serve(tcp, instead, &*saw).await.ok() });
            }
        });
        Self { address, task }
    }
}

impl Drop for UnansweredAuthServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Collects the calls.
#[derive(Clone, Default)]
pub(crate) struct CallLog<T>(Arc<Mutex<Vec<T>>>);

impl<T: Clone> CallLog<T> {
    pub(crate) fn add(&self, it: T) {
        let mut seen = self.0.lock();
        seen.push(it);
    }

    pub(crate) fn all(&self) -> Vec<T> {
        let seen = self.0.lock();
        seen.clone()
    }
}

async fn serve(tcp: TcpStream, instead: AuthReaction, saw: &impl Fn()) -> std::io::Result<()> {
    let (input, mut output) = tcp.into_split();
    let mut lines = BufReader::new(input).lines();
    output.write_all(b"220 peer.example.test ESMTP\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let reply = match line.split(' ').next().unwrap_or_default() {
            "EHLO" => "250-peer.example.test\r\n250 AUTH LOGIN",
            "QUIT" => "221 bye",
            "AUTH" => {
                saw();
                match instead {
                    AuthReaction::Replies(reply) => reply,
                    AuthReaction::Disconnects => return Ok(()),
                    AuthReaction::Hangs => continue,
                    AuthReaction::ChallengesAndDisconnects => "334 VXNlcm5hbWU6",
                }
            }
            _ if instead == AuthReaction::ChallengesAndDisconnects => return Ok(()),
            _ => "503 5.5.1 authenticate first",
        };
        output.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
    Ok(())
}
