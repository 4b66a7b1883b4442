//! Authentication (RFC 4954): one file a SASL mechanism.
//!
//! `choice` chooses one mechanism, the mechanism makes responses, `dialogue` exchanges them with the
//! server. A refused secret is not tried with another mechanism. A secret leaves a mechanism only in
//! a buffer that is zeroised, and is never logged.
//!
//! A new mechanism: a file with its `impl Mechanism`, a variant of [`choice::Sasl`] and of
//! `settings::auth::AuthMechanism`, and an arm in [`with_secret`].

mod choice;
mod cram_md5;
mod credentials;
mod dialogue;
mod error;
mod external;
#[cfg_attr(not(all(feature = "gssapi", unix)), path = "gssapi_absent.rs")]
mod gssapi;
mod login;
mod mechanism;
mod ntlm;
mod oauth_error;
mod oauthbearer;
mod plain;
mod scram;
mod xoauth2;

use openssl::hash::MessageDigest;

use self::choice::Sasl;
pub use self::credentials::CredentialsError;
pub(super) use self::credentials::{Credentials, secret_files};
use sendport_core::domain::{Command, Fault, LocalCause, Reply};
use sendport_core::secret::Secret;
use sendport_oauth2::TokenSource;

use self::dialogue::ExchangeError;
use self::error::AuthError;
use self::mechanism::Mechanism;
use super::extensions::Extensions;
use super::stream::{Stream, Wait};
use crate::relay::SessionError;

/// Authenticates, and gives the name of the mechanism.
pub(super) async fn authenticate(
    stream: &mut Stream,
    credentials: &Credentials,
    extensions: &Extensions,
    wait: Wait,
) -> Result<&'static str, SessionError> {
    let sasl = credentials
        .choose(&extensions.auth, stream.is_encrypted())
        .map_err(not_begun)?;
    match (sasl, &credentials.tokens) {
        (Sasl::OauthBearer | Sasl::Xoauth2, Some(tokens)) => {
            with_token(stream, credentials, sasl, &**tokens, wait).await?;
        }
        (Sasl::Gssapi, _) => {
            let mechanism = gssapi::begin(credentials, wait).await?;
            try_once(stream, sasl, mechanism, wait).await?;
        }
        _ => {
            let mechanism = with_secret(sasl, credentials, stream).map_err(not_begun)?;
            try_once(stream, sasl, mechanism, wait).await?;
        }
    }
    Ok(sasl.name())
}

/// A refused token may have expired early or been revoked: another one is fetched and tried once.
/// The refusal of that one is final.
async fn with_token(
    stream: &mut Stream,
    credentials: &Credentials,
    sasl: Sasl,
    tokens: &dyn TokenSource,
    wait: Wait,
) -> Result<(), SessionError> {
    let token = tokens.token().await?;
    let first = try_once(stream, sasl, bearer(sasl, credentials, &token), wait).await;
    let refused = match first {
        Err(refused) if refused.reply.is_permanent() => refused,
        other => return other,
    };
    tokens.refused(&token).await;
    let fresh = tokens.token().await?;
    if fresh.expose() == token.expose() {
        return Err(refused);
    }
    tracing::debug!(
        code = refused.reply.code,
        "access token refused, retrying with a new one"
    );
    let second = try_once(stream, sasl, bearer(sasl, credentials, &fresh), wait).await;
    if second
        .as_ref()
        .is_err_and(|error| error.reply.is_permanent())
    {
        tokens.refused(&fresh).await;
    }
    second
}

async fn try_once(
    stream: &mut Stream,
    sasl: Sasl,
    mut mechanism: Box<dyn Mechanism>,
    wait: Wait,
) -> Result<(), SessionError> {
    let reply = dialogue::carry_out(stream, sasl.name(), &mut *mechanism, wait).await;
    let cancelled = |error: AuthError| {
        let what = format!("AUTH {}: {error}", sasl.name());
        configuration_error(what, error.cause())
    };
    let reply = reply.map_err(|error| match error {
        ExchangeError::Reply(error) => SessionError::new(error.into_reply(Command::Auth)),
        ExchangeError::Cancelled(error) => cancelled(error),
    })?;
    if reply.is_success() {
        return mechanism.accepted().map_err(cancelled);
    }
    let fault = reply.is_permanent().then_some(Fault::Configuration);
    Err(SessionError { reply, fault })
}

fn bearer(sasl: Sasl, credentials: &Credentials, token: &Secret) -> Box<dyn Mechanism> {
    let name = &credentials.username;
    match sasl {
        Sasl::Xoauth2 => Box::new(xoauth2::Xoauth2::new(name, token)),
        _ => Box::new(oauthbearer::OauthBearer::new(
            name,
            token,
            &credentials.server,
        )),
    }
}

fn with_secret(
    sasl: Sasl,
    credentials: &Credentials,
    stream: &Stream,
) -> Result<Box<dyn Mechanism>, AuthError> {
    if sasl == Sasl::External {
        return Ok(Box::new(external::External::new(&credentials.username)));
    }
    let account = credentials.account()?;
    Ok(match sasl {
        Sasl::Plain => Box::new(plain::Plain::new(&account)),
        Sasl::Login => Box::new(login::Login::new(&account)),
        Sasl::CramMd5 => Box::new(cram_md5::CramMd5::new(&account)),
        Sasl::ScramSha1 => Box::new(scram::Scram::new(MessageDigest::sha1(), &account)?),
        Sasl::ScramSha256 => Box::new(scram::Scram::new(MessageDigest::sha256(), &account)?),
        Sasl::Ntlm => {
            let end_point = stream.tls_server_end_point();
            Box::new(ntlm::Ntlm::new(
                &account,
                credentials.ntlm_context(end_point),
            )?)
        }
        Sasl::External | Sasl::Gssapi | Sasl::OauthBearer | Sasl::Xoauth2 => {
            return Err(AuthError::MissingCredential(sasl));
        }
    })
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn not_begun(error: AuthError) -> SessionError {
    configuration_error(error.to_string(), error.cause())
}

fn cannot_authenticate(what: impl Into<String>) -> SessionError {
    configuration_error(what.into(), LocalCause::AuthNotPossible)
}

fn configuration_error(what: String, cause: LocalCause) -> SessionError {
    SessionError::configuration(Reply::absent(Command::Auth, what).because(cause))
}

/// `=` and `,` separate attributes (RFC 5801 section 4, RFC 5802 section 5.1).
fn saslname(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
