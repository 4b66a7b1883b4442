//! What an access token says of itself, where it is a JWT (RFC 7519), as those of Entra ID are.

use chrono::DateTime;
use openssl::base64::decode_block;
use sendport_core::domain::Timestamp;
use sendport_core::secret::Secret;
use serde::Deserialize;

/// Claims of a token. Its receiver checks the signature; here they serve people, and the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenClaims {
    /// For whom it is (`aud`, RFC 7519 section 4.1.3).
    pub audience: Option<String>,
    /// When it expires (`exp`).
    pub expires_at: Option<Timestamp>,
    /// Permissions of an application (`roles` of Entra ID).
    pub roles: Vec<String>,
    /// Permissions that a user consented to (`scp` of Entra ID).
    pub scopes: Vec<String>,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    aud: serde_json::Value,
    exp: Option<i64>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    scp: String,
}

impl TokenClaims {
    /// The claims; `None` where the token is no JWT that can be read.
    pub fn read(token: &Secret) -> Option<Self> {
        let mut parts = token.expose().split('.');
        let (Some(_), Some(claims), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let padding = "=".repeat((4 - claims.len() % 4) % 4);
        let base64 = claims.replace('-', "+").replace('_', "/") + &padding;
        let payload: Payload = serde_json::from_slice(&decode_block(&base64).ok()?).ok()?;
        Some(Self {
            audience: payload.aud.as_str().map(str::to_owned),
            expires_at: payload.exp.and_then(|at| DateTime::from_timestamp(at, 0)),
            roles: payload.roles,
            scopes: payload.scp.split_whitespace().map(str::to_owned).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use openssl::base64::encode_block;

    use super::*;

    #[test]
    fn reads_audience_and_permissions() {
        let claims = encode_block(
            br#"{"aud":"https://graph.microsoft.com","roles":["Mail.Send"],"scp":"a b","exp":1}"#,
        );
        let token = format!("e30.{}.c2ln", claims.trim_end_matches('='));
        let claims = TokenClaims::read(&Secret::new(token)).expect("a JWT");
        assert_eq!(
            claims.audience.as_deref(),
            Some("https://graph.microsoft.com")
        );
        assert_eq!(
            (claims.roles, claims.scopes),
            (
                vec!["Mail.Send".to_owned()],
                vec!["a".to_owned(), "b".to_owned()]
            )
        );
        for other in ["", "opaque", "a.b", "a.!.c", "a.e30.c.d"] {
            assert_eq!(
                TokenClaims::read(&Secret::new(other.to_owned())),
                None,
                "{other}"
            );
        }
    }
}
