//! TLS for the session (RFC 3207, RFC 8314): what is trusted, which name is expected, and what
//! we show ourselves.

mod client_certificate;
pub(super) mod not_after;
mod peer_chain;
mod pin;
mod reload;
mod verify_failure;

use std::path::Path;
use std::pin::Pin;

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::ssl::{Ssl, SslConnector, SslMethod, SslRef, SslVerifyMode, SslVersion};
use openssl::x509::store::X509StoreBuilder;
use sendport_tls_resumption::ResumingConnector;
use tokio_openssl::SslStream;

pub(super) use self::reload::ReloadableTls;
use self::verify_failure::VerifyFailure;
use crate::config::relay::SmtpRelay;
use crate::config::tls::{MinTlsVersion, Pin as CertificatePin};
use crate::domain::{Fault, SessionFacts};
use crate::relay::observer::{CertificateRole, RelayActivity, RelayObserver};
use crate::smtp::observer::{ObserverHandle, Step};
use crate::smtp::stream::Transport;

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsSettingsError {
    /// The file of authorities is missing, unreadable or no PEM.
    #[error("ca_file '{path}' cannot be used as PEM certificates of authorities: {cause}")]
    CaFile {
        /// As configured.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The client certificate or its key cannot be used.
    #[error("{key} '{path}' cannot be used: {cause}")]
    ClientCertificate {
        /// Which key of the configuration.
        key: &'static str,
        /// As configured.
        path: String,
        /// What is wrong with it, and what was expected.
        cause: String,
    },
    /// OpenSSL refused a setting.
    #[error("tls: OpenSSL refused the settings: {0}")]
    OpenSsl(#[from] ErrorStack),
}

/// A handshake that failed.
#[derive(Debug)]
pub(super) struct HandshakeFailure {
    /// A sentence that names the problem.
    pub(super) what: String,
    /// A certificate that does not check, or a port that does not speak TLS: a person heals it.
    pub(super) fault: Option<Fault>,
}

/// Settings made into a connector once, for all connections of a relay.
pub(super) struct Tls {
    connector: ResumingConnector,
    /// Who the certificate has to name; also sent as server name (RFC 6066 section 3).
    expected_name: String,
    verify: bool,
    /// One of them the certificate has to match, where there is any.
    pins: Vec<CertificatePin>,
    /// When those of the configuration end, in seconds since 1970.
    pub(super) certificates: Vec<(CertificateRole, i64)>,
}

impl Tls {
    pub(super) fn new(config: &SmtpRelay) -> Result<Self, TlsSettingsError> {
        let mut builder = SslConnector::builder(SslMethod::tls_client())?;
        builder.set_min_proto_version(Some(match config.min_tls_version {
            MinTlsVersion::Tls12 => SslVersion::TLS1_2,
            MinTlsVersion::Tls13 => SslVersion::TLS1_3,
        }))?;
        if config.ca_file_only {
            builder.set_cert_store(X509StoreBuilder::new()?.build());
        }
        if let Some(path) = &config.ca_file {
            openable(path)
                .and_then(|()| builder.set_ca_file(path).map_err(|cause| reasons(&cause)))
                .map_err(|cause| ca_file_error(path, cause))?;
        }
        client_certificate::add(&mut builder, config)?;
        let expected = config.verify_name.as_deref().unwrap_or(&config.host);
        Ok(Self {
            connector: ResumingConnector::new(builder),
            expected_name: expected.trim_end_matches('.').to_owned(),
            verify: config.checks_chain(),
            pins: config.pin_sha256.clone(),
            certificates: not_after::configured(config),
        })
    }

    /// Carries out the handshake; the caller bounds its time.
    pub(super) async fn handshake(
        &self,
        plain: Box<dyn Transport>,
        observer: &ObserverHandle,
    ) -> Result<SslStream<Box<dyn Transport>>, HandshakeFailure> {
        let rejected = VerifyFailure::default();
        let ssl = self.ssl(&rejected).map_err(|cause| HandshakeFailure {
            what: format!("OpenSSL refused the name '{}': {cause}", self.expected_name),
            fault: Some(Fault::Configuration),
        })?;
        let mut stream = SslStream::new(ssl, plain).map_err(|cause| HandshakeFailure {
            what: format!("OpenSSL could not begin the handshake: {cause}"),
            fault: None,
        })?;
        let result = Pin::new(&mut stream).connect().await;
        observer.notify(|| Step::CertificatesReceived(peer_chain::received(stream.ssl())));
        match result {
            Ok(()) => match pin::check(stream.ssl(), &self.pins) {
                Ok(()) => Ok(stream),
                Err(what) => Err(HandshakeFailure {
                    what,
                    fault: Some(Fault::Configuration),
                }),
            },
            Err(error) => Err(self.failure(&error, &rejected)),
        }
    }

    /// What the certificate of a handshake that went well was checked for, in words.
    pub(super) fn checked(&self) -> Option<String> {
        let name = self
            .verify
            .then(|| format!("the certificate checks for '{}'", self.expected_name));
        name.or_else(|| {
            let pinned = !self.pins.is_empty();
            pinned.then(|| "the certificate is one of pin_sha256".to_owned())
        })
    }

    fn ssl(&self, rejected: &VerifyFailure) -> Result<Ssl, ErrorStack> {
        let mut configuration = self.connector.configure()?;
        configuration.set_verify_hostname(self.verify);
        if !self.verify {
            configuration.set_verify(SslVerifyMode::NONE);
            return self.connector.into_ssl(configuration, &self.expected_name);
        }
        let noted = rejected.clone();
        configuration.set_verify_callback(SslVerifyMode::PEER, move |good, context| {
            if !good {
                noted.note(context);
            }
            good
        });
        self.connector.into_ssl(configuration, &self.expected_name)
    }

    fn failure(&self, error: &openssl::ssl::Error, rejected: &VerifyFailure) -> HandshakeFailure {
        if let Some(problem) = rejected.take() {
            return HandshakeFailure {
                what: format!(
                    "the certificate does not check for '{}': {problem}. Set ca_file or \
                     verify_name, or have the relay's certificate mended",
                    self.expected_name
                ),
                fault: Some(Fault::Configuration),
            };
        }
        let reason = reason_of(error);
        let plain = [
            "wrong version number",
            "record layer failure",
            "packet length too long",
        ]
        .iter()
        .any(|sign| reason.contains(sign));
        if plain {
            return HandshakeFailure {
                what: format!(
                    "the server does not speak TLS here ({reason}): with tls = \"implicit\" \
                     the port is usually 465, with \"starttls\" 587"
                ),
                fault: Some(Fault::Configuration),
            };
        }
        HandshakeFailure {
            what: format!("the TLS handshake failed: {reason}"),
            fault: None,
        }
    }
}

/// Writes what the handshake agreed on into the facts.
pub(super) fn note_facts(stream: &SslStream<Box<dyn Transport>>, facts: &mut SessionFacts) {
    let ssl = stream.ssl();
    facts.tls_version = Some(ssl.version_str().to_owned());
    facts.tls_cipher = ssl.current_cipher().map(|cipher| cipher.name().to_owned());
    facts.peer_fingerprint = ssl
        .peer_certificate()
        .and_then(|certificate| certificate.digest(MessageDigest::sha256()).ok())
        .map(|digest| digest.iter().map(|octet| format!("{octet:02x}")).collect());
}

/// Tells when the certificate that was shown ends.
pub(super) fn report_expiry(stream: &SslStream<Box<dyn Transport>>, observer: &dyn RelayObserver) {
    if let Some(not_after) = not_after::of_peer(stream.ssl()) {
        observer.record(RelayActivity::Certificate(
            CertificateRole::Relay,
            not_after,
        ));
    }
}

/// The hash of the server's certificate that `tls-server-end-point` is (RFC 5929 section 4.1);
/// `None` where the signature has no one hash, as with Ed25519 and RSASSA-PSS.
pub(super) fn server_end_point(ssl: &SslRef) -> Option<Vec<u8>> {
    let certificate = ssl.peer_certificate()?;
    let signature = certificate.signature_algorithm().object().nid();
    let digest = match signature.signature_algorithms()?.digest {
        Nid::MD5 | Nid::SHA1 | Nid::MD5_SHA1 => MessageDigest::sha256(),
        digest => MessageDigest::from_nid(digest)?,
    };
    let hash = certificate.digest(digest).ok()?;
    Some(hash.to_vec())
}

/// OpenSSL would say in its own words that it is not there.
fn openable(path: &Path) -> Result<(), String> {
    std::fs::read(path)
        .map(drop)
        .map_err(|cause| cause.to_string())
}

/// What OpenSSL says, without its error numbers and source lines.
fn reasons(stack: &ErrorStack) -> String {
    let reasons: Vec<&str> = stack.errors().iter().filter_map(|it| it.reason()).collect();
    reasons.join(", ")
}

fn ca_file_error(path: &Path, cause: String) -> TlsSettingsError {
    TlsSettingsError::CaFile {
        path: path.display().to_string(),
        cause,
    }
}

/// OpenSSL's own words without its error numbers and source lines.
fn reason_of(error: &openssl::ssl::Error) -> String {
    let reasons = error.ssl_error().map(reasons).unwrap_or_default();
    match (reasons.is_empty(), error.io_error()) {
        (false, _) => reasons,
        (true, Some(cause)) => cause.to_string(),
        (true, None) => "the server closed the connection".to_owned(),
    }
}
