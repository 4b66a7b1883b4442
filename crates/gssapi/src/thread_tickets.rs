//! Tickets of a keytab for GSS-API calls of another library, on one thread.

use std::marker::PhantomData;
use std::path::Path;
use std::ptr::{null, null_mut};

use crate::{Error, ffi, tickets};

/// While it exists, a request on this thread for the process's own tickets gets those of an
/// [`Initiator`](crate::Initiator) with the same keytab and principal. For libraries that cannot be
/// configured with a keytab.
#[derive(Debug)]
pub struct ThreadTickets {
    /// The library keeps it by thread.
    _of_this_thread: PhantomData<*const ()>,
}

impl ThreadTickets {
    /// # Errors
    /// The library is out of memory.
    pub fn of(keytab: &Path, principal: Option<&str>) -> Result<Self, Error> {
        let name = tickets(&keytab.to_string_lossy(), principal);
        let mut minor = 0;
        // SAFETY: the library copies the name, and the former one is not asked for.
        let major = unsafe { ffi::gss_krb5_ccache_name(&raw mut minor, name.as_ptr(), null_mut()) };
        let tickets = Self {
            _of_this_thread: PhantomData,
        };
        Error::of(major, minor).map_or(Ok(tickets), Err)
    }
}

impl Drop for ThreadTickets {
    fn drop(&mut self) {
        // SAFETY: null resets the name.
        unsafe { ffi::gss_krb5_ccache_name(&mut 0, null(), null_mut()) };
    }
}
