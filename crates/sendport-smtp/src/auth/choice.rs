//! Chooses the SASL mechanism from what the server offers and what is configured.

use super::error::AuthError;
use crate::settings::auth::AuthMechanism;

/// A supported mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sasl {
    OauthBearer,
    Xoauth2,
    ScramSha256,
    ScramSha1,
    Ntlm,
    CramMd5,
    Plain,
    Login,
    External,
    Gssapi,
}

/// What a mechanism authenticates with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Credential {
    Password,
    Token,
    Certificate,
    Ticket,
}

impl Sasl {
    /// Its registered name (RFC 4422 section 3.1).
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OauthBearer => "OAUTHBEARER",
            Self::Xoauth2 => "XOAUTH2",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::Ntlm => "NTLM",
            Self::CramMd5 => "CRAM-MD5",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::External => "EXTERNAL",
            Self::Gssapi => "GSSAPI",
        }
    }

    /// It sends the secret itself, which an unencrypted connection reveals.
    fn sends_secret(self) -> bool {
        matches!(
            self,
            Self::OauthBearer | Self::Xoauth2 | Self::Plain | Self::Login
        )
    }

    pub(super) fn credential(self) -> Credential {
        match self {
            Self::OauthBearer | Self::Xoauth2 => Credential::Token,
            Self::External => Credential::Certificate,
            Self::Gssapi => Credential::Ticket,
            _ => Credential::Password,
        }
    }

    fn is_in(self, offered: &[String]) -> bool {
        offered.iter().any(|name| name == self.name())
    }
}

/// What decides the choice on one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    pub(super) has_password: bool,
    pub(super) has_tokens: bool,
    pub(super) has_certificate: bool,
    /// The user name is `DOMAIN\user`.
    pub(super) names_domain: bool,
    pub(super) encrypted: bool,
    pub(super) allow_cleartext: bool,
}

impl Choice {
    /// The one mechanism to try.
    ///
    /// # Errors
    /// [`AuthError`] says what the server was expected to offer or the connection to be, and which
    /// key to change.
    pub(super) fn choose(
        self,
        configured: AuthMechanism,
        offered: &[String],
    ) -> Result<Sasl, AuthError> {
        match fixed(configured)? {
            Some(sasl) => self.check_fixed(sasl, offered),
            None => self.strongest(offered),
        }
    }

    fn check_fixed(self, sasl: Sasl, offered: &[String]) -> Result<Sasl, AuthError> {
        if !sasl.is_in(offered) {
            return Err(not_offered(vec![sasl], offered));
        }
        if !self.has(sasl.credential()) {
            return Err(AuthError::MissingCredential(sasl));
        }
        if !self.may_send(sasl) {
            return Err(AuthError::CleartextForbidden(sasl));
        }
        Ok(sasl)
    }

    fn strongest(self, offered: &[String]) -> Result<Sasl, AuthError> {
        let order = self.order();
        let on_offer = || order.iter().copied().filter(|sasl| sasl.is_in(offered));
        match (
            on_offer().find(|&sasl| self.may_send(sasl)),
            on_offer().next(),
        ) {
            (Some(sasl), _) => Ok(sasl),
            (None, Some(sasl)) => Err(AuthError::CleartextForbidden(sasl)),
            (None, None) => Err(not_offered(order, offered)),
        }
    }

    /// Strongest first. NTLM ranks high for a name with a Windows domain, and last for others:
    /// servers without a domain offer it, too, and cannot verify it.
    fn order(self) -> Vec<Sasl> {
        let ntlm_of_domain = self.names_domain.then_some(Sasl::Ntlm);
        let tokens = [Sasl::OauthBearer, Sasl::Xoauth2];
        let proofs = [Sasl::ScramSha256, Sasl::ScramSha1];
        let rest = [Sasl::CramMd5, Sasl::Plain, Sasl::Login, Sasl::Ntlm];
        let all = tokens.into_iter().chain(proofs);
        let all = all.chain(ntlm_of_domain).chain(rest);
        all.filter(|sasl| self.has(sasl.credential())).collect()
    }

    fn has(self, credential: Credential) -> bool {
        match credential {
            Credential::Password => self.has_password,
            Credential::Token => self.has_tokens,
            Credential::Certificate => self.has_certificate && self.encrypted,
            // Only the KDC can tell.
            Credential::Ticket => true,
        }
    }

    fn may_send(self, sasl: Sasl) -> bool {
        self.encrypted || self.allow_cleartext || !sasl.sends_secret()
    }
}

/// `None` for `auto`.
fn fixed(configured: AuthMechanism) -> Result<Option<Sasl>, AuthError> {
    Ok(Some(match configured {
        AuthMechanism::None | AuthMechanism::Auto => return Ok(None),
        AuthMechanism::Plain => Sasl::Plain,
        AuthMechanism::Login => Sasl::Login,
        AuthMechanism::CramMd5 => Sasl::CramMd5,
        AuthMechanism::ScramSha1 => Sasl::ScramSha1,
        AuthMechanism::ScramSha256 => Sasl::ScramSha256,
        AuthMechanism::Ntlm => Sasl::Ntlm,
        AuthMechanism::Xoauth2 => Sasl::Xoauth2,
        AuthMechanism::Oauthbearer => Sasl::OauthBearer,
        AuthMechanism::External => Sasl::External,
        AuthMechanism::Gssapi => match AuthMechanism::NO_GSSAPI {
            Some(why) => return Err(AuthError::Unsupported(why)),
            None => Sasl::Gssapi,
        },
    }))
}

fn not_offered(wanted: Vec<Sasl>, offered: &[String]) -> AuthError {
    AuthError::MechanismNotOffered {
        wanted,
        offered: offered.to_vec(),
    }
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
