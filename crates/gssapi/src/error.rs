//! Errors of the library.

use std::ffi::c_int;
use std::fmt;

use crate::ffi;
use crate::owned::Output;

/// Codes of MIT Kerberos (`krb5.h`) that say nothing about the credentials.
const REALM_UNKNOWN: i32 = -1_765_328_230;
const KDC_UNREACHABLE: i32 = -1_765_328_228;

/// A major and a minor status (RFC 2744 section 3.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    major: u32,
    minor: u32,
}

impl Error {
    /// `None` where `major` is no error.
    pub(crate) fn of(major: u32, minor: u32) -> Option<Self> {
        (major & ffi::ERRORS != 0).then_some(Self { major, minor })
    }

    /// No KDC answered: the credentials were not judged, and trying again may help.
    pub fn is_unreachable(&self) -> bool {
        [REALM_UNKNOWN, KDC_UNREACHABLE].contains(&self.minor.cast_signed())
    }
}

impl std::error::Error for Error {}

/// The text of the mechanism, which is more precise; without one, that of the GSS-API.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.minor {
            0 => display(self.major, ffi::GSS_CODE),
            minor => display(minor, ffi::MECH_CODE),
        };
        f.write_str(&text)
    }
}

fn display(status: u32, kind: c_int) -> String {
    let (mut minor, mut context) = (0, 0);
    let mut output = Output::new();
    // SAFETY: all pointers are to locals or statics that outlive the call.
    let major = unsafe {
        ffi::gss_display_status(
            &raw mut minor,
            status,
            kind,
            &raw const ffi::KERBEROS,
            &raw mut context,
            output.as_mut_ptr(),
        )
    };
    match Error::of(major, minor) {
        None => String::from_utf8_lossy(&output.to_vec()).into_owned(),
        Some(_) => format!("status {status:#x}"),
    }
}
