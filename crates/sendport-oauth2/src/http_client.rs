//! The HTTP client: bounded in time and size, through the proxy of the environment.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::x509::X509;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use crate::SettingsError;

/// Redirects that a download follows.
const MOST_REDIRECTS: u32 = 3;

/// Addresses of a host that are tried; ureq takes no more than 16.
const MOST_ADDRESSES: usize = 16;

/// `SSL_R_CERTIFICATE_VERIFY_FAILED` of OpenSSL's `sslerr.h`.
const CERTIFICATE_VERIFY_FAILED: i32 = 134;

/// Longest wait for a TCP connection, where the whole request may take longer.
const LONGEST_CONNECT: Duration = Duration::from_secs(30);

/// Options of a request.
pub struct HttpClientOptions {
    /// Time for the whole request.
    pub timeout: Duration,
    /// Trusted authorities.
    pub roots: RootCerts,
    /// Redirects that are followed.
    pub redirects: u32,
}

impl HttpClientOptions {
    /// The agent for `url`. A loopback address is not requested through a proxy.
    pub fn agent(self, url: &str) -> Agent {
        self.config(is_loopback(url)).into()
    }

    fn config(self, direct: bool) -> Config {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::NativeTls)
            .root_certs(self.roots)
            .build();
        let mut config = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(self.timeout))
            .timeout_connect(Some(self.timeout.min(LONGEST_CONNECT)))
            .http_status_as_error(false)
            .max_redirects(self.redirects)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .user_agent(concat!("sendport/", env!("CARGO_PKG_VERSION")));
        if direct {
            config = config.proxy(None);
        }
        config.build()
    }
}

/// A download failed. The text has no URL.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// No response in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// Another status than 200.
    #[error("the server answered {0}")]
    Status(ureq::http::StatusCode),
    /// Another media type than `text/plain`.
    #[error("the server answered with another type than text/plain")]
    NotText,
    /// A larger body than allowed, in bytes.
    #[error("more than {0} bytes")]
    TooLarge(u64),
    /// The connection or the protocol failed.
    #[error(transparent)]
    Http(Box<ureq::Error>),
}

impl DownloadError {
    /// No response in time.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }
}

/// Downloads `url`, at most `most` bytes. Blocks the thread, for a bounded time.
///
/// # Errors
/// [`DownloadError`].
pub fn download(url: &str, timeout: Duration, most: u64) -> Result<Vec<u8>, DownloadError> {
    let options = HttpClientOptions {
        timeout,
        roots: RootCerts::PlatformVerifier,
        redirects: MOST_REDIRECTS,
    };
    download_by(&options.agent(url), url, (timeout, most)).map(|(_, body)| body)
}

/// Downloads the `text/plain` at `url` from one of these addresses, without a proxy and without
/// redirects. Blocks the thread, for a bounded time.
///
/// # Errors
/// [`DownloadError`].
pub fn download_text_from(
    addresses: &[SocketAddr],
    url: &str,
    timeout: Duration,
    most: u64,
) -> Result<String, DownloadError> {
    let options = HttpClientOptions {
        timeout,
        roots: RootCerts::PlatformVerifier,
        redirects: 0,
    };
    let resolver = KnownAddresses(addresses.to_vec());
    let connector = DefaultConnector::new();
    let agent = Agent::with_parts(options.config(true), connector, resolver);
    let (media_type, body) = download_by(&agent, url, (timeout, most))?;
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    match media_type.eq_ignore_ascii_case("text/plain") {
        true => Ok(String::from_utf8_lossy(&body).into_owned()),
        false => Err(DownloadError::NotText),
    }
}

/// The addresses of the only host that is asked.
#[derive(Debug)]
struct KnownAddresses(Vec<SocketAddr>);

impl Resolver for KnownAddresses {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        for address in self.0.iter().take(MOST_ADDRESSES) {
            found.push(*address);
        }
        match self.0.is_empty() {
            true => Err(ureq::Error::HostNotFound),
            false => Ok(found),
        }
    }
}

/// The media type and the body.
fn download_by(
    agent: &Agent,
    url: &str,
    (timeout, most): (Duration, u64),
) -> Result<(String, Vec<u8>), DownloadError> {
    let failed = |error| match error {
        ureq::Error::Timeout(_) => DownloadError::Timeout(timeout),
        ureq::Error::BodyExceedsLimit(_) => DownloadError::TooLarge(most),
        error => DownloadError::Http(Box::new(error)),
    };
    let mut response = agent.get(url).call().map_err(failed)?;
    if response.status().as_u16() != 200 {
        return Err(DownloadError::Status(response.status()));
    }
    let media_type = response.headers().get("content-type");
    let media_type = media_type.and_then(|it| it.to_str().ok());
    let media_type = media_type.unwrap_or_default().to_owned();
    let body = response.body_mut().with_config().limit(most);
    Ok((media_type, body.read_to_vec().map_err(failed)?))
}

/// The authorities in a PEM file; without one those of the system.
///
/// # Errors
/// [`SettingsError`] names the key `ca_file`.
pub fn roots(ca_file: Option<&Path>) -> Result<RootCerts, SettingsError> {
    match ca_file {
        Some(file) => Ok(RootCerts::Specific(Arc::new(authorities(file)?))),
        None => Ok(RootCerts::PlatformVerifier),
    }
}

fn authorities(file: &Path) -> Result<Vec<Certificate<'static>>, SettingsError> {
    let pem = sendport_core::regular_file::read(file).map_err(|source| SettingsError::File {
        key: "ca_file",
        path: file.to_owned(),
        source,
    })?;
    let found = X509::stack_from_pem(&pem).unwrap_or_default();
    if found.is_empty() {
        return Err(SettingsError::Content {
            key: "ca_file",
            path: file.to_owned(),
            expected: "PEM certificates",
            found: "none",
        });
    }
    let der =
        |certificate: X509| Some(Certificate::from_der(&certificate.to_der().ok()?).to_owned());
    Ok(found.into_iter().filter_map(der).collect())
}

/// OpenSSL did not trust the certificate of the server.
pub fn is_certificate_error(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let stack = error.downcast_ref::<ErrorStack>();
        let mut reasons = stack.into_iter().flat_map(ErrorStack::errors);
        if reasons.any(|it| it.reason_code() == CERTIFICATE_VERIFY_FAILED) {
            return true;
        }
        next = error.source();
    }
    false
}

fn is_loopback(url: &str) -> bool {
    let host = url.parse::<ureq::http::Uri>().ok();
    let host = host.as_ref().and_then(|uri| uri.host()).unwrap_or_default();
    crate::settings::is_loopback(host)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// The address of a server that answers one request with this, or not at all.
    fn server(answer: Option<&'static str>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            match answer {
                Some(answer) => stream.write_all(answer.as_bytes()).unwrap(),
                // Until the client gives up.
                None => drop(stream.read(&mut request)),
            }
        });
        format!("http://{address}/list.crl")
    }

    #[test]
    fn a_download_is_bounded_in_size_and_time() {
        let ask = |answer| {
            let downloaded = download(&server(answer), Duration::from_secs(1), 10);
            downloaded.map_err(|error| error.to_string())
        };
        let good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlist";
        assert_eq!(ask(Some(good)).unwrap(), b"list");
        let large = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n12345678901";
        assert_eq!(ask(Some(large)).unwrap_err(), "more than 10 bytes");
        let gone = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        assert_eq!(
            ask(Some(gone)).unwrap_err(),
            "the server answered 404 Not Found"
        );
        assert_eq!(ask(None).unwrap_err(), "no answer within 1s");
    }
}
