//! TLS for the session (RFC 3207, RFC 8314): what is trusted, and which name is expected.

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::ssl::{Ssl, SslConnector, SslMethod, SslRef, SslVerifyMode, SslVersion};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509NameRef, X509Ref, X509StoreContextRef};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::config::relay::SmtpRelay;
use crate::config::tls::{MinTlsVersion, TlsMode};
use crate::domain::{Fault, SessionFacts};

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsSettingsError {
    /// The file of authorities is missing, unreadable or no PEM.
    #[error("ca_file '{path}' cannot be used as PEM certificates of authorities: {cause}")]
    CaFile {
        /// As configured.
        path: String,
        /// What OpenSSL says.
        cause: ErrorStack,
    },
    /// OpenSSL refused a setting.
    #[error("OpenSSL refused the TLS settings: {0}")]
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
    connector: SslConnector,
    /// Who the certificate has to name; also sent as server name (RFC 6066 section 3).
    expected_name: String,
    verify: bool,
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
            builder
                .set_ca_file(path)
                .map_err(|cause| ca_file_error(path, cause))?;
        }
        let expected = config.verify_name.as_deref().unwrap_or(&config.host);
        Ok(Self {
            connector: builder.build(),
            expected_name: expected.trim_end_matches('.').to_owned(),
            verify: config.verify_certificate && config.tls != TlsMode::Opportunistic,
        })
    }

    /// Carries out the handshake; the caller bounds its time.
    pub(super) async fn handshake(
        &self,
        tcp: TcpStream,
    ) -> Result<SslStream<TcpStream>, HandshakeFailure> {
        let rejected = Rejected::default();
        let ssl = self.ssl(&rejected).map_err(|cause| HandshakeFailure {
            what: format!("OpenSSL refused the name '{}': {cause}", self.expected_name),
            fault: Some(Fault::Configuration),
        })?;
        let mut stream = SslStream::new(ssl, tcp).map_err(|cause| HandshakeFailure {
            what: format!("OpenSSL could not begin the handshake: {cause}"),
            fault: None,
        })?;
        match Pin::new(&mut stream).connect().await {
            Ok(()) => Ok(stream),
            Err(error) => Err(self.failure(&error, &rejected)),
        }
    }

    fn ssl(&self, rejected: &Rejected) -> Result<Ssl, ErrorStack> {
        let mut configuration = self.connector.configure()?;
        configuration.set_verify_hostname(self.verify);
        if !self.verify {
            configuration.set_verify(SslVerifyMode::NONE);
            return configuration.into_ssl(&self.expected_name);
        }
        let noted = rejected.clone();
        configuration.set_verify_callback(SslVerifyMode::PEER, move |good, context| {
            if !good {
                noted.note(context);
            }
            good
        });
        configuration.into_ssl(&self.expected_name)
    }

    fn failure(&self, error: &openssl::ssl::Error, rejected: &Rejected) -> HandshakeFailure {
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
pub(super) fn note_facts(stream: &SslStream<TcpStream>, facts: &mut SessionFacts) {
    let ssl = stream.ssl();
    facts.tls_version = Some(ssl.version_str().to_owned());
    facts.tls_cipher = ssl.current_cipher().map(|cipher| cipher.name().to_owned());
    facts.peer_fingerprint = ssl
        .peer_certificate()
        .and_then(|certificate| certificate.digest(MessageDigest::sha256()).ok())
        .map(|digest| digest.iter().map(|octet| format!("{octet:02x}")).collect());
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

fn ca_file_error(path: &Path, cause: ErrorStack) -> TlsSettingsError {
    TlsSettingsError::CaFile {
        path: path.display().to_string(),
        cause,
    }
}

/// OpenSSL's own words without its error numbers and source lines.
fn reason_of(error: &openssl::ssl::Error) -> String {
    let reasons: Vec<&str> = error
        .ssl_error()
        .map(|stack| stack.errors().iter().filter_map(|e| e.reason()).collect())
        .unwrap_or_default();
    match (reasons.is_empty(), error.io_error()) {
        (false, _) => reasons.join(", "),
        (true, Some(cause)) => cause.to_string(),
        (true, None) => "the server closed the connection".to_owned(),
    }
}

/// What the verification found, carried out of OpenSSL's callback.
#[derive(Clone, Default)]
struct Rejected(Arc<Mutex<Option<String>>>);

impl Rejected {
    fn note(&self, context: &X509StoreContextRef) {
        let error = context.error();
        let whose = context.current_cert().map(described).unwrap_or_default();
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.get_or_insert_with(|| {
            format!(
                "{} (X509_V_ERR {}, {whose})",
                error.error_string(),
                error.as_raw()
            )
        });
    }

    fn take(&self) -> Option<String> {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.take()
    }
}

/// Who a certificate names and who issued it.
fn described(certificate: &X509Ref) -> String {
    let mut names: Vec<String> = certificate
        .subject_alt_names()
        .into_iter()
        .flatten()
        .filter_map(|name| {
            let dns = name.dnsname().map(str::to_owned);
            dns.or_else(|| name.ipaddress().and_then(ip_text))
        })
        .take(8)
        .collect();
    if names.is_empty() {
        names.push(common_name(certificate.subject_name()));
    }
    format!(
        "found a certificate for '{}' issued by '{}', valid until {}",
        names.join("', '"),
        common_name(certificate.issuer_name()),
        certificate.not_after()
    )
}

fn ip_text(octets: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    let v6 = <[u8; 16]>::try_from(octets).ok()?;
    Some(std::net::Ipv6Addr::from(v6).to_string())
}

fn common_name(name: &X509NameRef) -> String {
    let entry = name
        .entries_by_nid(Nid::COMMONNAME)
        .next()
        .or_else(|| name.entries().next());
    let text = entry.and_then(|entry| entry.data().to_string().ok());
    text.unwrap_or_else(|| "nobody".to_owned())
}
