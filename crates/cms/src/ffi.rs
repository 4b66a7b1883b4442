//! The functions of `<openssl/cms.h>`, `<openssl/evp.h>` and `<openssl/x509_vfy.h>` that openssl-sys does not declare.
//! OpenSSL 3.0 and later; checked against its headers.

use std::ffi::{c_char, c_int, c_uint, c_void};

use openssl_sys::{
    ASN1_STRING, BIO, CMS_ContentInfo, EVP_CIPHER, EVP_MD, EVP_PKEY, EVP_PKEY_CTX, OPENSSL_STACK,
    X509, X509_CRL, X509_STORE,
};

/// Adds signingCertificateV2 (RFC 5035).
pub(crate) const CMS_CADES: c_uint = 0x10_0000;
/// Bits of `X509_get_extended_key_usage`: emailProtection, anyExtendedKeyUsage.
pub(crate) const XKU_SMIME: u32 = 0x4;
pub(crate) const XKU_ANYEKU: u32 = 0x100;
/// Bits of `X509_get_key_usage` (RFC 5280 section 4.2.1.3).
pub(crate) const KU_DIGITAL_SIGNATURE: u32 = 0x80;
pub(crate) const KU_NON_REPUDIATION: u32 = 0x40;
pub(crate) const KU_KEY_ENCIPHERMENT: u32 = 0x20;
pub(crate) const KU_KEY_AGREEMENT: u32 = 0x08;

/// Owned by its `CMS_ContentInfo`.
pub(crate) enum CmsSignerInfo {}
/// Owned by its `CMS_ContentInfo`.
pub(crate) enum CmsRecipientInfo {}

#[expect(unsafe_code, reason = "what this crate is there for")]
unsafe extern "C" {
    pub(crate) fn CMS_sign(
        certificate: *mut X509,
        key: *mut EVP_PKEY,
        certificates: *mut OPENSSL_STACK,
        data: *mut BIO,
        flags: c_uint,
    ) -> *mut CMS_ContentInfo;
    pub(crate) fn CMS_add1_signer(
        cms: *mut CMS_ContentInfo,
        certificate: *mut X509,
        key: *mut EVP_PKEY,
        digest: *const EVP_MD,
        flags: c_uint,
    ) -> *mut CmsSignerInfo;
    pub(crate) fn CMS_SignerInfo_get0_pkey_ctx(signer: *mut CmsSignerInfo) -> *mut EVP_PKEY_CTX;
    pub(crate) fn CMS_signed_add1_attr_by_NID(
        signer: *mut CmsSignerInfo,
        nid: c_int,
        kind: c_int,
        value: *const c_void,
        length: c_int,
    ) -> c_int;
    pub(crate) fn CMS_add_simple_smimecap(
        algorithms: *mut *mut OPENSSL_STACK,
        nid: c_int,
        key_size: c_int,
    ) -> c_int;
    pub(crate) fn CMS_add_smimecap(
        signer: *mut CmsSignerInfo,
        algorithms: *mut OPENSSL_STACK,
    ) -> c_int;
    pub(crate) fn CMS_add1_cert(cms: *mut CMS_ContentInfo, certificate: *mut X509) -> c_int;
    pub(crate) fn CMS_encrypt(
        certificates: *mut OPENSSL_STACK,
        data: *mut BIO,
        cipher: *const EVP_CIPHER,
        flags: c_uint,
    ) -> *mut CMS_ContentInfo;
    pub(crate) fn CMS_add1_recipient_cert(
        cms: *mut CMS_ContentInfo,
        certificate: *mut X509,
        flags: c_uint,
    ) -> *mut CmsRecipientInfo;
    pub(crate) fn CMS_RecipientInfo_get0_pkey_ctx(
        recipient: *mut CmsRecipientInfo,
    ) -> *mut EVP_PKEY_CTX;
    pub(crate) fn CMS_final(
        cms: *mut CMS_ContentInfo,
        data: *mut BIO,
        detached: *mut BIO,
        flags: c_uint,
    ) -> c_int;
    pub(crate) fn EVP_PKEY_CTX_ctrl_str(
        context: *mut EVP_PKEY_CTX,
        name: *const c_char,
        value: *const c_char,
    ) -> c_int;
    pub(crate) fn ASN1_STRING_type(string: *const ASN1_STRING) -> c_int;
    pub(crate) fn X509_ALGOR_free(algorithm: *mut c_void);
    pub(crate) fn OPENSSL_sk_pop_free(
        stack: *mut OPENSSL_STACK,
        free: unsafe extern "C" fn(*mut c_void),
    );
    pub(crate) fn X509_get_key_usage(certificate: *mut X509) -> u32;
    pub(crate) fn X509_get_extended_key_usage(certificate: *mut X509) -> u32;
    /// Counts the list, takes nothing.
    pub(crate) fn X509_STORE_add_crl(store: *mut X509_STORE, list: *mut X509_CRL) -> c_int;
}
