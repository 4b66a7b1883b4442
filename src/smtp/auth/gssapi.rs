//! GSSAPI with Kerberos V5 (RFC 4752): a ticket of the KDC says who we are, and the server proves
//! who it is. No security layer: the wire has TLS.

use std::fs::File;
use std::path::Path;

use secrecy::zeroize::Zeroizing;
use sendport_gssapi::{Client, Error, Initiator};

use super::credentials::{Credentials, Kerberos};
use super::mechanism::{Mechanism, Response, nothing_more};
use super::our_configuration;
use crate::domain::{Command, Reply};
use crate::relay::NotReady;
use crate::smtp::stream::Wait;

/// Bit of RFC 4752 section 3.1: no security layer.
const NO_LAYER: u8 = 1;

enum State {
    /// The token that stands in the command.
    Begin(Vec<u8>),
    Establishing,
    /// The server says which layers it supports.
    Layers,
    End,
}

struct Gssapi {
    initiator: Initiator,
    is_complete: bool,
    state: State,
}

/// Gets a ticket for `smtp@<server>`, within `wait`. Whatever the KDC is asked, it is asked here.
pub(super) async fn begin(
    credentials: &Credentials,
    wait: Wait,
) -> Result<Box<dyn Mechanism>, NotReady> {
    let kerberos = credentials.kerberos.clone();
    let service = format!("smtp@{}", credentials.server.name);
    let asked = tokio::task::spawn_blocking(move || Gssapi::new(&kerberos, &service));
    match tokio::time::timeout(wait.limit, asked).await {
        Ok(Ok(begun)) => Ok(Box::new(begun?)),
        Ok(Err(stopped)) => Err(later(format!(
            "the KDC was not asked to the end: {stopped}"
        ))),
        Err(_) => Err(later(format!(
            "the KDC did not answer within {:.1?} (setting {})",
            wait.limit, wait.setting
        ))),
    }
}

impl Gssapi {
    fn new(kerberos: &Kerberos, service: &str) -> Result<Self, NotReady> {
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

    /// After the last token of ours the server speaks of layers (RFC 4752 section 3.1).
    fn token_sent(&self) -> State {
        match self.is_complete {
            true => State::Layers,
            false => State::Establishing,
        }
    }

    fn establish(&mut self, challenge: &[u8]) -> Result<Vec<u8>, String> {
        let step = self.initiator.step(challenge).map_err(unproved)?;
        self.is_complete = step.is_complete;
        self.state = self.token_sent();
        Ok(step.token)
    }

    /// Chooses no layer, and acts as who we sign in as: no authorization identity.
    fn choose_layer(&mut self, challenge: &[u8]) -> Result<Vec<u8>, String> {
        let offer = self.initiator.unwrap(challenge).map_err(unproved)?;
        let [layers, _, _, _] = offer[..] else {
            return Err(format!(
                "expected 4 octets about security layers from the server, it sent {}",
                offer.len()
            ));
        };
        if layers & NO_LAYER == 0 {
            return Err(
                "expected the server to do without a security layer, it insists on one: TLS \
                 protects the wire; have its administrator allow that"
                    .to_owned(),
            );
        }
        self.state = State::End;
        self.initiator
            .wrap(&[NO_LAYER, 0, 0, 0])
            .map_err(|error| error.to_string())
    }
}

impl Mechanism for Gssapi {
    fn initial_response(&mut self) -> Result<Option<Response>, String> {
        let next = self.token_sent();
        match std::mem::replace(&mut self.state, next) {
            State::Begin(token) => Ok(Some(Zeroizing::new(token))),
            _ => Ok(None),
        }
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Response, String> {
        match self.state {
            State::Begin(_) | State::Establishing => self.establish(challenge),
            State::Layers => self.choose_layer(challenge),
            State::End => return nothing_more("GSSAPI"),
        }
        .map(Zeroizing::new)
    }

    fn accepted(&self) -> Result<(), String> {
        match self.state {
            State::End => Ok(()),
            _ => {
                Err("the server accepted before it proved that it is the one of the ticket".into())
            }
        }
    }
}

/// The library says of a keytab that is not there that there is no credentials cache.
fn check_readable(keytab: &Path) -> Result<(), NotReady> {
    match File::open(keytab) {
        Ok(_) => Ok(()),
        Err(cause) => Err(our_configuration(format!(
            "auth.keytab_file {}: {cause}",
            keytab.display()
        ))),
    }
}

/// The server's token does not check.
fn unproved(error: Error) -> String {
    format!("expected the server to prove that it is the one of the ticket: {error}")
}

fn no_ticket(service: &str, error: Error) -> NotReady {
    let what = format!("no ticket for {service}: {error}");
    if error.is_unreachable() {
        return later(what);
    }
    our_configuration(format!(
        "{what}; check auth.keytab_file and auth.principal, and that the KDC knows the service"
    ))
}

/// Nobody judged our credentials: time may heal it.
fn later(what: String) -> NotReady {
    NotReady {
        reply: Reply::absent(Command::Auth, what),
        fault: None,
    }
}
