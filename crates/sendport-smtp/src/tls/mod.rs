//! TLS for the session (RFC 3207, RFC 8314): trusted authorities, the expected name, and the client
//! certificate.

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
use openssl::ssl::{
    Ssl, SslConnector, SslConnectorBuilder, SslMethod, SslRef, SslVerifyMode, SslVersion,
};
use openssl::x509::store::X509StoreBuilder;
use sendport_tls_resumption::ResumingConnector;
use tokio_openssl::SslStream;

pub(super) use self::reload::ReloadableTls;
use sendport_core::domain::{Fault, LocalCause, SessionFacts};
use sendport_core::secret_source::SecretError;

use self::verify_failure::VerifyFailure;
use crate::observer::{ObserverHandle, Step};
use crate::relay::observer::{CertificateRole, RelayActivity, RelayObserver};
use crate::settings::relay::SmtpRelay;
use crate::settings::tls::{MinTlsVersion, Pin as CertificatePin};
use crate::stream::Transport;

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsSettingsError {
    /// The file of authorities is missing, unreadable or not PEM.
    #[error("ca_file '{path}' cannot be used as PEM certificates of authorities: {source}")]
    CaFile {
        /// As configured.
        path: String,
        /// What is wrong with it.
        source: PemError,
    },
    /// The client certificate or its key cannot be used.
    #[error("{key} '{path}' cannot be used: {source}")]
    ClientCertificate {
        /// Which key of the configuration.
        key: &'static str,
        /// As configured.
        path: String,
        /// What is wrong with it, and what was expected.
        source: PemError,
    },
    /// OpenSSL refused a setting.
    #[error("tls: OpenSSL refused the settings: {0}")]
    OpenSsl(#[from] ErrorStack),
}

/// What is wrong with a PEM file.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The password of its key cannot be read.
    #[error("client_key_password: {0}")]
    Password(#[from] SecretError),
    /// OpenSSL does not accept its content.
    #[error("{}{}", expected.map(|it| format!("{it}: ")).unwrap_or_default(), reasons(.source))]
    OpenSsl {
        /// What was expected.
        expected: Option<&'static str>,
        /// OpenSSL's errors.
        source: ErrorStack,
    },
}

impl PemError {
    fn openssl(expected: &'static str, source: ErrorStack) -> Self {
        Self::OpenSsl {
            expected: Some(expected),
            source,
        }
    }
}

/// A TLS handshake failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct HandshakeError {
    what: String,
    /// The kind that the table of replies explains.
    pub(super) cause: LocalCause,
    /// An untrusted certificate, or a port without TLS: an operator has to fix it.
    pub(super) fault: Option<Fault>,
}

impl HandshakeError {
    fn failed(what: String) -> Self {
        Self {
            what,
            cause: LocalCause::TlsHandshakeFailed,
            fault: None,
        }
    }

    fn configuration(what: String, cause: LocalCause) -> Self {
        Self {
            what,
            cause,
            fault: Some(Fault::Configuration),
        }
    }
}

/// The TLS settings of a relay, for all of its connections.
pub(super) struct Tls {
    connector: ResumingConnector,
    /// The name that the certificate must have; also sent as server name (RFC 6066 section 3).
    expected_name: String,
    verify: bool,
    /// The certificate has to match one of them, if there are any.
    pins: Vec<CertificatePin>,
    /// The expiry of the configured certificates, in seconds since 1970.
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
            add_authorities(&mut builder, path).map_err(|source| TlsSettingsError::CaFile {
                path: path.display().to_string(),
                source,
            })?;
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

    /// Carries out the handshake. The caller bounds its time.
    pub(super) async fn handshake(
        &self,
        plain: Box<dyn Transport>,
        observer: &ObserverHandle,
    ) -> Result<SslStream<Box<dyn Transport>>, HandshakeError> {
        let failure = VerifyFailure::default();
        let ssl = self.ssl(&failure).map_err(|cause| {
            let what = format!("OpenSSL refused the name '{}': {cause}", self.expected_name);
            HandshakeError::configuration(what, LocalCause::TlsHandshakeFailed)
        })?;
        let mut stream = SslStream::new(ssl, plain).map_err(|cause| {
            HandshakeError::failed(format!("OpenSSL could not begin the handshake: {cause}"))
        })?;
        let result = Pin::new(&mut stream).connect().await;
        observer.notify(|| Step::CertificatesReceived(peer_chain::received(stream.ssl())));
        result.map_err(|error| self.handshake_error(&error, &failure))?;
        pin::check(stream.ssl(), &self.pins).map_err(|error| {
            let cause = LocalCause::CertificatePinMismatch;
            HandshakeError::configuration(error.to_string(), cause)
        })?;
        Ok(stream)
    }

    /// How the certificate was verified, as a clause; `None` where it was not.
    pub(super) fn checked(&self) -> Option<String> {
        let name = self
            .verify
            .then(|| format!("the certificate is valid for '{}'", self.expected_name));
        name.or_else(|| {
            let pinned = !self.pins.is_empty();
            pinned.then(|| "the certificate matches pin_sha256".to_owned())
        })
    }

    fn ssl(&self, failure: &VerifyFailure) -> Result<Ssl, ErrorStack> {
        let mut configuration = self.connector.configure()?;
        configuration.set_verify_hostname(self.verify);
        if !self.verify {
            configuration.set_verify(SslVerifyMode::NONE);
            return self.connector.into_ssl(configuration, &self.expected_name);
        }
        let noted = failure.clone();
        configuration.set_verify_callback(SslVerifyMode::PEER, move |good, context| {
            if !good {
                noted.note(context);
            }
            good
        });
        self.connector.into_ssl(configuration, &self.expected_name)
    }

    fn handshake_error(
        &self,
        error: &openssl::ssl::Error,
        failure: &VerifyFailure,
    ) -> HandshakeError {
        if let Some(problem) = failure.take() {
            let what = format!(
                "the certificate is not valid for '{}': {problem}. Set ca_file or verify_name, or \
                 have the relay's certificate replaced",
                self.expected_name
            );
            return HandshakeError::configuration(what, problem.cause());
        }
        let reason = reason_of(error);
        match cause_of(error) {
            Some(LocalCause::TlsNotSpoken) => {
                let what = format!(
                    "the server does not speak TLS here ({reason}): with tls = \"implicit\" \
                     the port is usually 465, with \"starttls\" 587"
                );
                HandshakeError::configuration(what, LocalCause::TlsNotSpoken)
            }
            cause => HandshakeError {
                cause: cause.unwrap_or(LocalCause::TlsHandshakeFailed),
                ..HandshakeError::failed(format!("the TLS handshake failed: {reason}"))
            },
        }
    }
}

/// The kind of failure, by the reason codes of `sslerr.h`; 1000 and more are alerts of the server
/// (RFC 8446 section 6).
fn cause_of(error: &openssl::ssl::Error) -> Option<LocalCause> {
    let errors = error.ssl_error()?.errors().iter();
    let mut causes = errors.filter_map(|error| match error.reason_code() {
        // WRONG_VERSION_NUMBER, RECORD_LAYER_FAILURE, PACKET_LENGTH_TOO_LONG
        267 | 313 | 198 => Some(LocalCause::TlsNotSpoken),
        // Alerts certificate_required, bad_certificate, unknown_ca
        1116 | 1042 | 1048 => Some(LocalCause::ClientCertificateRequired),
        // Alert protocol_version; UNSUPPORTED_PROTOCOL, NO_PROTOCOLS_AVAILABLE, VERSION_TOO_LOW
        1070 | 258 | 191 | 396 => Some(LocalCause::TlsVersionMismatch),
        _ => None,
    });
    causes.next()
}

/// Adds the result of the handshake to the facts.
pub(super) fn note_facts(stream: &SslStream<Box<dyn Transport>>, facts: &mut SessionFacts) {
    let ssl = stream.ssl();
    facts.tls_version = Some(ssl.version_str().to_owned());
    facts.tls_cipher = ssl.current_cipher().map(|cipher| cipher.name().to_owned());
    facts.peer_fingerprint = ssl
        .peer_certificate()
        .and_then(|certificate| certificate.digest(MessageDigest::sha256()).ok())
        .map(|digest| digest.iter().map(|byte| format!("{byte:02x}")).collect());
}

/// Records the expiry of the server's certificate.
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

/// Reports a missing file better than OpenSSL does.
fn check_readable(path: &Path) -> std::io::Result<()> {
    sendport_core::regular_file::check(path)
}

fn add_authorities(builder: &mut SslConnectorBuilder, file: &Path) -> Result<(), PemError> {
    check_readable(file)?;
    builder
        .set_ca_file(file)
        .map_err(|source| PemError::OpenSsl {
            expected: None,
            source,
        })
}

/// OpenSSL's texts, without error numbers and source lines.
fn reasons(stack: &ErrorStack) -> String {
    let reasons: Vec<&str> = stack.errors().iter().filter_map(|it| it.reason()).collect();
    reasons.join(", ")
}

/// OpenSSL's texts, or the error of the connection.
fn reason_of(error: &openssl::ssl::Error) -> String {
    let reasons = error.ssl_error().map(reasons).unwrap_or_default();
    match (reasons.is_empty(), error.io_error()) {
        (false, _) => reasons,
        (true, Some(cause)) => cause.to_string(),
        (true, None) => "the server closed the connection".to_owned(),
    }
}
