//! HttpClientOptions over HTTP: bounded in time and octets, by the proxy that the environment names.

use std::time::Duration;

use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

/// So often a download is sent elsewhere.
const MOST_REDIRECTS: u32 = 3;

/// Where the parts of requests differ.
pub struct HttpClientOptions {
    /// For all of a request.
    pub timeout: Duration,
    /// Who vouches for a server.
    pub roots: RootCerts,
    /// How often an answer may send the request elsewhere.
    pub redirects: u32,
}

impl HttpClientOptions {
    /// What asks the server of `url`. What runs on this machine is not asked through a proxy.
    pub fn agent(self, url: &str) -> Agent {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::NativeTls)
            .root_certs(self.roots)
            .build();
        let mut config = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(self.timeout))
            .http_status_as_error(false)
            .max_redirects(self.redirects)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .user_agent(concat!("sendport/", env!("CARGO_PKG_VERSION")));
        if is_loopback(url) {
            config = config.proxy(None);
        }
        config.build().into()
    }
}

/// What is at `url`. Blocks the thread, for a bounded time.
///
/// # Errors
/// A sentence without the URL: no answer within `timeout`, another status than 200, or more
/// than `most` octets.
pub fn download(url: &str, timeout: Duration, most: u64) -> Result<Vec<u8>, String> {
    let options = HttpClientOptions {
        timeout,
        roots: RootCerts::PlatformVerifier,
        redirects: MOST_REDIRECTS,
    };
    let answer = options.agent(url).get(url).call();
    let mut answer = answer.map_err(|error| failed(&error, timeout, most))?;
    if answer.status().as_u16() != 200 {
        return Err(format!("the server answered {}", answer.status()));
    }
    let body = answer.body_mut().with_config().limit(most).read_to_vec();
    body.map_err(|error| failed(&error, timeout, most))
}

fn failed(error: &ureq::Error, timeout: Duration, most: u64) -> String {
    match error {
        ureq::Error::Timeout(_) => format!("no answer within {timeout:?}"),
        ureq::Error::BodyExceedsLimit(_) => format!("more than {most} octets"),
        error => error.to_string(),
    }
}

fn is_loopback(url: &str) -> bool {
    let host = url.parse::<ureq::http::Uri>().ok();
    let host = host.as_ref().and_then(|uri| uri.host()).unwrap_or_default();
    crate::config::oauth2::is_loopback(host)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// The address of a server that answers one request like this, or says nothing.
    fn server(answer: Option<&'static str>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            match answer {
                Some(answer) => stream.write_all(answer.as_bytes()).unwrap(),
                // Until who asks has had enough.
                None => drop(stream.read(&mut request)),
            }
        });
        format!("http://{address}/list.crl")
    }

    #[test]
    fn a_download_is_bounded_and_says_what_went_wrong() {
        let ask = |answer| download(&server(answer), Duration::from_secs(1), 10);
        let good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlist";
        assert_eq!(ask(Some(good)).unwrap(), b"list");
        let large = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n12345678901";
        assert_eq!(ask(Some(large)).unwrap_err(), "more than 10 octets");
        let gone = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        assert_eq!(
            ask(Some(gone)).unwrap_err(),
            "the server answered 404 Not Found"
        );
        assert_eq!(ask(None).unwrap_err(), "no answer within 1s");
    }
}
