//! What a session does, told step by step to whoever looks on: it is how `sendport probe` shows
//! the sessions of the service itself.

use std::net::SocketAddr;
use std::sync::Arc;

use super::reply_parser::ServerReply;

/// Told what happens in the sessions of one relay, as it happens: must not wait.
pub trait SessionObserver: Send + Sync {
    /// The next step was taken.
    fn on_step(&self, step: Step);
}

/// One step of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A name is looked up.
    Resolving(String),
    /// It has these addresses.
    Resolved(Vec<SocketAddr>),
    /// An address is tried.
    Connecting(SocketAddr),
    /// It did not take the connection, and why.
    ConnectFailed(SocketAddr, String),
    /// It did.
    Connected {
        /// The server's end.
        remote: SocketAddr,
        /// Our end.
        local: Option<SocketAddr>,
    },
    /// A TLS handshake begins.
    HandshakeStarted,
    /// The server showed its certificates, its own first. They may not be accepted.
    CertificatesReceived(Vec<PeerCertificate>),
    /// The handshake went well.
    HandshakeCompleted {
        /// As OpenSSL names it: `TLSv1.3`.
        version: String,
        /// As OpenSSL names it.
        cipher: String,
        /// How the certificate was checked, in words; `None` where it was not.
        checked: Option<String>,
    },
    /// A line was put on the wire, without its end; what is secret in it is [`REDACTED`].
    CommandSent(String),
    /// Content and final dot were written: so many octets before dot-stuffing.
    ContentSent(usize),
    /// This `BDAT` command was written, and the content that it announces.
    ChunkSent(String),
    /// A reply came.
    ReplyReceived(ServerReply),
}

/// What stands where a secret was.
pub const REDACTED: &str = "<struck out>";

/// A certificate as the server showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Common name of the subject.
    pub subject: String,
    /// DNS names and addresses of the subject (RFC 5280 section 4.2.1.6).
    pub names: Vec<String>,
    /// Common name of the issuer.
    pub issuer: String,
    /// Valid from, in seconds since 1970.
    pub not_before: i64,
    /// Valid until, in seconds since 1970.
    pub not_after: i64,
    /// What `pin_sha256` may hold for it.
    pub pin: String,
}

/// Who looks on, if anybody: nothing is made of a step that nobody sees.
#[derive(Clone, Default)]
pub(super) struct ObserverHandle(Option<Arc<dyn SessionObserver>>);

impl ObserverHandle {
    pub(super) fn new(observer: Arc<dyn SessionObserver>) -> Self {
        Self(Some(observer))
    }

    pub(super) fn notify(&self, step: impl FnOnce() -> Step) {
        if let Some(observer) = &self.0 {
            observer.on_step(step());
        }
    }
}
