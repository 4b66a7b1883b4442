//! Builds without GSSAPI: Windows has SSPI instead, elsewhere the feature `gssapi` adds it.

use super::cannot_authenticate;
use super::credentials::Credentials;
use super::mechanism::Mechanism;
use crate::relay::SessionError;
use crate::settings::auth::AuthMechanism;
use crate::stream::Wait;

#[expect(clippy::unused_async, reason = "the signature of the real one")]
pub(super) async fn begin(
    _credentials: &Credentials,
    _wait: Wait,
) -> Result<Box<dyn Mechanism>, SessionError> {
    let why = AuthMechanism::NO_GSSAPI.unwrap_or_default();
    Err(cannot_authenticate(why))
}
