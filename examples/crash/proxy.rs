//! A TCP proxy that can be told to cut and to freeze, and one that cuts after a final dot.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the proxy does with octets.
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
    /// How often it cut after a final dot.
    pub(crate) cuts: Arc<AtomicU32>,
}

impl Proxy {
    /// `cut_after_dots`: of so many final dots the last one is passed on, answered by the
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
                swallow_answer |= ends_message(&up[..read], rule.as_ref());
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

fn ends_message(octets: &[u8], rule: Option<&DotRule>) -> bool {
    let Some((every, dots, cuts)) = rule else {
        return false;
    };
    if !octets.ends_with(b"\r\n.\r\n") {
        return false;
    }
    let cut = (dots.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(*every);
    if cut {
        cuts.fetch_add(1, Ordering::Relaxed);
    }
    cut
}
