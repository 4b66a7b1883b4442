//! The relay's certificate, known beforehand.

use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::ssl::SslRef;
use openssl::x509::X509Ref;

use super::verify_failure::described;
use crate::config::tls::Pin;

/// # Errors
/// A sentence with the pins that would have matched, for who has to compare or change them.
pub(super) fn check(ssl: &SslRef, pins: &[Pin]) -> Result<(), String> {
    if pins.is_empty() {
        return Ok(());
    }
    let certificate = ssl
        .peer_certificate()
        .ok_or("expected a certificate that matches pin_sha256, the server showed none")?;
    let shown = pins_of(&certificate)
        .map_err(|cause| format!("OpenSSL cannot read the server's certificate: {cause}"))?;
    if pins.iter().any(|pin| shown.contains(pin)) {
        return Ok(());
    }
    let [whole, key] = shown;
    Err(format!(
        "expected a certificate that matches pin_sha256, {}, whose pins are \"{whole}\" and \
         \"{key}\". Ask whoever runs the relay whether it was renewed before you change the pin",
        described(&certificate)
    ))
}

pub(super) fn pins_of(certificate: &X509Ref) -> Result<[Pin; 2], ErrorStack> {
    let whole = hash(MessageDigest::sha256(), &certificate.to_der()?)?;
    let key = certificate.public_key()?.public_key_to_der()?;
    let key = hash(MessageDigest::sha256(), &key)?;
    let array = |digest: &[u8]| digest.first_chunk().copied().unwrap_or_default();
    Ok([Pin::Certificate(array(&whole)), Pin::PublicKey(array(&key))])
}
