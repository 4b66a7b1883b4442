//! TLS sessions of one connector, kept for its next connection (RFC 5077, RFC 8446 section 2.2).
//!
//! A crate of its own for one line: rust-openssl marks `SSL_set_session` unsafe, because a session
//! must not come from another `SSL_CTX`. Here it cannot: [`ResumingConnector`] owns both the context
//! and the sessions, and gives neither away.

use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::ssl::{
    ConnectConfiguration, Ssl, SslConnector, SslConnectorBuilder, SslSession, SslSessionCacheMode,
};
use parking_lot::Mutex;
use zeroize::Zeroizing;

/// A connector whose connections resume the sessions of earlier ones.
pub struct ResumingConnector {
    connector: SslConnector,
    newest: Newest,
}

/// A copy of the newest session, in DER. OpenSSL marks the session itself, where its connection
/// ends without `close_notify`, as one that must not be resumed, which TLS has not required since 1.1
/// (RFC 4346 section 7.2.1). It is reused until the server issues another, because not every server
/// issues one on resumption: that two connections are linkable to one client (RFC 8446 appendix C.4)
/// is no secret to a relay.
#[derive(Clone, Default)]
struct Newest(Arc<Mutex<Option<Zeroizing<Vec<u8>>>>>);

impl ResumingConnector {
    /// Takes a builder with complete settings. All connections must be to one server with
    /// one policy: a resumed session does not send its certificate chain again.
    pub fn new(mut builder: SslConnectorBuilder) -> Self {
        let newest = Newest::default();
        let kept = newest.clone();
        builder
            .set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
        builder.set_new_session_callback(move |_, session| kept.keep(&session));
        Self {
            connector: builder.build(),
            newest,
        }
    }

    /// Settings of the next connection.
    ///
    /// # Errors
    /// OpenSSL's errors.
    pub fn configure(&self) -> Result<ConnectConfiguration, ErrorStack> {
        self.connector.configure()
    }

    /// The next connection to `name`, with a kept session where there is one. `configuration`
    /// has to come from [`ResumingConnector::configure`] of the same connector; with another's
    /// nothing is resumed.
    ///
    /// # Errors
    /// OpenSSL's errors.
    pub fn into_ssl(
        &self,
        configuration: ConnectConfiguration,
        name: &str,
    ) -> Result<Ssl, ErrorStack> {
        let mut ssl = configuration.into_ssl(name)?;
        let ours = std::ptr::eq(ssl.ssl_context(), self.connector.context());
        if let Some(session) = self.newest.copy().filter(|_| ours) {
            // SAFETY: `ssl` is of `self.connector`'s context, which was compared, and so is the
            // session: nothing but that context's callback puts any into `self.newest`, and
            // the copies that it makes belong to no context.
            #[expect(unsafe_code, reason = "the one call that this crate exists for")]
            unsafe {
                ssl.set_session(&session)?;
            }
        }
        Ok(ssl)
    }
}

impl Newest {
    fn keep(&self, session: &SslSession) {
        *self.0.lock() = session.to_der().map(Zeroizing::new).ok();
    }

    fn copy(&self) -> Option<SslSession> {
        SslSession::from_der(self.0.lock().as_ref()?).ok()
    }
}
