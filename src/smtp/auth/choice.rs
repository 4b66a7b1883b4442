//! Which mechanism signs in: pure decisions over what is offered and what is configured.

use crate::config::auth::AuthMechanism;

/// A mechanism that is known here.
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

/// What it proves who we are with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Password,
    Token,
    Certificate,
    Ticket,
}

impl Sasl {
    /// Its name in the registry of SASL mechanisms.
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

    /// Whoever reads the wire has the secret then.
    fn shows_secret(self) -> bool {
        matches!(
            self,
            Self::OauthBearer | Self::Xoauth2 | Self::Plain | Self::Login
        )
    }

    fn proof(self) -> Proof {
        match self {
            Self::OauthBearer | Self::Xoauth2 => Proof::Token,
            Self::External => Proof::Certificate,
            Self::Gssapi => Proof::Ticket,
            _ => Proof::Password,
        }
    }

    fn is_in(self, offered: &[String]) -> bool {
        offered.iter().any(|name| name == self.name())
    }
}

/// What is possible on this connection.
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
    /// A sentence: what the server was expected to offer or the connection to be, and which
    /// key to change.
    pub(super) fn of(self, configured: AuthMechanism, offered: &[String]) -> Result<Sasl, String> {
        match fixed(configured)? {
            Some(sasl) => self.check_fixed(sasl, offered),
            None => self.strongest(offered),
        }
    }

    fn check_fixed(self, sasl: Sasl, offered: &[String]) -> Result<Sasl, String> {
        if !sasl.is_in(offered) {
            return Err(not_offered(&[sasl], offered));
        }
        if !self.has(sasl.proof()) {
            return Err(without_proof(sasl));
        }
        if !self.may_show(sasl) {
            return Err(shown_in_clear(sasl));
        }
        Ok(sasl)
    }

    fn strongest(self, offered: &[String]) -> Result<Sasl, String> {
        let order = self.order();
        let on_offer = || order.iter().copied().filter(|sasl| sasl.is_in(offered));
        match (
            on_offer().find(|&sasl| self.may_show(sasl)),
            on_offer().next(),
        ) {
            (Some(sasl), _) => Ok(sasl),
            (None, Some(sasl)) => Err(shown_in_clear(sasl)),
            (None, None) => Err(not_offered(&order, offered)),
        }
    }

    /// Strongest first. NTLM ranks high for who names a Windows domain, and last for others:
    /// servers that know nothing of domains offer it, too, and cannot check it.
    fn order(self) -> Vec<Sasl> {
        let ntlm_of_domain = self.names_domain.then_some(Sasl::Ntlm);
        let tokens = [Sasl::OauthBearer, Sasl::Xoauth2];
        let proofs = [Sasl::ScramSha256, Sasl::ScramSha1];
        let rest = [Sasl::CramMd5, Sasl::Plain, Sasl::Login, Sasl::Ntlm];
        let all = tokens.into_iter().chain(proofs);
        let all = all.chain(ntlm_of_domain).chain(rest);
        all.filter(|sasl| self.has(sasl.proof())).collect()
    }

    fn has(self, proof: Proof) -> bool {
        match proof {
            Proof::Password => self.has_password,
            Proof::Token => self.has_tokens,
            Proof::Certificate => self.has_certificate && self.encrypted,
            // Only the KDC knows.
            Proof::Ticket => true,
        }
    }

    fn may_show(self, sasl: Sasl) -> bool {
        self.encrypted || self.allow_cleartext || !sasl.shows_secret()
    }
}

/// `None` for `auto`.
fn fixed(configured: AuthMechanism) -> Result<Option<Sasl>, String> {
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
            Some(why) => return Err(why.to_owned()),
            None => Sasl::Gssapi,
        },
    }))
}

fn not_offered(wanted: &[Sasl], offered: &[String]) -> String {
    let wanted: Vec<_> = wanted.iter().map(|sasl| sasl.name()).collect();
    let wanted = wanted.join(" or ");
    if offered.is_empty() {
        return format!(
            "expected the server to offer AUTH {wanted}, it offers no sign-in on this \
             connection: check port and tls, or set auth.mechanism = \"none\""
        );
    }
    format!(
        "expected the server to offer AUTH {wanted}, it offers {}: set auth.mechanism to one \
         that both know",
        offered.join(" ")
    )
}

fn without_proof(sasl: Sasl) -> String {
    let name = sasl.name();
    match sasl.proof() {
        Proof::Password => format!(
            "AUTH {name} needs a password: set one of auth.password_file, auth.password_env and \
             auth.password"
        ),
        Proof::Token => format!("AUTH {name} needs an access token: write a section auth.oauth2"),
        Proof::Certificate => format!(
            "AUTH {name} needs a connection with TLS and a client certificate: set tls to \
             \"starttls\" or \"implicit\", client_certificate_file and client_key_file"
        ),
        Proof::Ticket => format!("AUTH {name} needs a ticket: set auth.keytab_file"),
    }
}

fn shown_in_clear(sasl: Sasl) -> String {
    let secret = match sasl.proof() {
        Proof::Token => "access token",
        _ => "password",
    };
    format!(
        "AUTH {} would send the {secret} over an unencrypted connection: set tls to \"starttls\" \
         or \"implicit\", or accept it with auth.allow_cleartext_auth = true",
        sasl.name()
    )
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
