//! The functions of `<openssl/x509v3.h>` and `<openssl/x509_vfy.h>` that openssl-sys does not declare.
//! OpenSSL 3.0 and later; checked against its headers.

use std::ffi::c_int;

use openssl_sys::{X509, X509_CRL, X509_STORE};

/// Bits of `X509_get_extended_key_usage`: emailProtection, anyExtendedKeyUsage.
pub(crate) const XKU_SMIME: u32 = 0x4;
pub(crate) const XKU_ANYEKU: u32 = 0x100;
/// Bits of `X509_get_key_usage` (RFC 5280 section 4.2.1.3).
pub(crate) const KU_DIGITAL_SIGNATURE: u32 = 0x80;
pub(crate) const KU_NON_REPUDIATION: u32 = 0x40;
pub(crate) const KU_KEY_ENCIPHERMENT: u32 = 0x20;
pub(crate) const KU_KEY_AGREEMENT: u32 = 0x08;

#[expect(unsafe_code, reason = "the purpose of this crate")]
unsafe extern "C" {
    pub(crate) fn X509_get_key_usage(certificate: *mut X509) -> u32;
    pub(crate) fn X509_get_extended_key_usage(certificate: *mut X509) -> u32;
    /// Counts a reference to the list.
    pub(crate) fn X509_STORE_add_crl(store: *mut X509_STORE, list: *mut X509_CRL) -> c_int;
}
