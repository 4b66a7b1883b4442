//! Section `[http]`: the listener for health and metrics.

use std::net::{AddrParseError, IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use sendport_core::problem::Problem;
use serde::{Deserialize, Serialize};

/// Default address.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9587);

/// Shortest time between two counts of the queue.
const SHORTEST: Duration = Duration::from_millis(100);

/// The listener for health and metrics.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Address and port; empty: no listener.
    #[serde(default)]
    pub listen: Option<String>,
    /// Shortest time between two counts of the queue.
    #[serde(with = "humantime_serde")]
    pub queue_interval: Duration,
}

/// The meaning of `listen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// No listener.
    Off,
    /// The default address, if it is free.
    IfFree(SocketAddr),
    /// This address.
    Must(SocketAddr),
}

/// A value of `listen` that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an IP address and a port, such as \"{DEFAULT}\" or \"[::1]:9587\", or \"\" for none; \
     found \"{found}\""
)]
pub struct ListenAddressError {
    found: String,
    source: AddrParseError,
}

impl HttpConfig {
    /// The meaning of `listen`.
    ///
    /// # Errors
    /// [`ListenAddressError`].
    pub fn listen(&self) -> Result<Listen, ListenAddressError> {
        match self.listen.as_deref().map(str::trim) {
            None => Ok(Listen::IfFree(DEFAULT)),
            Some("") => Ok(Listen::Off),
            Some(text) => text
                .parse()
                .map(Listen::Must)
                .map_err(|source| ListenAddressError {
                    found: text.to_owned(),
                    source,
                }),
        }
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let problem = |key: &str, what: String| Problem {
            key: format!("http.{key}"),
            what,
        };
        let listen = self.listen().err();
        let listen = listen.map(|error| problem("listen", error.to_string()));
        let too_often = self.queue_interval < SHORTEST;
        let too_often = too_often.then(|| "it is shorter than 100ms".to_owned());
        let interval = too_often.map(|what| problem("queue_interval", what));
        listen.into_iter().chain(interval).collect()
    }

    pub(super) fn warning(&self) -> Option<Problem> {
        let Ok(Listen::Must(address)) = self.listen() else {
            return None;
        };
        (!address.ip().to_canonical().is_loopback()).then(|| Problem {
            key: "http.listen".to_owned(),
            what: format!(
                "{address} is not a loopback address: every client that reaches it can read health and metrics, \
                 without TLS and without signing in; see to it that only your monitoring does"
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(listen: Option<&str>) -> HttpConfig {
        HttpConfig {
            listen: listen.map(str::to_owned),
            queue_interval: Duration::from_secs(15),
        }
    }

    #[test]
    fn loopback_by_default_and_another_address_is_warned_about() {
        let default = with(None).listen().unwrap();
        assert!(matches!(default, Listen::IfFree(at) if at.ip().is_loopback()));
        assert_eq!(with(Some(" ")).listen(), Ok(Listen::Off));
        for quiet in [None, Some(""), Some("127.0.0.1:0"), Some("[::1]:9587")] {
            assert_eq!(with(quiet).warning(), None);
            assert_eq!(with(quiet).problems(), []);
        }
        let warning = with(Some("0.0.0.0:9587")).warning().unwrap().what;
        assert!(warning.contains("not a loopback address"), "{warning}");
    }

    #[test]
    fn an_invalid_address_is_refused_with_an_example() {
        for text in ["9587", "localhost:9587", "127.0.0.1", ":9587"] {
            let found = with(Some(text)).problems();
            assert_eq!(found[0].key, "http.listen");
            assert!(found[0].what.contains("\"127.0.0.1:9587\""), "{found:?}");
            assert!(found[0].what.ends_with(&format!("found \"{text}\"")));
        }
        let often = HttpConfig {
            queue_interval: Duration::ZERO,
            ..with(None)
        };
        assert_eq!(often.problems()[0].key, "http.queue_interval");
    }
}
