//! A TCP proxy that cuts and freezes on request, and one that cuts after the end of a message.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the proxy does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Pass,
    /// Connections stay open and nothing moves.
    Freeze,
    /// Every connection that is open is closed; the number makes each cut a change.
    Cut(u32),
}

/// A proxy in front of `target`.
pub(crate) struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    /// How often it cut after the end of a message.
    pub(crate) cuts: Arc<AtomicU32>,
}

impl Proxy {
    /// `cut_after_dots`: of so many messages the last one is passed on, answered by the
    /// server, and the answer never delivered.
    pub(crate) async fn start(target: String, cut_after_dots: Option<u32>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let address = listener.local_addr().expect("an address");
        let (mode, watched) = watch::channel(Mode::Pass);
        let cuts = Arc::new(AtomicU32::new(0));
        let dots = Arc::new(AtomicU32::new(0));
        let counted = cuts.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&target).await else {
                    continue;
                };
                let rule = cut_after_dots.map(|every| (every, dots.clone(), counted.clone()));
                tokio::spawn(carry(client, server, watched.clone(), rule));
            }
        });
        Self {
            address,
            mode,
            cuts,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

type DotRule = (u32, Arc<AtomicU32>, Arc<AtomicU32>);

async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    mut mode: watch::Receiver<Mode>,
    rule: Option<DotRule>,
) {
    let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let mut swallow_answer = false;
    let mut message = MessageEnd::default();
    // A connection that begins after a cut is not cut by it.
    mode.mark_unchanged();
    loop {
        let frozen = *mode.borrow() == Mode::Freeze;
        tokio::select! {
            changed = mode.changed() => {
                if changed.is_err() || matches!(*mode.borrow(), Mode::Cut(_)) {
                    return;
                }
            }
            read = client.read(&mut up), if !frozen => {
                let Ok(read @ 1..) = read else { return };
                let ended = message.is_in(&up[..read]);
                swallow_answer |= ended && is_to_be_cut(rule.as_ref());
                if server.write_all(&up[..read]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut down), if !frozen => {
                let Ok(read @ 1..) = read else { return };
                if swallow_answer || client.write_all(&down[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Finds the end of a message: the final dot, or the last octet of BDAT (RFC 3030).
#[derive(Default)]
struct MessageEnd {
    /// Bytes of a chunk that are still to come.
    missing: usize,
}

impl MessageEnd {
    fn is_in(&mut self, bytes: &[u8]) -> bool {
        if let Some((length, behind)) = chunk(bytes) {
            self.missing = length.saturating_sub(behind);
            return self.missing == 0;
        }
        if self.missing > 0 {
            self.missing = self.missing.saturating_sub(bytes.len());
            return self.missing == 0;
        }
        bytes.ends_with(b"\r\n.\r\n")
    }
}

/// The length of the chunk that begins here, and how much of it is here.
fn chunk(bytes: &[u8]) -> Option<(usize, usize)> {
    const LAST: &str = " LAST\r\n";
    let text = String::from_utf8_lossy(bytes);
    let command = text
        .find("BDAT ")
        .filter(|at| *at == 0 || text[..*at].ends_with("\r\n"))?;
    let end = command + text[command..].find(LAST)?;
    let length = text[command + "BDAT ".len()..end].parse().ok()?;
    Some((length, text.len() - end - LAST.len()))
}

fn is_to_be_cut(rule: Option<&DotRule>) -> bool {
    let Some((every, dots, cuts)) = rule else {
        return false;
    };
    let cut = (dots.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(*every);
    if cut {
        cuts.fetch_add(1, Ordering::Relaxed);
    }
    cut
}
