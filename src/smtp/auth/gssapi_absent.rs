//! GSSAPI in builds that have none: on Windows it is SSPI's to do, elsewhere the feature `gssapi`
//! brings it.

use super::credentials::Credentials;
use super::mechanism::Mechanism;
use super::our_configuration;
use crate::config::auth::AuthMechanism;
use crate::relay::NotReady;
use crate::smtp::stream::Wait;

#[expect(clippy::unused_async, reason = "as the one that asks the KDC")]
pub(super) async fn begin(
    _credentials: &Credentials,
    _wait: Wait,
) -> Result<Box<dyn Mechanism>, NotReady> {
    let why = AuthMechanism::NO_GSSAPI.unwrap_or_default();
    Err(our_configuration(why.to_owned()))
}
