//! The access token response (RFC 6749 section 5.1) and the error response (section 5.2): of a token
//! endpoint, of a program or in a file.

use chrono::{DateTime, TimeDelta};
use sendport_core::domain::Timestamp;
use sendport_core::secret::Secret;
use serde::Deserialize;

use super::access_token::AccessToken;
use super::error::InvalidToken;

/// Its members. The Azure CLI and version 1 endpoints of Entra write `accessToken` and
/// `expires_on`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenResponse {
    #[serde(alias = "accessToken")]
    pub(super) access_token: Option<Secret>,
    #[serde(alias = "tokenType")]
    pub(super) token_type: Option<String>,
    expires_in: Option<Seconds>,
    expires_on: Option<Seconds>,
    pub(super) refresh_token: Option<Secret>,
    pub(super) error: Option<String>,
    pub(super) error_description: Option<String>,
}

/// A number, which some write as a string.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

impl Seconds {
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    fn whole(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number as i64),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }
}

impl TokenResponse {
    /// Parses an object; a text that is none is the token itself.
    pub(super) fn from_text(text: &str) -> Result<Self, InvalidToken> {
        let text = text.trim();
        if !text.starts_with('{') {
            return Ok(Self {
                access_token: Some(Secret::new(text.to_owned())),
                ..Self::default()
            });
        }
        // The parser's own message may quote the token.
        serde_json::from_str(text).map_err(|error| InvalidToken::Json {
            line: error.line(),
            column: error.column(),
        })
    }

    /// Parses an object; `None` where it is none. The derived parser would accept an array, too.
    pub(super) fn from_object(json: &[u8]) -> Option<Self> {
        let is_object = json.trim_ascii_start().starts_with(b"{");
        is_object
            .then(|| serde_json::from_slice(json).ok())
            .flatten()
    }

    /// The token, its lifetime counted from `issued_at`.
    ///
    /// # Errors
    /// [`InvalidToken`].
    pub(super) fn into_token(
        self,
        issued_at: Timestamp,
        now: Timestamp,
    ) -> Result<AccessToken, InvalidToken> {
        let expires_at = self.expires_at(issued_at);
        let Some(secret) = self.access_token else {
            return Err(InvalidToken::Missing);
        };
        match self.token_type {
            Some(kind) if !kind.eq_ignore_ascii_case("bearer") => {
                Err(InvalidToken::Type(super::redaction::redacted(&kind, &[])))
            }
            _ => AccessToken::new(secret, expires_at, now),
        }
    }

    fn expires_at(&self, issued_at: Timestamp) -> Option<Timestamp> {
        let absolute = self.expires_on.as_ref().and_then(Seconds::whole);
        if let Some(at) = absolute.and_then(|at| DateTime::from_timestamp(at, 0)) {
            return Some(at);
        }
        let life = self.expires_in.as_ref().and_then(Seconds::whole)?;
        issued_at.checked_add_signed(TimeDelta::try_seconds(life)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
    }

    #[test]
    fn parses_every_form_of_a_token() {
        for text in [
            "secret\n",
            r#"{"access_token":"secret","expires_in":3600,"token_type":"bearer"}"#,
            r#"{"access_token":"secret","expires_in":"3600"}"#,
            r#"{"accessToken":"secret","expires_on":1800003600,"tokenType":"Bearer"}"#,
        ] {
            let response = TokenResponse::from_text(text).expect("readable");
            let token = response.into_token(at(0), at(0)).expect("a token");
            assert_eq!(token.secret.expose(), "secret");
            assert!(token.is_usable(at(200)));
        }
    }

    #[test]
    fn names_what_is_wrong_without_quoting_the_token() {
        let no_token = TokenResponse::from_text(r#"{"expires_in":1}"#).expect("readable");
        let error = no_token.into_token(at(0), at(0));
        assert_eq!(error.err(), Some(InvalidToken::Missing));
        let mac = TokenResponse::from_text(r#"{"access_token":"x","token_type":"mac"}"#);
        let error = mac.expect("readable").into_token(at(0), at(0));
        assert_eq!(error.err(), Some(InvalidToken::Type("mac".to_owned())));
        let error = TokenResponse::from_text("{\"access_token\": secret}")
            .expect_err("no JSON")
            .to_string();
        assert!(
            error.contains("line 1") && !error.contains("secret"),
            "{error}"
        );
    }
}
