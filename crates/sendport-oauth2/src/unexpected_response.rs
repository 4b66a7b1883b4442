//! A response that is not a token response: the page of a proxy or a captive portal, or a truncated
//! token response.

use super::error_response::HttpResponse;
use super::form::Form;
use super::redaction::redacted;
use crate::TokenError;

/// Characters of an unexpected body that are quoted.
const EXCERPT: usize = 120;

/// Longest word that is quoted of a text that is no markup: a longer one may be a token.
const LONGEST_WORD: usize = 16;

/// HTTP reports success without a token: a fault of a proxy, or of the endpoint. Trying again may help.
pub(super) fn unexpected_response(url: &str, response: &HttpResponse, form: &Form) -> TokenError {
    TokenError::invalid(format!(
        "the token endpoint {url} answered HTTP {}, expected a JSON object with access_token, \
         found {}; it is asked again. If that continues, look for a proxy in between \
         (HTTPS_PROXY, NO_PROXY), and check auth.oauth2.token_endpoint",
        response.status,
        body_excerpt(response, form)
    ))
}

/// The type and the start of the body, without any part of a token or secret.
pub(super) fn body_excerpt(response: &HttpResponse, form: &Form) -> String {
    let media_type = response
        .content_type
        .as_deref()
        .map(|text| redacted(text, &[]));
    let media_type = media_type.as_deref().unwrap_or("no Content-Type");
    let body = String::from_utf8_lossy(&response.body);
    let body = body.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let found = match body.chars().next() {
        None => "an empty body".to_owned(),
        Some('{' | '[' | '"') => json(body),
        Some('<') => quoted(&redacted(body, form.secrets())),
        Some(_) => quoted(&short_words(&redacted(body, form.secrets()))),
    };
    format!("{found} ({media_type})")
}

/// JSON may hold a token anywhere, so no value is quoted.
fn json(body: &str) -> String {
    match serde_json::from_str(body) {
        Ok(serde_json::Value::Object(object)) => {
            let names = object.keys().take(8).map(|name| redacted(name, &[]));
            let names = short_words(&names.collect::<Vec<_>>().join(" "));
            match object.contains_key("access_token") {
                _ if object.is_empty() => "an object without members".to_owned(),
                true => format!("members of another type than expected: {names}"),
                false => format!("an object without it, but with: {names}"),
            }
        }
        Ok(_) => "JSON that is no object".to_owned(),
        Err(error) => format!(
            "JSON that breaks off or cannot be read at line {} column {}",
            error.line(),
            error.column()
        ),
    }
}

fn short_words(text: &str) -> String {
    let word = |word: &str| match word.chars().count() > LONGEST_WORD {
        true => "[not shown]".to_owned(),
        false => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn quoted(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("'{}...'", &text[..end]),
        None => format!("'{text}'"),
    }
}
