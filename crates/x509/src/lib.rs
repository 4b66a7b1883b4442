//! What OpenSSL knows of certificates (RFC 5280) and Rust's binding does not offer: what one is
//! for, and lists of revoked ones for a store that chains are checked with.
//!
//! A crate of its own because bindings are `unsafe`, which sendport itself forbids.

mod ffi;

use foreign_types::ForeignTypeRef;
use openssl::error::ErrorStack;
use openssl::x509::store::X509StoreBuilderRef;
use openssl::x509::{X509CrlRef, X509Ref};

/// What a certificate is for. Without the extension everything is allowed (RFC 5280).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// digitalSignature or nonRepudiation.
    pub signs: bool,
    /// keyEncipherment.
    pub key_encipherment: bool,
    /// keyAgreement.
    pub key_agreement: bool,
    /// emailProtection or anyExtendedKeyUsage.
    pub email: bool,
}

/// What the extensions of a certificate allow.
#[expect(unsafe_code, reason = "what this crate is there for")]
pub fn usage(certificate: &X509Ref) -> Usage {
    // SAFETY: it lives; OpenSSL caches what it reads under a lock of its own.
    let (key, extended) = unsafe {
        let certificate = certificate.as_ptr();
        let key = ffi::X509_get_key_usage(certificate);
        (key, ffi::X509_get_extended_key_usage(certificate))
    };
    Usage {
        signs: key & (ffi::KU_DIGITAL_SIGNATURE | ffi::KU_NON_REPUDIATION) != 0,
        key_encipherment: key & ffi::KU_KEY_ENCIPHERMENT != 0,
        key_agreement: key & ffi::KU_KEY_AGREEMENT != 0,
        email: extended & (ffi::XKU_SMIME | ffi::XKU_ANYEKU) != 0,
    }
}

/// Puts a list of revoked certificates (RFC 5280 section 5) into a store that is being made.
///
/// # Errors
/// What OpenSSL says: no memory.
#[expect(unsafe_code, reason = "what this crate is there for")]
pub fn add_revocations(
    store: &mut X509StoreBuilderRef,
    list: &X509CrlRef,
) -> Result<(), ErrorStack> {
    // SAFETY: both live; the list is counted, not taken.
    match unsafe { ffi::X509_STORE_add_crl(store.as_ptr(), list.as_ptr()) } {
        1.. => Ok(()),
        _ => Err(ErrorStack::get()),
    }
}

#[cfg(test)]
mod tests;
