//! Objects that the library allocates, released on drop.

use std::ffi::c_void;
use std::ptr::null_mut;

use crate::Error;
use crate::ffi::{self, Buffer, Oid};

/// A buffer that the library fills.
pub(crate) struct Output(Buffer);

impl Output {
    pub(crate) const fn new() -> Self {
        Self(Buffer::empty())
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut Buffer {
        &raw mut self.0
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        if self.0.value.is_null() {
            return Vec::new();
        }
        // SAFETY: the library wrote a buffer of this length, which is released on drop only.
        unsafe { std::slice::from_raw_parts(self.0.value.cast::<u8>(), self.0.length) }.to_vec()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: empty, or allocated by the library; released once.
        unsafe { ffi::gss_release_buffer(&mut 0, self.as_mut_ptr()) };
    }
}

/// A name in the library's own form.
pub(crate) struct Name(pub(crate) ffi::Name);

impl Name {
    pub(crate) fn import(text: &str, kind: &'static Oid) -> Result<Self, Error> {
        let mut name = Self(null_mut());
        let mut minor = 0;
        let buffer = Buffer::borrowed(text.as_bytes());
        // SAFETY: the buffer and the OID outlive the call, which copies them.
        let major = unsafe {
            ffi::gss_import_name(&raw mut minor, &raw const buffer, kind, &raw mut name.0)
        };
        Error::of(major, minor).map_or(Ok(name), Err)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        // SAFETY: null, or imported by the library; released once.
        unsafe { ffi::gss_release_name(&mut 0, &raw mut self.0) };
    }
}

/// A security context, or null before the first step.
pub(crate) struct Context(pub(crate) *mut c_void);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: null, or made by the library; deleted once.
        unsafe { ffi::gss_delete_sec_context(&mut 0, &raw mut self.0, null_mut()) };
    }
}

/// The credential of a client.
pub(crate) struct Credential(pub(crate) *mut c_void);

impl Drop for Credential {
    fn drop(&mut self) {
        // SAFETY: null, or acquired from the library; released once.
        unsafe { ffi::gss_release_cred(&mut 0, &raw mut self.0) };
    }
}
