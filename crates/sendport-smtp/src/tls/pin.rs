//! Certificate pinning: `pin_sha256`.

use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::ssl::SslRef;
use openssl::x509::X509Ref;

use super::verify_failure::described;
use crate::settings::tls::Pin;

/// The server's certificate does not match a pin.
#[derive(Debug, thiserror::Error)]
pub(super) enum PinError {
    #[error("expected a certificate that matches pin_sha256, the server showed none")]
    NoCertificate,
    #[error("OpenSSL cannot read the server's certificate: {0}")]
    Unreadable(#[from] ErrorStack),
    #[error(
        "expected a certificate that matches pin_sha256, {certificate}, whose pins are \
         \"{}\" and \"{}\". Ask the relay's administrator whether it was renewed before you \
         change the pin",
        pins[0], pins[1]
    )]
    Mismatch {
        certificate: String,
        pins: Box<[Pin; 2]>,
    },
}

/// # Errors
/// [`PinError`] names the pins that would have matched.
pub(super) fn check(ssl: &SslRef, pins: &[Pin]) -> Result<(), PinError> {
    if pins.is_empty() {
        return Ok(());
    }
    let certificate = ssl.peer_certificate().ok_or(PinError::NoCertificate)?;
    let found = pins_of(&certificate)?;
    if pins.iter().any(|pin| found.contains(pin)) {
        return Ok(());
    }
    Err(PinError::Mismatch {
        certificate: described(&certificate),
        pins: Box::new(found),
    })
}

pub(super) fn pins_of(certificate: &X509Ref) -> Result<[Pin; 2], ErrorStack> {
    let whole = hash(MessageDigest::sha256(), &certificate.to_der()?)?;
    let key = certificate.public_key()?.public_key_to_der()?;
    let key = hash(MessageDigest::sha256(), &key)?;
    let array = |digest: &[u8]| digest.first_chunk().copied().unwrap_or_default();
    Ok([Pin::Certificate(array(&whole)), Pin::PublicKey(array(&key))])
}
