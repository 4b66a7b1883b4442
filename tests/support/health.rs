//! What a service shows of itself over HTTP, as a monitoring system asks for it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Status code and body of a page.
pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
    );
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
    let status = head.split(' ').nth(1).expect("a status line");
    (status.parse().expect("a status code"), body.to_owned())
}

/// The whole answer to a request.
pub(crate) fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.write_all(request.as_bytes()).expect("ask");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Waits until a page answers so and says this.
pub(crate) async fn wait_for(address: SocketAddr, path: &str, status: u16, word: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let mut look = tokio::time::interval(Duration::from_millis(100));
    loop {
        look.tick().await;
        let found = get(address, path);
        if found.0 == status && found.1.contains(word) {
            return;
        }
        let late = tokio::time::Instant::now() > deadline;
        assert!(!late, "{path}: expected {status} {word}, still {found:?}");
    }
}

/// Samples by name and labels, as in the text.
pub(crate) struct Samples(BTreeMap<String, f64>);

impl Samples {
    pub(crate) fn of(address: SocketAddr) -> Self {
        let (status, text) = get(address, "/metrics");
        assert_eq!(status, 200);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            (name.to_owned(), value.parse().expect("a number"))
        });
        Self(samples.collect())
    }

    /// One sample; `None` where it is missing.
    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// These samples are shown, a name and a value in each line.
    #[track_caller]
    pub(crate) fn are(&self, expected: &str) {
        let lines = || {
            expected
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
        };
        let found = lines().map(|line| {
            let (name, _) = line.rsplit_once(' ').expect("a sample");
            match self.get(name) {
                Some(value) => format!("{name} {value}"),
                None => format!("{name} is missing"),
            }
        });
        assert_eq!(found.collect::<Vec<_>>(), lines().collect::<Vec<_>>());
    }
}

/// Waits until the figures show this.
pub(crate) async fn wait_for_sample(address: SocketAddr, name: &str, wanted: f64) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let mut look = tokio::time::interval(Duration::from_millis(100));
    loop {
        look.tick().await;
        let found = Samples::of(address).get(name);
        if found == Some(wanted) {
            return;
        }
        let late = tokio::time::Instant::now() > deadline;
        assert!(!late, "{name}: expected {wanted}, still {found:?}");
    }
}
