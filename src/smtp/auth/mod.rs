//! Signing in (RFC 4954): one file a SASL mechanism.
//!
//! A mechanism makes responses; this file chooses it and carries the dialogue. No secret
//! leaves a mechanism other than in a buffer that is zeroised, and none is ever logged.

mod login;
mod plain;

use std::sync::Arc;

use openssl::base64::{decode_block, encode_block};
use secrecy::zeroize::Zeroizing;

use super::extensions::Extensions;
use super::stream::{NoReply, Stream, Wait};
use crate::config::auth::{AuthConfig, AuthMechanism};
use crate::config::secret::Secret;
use crate::domain::{Command, Fault, Reply};
use crate::relay::{NotReady, TokenSource};

/// Longest line of a command with the initial response in it (RFC 5321 section 4.5.3.1.4).
const MAX_COMMAND: usize = 510;

/// Challenges after which a server is not believed to come to an end.
const MAX_STEPS: usize = 8;

/// A SASL mechanism (RFC 4422 section 3): responses for one sign-in.
trait Mechanism: Send {
    /// What stands in the command itself, where the mechanism begins with the client.
    fn initial_response(&mut self) -> Option<Zeroizing<Vec<u8>>>;

    /// The response to a challenge, which is decoded, or empty where it was not base64.
    /// `None` where the mechanism has nothing more to say.
    fn respond(&mut self, challenge: &[u8]) -> Option<Zeroizing<Vec<u8>>>;
}

/// Who signs in, and how.
#[derive(Clone)]
pub(super) struct Credentials {
    mechanism: AuthMechanism,
    username: String,
    password: Secret,
    tokens: Option<Arc<dyn TokenSource>>,
    allow_cleartext: bool,
}

impl Credentials {
    /// `None` where the relay is not signed in to.
    ///
    /// # Errors
    /// A sentence that names the key that is missing or unusable.
    pub(super) fn new(auth: &AuthConfig, password: Option<Secret>) -> Result<Option<Self>, String> {
        if auth.mechanism == AuthMechanism::None {
            return Ok(None);
        }
        let username = auth.username.clone().unwrap_or_default();
        if username.is_empty() {
            return Err("auth.mechanism is set, so auth.username must say who signs in".into());
        }
        let Some(password) = password else {
            return Err(
                "auth.mechanism is set, so one of auth.password_file, auth.password_env or \
                 auth.password must be"
                    .into(),
            );
        };
        if username.contains('\0') || password.expose().contains('\0') {
            return Err("auth.username and the password must not contain a NUL".into());
        }
        Ok(Some(Self {
            mechanism: auth.mechanism,
            username,
            password,
            tokens: None,
            allow_cleartext: auth.allow_cleartext_auth,
        }))
    }

    /// Who signs in.
    pub(super) fn account(&self) -> &str {
        &self.username
    }

    /// With what.
    pub(super) fn secret(&self) -> &str {
        self.password.expose()
    }

    /// Where the tokens of OAuth 2.0 come from.
    pub(super) fn set_token_source(&mut self, tokens: Arc<dyn TokenSource>) {
        self.tokens = Some(tokens);
    }

    /// The configured mechanism, or the strongest that is offered.
    fn choose(&self, offered: &[String]) -> Result<(&'static str, Box<dyn Mechanism>), String> {
        let wanted: &[&'static str] = match self.mechanism {
            AuthMechanism::Plain => &["PLAIN"],
            AuthMechanism::Login => &["LOGIN"],
            AuthMechanism::None | AuthMechanism::Auto => &["PLAIN", "LOGIN"],
        };
        let chosen = wanted
            .iter()
            .find(|name| offered.iter().any(|other| other == *name));
        match chosen {
            Some(&"LOGIN") => Ok(("LOGIN", Box::new(login::Login::new(self)))),
            Some(&name) => Ok((name, Box::new(plain::Plain::new(self)))),
            None => Err(not_offered(wanted, offered)),
        }
    }
}

fn not_offered(wanted: &[&str], offered: &[String]) -> String {
    let wanted = wanted.join(" or ");
    if offered.is_empty() {
        format!(
            "expected the server to offer AUTH {wanted}, it offers no sign-in on this \
             connection: check port and tls, or set auth.mechanism = \"none\""
        )
    } else {
        format!(
            "expected the server to offer AUTH {wanted}, it offers {}: set auth.mechanism to \
             one that both know",
            offered.join(" ")
        )
    }
}

/// Signs in. `Ok` is the name of the mechanism.
pub(super) async fn sign_in(
    stream: &mut Stream,
    credentials: &Credentials,
    extensions: &Extensions,
    encrypted: bool,
    wait: Wait,
) -> Result<&'static str, NotReady> {
    let (name, mechanism) = credentials
        .choose(&extensions.auth)
        .map_err(our_configuration)?;
    if !encrypted && !credentials.allow_cleartext {
        return Err(our_configuration(format!(
            "AUTH {name} would send the password over an unencrypted connection: set tls to \
             \"starttls\" or \"implicit\", or accept it with auth.allow_cleartext_auth = true"
        )));
    }
    let reply = dialogue(stream, name, mechanism, wait)
        .await
        .map_err(|lost| NotReady {
            reply: lost.into_reply(Command::Auth),
            fault: None,
        })?;
    if reply.is_success() {
        return Ok(name);
    }
    let fault = reply.is_permanent().then_some(Fault::Configuration);
    Err(NotReady { reply, fault })
}

fn our_configuration(what: String) -> NotReady {
    NotReady {
        reply: Reply::absent(Command::Auth, what),
        fault: Some(Fault::Configuration),
    }
}

/// The exchange of RFC 4954 section 4, up to the reply that is not 334.
async fn dialogue(
    stream: &mut Stream,
    name: &str,
    mut mechanism: Box<dyn Mechanism>,
    wait: Wait,
) -> Result<Reply, NoReply> {
    let mut unsent = mechanism.initial_response();
    let mut line = Zeroizing::new(format!("AUTH {name}\r\n"));
    if let Some(initial) = &unsent {
        let with_initial = Zeroizing::new(format!("AUTH {name} {}\r\n", &*encoded(initial)));
        if with_initial.len() <= MAX_COMMAND + 2 {
            line = with_initial;
            unsent = None;
        }
    }
    for _ in 0..MAX_STEPS {
        // Written directly: the buffer for queued lines is not zeroised.
        stream.write(line.as_bytes(), wait).await?;
        let reply = stream.read_reply(wait).await?;
        if reply.code != 334 {
            return Ok(reply.into_reply(Command::Auth));
        }
        // `334 NTLM supported` and the like are no base64.
        let challenge = decode_block(reply.first_line().trim()).unwrap_or_default();
        let response = unsent.take().or_else(|| mechanism.respond(&challenge));
        line = match response {
            Some(response) => Zeroizing::new(format!("{}\r\n", &*encoded(&response))),
            None => Zeroizing::new("*\r\n".to_owned()),
        };
    }
    let what = format!("the server asked more than {MAX_STEPS} times");
    Ok(Reply::absent(Command::Auth, what))
}

fn encoded(response: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(encode_block(response))
}
