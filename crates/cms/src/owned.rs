//! What has to be freed.

use std::marker::PhantomData;
use std::ptr;

use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl_sys::{BIO, OPENSSL_STACK};

use crate::{done, ffi, given};

/// Octets as OpenSSL reads them.
pub(crate) struct Octets<'a> {
    bio: *mut BIO,
    octets: PhantomData<&'a [u8]>,
}

impl<'a> Octets<'a> {
    #[expect(unsafe_code, reason = "what this crate is there for")]
    pub(crate) fn new(octets: &'a [u8]) -> Result<Self, ErrorStack> {
        openssl_sys::init();
        let length = i32::try_from(octets.len()).map_err(|_| ErrorStack::get())?;
        // SAFETY: the octets outlive it, and it only reads them.
        let bio = unsafe { openssl_sys::BIO_new_mem_buf(octets.as_ptr().cast(), length) };
        Ok(Self {
            bio: given(bio)?,
            octets: PhantomData,
        })
    }

    pub(crate) fn as_ptr(&self) -> *mut BIO {
        self.bio
    }
}

impl Drop for Octets<'_> {
    #[expect(unsafe_code, reason = "what this crate is there for")]
    fn drop(&mut self) {
        // SAFETY: it is ours, and nobody else has it.
        unsafe { openssl_sys::BIO_free_all(self.bio) };
    }
}

/// smimeCapabilities (RFC 8551 section 2.5.2).
pub(crate) struct Capabilities(*mut OPENSSL_STACK);

impl Capabilities {
    /// What is read today, best first. OpenSSL's own list goes down to RC2 with 40 bits.
    const CIPHERS: [Nid; 5] = [
        Nid::AES_256_GCM,
        Nid::AES_256_CBC,
        Nid::AES_192_CBC,
        Nid::AES_128_GCM,
        Nid::AES_128_CBC,
    ];

    #[expect(unsafe_code, reason = "what this crate is there for")]
    pub(crate) fn ours() -> Result<Self, ErrorStack> {
        let mut list = Self(ptr::null_mut());
        for cipher in Self::CIPHERS {
            // SAFETY: the list is made by the first call, and ours.
            done(unsafe { ffi::CMS_add_simple_smimecap(&raw mut list.0, cipher.as_raw(), -1) })?;
        }
        Ok(list)
    }

    pub(crate) fn as_ptr(&self) -> *mut OPENSSL_STACK {
        self.0
    }
}

impl Drop for Capabilities {
    #[expect(unsafe_code, reason = "what this crate is there for")]
    fn drop(&mut self) {
        // SAFETY: it is ours with all that is in it; null is nothing to OpenSSL.
        unsafe { ffi::OPENSSL_sk_pop_free(self.0, ffi::X509_ALGOR_free) };
    }
}
