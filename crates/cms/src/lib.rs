//! What S/MIME (RFC 8551) needs of OpenSSL's CMS (RFC 5652) and Rust's binding does not offer:
//! a digest and a padding of one's own choice, RSA-OAEP, a KDF of today for ECDH, the signing
//! time as it is told, an honest list of capabilities, and lists of revoked certificates for a
//! store that chains are checked with.
//!
//! Everything goes in and comes out as octets; nothing is converted, so line ends are the
//! caller's. A crate of its own because bindings are `unsafe`, which sendport itself forbids.

mod ffi;
mod owned;

use std::ffi::{CStr, c_int, c_uint};
use std::ptr;

use foreign_types::{ForeignType, ForeignTypeRef};
use openssl::asn1::Asn1TimeRef;
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKeyRef, Private};
use openssl::symm::Cipher;
use openssl::x509::store::X509StoreBuilderRef;
use openssl::x509::{X509, X509CrlRef, X509Ref};
use openssl_sys::{EVP_PKEY_CTX, X509 as RawX509};

use owned::{Capabilities, Octets};

/// How a signature is made.
pub struct Signing<'a> {
    /// Whose signature.
    pub certificate: &'a X509Ref,
    /// The key of `certificate`.
    pub key: &'a PKeyRef<Private>,
    /// What goes along beside `certificate`; `None` sends no certificate at all.
    pub chain: Option<&'a [X509]>,
    /// Of content and attributes.
    pub digest: MessageDigest,
    /// RSASSA-PSS (RFC 4056) instead of PKCS #1 v1.5; for RSA keys only.
    pub pss: bool,
    /// Attribute signing-time (RFC 5652 section 11.3).
    pub time: &'a Asn1TimeRef,
    /// The signature alone, for `multipart/signed`; else the content is inside.
    pub detached: bool,
}

/// Somebody whom an envelope is for.
pub struct Recipient<'a> {
    /// With an RSA or an EC key.
    pub certificate: &'a X509Ref,
    /// RSAES-OAEP with SHA-256 (RFC 8017, RFC 3560) instead of PKCS #1 v1.5; for RSA keys only.
    pub oaep: bool,
}

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

/// SignedData in DER, with the signed attributes signing-time, smimeCapabilities (RFC 8551
/// section 2.5.2) and signingCertificateV2 (RFC 5035). With PKCS #1 v1.5 the same input gives
/// the same octets.
///
/// # Errors
/// What OpenSSL says: the key does not fit the certificate, or cannot do what is asked.
#[expect(unsafe_code, reason = "what this crate is there for")]
pub fn sign(content: &[u8], how: &Signing<'_>) -> Result<Vec<u8>, ErrorStack> {
    let data = Octets::new(content)?;
    let mut flags = (CMSOptions::PARTIAL | CMSOptions::BINARY | CMSOptions::NOSMIMECAP).bits();
    if how.detached {
        flags |= CMSOptions::DETACHED.bits();
    }
    // SAFETY: with PARTIAL all pointers may be null; what comes back is ours.
    let cms = unsafe {
        let none = ptr::null_mut();
        let cms = ffi::CMS_sign(
            ptr::null_mut(),
            ptr::null_mut(),
            none,
            ptr::null_mut(),
            flags,
        );
        CmsContentInfo::from_ptr(given(cms)?)
    };
    add_signer(&cms, how, flags)?;
    for certificate in how.chain.unwrap_or_default() {
        // SAFETY: both live; the certificate is counted, not taken.
        done(unsafe { ffi::CMS_add1_cert(cms.as_ptr(), raw(certificate)) })?;
    }
    finish(&cms, &data, flags)
}

#[expect(unsafe_code, reason = "what this crate is there for")]
fn add_signer(cms: &CmsContentInfo, how: &Signing<'_>, flags: c_uint) -> Result<(), ErrorStack> {
    let mut flags = flags | CMSOptions::KEY_PARAM.bits() | ffi::CMS_CADES;
    if how.chain.is_none() {
        flags |= CMSOptions::CMS_NOCERTS.bits();
    }
    let capabilities = Capabilities::ours()?;
    // SAFETY: all of them live; certificate and key are counted, attributes copied. The signer
    // belongs to `cms`, and so does its context.
    unsafe {
        let signer = given(ffi::CMS_add1_signer(
            cms.as_ptr(),
            raw(how.certificate),
            how.key.as_ptr(),
            how.digest.as_ptr(),
            flags,
        ))?;
        let time = how.time.as_ptr();
        let kind = ffi::ASN1_STRING_type(time.cast());
        let nid = Nid::from_raw(openssl_sys::NID_pkcs9_signingTime).as_raw();
        done(ffi::CMS_signed_add1_attr_by_NID(
            signer,
            nid,
            kind,
            time.cast(),
            -1,
        ))?;
        done(ffi::CMS_add_smimecap(signer, capabilities.as_ptr()))?;
        if how.pss {
            let context = given(ffi::CMS_SignerInfo_get0_pkey_ctx(signer))?;
            set(context, c"rsa_padding_mode", c"pss")?;
            set(context, c"rsa_pss_saltlen", c"digest")?;
        }
    }
    Ok(())
}

/// EnvelopedData in DER, or AuthEnvelopedData (RFC 5083) where `cipher` authenticates.
///
/// # Errors
/// What OpenSSL says: a key is neither RSA nor EC.
#[expect(unsafe_code, reason = "what this crate is there for")]
pub fn encrypt(
    content: &[u8],
    cipher: Cipher,
    recipients: &[Recipient<'_>],
) -> Result<Vec<u8>, ErrorStack> {
    let data = Octets::new(content)?;
    let flags = (CMSOptions::PARTIAL | CMSOptions::BINARY).bits();
    // SAFETY: with PARTIAL certificates and data may be null; what comes back is ours.
    let cms = unsafe {
        let none = ptr::null_mut();
        let cms = ffi::CMS_encrypt(none, ptr::null_mut(), cipher.as_ptr(), flags);
        CmsContentInfo::from_ptr(given(cms)?)
    };
    for recipient in recipients {
        add_recipient(&cms, recipient)?;
    }
    finish(&cms, &data, flags)
}

#[expect(unsafe_code, reason = "what this crate is there for")]
fn add_recipient(cms: &CmsContentInfo, recipient: &Recipient<'_>) -> Result<(), ErrorStack> {
    let key = recipient.certificate.public_key()?;
    // SAFETY: both live; the certificate is counted. The recipient belongs to `cms`, and so
    // does its context.
    unsafe {
        let flags = CMSOptions::KEY_PARAM.bits();
        let certificate = raw(recipient.certificate);
        let info = given(ffi::CMS_add1_recipient_cert(
            cms.as_ptr(),
            certificate,
            flags,
        ))?;
        let context = given(ffi::CMS_RecipientInfo_get0_pkey_ctx(info))?;
        if key.rsa().is_err() {
            // OpenSSL's own choice is SHA-1.
            set(context, c"ecdh_kdf_md", c"sha256")?;
        } else if recipient.oaep {
            set(context, c"rsa_padding_mode", c"oaep")?;
            set(context, c"rsa_oaep_md", c"sha256")?;
        }
    }
    Ok(())
}

#[expect(unsafe_code, reason = "what this crate is there for")]
fn finish(cms: &CmsContentInfo, data: &Octets<'_>, flags: c_uint) -> Result<Vec<u8>, ErrorStack> {
    // SAFETY: both live until it returns.
    done(unsafe { ffi::CMS_final(cms.as_ptr(), data.as_ptr(), ptr::null_mut(), flags) })?;
    cms.to_der()
}

/// What the extensions of a certificate allow.
#[expect(unsafe_code, reason = "what this crate is there for")]
pub fn usage(certificate: &X509Ref) -> Usage {
    // SAFETY: it lives; OpenSSL caches what it reads under a lock of its own.
    let (key, extended) = unsafe {
        let certificate = raw(certificate);
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
    done(unsafe { ffi::X509_STORE_add_crl(store.as_ptr(), list.as_ptr()) })
}

/// The functions of OpenSSL count references, for which a certificate is never constant.
fn raw(certificate: &X509Ref) -> *mut RawX509 {
    certificate.as_ptr()
}

/// # Safety
/// `context` has to live.
#[expect(unsafe_code, reason = "what this crate is there for")]
unsafe fn set(context: *mut EVP_PKEY_CTX, name: &CStr, value: &CStr) -> Result<(), ErrorStack> {
    // SAFETY: the caller's promise; the texts are copied.
    done(unsafe { ffi::EVP_PKEY_CTX_ctrl_str(context, name.as_ptr(), value.as_ptr()) })
}

fn given<T>(pointer: *mut T) -> Result<*mut T, ErrorStack> {
    match pointer.is_null() {
        true => Err(ErrorStack::get()),
        false => Ok(pointer),
    }
}

fn done(result: c_int) -> Result<(), ErrorStack> {
    match result > 0 {
        true => Ok(()),
        false => Err(ErrorStack::get()),
    }
}

#[cfg(test)]
mod tests;
