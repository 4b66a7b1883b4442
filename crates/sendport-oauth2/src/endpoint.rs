//! The token endpoint over HTTP (RFC 6749 section 3.2).

use std::io::Read as _;
use std::time::Duration;

use secrecy::zeroize::Zeroizing;
use sendport_core::domain::Timestamp;
use ureq::Agent;
use ureq::http::{HeaderMap, header};

use super::error::SettingsError;
use super::error_response::{HttpResponse, error_response};
use super::form::Form;
use super::token_response::TokenResponse;
use super::unexpected_response::unexpected_response;
use crate::TokenError;
use crate::http_client::{HttpClientOptions, is_certificate_error, roots};
use crate::settings::TokenRequest;

/// Bytes of a response that are read; a larger one holds no token.
const MOST_BYTES: u64 = 64 * 1024;

/// A token endpoint.
pub(super) struct TokenEndpoint {
    url: String,
    agent: Agent,
    limit: Duration,
}

impl TokenEndpoint {
    /// # Errors
    /// [`SettingsError`] names the key.
    pub(super) fn new(request: &TokenRequest) -> Result<Self, SettingsError> {
        let url = request.endpoint()?;
        let options = HttpClientOptions {
            timeout: request.timeout,
            roots: roots(request.ca_file.as_deref())?,
            redirects: 0,
        };
        Ok(Self {
            agent: options.agent(&url),
            limit: request.timeout,
            url,
        })
    }

    /// Its URL, which is also the audience of an assertion.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Posts the form and reads the response. Blocks the thread, for a bounded time.
    ///
    /// # Errors
    /// [`TokenError`] quotes the endpoint, without secrets.
    pub(super) fn ask(&self, form: &Form, now: Timestamp) -> Result<TokenResponse, TokenError> {
        let response = self.post(form).map_err(|error| self.no_response(&error))?;
        let token = TokenResponse::from_object(&response.body);
        let has_error = token.as_ref().is_some_and(|it| it.error.is_some());
        match token {
            Some(token) if response.is_success() && token.access_token.is_some() => Ok(token),
            _ if response.is_success() && !has_error => {
                Err(unexpected_response(&self.url, &response, form))
            }
            token => Err(error_response(
                &self.url,
                &response,
                token.as_ref(),
                form,
                now,
            )),
        }
    }

    fn post(&self, form: &Form) -> Result<HttpResponse, ureq::Error> {
        let mut response = self
            .agent
            .post(&self.url)
            .header(header::ACCEPT, "application/json")
            .content_type("application/x-www-form-urlencoded")
            .send(form.body())?;
        let room = usize::try_from(MOST_BYTES).unwrap_or(usize::MAX);
        let mut body = Zeroizing::new(Vec::with_capacity(room));
        let whole = response.body_mut().as_reader();
        whole.take(MOST_BYTES).read_to_end(&mut body)?;
        Ok(HttpResponse {
            body,
            status: response.status().as_u16(),
            content_type: text_of(response.headers(), header::CONTENT_TYPE),
            retry_after: text_of(response.headers(), header::RETRY_AFTER),
            location: text_of(response.headers(), header::LOCATION),
        })
    }

    /// The error without a response.
    fn no_response(&self, error: &ureq::Error) -> TokenError {
        let url = &self.url;
        match error {
            ureq::Error::Timeout(_) => TokenError::unavailable(format!(
                "the token endpoint {url} did not answer within {:.1?} (setting auth.oauth2.timeout)",
                self.limit
            )),
            ureq::Error::NativeTls(cause) if is_certificate_error(cause) => {
                TokenError::configuration(format!(
                    "the certificate of the token endpoint {url} is not trusted: {cause}; where \
                     its authority is your own, or a proxy's, name it in auth.oauth2.ca_file"
                ))
            }
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => TokenError::configuration(format!(
                "expected the address of a token endpoint, found '{url}': {error}"
            )),
            error => TokenError::unavailable(format!(
                "the token endpoint {url} cannot be asked: {error}"
            )),
        }
    }
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}
