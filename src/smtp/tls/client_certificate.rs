//! What we show of ourselves where the server asks for it (RFC 8446 section 4.3.2).

use std::path::Path;

use openssl::pkey::{PKey, Private};
use openssl::ssl::SslConnectorBuilder;
use secrecy::zeroize::Zeroizing;

use super::{TlsSettingsError, openable, reasons};
use crate::config::relay::SmtpRelay;
use crate::secret::Secret;

/// The certificate with its chain, and its key, where they are configured.
pub(super) fn add(
    builder: &mut SslConnectorBuilder,
    config: &SmtpRelay,
) -> Result<(), TlsSettingsError> {
    let Some(certificate) = &config.client_certificate_file else {
        return Ok(());
    };
    openable(certificate)
        .and_then(|()| {
            let read = builder.set_certificate_chain_file(certificate);
            read.map_err(|cause| {
                format!(
                    "expected PEM, our own certificate first: {}",
                    reasons(&cause)
                )
            })
        })
        .map_err(|cause| unusable("client_certificate_file", certificate, cause))?;
    // Both may stand in one file.
    let key_file = config.client_key_file.as_ref().unwrap_or(certificate);
    let key =
        read_key(key_file, config).map_err(|cause| unusable("client_key_file", key_file, cause))?;
    builder
        .set_private_key(&key)
        .and_then(|()| builder.check_private_key())
        .map_err(|cause| {
            let cause = format!(
                "expected the key of client_certificate_file: {}",
                reasons(&cause)
            );
            unusable("client_key_file", key_file, cause)
        })
}

fn read_key(file: &Path, config: &SmtpRelay) -> Result<PKey<Private>, String> {
    let password = Secret::from_file_or_env(
        config.client_key_password_file.as_deref(),
        config.client_key_password_env.as_deref(),
    )
    .map_err(|cause| format!("client_key_password: {cause}"))?;
    let pem = std::fs::read(file).map_err(|cause| cause.to_string())?;
    let pem = Zeroizing::new(pem);
    // A password given beforehand: without one OpenSSL would ask at the terminal.
    let word = password.as_ref().map_or("", Secret::expose);
    PKey::private_key_from_pem_passphrase(&pem, word.as_bytes()).map_err(|cause| {
        format!(
            "expected a private key in PEM, and client_key_password_file or \
             client_key_password_env where it is encrypted: {}",
            reasons(&cause)
        )
    })
}

fn unusable(key: &'static str, path: &Path, cause: String) -> TlsSettingsError {
    TlsSettingsError::ClientCertificate {
        key,
        path: path.display().to_string(),
        cause,
    }
}
