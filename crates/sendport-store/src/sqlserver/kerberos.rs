//! Windows authentication with a Kerberos ticket for `MSSQLSvc/<host>:<port>` (MS-TDS section 3.2.5.2).
//!
//! The driver asks for the process's own tickets, blocks its thread for that, and knows of no
//! keytab. So the ticket is fetched first, and the driver then authenticates on a thread of its own,
//! where the process's own tickets are those of the keytab.

use std::path::Path;

use sendport_gssapi::{Client, Error as GssError, Initiator, ThreadTickets};
use tiberius::AuthMethod;
use tiberius::error::Error;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::authentication::{ConnectError, CredentialError, Kerberos};
use super::connection::Connection;
use super::settings::Settings;
use super::tcp;

/// Why this build cannot do it.
pub(super) const ABSENT: Option<&str> = None;

pub(super) async fn connect(
    settings: &Settings,
    kerberos: &Kerberos,
    generation: u64,
) -> Result<Connection, ConnectError> {
    let mut settings = settings.clone();
    let port = port(&settings).await?;
    settings.address.port = Some(port);
    let host = &settings.address.host;
    let service = format!("MSSQLSvc/{host}:{port}");
    fetch_in_time(&settings, kerberos, service).await?;
    let (kerberos, runtime) = (kerberos.clone(), Handle::current());
    let authenticated =
        spawn_blocking(move || authenticate(&settings, &kerberos, generation, &runtime));
    let stopped = |_| no_ticket("the authentication was interrupted", true);
    authenticated.await.map_err(stopped)?
}

/// On a thread that has nothing else to do.
fn authenticate(
    settings: &Settings,
    kerberos: &Kerberos,
    generation: u64,
    runtime: &Handle,
) -> Result<Connection, ConnectError> {
    let principal = kerberos.principal.as_deref();
    let keytab = kerberos.keytab_file.as_deref();
    let tickets = keytab.map(|keytab| ThreadTickets::of(keytab, principal));
    let _of_this_thread = tickets
        .transpose()
        .map_err(|error| no_ticket(&error.to_string(), true))?;
    let proof = Some(AuthMethod::Integrated);
    let opened = runtime.block_on(Connection::open(settings, proof, generation));
    opened.map_err(|error| match error {
        Error::Gssapi(text) => no_ticket(
            &format!("the server did not prove that it is the one of the ticket: {text}"),
            false,
        ),
        error => error.into(),
    })
}

/// The port that the name of the service is made of.
async fn port(settings: &Settings) -> Result<u16, Error> {
    let address = &settings.address;
    match address.looked_up() {
        None => Ok(address.port()),
        Some(_) => Ok(tcp::connect(settings, address).await?.peer_addr()?.port()),
    }
}

/// Gets a ticket for `service`. Whatever the KDC is asked, it is asked here.
async fn fetch_in_time(
    settings: &Settings,
    kerberos: &Kerberos,
    service: String,
) -> Result<(), ConnectError> {
    let (kerberos, limit) = (kerberos.clone(), settings.connect_timeout);
    let asked = spawn_blocking(move || fetch(&kerberos, &service));
    match timeout(limit, asked).await {
        Ok(Ok(fetched)) => fetched,
        Ok(Err(_)) => Err(no_ticket("the KDC was not asked to the end", true)),
        Err(_) => {
            let late = format!("the KDC did not answer within {} seconds", limit.as_secs());
            Err(no_ticket(&late, true))
        }
    }
}

fn fetch(kerberos: &Kerberos, service: &str) -> Result<(), ConnectError> {
    let keytab = kerberos.keytab_file.as_deref();
    keytab.map_or(Ok(()), check_readable)?;
    let client = Client {
        keytab,
        principal: kerberos.principal.as_deref(),
    };
    let refused = |error: GssError| {
        let what = format!(
            "no ticket for {service}: {error}; check database.auth.keytab_file and principal, and \
             that the KDC knows the service: 'Server' has to be the host's full name, as in \
             setspn -L"
        );
        no_ticket(&what, error.is_unreachable())
    };
    let mut initiator = Initiator::for_principal(client, service).map_err(refused)?;
    initiator.step(&[]).map_err(refused)?;
    Ok(())
}

/// The library says of a keytab that is not there that there is no credentials cache.
fn check_readable(keytab: &Path) -> Result<(), ConnectError> {
    let unreadable = |cause| {
        let what = format!("database.auth.keytab_file {}: {cause}", keytab.display());
        no_ticket(&what, false)
    };
    sendport_core::regular_file::check(keytab).map_err(unreadable)
}

fn no_ticket(what: &str, is_transient: bool) -> ConnectError {
    ConnectError::Proof(CredentialError {
        what: what.to_owned(),
        is_transient,
    })
}
