//! The token endpoint over HTTP (RFC 6749 section 3.2).

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openssl::x509::X509;
use secrecy::zeroize::Zeroizing;
use ureq::Agent;
use ureq::http::{HeaderMap, header};
use ureq::tls::{Certificate, RootCerts};

use super::error_response::{HttpResponse, error_response};
use super::form::Form;
use super::token_response::TokenResponse;
use super::unexpected_response::unexpected_response;
use crate::config::oauth2::TokenRequest;
use crate::domain::Timestamp;
use crate::http_client::HttpClientOptions;
use crate::relay::TokenError;

/// More than this is no token; the rest is not read.
const MOST_OCTETS: u64 = 64 * 1024;

/// One endpoint, and the connections to it.
pub(super) struct TokenEndpoint {
    url: String,
    agent: Agent,
    limit: Duration,
}

impl TokenEndpoint {
    /// # Errors
    /// A sentence that names the key.
    pub(super) fn new(request: &TokenRequest) -> Result<Self, String> {
        let url = request.endpoint()?;
        let roots = match &request.ca_file {
            Some(file) => RootCerts::Specific(Arc::new(authorities(file)?)),
            None => RootCerts::PlatformVerifier,
        };
        let options = HttpClientOptions {
            timeout: request.timeout,
            roots,
            redirects: 0,
        };
        Ok(Self {
            agent: options.agent(&url),
            limit: request.timeout,
            url,
        })
    }

    /// Its address, which is also the audience of an assertion.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Posts the form and reads the answer. Blocks the thread, for a bounded time.
    ///
    /// # Errors
    /// [`TokenError`] with the endpoint's own words.
    pub(super) fn ask(&self, form: &Form, now: Timestamp) -> Result<TokenResponse, TokenError> {
        let response = self.post(form).map_err(|error| self.unheard(&error))?;
        let answer = TokenResponse::from_object(&response.body);
        let said_why = answer.as_ref().is_some_and(|a| a.error.is_some());
        match answer {
            Some(answer) if response.is_success() && answer.access_token.is_some() => Ok(answer),
            _ if response.is_success() && !said_why => {
                Err(unexpected_response(&self.url, &response, form))
            }
            answer => Err(error_response(
                &self.url,
                &response,
                answer.as_ref(),
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
        let room = usize::try_from(MOST_OCTETS).unwrap_or(usize::MAX);
        let mut body = Zeroizing::new(Vec::with_capacity(room));
        let whole = response.body_mut().as_reader();
        whole.take(MOST_OCTETS).read_to_end(&mut body)?;
        Ok(HttpResponse {
            body,
            status: response.status().as_u16(),
            content_type: text_of(response.headers(), header::CONTENT_TYPE),
            retry_after: text_of(response.headers(), header::RETRY_AFTER),
            location: text_of(response.headers(), header::LOCATION),
        })
    }

    /// No answer came.
    fn unheard(&self, error: &ureq::Error) -> TokenError {
        let url = &self.url;
        match error {
            ureq::Error::Timeout(_) => TokenError::transient(format!(
                "the token endpoint {url} did not answer within {:.1?} (setting auth.oauth2.timeout)",
                self.limit
            )),
            ureq::Error::NativeTls(cause) if cause.to_string().contains("certificate") => {
                TokenError::configuration(format!(
                    "the certificate of the token endpoint {url} does not check: {cause}; where \
                     its authority is your own, or a proxy's, name it in auth.oauth2.ca_file"
                ))
            }
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => TokenError::configuration(format!(
                "expected the address of a token endpoint, found '{url}': {error}"
            )),
            error => {
                TokenError::transient(format!("the token endpoint {url} cannot be asked: {error}"))
            }
        }
    }
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

fn authorities(file: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let shown = file.display();
    let pem = std::fs::read(file).map_err(|cause| format!("ca_file '{shown}': {cause}"))?;
    let found = X509::stack_from_pem(&pem).unwrap_or_default();
    if found.is_empty() {
        return Err(format!(
            "ca_file '{shown}': expected PEM certificates, found none"
        ));
    }
    let der =
        |certificate: X509| Some(Certificate::from_der(&certificate.to_der().ok()?).to_owned());
    Ok(found.into_iter().filter_map(der).collect())
}
