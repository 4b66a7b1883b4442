//! GSSAPI with Kerberos V5 (RFC 4752): a ticket authenticates the client, and the server
//! authenticates itself. No security layer: TLS protects the connection.

use std::path::Path;

use secrecy::zeroize::Zeroizing;
use sendport_core::domain::{Command, Reply};
use sendport_gssapi::{Client, Error, Initiator};

use super::cannot_authenticate;
use super::credentials::{Credentials, Kerberos};
use super::error::AuthError;
use super::mechanism::{Mechanism, Response, no_further_response};
use crate::relay::SessionError;
use crate::stream::Wait;

/// Bit of RFC 4752 section 3.1: no security layer.
const NO_LAYER: u8 = 1;

enum State {
    /// The token for the initial response.
    Begin(Vec<u8>),
    Establishing,
    /// The server lists the security layers that it supports.
    Layers,
    End,
}

struct Gssapi {
    initiator: Initiator,
    is_complete: bool,
    state: State,
}

/// Gets a ticket for `smtp@<server>`, within `wait`. Only this asks the KDC.
pub(super) async fn begin(
    credentials: &Credentials,
    wait: Wait,
) -> Result<Box<dyn Mechanism>, SessionError> {
    let kerberos = credentials.kerberos.clone();
    let service = format!("smtp@{}", credentials.server.name);
    let asked = tokio::task::spawn_blocking(move || Gssapi::new(&kerberos, &service));
    match tokio::time::timeout(wait.limit, asked).await {
        Ok(Ok(begun)) => Ok(Box::new(begun?)),
        Ok(Err(stopped)) => Err(later(format!(
            "the request to the KDC was aborted: {stopped}"
        ))),
        Err(_) => Err(later(format!(
            "the KDC did not answer within {:.1?} (setting {})",
            wait.limit, wait.setting
        ))),
    }
}

impl Gssapi {
    fn new(kerberos: &Kerberos, service: &str) -> Result<Self, SessionError> {
        kerberos.keytab.as_deref().map_or(Ok(()), check_readable)?;
        let client = Client {
            keytab: kerberos.keytab.as_deref(),
            principal: kerberos.principal.as_deref(),
        };
        let mut initiator =
            Initiator::new(client, service).map_err(|error| no_ticket(service, error))?;
        let first = initiator
            .step(&[])
            .map_err(|error| no_ticket(service, error))?;
        Ok(Self {
            initiator,
            is_complete: first.is_complete,
            state: State::Begin(first.token),
        })
    }

    /// After the last token the server lists security layers (RFC 4752 section 3.1).
    fn token_sent(&self) -> State {
        match self.is_complete {
            true => State::Layers,
            false => State::Establishing,
        }
    }

    fn establish(&mut self, challenge: &[u8]) -> Result<Vec<u8>, AuthError> {
        let step = self.initiator.step(challenge).map_err(not_authenticated)?;
        self.is_complete = step.is_complete;
        self.state = self.token_sent();
        Ok(step.token)
    }

    /// Chooses no layer, and no authorization identity.
    fn choose_layer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, AuthError> {
        let offer = self
            .initiator
            .unwrap(challenge)
            .map_err(not_authenticated)?;
        let [layers, _, _, _] = offer[..] else {
            return Err(AuthError::unexpected(format!(
                "expected 4 bytes about security layers from the server, it sent {}",
                offer.len()
            )));
        };
        if layers & NO_LAYER == 0 {
            return Err(AuthError::unexpected(
                "expected the server to allow no security layer, it requires one: TLS protects \
                 the connection; have its administrator allow that",
            ));
        }
        self.state = State::End;
        Ok(self.initiator.wrap(&[NO_LAYER, 0, 0, 0])?)
    }
}

impl Mechanism for Gssapi {
    fn initial_response(&mut self) -> Result<Option<Response>, AuthError> {
        let next = self.token_sent();
        match std::mem::replace(&mut self.state, next) {
            State::Begin(token) => Ok(Some(Zeroizing::new(token))),
            _ => Ok(None),
        }
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Response, AuthError> {
        match self.state {
            State::Begin(_) | State::Establishing => self.establish(challenge),
            State::Layers => self.choose_layer(challenge),
            State::End => return no_further_response("GSSAPI"),
        }
        .map(Zeroizing::new)
    }

    fn accepted(&self) -> Result<(), AuthError> {
        match self.state {
            State::End => Ok(()),
            _ => Err(AuthError::ServerNotAuthenticated(
                "the server accepted before it proved that it is the one of the ticket".into(),
            )),
        }
    }
}

/// The library reports a missing keytab as a missing credentials cache.
fn check_readable(keytab: &Path) -> Result<(), SessionError> {
    match sendport_core::regular_file::check(keytab) {
        Ok(()) => Ok(()),
        Err(cause) => Err(cannot_authenticate(format!(
            "auth.keytab_file {}: {cause}",
            keytab.display()
        ))),
    }
}

/// The server's token is not valid.
fn not_authenticated(error: Error) -> AuthError {
    let what = format!("expected the server to prove that it is the one of the ticket: {error}");
    AuthError::ServerNotAuthenticated(what.into())
}

fn no_ticket(service: &str, error: Error) -> SessionError {
    let what = format!("no ticket for {service}: {error}");
    if error.is_unreachable() {
        return later(what);
    }
    cannot_authenticate(format!(
        "{what}; check auth.keytab_file and auth.principal, and that the KDC knows the service"
    ))
}

/// The credentials were not judged: trying again may help.
fn later(what: String) -> SessionError {
    SessionError::new(Reply::absent(Command::Auth, what))
}
