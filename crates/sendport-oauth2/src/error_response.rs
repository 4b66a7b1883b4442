//! The error response of a token endpoint (RFC 6749 section 5.2): its kind, its text, and what to do.

use secrecy::zeroize::Zeroizing;
use sendport_core::domain::Timestamp;

use super::form::Form;
use super::redaction::redacted;
use super::retry_after::retry_after;
use super::token_response::TokenResponse;
use super::unexpected_response::body_excerpt;
use crate::TokenError;

/// An HTTP response of the endpoint.
pub(super) struct HttpResponse {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    pub(super) retry_after: Option<String>,
    pub(super) location: Option<String>,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl HttpResponse {
    pub(super) fn is_success(&self) -> bool {
        self.status / 100 == 2
    }
}

/// `token` is the body, where it is a JSON object.
pub(super) fn error_response(
    url: &str,
    response: &HttpResponse,
    token: Option<&TokenResponse>,
    form: &Form,
    now: Timestamp,
) -> TokenError {
    let code = token.and_then(|token| token.error.as_deref());
    let text = match token {
        Some(token) => quoted_error(token, form),
        None => format!(": {}", body_excerpt(response, form)),
    };
    let status = response.status;
    if is_transient(status, code) {
        let what = format!("the token endpoint {url} has no token now (HTTP {status}){text}");
        return TokenError {
            retry_after: response
                .retry_after
                .as_deref()
                .and_then(|text| retry_after(text, now)),
            ..TokenError::unavailable(what)
        };
    }
    let advice = match (code, &response.location) {
        (Some(code), _) => advice(code).to_owned(),
        (None, Some(location)) if status / 100 == 3 => {
            format!(
                "it redirects to {}; write the endpoint's own address",
                redacted(location, &[])
            )
        }
        _ => "check auth.oauth2.tenant, authority and token_endpoint: no token endpoint answers \
              like this"
            .to_owned(),
    };
    TokenError::configuration(format!(
        "the token endpoint {url} gave no token (HTTP {status}){text}; {advice}"
    ))
}

/// `: invalid_client: AADSTS7000215: ..`
fn quoted_error(response: &TokenResponse, form: &Form) -> String {
    let texts = [&response.error, &response.error_description];
    let texts = texts.into_iter().flatten();
    texts
        .map(|text| format!(": {}", redacted(text, form.secrets())))
        .collect()
}

/// `temporarily_unavailable` and `server_error` are of RFC 6749 section 4.1.2.1; token endpoints
/// use them, too.
fn is_transient(status: u16, code: Option<&str>) -> bool {
    matches!(status, 408 | 429 | 500..=599)
        || matches!(
            code,
            Some("temporarily_unavailable" | "server_error" | "slow_down")
        )
}

fn advice(code: &str) -> &'static str {
    match code {
        "invalid_client" => {
            "check auth.oauth2.client_id and client_secret (the secret's value, not its id; it may \
             have expired), or that the certificate is registered with the application"
        }
        "unauthorized_client" => {
            "check auth.oauth2.client_id and tenant: the application is unknown there, or may \
             not use this grant"
        }
        "invalid_scope" | "invalid_resource" | "invalid_target" => {
            "check auth.oauth2.scope or resource, and that an administrator consented to the \
             application's permission for it"
        }
        "invalid_grant" | "interaction_required" => {
            "the refresh token has expired or was revoked: have the user consent again"
        }
        "unsupported_grant_type" => {
            "check auth.oauth2.token_endpoint: it does not support this grant"
        }
        _ => "check the keys of auth.oauth2",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;

    use super::*;

    fn now() -> Timestamp {
        DateTime::from_timestamp(1_445_412_420, 0).expect("a time")
    }

    fn error(status: u16, retry_after: Option<&str>, body: &str) -> TokenError {
        let response = HttpResponse {
            status,
            content_type: None,
            retry_after: retry_after.map(str::to_owned),
            location: Some("https://elsewhere.example/".to_owned()),
            body: Zeroizing::default(),
        };
        let answer = serde_json::from_str(body).ok();
        error_response(
            "https://x.example/token",
            &response,
            answer.as_ref(),
            &Form::default(),
            now(),
        )
    }

    #[test]
    fn a_busy_endpoint_is_a_transient_error() {
        for (status, body) in [
            (503, ""),
            (429, "{}"),
            (400, r#"{"error":"temporarily_unavailable"}"#),
        ] {
            assert!(error(status, None, body).is_transient(), "{status} {body}");
        }
        let busy = error(429, Some("120"), "");
        assert_eq!(busy.retry_after, Some(Duration::from_secs(120)));
    }

    #[test]
    fn other_errors_are_permanent_and_say_what_to_do() {
        for (status, body, expected) in [
            (
                401,
                r#"{"error":"invalid_client","error_description":"AADSTS7000215: no"}"#,
                "invalid_client: AADSTS7000215: no; check auth.oauth2.client_id",
            ),
            (
                400,
                r#"{"error":"invalid_scope"}"#,
                "invalid_scope; check auth.oauth2.scope",
            ),
            (400, r#"{"error":"unauthorized_client"}"#, "unknown there"),
            (404, "<html>", "no token endpoint answers"),
            (
                200,
                r#"{"error":"invalid_client"}"#,
                "invalid_client; check auth.oauth2.client_id",
            ),
            (302, "", "redirects to https://elsewhere.example/"),
        ] {
            let error = error(status, None, body);
            assert!(!error.is_transient(), "{error}");
            assert!(error.what.contains(expected), "{error}");
        }
    }
}
