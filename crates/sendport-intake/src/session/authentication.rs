//! AUTH (RFC 4954).

use secrecy::zeroize::Zeroizing;

use super::{Next, Session, SessionEnd};
use crate::auth::{self, Credentials, MalformedResponse, Mechanism};
use crate::command::AuthCommand;
use crate::connection::AUTH_LINE;
use crate::observer::IntakeActivity;
use crate::reply::Reply;
use crate::users::Busy;

/// What the client answered to a challenge.
enum Answer {
    Response(Zeroizing<String>),
    /// It gave up, or sent no response.
    Refused(Reply),
}

impl Session {
    /// The mechanisms that the session offers now.
    pub(super) fn mechanisms(&self) -> Vec<Mechanism> {
        let settings = &self.intake.settings;
        let is_local = settings.allow_cleartext_auth && self.client.is_loopback();
        let is_safe = self.is_encrypted() || (is_local && !self.needs_starttls());
        let mut mechanisms = Vec::new();
        if is_safe && !self.intake.passwords.is_empty() {
            mechanisms.extend([Mechanism::Plain, Mechanism::Login]);
        }
        if self.certificate_user.is_some() {
            mechanisms.push(Mechanism::External);
        }
        mechanisms
    }

    pub(super) fn offers_auth(&self) -> bool {
        !self.mechanisms().is_empty()
    }

    pub(super) async fn auth(&mut self, command: AuthCommand) -> Result<Next, SessionEnd> {
        let mechanism = match self.chosen(&command.mechanism) {
            Ok(mechanism) => mechanism,
            Err(refusal) => return Ok(self.answer(&refusal)),
        };
        let first = match (mechanism, command.initial_response) {
            (_, Some(response)) => Answer::Response(response),
            (Mechanism::Login, None) => self.challenge("VXNlcm5hbWU6").await?,
            (Mechanism::Plain | Mechanism::External, None) => self.challenge("").await?,
        };
        let first = match first {
            Answer::Response(response) => response,
            Answer::Refused(refusal) => return Ok(self.answer(&refusal)),
        };
        let Ok(first) = auth::decode(&first) else {
            return Ok(self.answer(&malformed()));
        };
        let credentials = match mechanism {
            Mechanism::External => return Ok(self.external(&first)),
            Mechanism::Plain => auth::plain(&first),
            Mechanism::Login => match self.login(first).await? {
                Ok(credentials) => Ok(credentials),
                Err(refusal) => return Ok(self.answer(&refusal)),
            },
        };
        match credentials {
            Ok(credentials) => self.check(credentials).await,
            Err(MalformedResponse) => Ok(self.answer(&malformed())),
        }
    }

    fn chosen(&self, name: &str) -> Result<Mechanism, Reply> {
        if self.helo.is_none() {
            return Err(Reply::new(503, "5.5.1", "send EHLO first"));
        }
        if self.auth_user.is_some() {
            return Err(Reply::new(503, "5.5.1", "already authenticated"));
        }
        if self.transaction.is_some() {
            return Err(Reply::new(
                503,
                "5.5.1",
                "AUTH is not possible in a transaction",
            ));
        }
        let offered = self.mechanisms();
        let known = Mechanism::from_name(name);
        let is_password = matches!(known, Some(Mechanism::Plain | Mechanism::Login));
        match known.filter(|mechanism| offered.contains(mechanism)) {
            Some(mechanism) => Ok(mechanism),
            None if is_password && !self.is_encrypted() && !self.intake.passwords.is_empty() => {
                Err(Reply::new(
                    538,
                    "5.7.11",
                    "encryption is required: send STARTTLS first",
                ))
            }
            None => Err(Reply::new(504, "5.5.4", "the mechanism is not offered")),
        }
    }

    async fn challenge(&mut self, challenge: &'static str) -> Result<Answer, SessionEnd> {
        self.queue(&Reply::new(334, "", challenge));
        Ok(match self.line(AUTH_LINE).await? {
            Ok(response) if response == "*" => {
                Answer::Refused(Reply::new(501, "5.7.0", "authentication was cancelled"))
            }
            Ok(response) => Answer::Response(Zeroizing::new(response)),
            Err(_) => Answer::Refused(malformed()),
        })
    }

    /// The password, after the name.
    async fn login(
        &mut self,
        user: Zeroizing<String>,
    ) -> Result<Result<Credentials, Reply>, SessionEnd> {
        let response = match self.challenge("UGFzc3dvcmQ6").await? {
            Answer::Response(response) => response,
            Answer::Refused(refusal) => return Ok(Err(refusal)),
        };
        Ok(match auth::decode(&response) {
            Ok(password) => Ok(Credentials {
                user: user.to_string(),
                password,
            }),
            Err(MalformedResponse) => Err(malformed()),
        })
    }

    /// The certificate's own user, and no other.
    fn external(&mut self, acts_for: &str) -> Next {
        let user = self.certificate_user.clone();
        let user = user.filter(|user| acts_for.is_empty() || user.eq_ignore_ascii_case(acts_for));
        self.authenticated(user)
    }

    async fn check(&mut self, credentials: Credentials) -> Result<Next, SessionEnd> {
        let Credentials { user, password } = credentials;
        // Another program of this host, whose password is wrong, does not stop it.
        if let Some(user) = self.intake.passwords.recognize(&user, &password) {
            return Ok(self.authenticated(Some(user)));
        }
        let busy = Reply::new(454, "4.7.0", "too many attempts, try again later");
        if !self.intake.auth_failures.has_room(self.client) {
            tracing::warn!("SMTP authentication attempts are limited");
            return Ok(self.answer(&busy));
        }
        match self.intake.passwords.check(&user, password).await {
            Ok(user) => Ok(self.authenticated(user)),
            Err(Busy) => Ok(self.answer(&busy)),
        }
    }

    fn authenticated(&mut self, user: Option<String>) -> Next {
        let succeeded = user.is_some();
        self.intake
            .observer
            .record(IntakeActivity::Authentication { succeeded });
        self.auth_user = user;
        if succeeded {
            return self.answer(&Reply::new(235, "2.7.0", "authenticated"));
        }
        self.intake.auth_failures.count(self.client);
        tracing::warn!("SMTP authentication failed");
        self.answer(&Reply::new(535, "5.7.8", "user or password is wrong"))
    }
}

fn malformed() -> Reply {
    Reply::new(501, "5.5.2", "the response is malformed")
}
