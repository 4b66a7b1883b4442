//! The used parts of `gssapi.h` and `gssapi_ext.h` (RFC 2744 appendix A), with the layout that MIT
//! Kerberos gives it on Linux.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

/// `gss_buffer_desc`.
#[repr(C)]
pub(crate) struct Buffer {
    pub(crate) length: usize,
    pub(crate) value: *mut c_void,
}

impl Buffer {
    pub(crate) const fn empty() -> Self {
        Self {
            length: 0,
            value: null_mut(),
        }
    }

    /// For arguments that the library only reads, while `bytes` lives.
    pub(crate) fn borrowed(bytes: &[u8]) -> Self {
        Self {
            length: bytes.len(),
            value: bytes.as_ptr().cast_mut().cast(),
        }
    }
}

/// `gss_OID_desc`.
#[repr(C)]
pub(crate) struct Oid {
    length: u32,
    elements: *const u8,
}

// Constants, never written to.
// SAFETY: the elements are static.
unsafe impl Sync for Oid {}

impl Oid {
    const fn new(elements: &'static [u8]) -> Self {
        Self {
            length: elements.len() as u32,
            elements: elements.as_ptr(),
        }
    }
}

/// The mechanism Kerberos V5: 1.2.840.113554.1.2.2 (RFC 4121).
pub(crate) static KERBEROS: Oid = Oid::new(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02");
/// `service@host`: 1.2.840.113554.1.2.1.4.
pub(crate) static HOST_BASED_SERVICE: Oid = Oid::new(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04");
/// `name@REALM`: 1.2.840.113554.1.2.2.1.
pub(crate) static PRINCIPAL: Oid = Oid::new(b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01");

/// `gss_OID_set_desc`.
#[repr(C)]
pub(crate) struct OidSet {
    pub(crate) count: usize,
    pub(crate) elements: *const Oid,
}

/// `gss_key_value_element_desc`.
#[repr(C)]
pub(crate) struct KeyValue {
    pub(crate) key: *const c_char,
    pub(crate) value: *const c_char,
}

/// `gss_key_value_set_desc`.
#[repr(C)]
pub(crate) struct KeyValues {
    pub(crate) count: u32,
    pub(crate) elements: *const KeyValue,
}

pub(crate) type Name = *mut c_void;
pub(crate) type Credential = *mut c_void;
pub(crate) type Context = *mut c_void;

/// `GSS_C_INITIATE`.
pub(crate) const INITIATE: c_int = 1;
/// `GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG`.
pub(crate) const MUTUAL_AND_INTEGRITY: u32 = 2 | 32;
/// `GSS_C_INDEFINITE`.
pub(crate) const INDEFINITE: u32 = u32::MAX;
/// `GSS_S_CONTINUE_NEEDED`.
pub(crate) const CONTINUE_NEEDED: u32 = 1;
/// `GSS_ERROR`: calling and routine errors.
pub(crate) const ERRORS: u32 = 0xffff_0000;
/// `GSS_C_GSS_CODE`.
pub(crate) const GSS_CODE: c_int = 1;
/// `GSS_C_MECH_CODE`.
pub(crate) const MECH_CODE: c_int = 2;

#[link(name = "gssapi_krb5")]
unsafe extern "C" {
    pub(crate) fn gss_import_name(
        minor: *mut u32,
        name: *const Buffer,
        kind: *const Oid,
        output: *mut Name,
    ) -> u32;
    pub(crate) fn gss_release_name(minor: *mut u32, name: *mut Name) -> u32;
    pub(crate) fn gss_acquire_cred_from(
        minor: *mut u32,
        name: Name,
        seconds: u32,
        mechanisms: *const OidSet,
        usage: c_int,
        store: *const KeyValues,
        output: *mut Credential,
        actual_mechanisms: *mut c_void,
        seconds_left: *mut u32,
    ) -> u32;
    pub(crate) fn gss_release_cred(minor: *mut u32, credential: *mut Credential) -> u32;
    pub(crate) fn gss_init_sec_context(
        minor: *mut u32,
        credential: Credential,
        context: *mut Context,
        target: Name,
        mechanism: *const Oid,
        flags: u32,
        seconds: u32,
        channel_bindings: *const c_void,
        input: *const Buffer,
        actual_mechanism: *mut c_void,
        output: *mut Buffer,
        actual_flags: *mut u32,
        seconds_left: *mut u32,
    ) -> u32;
    pub(crate) fn gss_delete_sec_context(
        minor: *mut u32,
        context: *mut Context,
        output: *mut Buffer,
    ) -> u32;
    pub(crate) fn gss_wrap(
        minor: *mut u32,
        context: Context,
        confidential: c_int,
        quality: u32,
        input: *const Buffer,
        was_confidential: *mut c_int,
        output: *mut Buffer,
    ) -> u32;
    pub(crate) fn gss_unwrap(
        minor: *mut u32,
        context: Context,
        input: *const Buffer,
        output: *mut Buffer,
        was_confidential: *mut c_int,
        quality: *mut u32,
    ) -> u32;
    pub(crate) fn gss_krb5_ccache_name(
        minor: *mut u32,
        name: *const c_char,
        previous: *mut *const c_char,
    ) -> u32;
    pub(crate) fn gss_release_buffer(minor: *mut u32, buffer: *mut Buffer) -> u32;
    pub(crate) fn gss_display_status(
        minor: *mut u32,
        status: u32,
        kind: c_int,
        mechanism: *const Oid,
        context: *mut u32,
        output: *mut Buffer,
    ) -> u32;
}
