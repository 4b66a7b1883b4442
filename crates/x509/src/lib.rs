//! Functions of OpenSSL for certificates (RFC 5280) that Rust's binding lacks: key usages, and CRLs in a
//! store that verifies chains.
//!
//! A crate of its own because bindings are `unsafe`, which sendport itself forbids.

mod ffi;

use foreign_types::ForeignTypeRef;
use openssl::error::ErrorStack;
use openssl::x509::store::X509StoreBuilderRef;
use openssl::x509::{X509CrlRef, X509Ref};

/// Key usages of a certificate. Without the extension every usage is allowed (RFC 5280).
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

/// The key usages that a certificate's extensions allow.
#[expect(unsafe_code, reason = "the purpose of this crate")]
pub fn usage(certificate: &X509Ref) -> Usage {
    // SAFETY: the certificate is alive; OpenSSL caches its extensions under its own lock.
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

/// Adds a CRL (RFC 5280 section 5) to a store under construction.
///
/// # Errors
/// OpenSSL is out of memory.
#[expect(unsafe_code, reason = "the purpose of this crate")]
pub fn add_revocations(
    store: &mut X509StoreBuilderRef,
    list: &X509CrlRef,
) -> Result<(), ErrorStack> {
    // SAFETY: both are alive; OpenSSL counts a reference to the list.
    match unsafe { ffi::X509_STORE_add_crl(store.as_ptr(), list.as_ptr()) } {
        1.. => Ok(()),
        _ => Err(ErrorStack::get()),
    }
}

#[cfg(test)]
mod tests;
