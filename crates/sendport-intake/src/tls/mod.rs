//! TLS for the session (RFC 3207, RFC 8314): the server's certificate, read again when its file changes, and the
//! certificates of clients.

mod client_certificate;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    Ssl, SslAcceptor, SslAcceptorBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode,
    SslVerifyMode, SslVersion,
};
use parking_lot::Mutex;
use secrecy::zeroize::Zeroizing;
use sendport_core::file_watch::WatchedFiles;
use sendport_core::regular_file;
use sendport_core::secret::Secret;
use sendport_core::secret_source::SecretError;
use tokio_openssl::SslStream;

use crate::connection::Transport;
use crate::observer::{IntakeActivity, IntakeObserver};
use crate::settings::{IntakeTls, MinTlsVersion, SmtpIntakeConfig};
pub(crate) use client_certificate::ClientCertificate;

/// Interval between attempts to read unusable files.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// The TLS settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsSettingsError {
    /// A file is missing, unreadable or not what was expected.
    #[error("{key} '{}' cannot be used: {source}", .path.display())]
    File {
        /// Which key of the configuration.
        key: &'static str,
        /// As configured.
        path: PathBuf,
        /// What is wrong with it.
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
    #[error("key_password: {0}")]
    Password(#[from] SecretError),
    /// OpenSSL does not accept its content.
    #[error("{expected}: {source}")]
    OpenSsl {
        /// What was expected.
        expected: &'static str,
        /// OpenSSL's errors.
        source: ErrorStack,
    },
}

/// The TLS settings of one intake, as its files are now.
pub(crate) struct ReloadableTls {
    settings: SmtpIntakeConfig,
    files: WatchedFiles,
    observer: Arc<dyn IntakeObserver>,
    state: Mutex<State>,
}

struct State {
    acceptor: Arc<SslAcceptor>,
    /// When the files were last found unusable: not all of them are replaced yet, or one is wrong.
    failed: Option<Instant>,
}

impl ReloadableTls {
    /// Reads the files for the first time; `None` with `tls = "none"`.
    pub(crate) fn new(
        settings: &SmtpIntakeConfig,
        observer: Arc<dyn IntakeObserver>,
    ) -> Result<Option<Self>, TlsSettingsError> {
        if settings.tls == IntakeTls::None {
            return Ok(None);
        }
        // Watched before they are read, so that no change is missed.
        let files = WatchedFiles::new([
            settings.certificate_file.as_ref(),
            settings.key_file.as_ref(),
            settings.key_password_file.as_ref(),
            settings.client_ca_file.as_ref(),
        ]);
        let acceptor = Arc::new(acceptor(settings)?);
        observe(&acceptor, &*observer);
        Ok(Some(Self {
            settings: settings.clone(),
            files,
            observer,
            state: Mutex::new(State {
                acceptor,
                failed: None,
            }),
        }))
    }

    /// For the next connection. Reads the files again if they changed; while they are unusable, the old ones count.
    pub(crate) fn current(&self) -> Arc<SslAcceptor> {
        let mut state = self.state.lock();
        let changed = self.files.are_changed();
        let again = state.failed.is_some_and(|at| at.elapsed() >= RETRY_EVERY);
        if changed || again {
            match acceptor(&self.settings) {
                Ok(acceptor) => {
                    tracing::info!("intake TLS files reloaded");
                    observe(&acceptor, &*self.observer);
                    *state = State {
                        acceptor: Arc::new(acceptor),
                        failed: None,
                    };
                }
                Err(error) => {
                    if changed {
                        tracing::warn!(%error, "intake TLS file reload failed, previous files used");
                    }
                    state.failed = Some(Instant::now());
                }
            }
        }
        Arc::clone(&state.acceptor)
    }
}

/// Records when the server's certificate expires.
fn observe(acceptor: &SslAcceptor, observer: &dyn IntakeObserver) {
    let certificate = acceptor.context().certificate();
    let not_after = certificate.and_then(|it| {
        let since_1970 = Asn1Time::from_unix(0).ok()?.diff(it.not_after()).ok()?;
        Some(i64::from(since_1970.days) * 86_400 + i64::from(since_1970.secs))
    });
    if let Some(not_after) = not_after {
        observer.record(IntakeActivity::CertificateRead { not_after });
    }
}

/// An encrypted connection.
pub(crate) struct Encrypted {
    pub(crate) stream: SslStream<Box<dyn Transport>>,
    /// Version and cipher, as OpenSSL names them.
    pub(crate) version_and_cipher: String,
    pub(crate) certificate: Option<ClientCertificate>,
}

/// A handshake failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the TLS handshake failed: {0}")]
    Ssl(#[from] openssl::ssl::Error),
    #[error("OpenSSL could not begin the handshake: {0}")]
    Setup(#[from] ErrorStack),
}

/// Carries out the handshake. The caller bounds its time.
pub(crate) async fn accept(
    acceptor: &SslAcceptor,
    plain: Box<dyn Transport>,
) -> Result<Encrypted, HandshakeError> {
    let mut ssl = Ssl::new(acceptor.context())?;
    let is_trusted = client_certificate::note_trust(&mut ssl);
    let mut stream = SslStream::new(ssl, plain)?;
    Pin::new(&mut stream).accept().await?;
    let ssl = stream.ssl();
    let cipher = ssl.current_cipher().map_or("", |cipher| cipher.name());
    Ok(Encrypted {
        version_and_cipher: format!("{} {cipher}", ssl.version_str()),
        certificate: ClientCertificate::of(ssl, &is_trusted)?,
        stream,
    })
}

fn acceptor(settings: &SmtpIntakeConfig) -> Result<SslAcceptor, TlsSettingsError> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder.set_min_proto_version(Some(match settings.min_tls_version {
        MinTlsVersion::Tls12 => SslVersion::TLS1_2,
        MinTlsVersion::Tls13 => SslVersion::TLS1_3,
    }))?;
    // An idle connection holds no buffers.
    builder.set_mode(SslMode::RELEASE_BUFFERS);
    if let Some(certificate) = &settings.certificate_file {
        add_certificate(&mut builder, settings, certificate)?;
    }
    if settings.asks_for_client_certificates() {
        // A certificate is only verified in a full handshake.
        builder.set_session_cache_mode(SslSessionCacheMode::OFF);
        builder.set_options(SslOptions::NO_TICKET);
        builder.set_num_tickets(0)?;
        builder.set_verify(SslVerifyMode::PEER);
    }
    if let Some(authorities) = &settings.client_ca_file {
        let expected = "expected certificates of authorities in PEM";
        readable(authorities)
            .and_then(|()| {
                let added = builder.set_ca_file(authorities);
                added.map_err(|source| PemError::OpenSsl { expected, source })
            })
            .map_err(|source| unusable("client_ca_file", authorities, source))?;
    }
    Ok(builder.build())
}

fn add_certificate(
    builder: &mut SslAcceptorBuilder,
    settings: &SmtpIntakeConfig,
    certificate: &Path,
) -> Result<(), TlsSettingsError> {
    let expected = "expected PEM, the server's certificate first";
    readable(certificate)
        .and_then(|()| {
            let added = builder.set_certificate_chain_file(certificate);
            added.map_err(|source| PemError::OpenSsl { expected, source })
        })
        .map_err(|source| unusable("certificate_file", certificate, source))?;
    let key_file = settings.key_file.as_deref().unwrap_or(certificate);
    read_key(key_file, settings)
        .and_then(|key| {
            let expected = "expected the key of certificate_file";
            let added = builder
                .set_private_key(&key)
                .and_then(|()| builder.check_private_key());
            added.map_err(|source| PemError::OpenSsl { expected, source })
        })
        .map_err(|source| unusable("key_file", key_file, source))
}

fn read_key(file: &Path, settings: &SmtpIntakeConfig) -> Result<PKey<Private>, PemError> {
    let password = Secret::from_file_or_env(
        settings.key_password_file.as_deref(),
        settings.key_password_env.as_deref(),
    )?;
    let pem = Zeroizing::new(regular_file::read(file)?);
    // Without a password OpenSSL would ask at the terminal.
    let password = password.as_ref().map_or("", Secret::expose);
    let key = PKey::private_key_from_pem_passphrase(&pem, password.as_bytes());
    key.map_err(|source| PemError::OpenSsl {
        expected: "expected a private key in PEM, and key_password_file or key_password_env where it is encrypted",
        source,
    })
}

/// OpenSSL does not say that a file is missing.
fn readable(file: &Path) -> Result<(), PemError> {
    regular_file::read(file).map(drop).map_err(PemError::from)
}

fn unusable(key: &'static str, path: &Path, source: PemError) -> TlsSettingsError {
    TlsSettingsError::File {
        key,
        path: path.to_owned(),
        source,
    }
}
