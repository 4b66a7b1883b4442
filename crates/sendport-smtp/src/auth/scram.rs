//! SCRAM-SHA-1 (RFC 5802) and SCRAM-SHA-256 (RFC 7677): both sides prove that they know the
//! password, and neither sends it.

use openssl::base64::{decode_block, encode_block};
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::memcmp;
use openssl::pkcs5::pbkdf2_hmac;
use openssl::pkey::PKey;
use openssl::rand::rand_bytes;
use openssl::sign::Signer;
use secrecy::zeroize::Zeroizing;
use sendport_core::secret::Secret;

use super::credentials::Account;
use super::error::AuthError;
use super::mechanism::{Mechanism, Response};
use super::saslname;

/// No channel binding: the header of RFC 5802 section 7 in front of the client's messages.
const GS2_HEADER: &str = "n,,";

/// Fewer iterations would make it cheap to guess the password (RFC 7677 section 4 and RFC 5802
/// section 5.1 both require at least 4096).
const FEWEST_ITERATIONS: usize = 4096;

/// More iterations are refused: this many take about a tenth of a second of a core.
const MOST_ITERATIONS: usize = 200_000;

enum State {
    /// Nothing was sent.
    Begin,
    /// Awaits the server's first message.
    First { client_first_bare: String },
    /// Awaits the server's signature.
    Final { server_signature: Vec<u8> },
    /// The server has proved that it knows the password.
    Proved,
}

pub(super) struct Scram {
    digest: MessageDigest,
    username: String,
    password: Zeroizing<String>,
    nonce: String,
    state: State,
    /// The server-error-value (RFC 5802 section 7).
    refusal: Option<String>,
}

/// The attributes of the server's first message (RFC 5802 section 5.1).
struct ServerFirst<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: usize,
}

impl Scram {
    /// # Errors
    /// [`AuthError::UnusableCredential`] where SASLprep (RFC 4013) forbids a character of name or
    /// password.
    pub(super) fn new(digest: MessageDigest, account: &Account) -> Result<Self, AuthError> {
        let mut bytes = [0; 18];
        rand_bytes(&mut bytes).map_err(failed)?;
        Self::with_nonce(digest, account, encode_block(&bytes))
    }

    fn with_nonce(
        digest: MessageDigest,
        account: &Account,
        nonce: String,
    ) -> Result<Self, AuthError> {
        Ok(Self {
            digest,
            username: saslname(&prepared_name(&account.username)?),
            password: prepared_password(&account.password)?,
            nonce,
            state: State::Begin,
            refusal: None,
        })
    }

    fn answer_first(&mut self, bare: &str, challenge: &str) -> Result<Response, AuthError> {
        let first = ServerFirst::parse(challenge, &self.nonce)?;
        let without_proof = format!(
            "c={},r={}",
            encode_block(GS2_HEADER.as_bytes()),
            first.nonce
        );
        let auth_message = format!("{bare},{challenge},{without_proof}");
        let (proof, server_signature) = self.proofs(&first, &auth_message).map_err(failed)?;
        self.state = State::Final { server_signature };
        let message = format!("{without_proof},p={}", &*proof);
        Ok(Zeroizing::new(message.into_bytes()))
    }

    /// The client's proof in base64 and the signature that the server has to show (RFC 5802
    /// section 3).
    fn proofs(
        &self,
        first: &ServerFirst<'_>,
        auth_message: &str,
    ) -> Result<(Zeroizing<String>, Vec<u8>), ErrorStack> {
        let mut salted = Zeroizing::new(vec![0; self.digest.size()]);
        let password = self.password.as_bytes();
        pbkdf2_hmac(
            password,
            &first.salt,
            first.iterations,
            self.digest,
            &mut salted,
        )?;
        let client_key = self.hmac(&salted, b"Client Key")?;
        let stored_key = Zeroizing::new(hash(self.digest, &client_key)?.to_vec());
        let client_signature = self.hmac(&stored_key, auth_message.as_bytes())?;
        let pairs = client_key.iter().zip(client_signature.iter());
        let proof: Zeroizing<Vec<u8>> =
            Zeroizing::new(pairs.map(|(key, sign)| key ^ sign).collect());
        let server_key = self.hmac(&salted, b"Server Key")?;
        let server_signature = self.hmac(&server_key, auth_message.as_bytes())?;
        Ok((
            Zeroizing::new(encode_block(&proof)),
            server_signature.to_vec(),
        ))
    }

    fn hmac(&self, key: &[u8], message: &[u8]) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
        let key = PKey::hmac(key)?;
        let mut signer = Signer::new(self.digest, &key)?;
        signer.update(message)?;
        signer.sign_to_vec().map(Zeroizing::new)
    }

    /// RFC 5802 section 7, server-final-message.
    fn check_final(&mut self, challenge: &str, expected: &[u8]) -> Result<Response, AuthError> {
        if let Some(error) = attribute(challenge, "e=") {
            // The refusal itself follows as a reply.
            let shown = error.chars().filter(|c| !c.is_control()).take(64);
            self.refusal = Some(shown.collect());
            return Ok(Response::default());
        }
        let shown = attribute(challenge, "v=").and_then(|text| decode_block(text).ok());
        let proved = shown
            .is_some_and(|shown| shown.len() == expected.len() && memcmp::eq(&shown, expected));
        if !proved {
            return Err(not_authenticated());
        }
        self.state = State::Proved;
        Ok(Response::default())
    }
}

impl Mechanism for Scram {
    fn initial_response(&mut self) -> Result<Option<Response>, AuthError> {
        let client_first_bare = format!("n={},r={}", self.username, self.nonce);
        let message = format!("{GS2_HEADER}{client_first_bare}");
        self.state = State::First { client_first_bare };
        Ok(Some(Zeroizing::new(message.into_bytes())))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Response, AuthError> {
        let text = std::str::from_utf8(challenge).map_err(|_| {
            AuthError::unexpected("expected a message of SCRAM in UTF-8, found other bytes")
        })?;
        match std::mem::replace(&mut self.state, State::Begin) {
            State::First { client_first_bare } => self.answer_first(&client_first_bare, text),
            State::Final { server_signature } => self.check_final(text, &server_signature),
            State::Begin | State::Proved => Err(AuthError::unexpected(
                "expected two messages of SCRAM from the server, it sent more",
            )),
        }
    }

    fn accepted(&self) -> Result<(), AuthError> {
        match self.state {
            State::Proved => Ok(()),
            _ => Err(not_authenticated()),
        }
    }

    fn reason(&self) -> Option<&str> {
        self.refusal.as_deref()
    }
}

impl<'a> ServerFirst<'a> {
    fn parse(message: &'a str, client_nonce: &str) -> Result<Self, AuthError> {
        let wrong = |what: &str| {
            AuthError::unexpected(format!("expected the first message of SCRAM, found {what}"))
        };
        if message.starts_with("m=") {
            return Err(wrong("an unknown extension (m=)"));
        }
        let nonce = attribute(message, "r=").ok_or_else(|| wrong("one without a nonce"))?;
        if nonce.len() <= client_nonce.len() || !nonce.starts_with(client_nonce) {
            return Err(wrong("one whose nonce does not continue ours"));
        }
        let salt = attribute(message, "s=").and_then(|salt| decode_block(salt).ok());
        let salt = salt.ok_or_else(|| wrong("one without a salt in base64"))?;
        let iterations = attribute(message, "i=").and_then(|count| count.parse().ok());
        let iterations = iterations.ok_or_else(|| wrong("one without an iteration count"))?;
        if !(FEWEST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations) {
            return Err(AuthError::unexpected(format!(
                "expected {FEWEST_ITERATIONS} to {MOST_ITERATIONS} iterations of SCRAM (RFC 5802 \
                 section 5.1), the server asks for {iterations}"
            )));
        }
        Ok(Self {
            nonce,
            salt,
            iterations,
        })
    }
}

fn attribute<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.split(',').find_map(|part| part.strip_prefix(name))
}

/// RFC 4013 by way of RFC 5802 section 5.1.
fn prepared_name(name: &str) -> Result<String, AuthError> {
    let prepared = stringprep::saslprep(name);
    let prepared = prepared.map_err(|error| {
        AuthError::UnusableCredential(format!("auth.username: {}", forbidden(&error)))
    })?;
    Ok(prepared.into_owned())
}

fn prepared_password(password: &Secret) -> Result<Zeroizing<String>, AuthError> {
    let prepared = stringprep::saslprep(password.expose());
    let prepared = prepared.map_err(|_| {
        AuthError::UnusableCredential(
            "the password has a character that SASLprep (RFC 4013) forbids, so SCRAM cannot use it: \
             set auth.mechanism to another one"
                .to_owned(),
        )
    })?;
    Ok(Zeroizing::new(prepared.into_owned()))
}

fn forbidden(error: &stringprep::Error) -> String {
    format!("SASLprep (RFC 4013), which SCRAM asks for, refuses it: {error}")
}

fn not_authenticated() -> AuthError {
    AuthError::ServerNotAuthenticated(
        "the server accepted the authentication, but did not prove that it knows the password \
         (SCRAM): expected its signature. An attacker between here and the relay may pretend to be \
         the relay"
            .into(),
    )
}

fn failed(source: ErrorStack) -> AuthError {
    AuthError::Crypto {
        what: "OpenSSL could not compute SCRAM",
        source,
    }
}

#[cfg(test)]
#[path = "scram_tests.rs"]
mod tests;
