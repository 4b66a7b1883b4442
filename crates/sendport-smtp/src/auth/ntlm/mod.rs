//! NTLM (MS-NLMP over MS-SMTPNTLM): NTLMv2 with MIC, target name and channel binding; NTLMv1
//! only where the operator allows it.
//!
//! `messages` encodes the three messages, `av_pairs` the server's target information, `v2` and
//! `v1` compute the responses; this file chooses between them and keeps the state.

mod av_pairs;
mod channel_binding;
mod logon;
mod messages;
mod v1;
mod v2;

use chrono::{DateTime, Utc};
use openssl::rand::rand_bytes;
use secrecy::zeroize::Zeroizing;
use sendport_core::secret::Secret;

use self::av_pairs::AvPairs;
use self::logon::Logon;
use self::messages::{Authenticate, Challenge, Flags, negotiate};
use super::credentials::Account;
use super::error::AuthError;
use super::mechanism::{Mechanism, Response};

/// What NTLM needs of the connection and the settings.
pub(super) struct NtlmContext {
    /// The host in the service's name `SMTPSVC/<host>` (MS-SMTPNTLM section 3.1.4.2 leaves the
    /// form to the service principal names of Windows).
    pub(super) host: String,
    /// RFC 5929 section 4, without its prefix; `None` without TLS.
    pub(super) tls_server_end_point: Option<Vec<u8>>,
    /// For challenges without a timestamp.
    pub(super) now: DateTime<Utc>,
    pub(super) allow_v1: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Begin,
    NegotiateSent,
    /// The server asked for it again: some answer `AUTH NTLM` with a text.
    NegotiateRepeated,
    AuthenticateSent,
}

pub(super) struct Ntlm {
    logon: Logon,
    password: Secret,
    context: NtlmContext,
    client_challenge: [u8; 8],
    state: State,
}

impl Ntlm {
    pub(super) fn new(account: &Account, context: NtlmContext) -> Result<Self, AuthError> {
        let mut client_challenge = [0; 8];
        rand_bytes(&mut client_challenge).map_err(|source| AuthError::Crypto {
            what: "OpenSSL has no random bytes",
            source,
        })?;
        Ok(Self {
            logon: Logon::parse(&account.username),
            password: account.password.clone(),
            context,
            client_challenge,
            state: State::Begin,
        })
    }

    fn authenticate(&self, bytes: &[u8]) -> Result<Response, AuthError> {
        let challenge = Challenge::parse(bytes)?;
        if challenge.target_info.is_none() && self.context.allow_v1 {
            return self.authenticate_v1(&challenge);
        }
        match &challenge.target_info {
            Some(target_info) => self.authenticate_v2(bytes, &challenge, target_info),
            None => self.authenticate_v2_bare(&challenge),
        }
    }

    /// NTLMv2 with all that the server's target information allows.
    fn authenticate_v2(
        &self,
        bytes: &[u8],
        challenge: &Challenge,
        target_info: &AvPairs,
    ) -> Result<Response, AuthError> {
        let timestamp = target_info.timestamp();
        let mut answered = target_info.clone();
        answered.set_target_name(&format!("SMTPSVC/{}", self.context.host));
        let end_point = self.context.tls_server_end_point.as_deref();
        answered.set_channel_bindings(channel_binding::hashed(end_point));
        if timestamp.is_some() {
            answered.announce_mic();
        }
        let key = self.response_key();
        let time = timestamp.unwrap_or_else(|| v2::file_time(self.context.now));
        let responses = v2::responses(
            &key,
            challenge.server_challenge,
            self.client_challenge,
            time,
            &answered.to_bytes(),
        );
        let no_lm = Zeroizing::new(vec![0; 24]);
        let message = self.message(
            challenge,
            if timestamp.is_some() {
                &no_lm
            } else {
                &responses.lm
            },
            &responses.nt,
        )?;
        if timestamp.is_none() {
            return Ok(message.to_bytes());
        }
        let negotiate = negotiate();
        let mic = |whole: &[u8]| v2::mic(&responses.session_base_key, [&negotiate, bytes, whole]);
        Ok(message.to_bytes_with_mic(mic))
    }

    /// NTLMv2 for servers without target information (libntlm): no channel binding and no MIC.
    fn authenticate_v2_bare(&self, challenge: &Challenge) -> Result<Response, AuthError> {
        let responses = v2::responses(
            &self.response_key(),
            challenge.server_challenge,
            self.client_challenge,
            v2::file_time(self.context.now),
            &AvPairs::default().to_bytes(),
        );
        let message = self.message(challenge, &responses.lm, &responses.nt)?;
        Ok(message.to_bytes())
    }

    fn authenticate_v1(&self, challenge: &Challenge) -> Result<Response, AuthError> {
        let key = v1::nt_owf(self.password.expose());
        let responses = if challenge.flags.has(Flags::EXTENDED_SESSION_SECURITY) {
            v1::responses_with_ess(&key, challenge.server_challenge, self.client_challenge)
        } else {
            v1::responses(&key, challenge.server_challenge)
        };
        let message = self.message(challenge, &responses.lm, &responses.nt)?;
        Ok(message.to_bytes())
    }

    fn response_key(&self) -> Zeroizing<[u8; 16]> {
        v2::nt_owf(self.password.expose(), &self.logon.user, &self.logon.domain)
    }

    fn message<'a>(
        &self,
        challenge: &Challenge,
        lm_response: &'a [u8],
        nt_response: &'a [u8],
    ) -> Result<Authenticate<'a>, AuthError> {
        let flags = challenge.flags.agreed();
        Ok(Authenticate {
            flags,
            lm_response,
            nt_response,
            domain: flags.encode(&self.logon.domain)?,
            user: flags.encode(&self.logon.user)?,
            workstation: Vec::new(),
            session_key: &[],
            version: messages::VERSION,
        })
    }
}

impl Mechanism for Ntlm {
    fn initial_response(&mut self) -> Result<Option<Response>, AuthError> {
        self.state = State::NegotiateSent;
        Ok(Some(Zeroizing::new(negotiate())))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Response, AuthError> {
        let is_message = challenge.starts_with(messages::SIGNATURE);
        match self.state {
            State::NegotiateSent if !is_message => {
                self.state = State::NegotiateRepeated;
                Ok(Zeroizing::new(negotiate()))
            }
            State::NegotiateSent | State::NegotiateRepeated => {
                self.state = State::AuthenticateSent;
                self.authenticate(challenge)
            }
            State::Begin | State::AuthenticateSent => Err(AuthError::unexpected(
                "expected one challenge of NTLM from the server, it sent more",
            )),
        }
    }
}

#[cfg(test)]
#[path = "ntlm_tests.rs"]
mod tests;
