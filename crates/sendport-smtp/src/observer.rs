//! The steps of a session, for an observer: `sendport probe` shows the sessions of the service
//! itself.

use std::net::SocketAddr;
use std::sync::Arc;

use super::reply_parser::ServerReply;

/// Observes the sessions of one relay while they run. Must not wait.
pub trait SessionObserver: Send + Sync {
    /// Called for each step.
    fn on_step(&self, step: Step);
}

/// One step of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A name look-up begins.
    Resolving(String),
    /// Its addresses.
    Resolved(Vec<SocketAddr>),
    /// A connection to this address begins.
    Connecting(SocketAddr),
    /// The connection failed; a sentence says why.
    ConnectFailed(SocketAddr, String),
    /// The connection is open.
    Connected {
        /// The server's end.
        remote: SocketAddr,
        /// Our end.
        local: Option<SocketAddr>,
    },
    /// A TLS handshake begins.
    HandshakeStarted,
    /// The server sent its certificates, its own first. They may not be trusted.
    CertificatesReceived(Vec<PeerCertificate>),
    /// The TLS handshake succeeded.
    HandshakeCompleted {
        /// As OpenSSL names it: `TLSv1.3`.
        version: String,
        /// As OpenSSL names it.
        cipher: String,
        /// How the certificate was verified, as a clause; `None` where it was not.
        checked: Option<String>,
    },
    /// A command line was written, without its line end; secrets are [`REDACTED`].
    CommandSent(String),
    /// Content and final dot were written; the size in bytes before dot-stuffing.
    ContentSent(usize),
    /// This `BDAT` command was written with its content.
    ChunkSent(String),
    /// A reply was received.
    ReplyReceived(ServerReply),
}

/// Replaces a secret.
pub const REDACTED: &str = "<redacted>";

/// A certificate that the server sent.
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

/// The observer of a relay, if it has one. Without one, no step is built.
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
