//! The client certificate, for a server that requests one (RFC 8446 section 4.3.2).

use std::path::Path;

use openssl::pkey::{PKey, Private};
use openssl::ssl::SslConnectorBuilder;
use secrecy::zeroize::Zeroizing;
use sendport_core::regular_file;
use sendport_core::secret::Secret;

use super::{PemError, TlsSettingsError, check_readable};
use crate::settings::relay::SmtpRelay;

/// Adds the configured certificate with its chain, and its key.
pub(super) fn add(
    builder: &mut SslConnectorBuilder,
    config: &SmtpRelay,
) -> Result<(), TlsSettingsError> {
    let Some(certificate) = &config.client_certificate_file else {
        return Ok(());
    };
    add_chain(builder, certificate)
        .map_err(|source| unusable("client_certificate_file", certificate, source))?;
    // One file may hold both.
    let key_file = config.client_key_file.as_ref().unwrap_or(certificate);
    add_key(builder, key_file, config)
        .map_err(|source| unusable("client_key_file", key_file, source))
}

fn add_chain(builder: &mut SslConnectorBuilder, file: &Path) -> Result<(), PemError> {
    check_readable(file)?;
    builder
        .set_certificate_chain_file(file)
        .map_err(|source| PemError::openssl("expected PEM, our own certificate first", source))
}

fn add_key(
    builder: &mut SslConnectorBuilder,
    file: &Path,
    config: &SmtpRelay,
) -> Result<(), PemError> {
    let key = read_key(file, config)?;
    builder
        .set_private_key(&key)
        .and_then(|()| builder.check_private_key())
        .map_err(|source| PemError::openssl("expected the key of client_certificate_file", source))
}

fn read_key(file: &Path, config: &SmtpRelay) -> Result<PKey<Private>, PemError> {
    let password = Secret::from_file_or_env(
        config.client_key_password_file.as_deref(),
        config.client_key_password_env.as_deref(),
    )?;
    let pem = Zeroizing::new(regular_file::read(file)?);
    // Without a password OpenSSL would ask at the terminal.
    let password = password.as_ref().map_or("", Secret::expose);
    PKey::private_key_from_pem_passphrase(&pem, password.as_bytes()).map_err(|source| {
        PemError::openssl(
            "expected a private key in PEM, and client_key_password_file or \
             client_key_password_env where it is encrypted",
            source,
        )
    })
}

fn unusable(key: &'static str, path: &Path, source: PemError) -> TlsSettingsError {
    TlsSettingsError::ClientCertificate {
        key,
        path: path.display().to_string(),
        source,
    }
}
