//! The JSON object that holds a token (RFC 6749 section 5.1) or says why there is none
//! (section 5.2): what token endpoints answer, and what programs print.

use chrono::{DateTime, TimeDelta};
use serde::Deserialize;

use super::access_token::AccessToken;
use crate::domain::Timestamp;
use crate::secret::Secret;

/// The members that matter here. `accessToken` and `expires_on` are what the command line of
/// Azure and endpoints of Entra's version 1 write.
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

/// A number, which some write as a text.
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
    /// Reads an object, or takes a text that is none for the token itself.
    pub(super) fn from_text(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if !text.starts_with('{') {
            return Ok(Self {
                access_token: Some(Secret::new(text.to_owned())),
                ..Self::default()
            });
        }
        // What the parser says may quote what it read.
        serde_json::from_str(text).map_err(|error| {
            format!(
                "expected a token or a JSON object with access_token, found JSON that cannot be \
                 read at line {} column {}",
                error.line(),
                error.column()
            )
        })
    }

    /// Reads an object; `None` where it is none. What is derived would take an array, too.
    pub(super) fn from_object(json: &[u8]) -> Option<Self> {
        let is_object = json.trim_ascii_start().starts_with(b"{");
        is_object
            .then(|| serde_json::from_slice(json).ok())
            .flatten()
    }

    /// The token, its lifetime counted from `issued_at`.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn into_token(
        self,
        issued_at: Timestamp,
        now: Timestamp,
    ) -> Result<AccessToken, String> {
        let expires_at = self.expires_at(issued_at);
        let Some(secret) = self.access_token else {
            return Err("expected a JSON object with access_token, found one without".to_owned());
        };
        match self.token_type {
            Some(kind) if !kind.eq_ignore_ascii_case("bearer") => Err(format!(
                "expected a token of the type Bearer, found '{}'",
                super::redaction::redacted(&kind, &[])
            )),
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
    fn every_way_to_write_a_token_is_read() {
        for text in [
            "secret\n",
            r#"{"access_token":"secret","expires_in":3600,"token_type":"bearer"}"#,
            r#"{"access_token":"secret","expires_in":"3600"}"#,
            r#"{"accessToken":"secret","expires_on":1800003600,"tokenType":"Bearer"}"#,
        ] {
            let answer = TokenResponse::from_text(text).expect("readable");
            let token = answer.into_token(at(0), at(0)).expect("a token");
            assert_eq!(token.secret.expose(), "secret");
            assert!(token.is_usable(at(200)));
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_and_not_quoted() {
        let no_token = TokenResponse::from_text(r#"{"expires_in":1}"#).expect("readable");
        let error = no_token.into_token(at(0), at(0)).expect_err("no token");
        assert!(error.contains("access_token"), "{error}");
        let mac = TokenResponse::from_text(r#"{"access_token":"x","token_type":"mac"}"#);
        let error = mac.expect("readable").into_token(at(0), at(0));
        assert!(error.expect_err("mac").contains("'mac'"));
        let error = TokenResponse::from_text("{\"access_token\": secret}").expect_err("no JSON");
        assert!(
            error.contains("line 1") && !error.contains("secret"),
            "{error}"
        );
    }
}
