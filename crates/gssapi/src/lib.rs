//! The client's half of the GSS-API (RFC 2743) with Kerberos V5 (RFC 4121), by the library of MIT
//! Kerberos, `libgssapi_krb5`.
//!
//! A crate of its own because it calls C, which the rest of sendport must not. It knows neither SASL
//! nor SMTP.

mod error;
mod ffi;
mod owned;
mod thread_tickets;

use std::ffi::{CString, NulError};
use std::path::Path;
use std::ptr::{null, null_mut};

pub use error::Error;
pub use thread_tickets::ThreadTickets;

use ffi::{Buffer, KeyValue, KeyValues, OidSet};
use owned::{Context, Credential, Name, Output};

/// A client on its way to a security context with one service.
///
/// Calls block: the first [`Initiator::step`] asks the KDC.
pub struct Initiator {
    credential: Credential,
    target: Name,
    context: Context,
}

// SAFETY: the library's objects belong to no thread, and `&mut self` lets one use them at a time.
unsafe impl Send for Initiator {}

/// The result of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// For the service; may be empty once the context is complete.
    pub token: Vec<u8>,
    /// The service has proved who it is, and the context can be used.
    pub is_complete: bool,
}

/// The client and its keys.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// The keytab to request tickets with. Tickets are kept in this process, and renewed before they
    /// expire. `None`: the process's own, as `KRB5CCNAME` and
    /// `KRB5_CLIENT_KTNAME` name them.
    pub keytab: Option<&'a Path>,
    /// `name@REALM`; `None`: the first of the keytab.
    pub principal: Option<&'a str>,
}

impl Initiator {
    /// `service` is `name@host`, such as `smtp@mail.contoso.com`.
    ///
    /// # Errors
    /// The keytab cannot be read, has no key of the principal, or a name is malformed.
    pub fn new(client: Client<'_>, service: &str) -> Result<Self, Error> {
        let target = Name::import(service, &ffi::HOST_BASED_SERVICE)?;
        Self::for_target(client, target)
    }

    /// `principal` is the name of the service at the KDC, such as
    /// `MSSQLSvc/sql01.contoso.com:1433`; in the default realm where it names none.
    ///
    /// # Errors
    /// As [`Initiator::new`].
    pub fn for_principal(client: Client<'_>, principal: &str) -> Result<Self, Error> {
        let target = Name::import(principal, &ffi::PRINCIPAL)?;
        Self::for_target(client, target)
    }

    fn for_target(client: Client<'_>, target: Name) -> Result<Self, Error> {
        Ok(Self {
            credential: acquire(client)?,
            target,
            context: Context(null_mut()),
        })
    }

    /// Takes the token of the service, empty at first, and gives the next one for the service.
    ///
    /// # Errors
    /// The KDC or the service refused, or there is no KDC ([`Error::is_unreachable`]).
    pub fn step(&mut self, from_service: &[u8]) -> Result<Step, Error> {
        let mut minor = 0;
        let input = Buffer::borrowed(from_service);
        let mut output = Output::new();
        // SAFETY: the credential, the context and the target are this object's own; the buffers
        // and the OID outlive the call; the results that are not wanted are null.
        let major = unsafe {
            ffi::gss_init_sec_context(
                &raw mut minor,
                self.credential.0,
                &raw mut self.context.0,
                self.target.0,
                &raw const ffi::KERBEROS,
                ffi::MUTUAL_AND_INTEGRITY,
                ffi::INDEFINITE,
                null(),
                &raw const input,
                null_mut(),
                output.as_mut_ptr(),
                null_mut(),
                null_mut(),
            )
        };
        Error::of(major, minor).map_or(Ok(()), Err)?;
        Ok(Step {
            token: output.to_vec(),
            is_complete: major & ffi::CONTINUE_NEEDED == 0,
        })
    }

    /// Unwraps a message of the service, once the context is complete.
    ///
    /// # Errors
    /// The message is not of this context, or was changed.
    pub fn unwrap(&mut self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut minor = 0;
        let input = Buffer::borrowed(message);
        let mut output = Output::new();
        // SAFETY: the context is this object's own, and the buffers outlive the call.
        let major = unsafe {
            ffi::gss_unwrap(
                &raw mut minor,
                self.context.0,
                &raw const input,
                output.as_mut_ptr(),
                null_mut(),
                null_mut(),
            )
        };
        Error::of(major, minor).map_or_else(|| Ok(output.to_vec()), Err)
    }

    /// Wraps a message for the service with integrity protection, without encryption, once the context
    /// is complete.
    ///
    /// # Errors
    /// The context is not complete, or has expired.
    pub fn wrap(&mut self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut minor = 0;
        let input = Buffer::borrowed(message);
        let mut output = Output::new();
        // SAFETY: the context is this object's own, and the buffers outlive the call.
        let major = unsafe {
            ffi::gss_wrap(
                &raw mut minor,
                self.context.0,
                0,
                0,
                &raw const input,
                null_mut(),
                output.as_mut_ptr(),
            )
        };
        Error::of(major, minor).map_or_else(|| Ok(output.to_vec()), Err)
    }
}

fn acquire(client: Client<'_>) -> Result<Credential, Error> {
    let name = client
        .principal
        .map(|principal| Name::import(principal, &ffi::PRINCIPAL))
        .transpose()?;
    let store = client
        .keytab
        .map(|keytab| Store::new(keytab, client.principal));
    let elements = store.as_ref().map(Store::elements);
    let store = elements.as_ref().map(|elements| KeyValues {
        count: 2,
        elements: elements.as_ptr(),
    });
    let mechanisms = OidSet {
        count: 1,
        elements: &raw const ffi::KERBEROS,
    };
    let mut credential = Credential(null_mut());
    let mut minor = 0;
    // SAFETY: the name, the mechanisms and the store outlive the call, which copies them.
    let major = unsafe {
        ffi::gss_acquire_cred_from(
            &raw mut minor,
            name.as_ref().map_or(null_mut(), |name| name.0),
            ffi::INDEFINITE,
            &raw const mechanisms,
            ffi::INITIATE,
            store.as_ref().map_or(null(), std::ptr::from_ref),
            &raw mut credential.0,
            null_mut(),
            null_mut(),
        )
    };
    Error::of(major, minor).map_or(Ok(credential), Err)
}

/// Where the keys are, and where their tickets are kept.
struct Store {
    keytab: CString,
    tickets: CString,
}

impl Store {
    fn new(keytab: &Path, principal: Option<&str>) -> Self {
        let keytab = keytab.to_string_lossy();
        Self {
            tickets: tickets(&keytab, principal),
            keytab: without_nul(format!("FILE:{keytab}")),
        }
    }

    fn elements(&self) -> [KeyValue; 2] {
        [(c"client_keytab", &self.keytab), (c"ccache", &self.tickets)].map(|(key, value)| {
            KeyValue {
                key: key.as_ptr(),
                value: value.as_ptr(),
            }
        })
    }
}

/// The name of the ticket cache of `keytab`, in the memory of this process.
fn tickets(keytab: &str, principal: Option<&str>) -> CString {
    let principal = principal.unwrap_or_default();
    without_nul(format!("MEMORY:sendport {keytab} {principal}"))
}

/// No path contains a NUL; the text before one names a file that does not exist.
fn without_nul(text: String) -> CString {
    CString::new(text).unwrap_or_else(|error: NulError| {
        let end = error.nul_position();
        let mut bytes = error.into_vec();
        bytes.truncate(end);
        CString::new(bytes).unwrap_or_default()
    })
}
