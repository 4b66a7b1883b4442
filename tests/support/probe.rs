//! `sendport probe` as a user runs it, and what it is expected to print.
//!
//! The expected output is in `tests/probe/expected`, with times, ports, dates and the like
//! masked. `SENDPORT_RENEW_EXPECTED=1 cargo test --test probe` writes the files anew: read the
//! difference before you commit it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use regex::Regex;

/// Says to write what is expected anew.
const RENEW: &str = "SENDPORT_RENEW_EXPECTED";

/// What a run printed and ended with.
#[derive(Debug)]
pub(crate) struct ProbeOutput {
    pub(crate) code: i32,
    pub(crate) output: String,
    pub(crate) errors: String,
}

/// Runs `sendport probe` with an empty configuration.
pub(crate) async fn probe(arguments: &[&str]) -> ProbeOutput {
    probe_configured("", arguments).await
}

/// Runs it on an address, greeting and sending as the scripted servers expect it.
pub(crate) async fn probe_at(address: SocketAddr, arguments: &[&str]) -> ProbeOutput {
    let address = address.to_string();
    let all = [
        &[address.as_str(), "--ehlo", "client.example.test"],
        arguments,
    ];
    probe(&all.concat()).await
}

/// Runs it with a configuration.
pub(crate) async fn probe_configured(config: &str, arguments: &[&str]) -> ProbeOutput {
    let arguments: Vec<String> = arguments.iter().map(|&it| it.to_owned()).collect();
    let config = config.to_owned();
    let run = tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("sendport.toml");
        std::fs::write(&file, config).expect("a configuration");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sendport"));
        command
            .arg("probe")
            .args(arguments)
            .arg("--config")
            .arg(file);
        command.env("PROBE_PASSWORD", super::postfix::PASSWORD);
        let output = command.output().expect("run sendport");
        ProbeOutput {
            code: output.status.code().unwrap_or(-1),
            output: String::from_utf8(output.stdout).expect("text"),
            errors: String::from_utf8(output.stderr).expect("text"),
        }
    });
    run.await.expect("a run")
}

impl ProbeOutput {
    /// Its output is as the file of this name says, and it ended with this code.
    pub(crate) fn is_as_expected(&self, name: &str, code: i32) {
        let shown = format!(
            "{}--\n{}exit code {}\n",
            self.output, self.errors, self.code
        );
        assert!(shown.is_ascii(), "{shown}");
        let shown = masked(&shown);
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/probe/expected")
            .join(format!("{name}.txt"));
        if std::env::var_os(RENEW).is_some() {
            std::fs::write(&file, &shown).expect("to write what is expected");
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(self.code, code, "{shown}");
        assert!(
            flat(&shown) == flat(&expected),
            "{} differs ({RENEW}=1 writes it anew); found:\n{shown}\nexpected:\n{expected}",
            file.display()
        );
    }

    /// It ended with this code and printed all of this.
    pub(crate) fn prints(&self, code: i32, all: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for message in all {
            // A text goes on in the next line.
            assert!(
                flat(&self.output).contains(message),
                "'{message}' is not in:\n{}",
                self.output
            );
        }
    }
}

/// Where a line ends depends on how long a date is.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What differs from run to run.
fn masked(text: &str) -> String {
    static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let mask = |(pattern, shown)| (Regex::new(pattern).expect("a pattern"), shown);
        [
            (r"(?m)^ *[0-9.]+ m?s  ", "    # ms  "),
            (r"(127\.0\.0\.1|\[::1\]):[0-9]+", "$1:PORT"),
            (r"port [0-9]{4,5}", "port PORT"),
            (r"SIZE=[0-9]+", "SIZE=#"),
            (r"content of [0-9]+ bytes", "content of # bytes"),
            (r"Message-ID <[^>]+>", "Message-ID <#>"),
            (r"ENVID=[^ \n]+", "ENVID=#"),
            (r"queued as [0-9A-F]+", "queued as #"),
            (r"spki:[0-9a-f]{64}", "spki:#"),
            (r"[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9:]+Z)?", "DATE"),
            (r"-?[0-9]+ days left", "# days left"),
            (
                r"[A-Z][a-z]{2}, [0-9 ]?[0-9] [A-Z][a-z]{2} [0-9]{4} [0-9:]+ [+-][0-9]{4}",
                "DATE",
            ),
            (r"[A-Z][a-z]{2}\s+[0-9]+\s+[0-9:]+\s+[0-9]{4}\s+GMT", "DATE"),
            (r"took [0-9.]+ s to", "took # s to"),
        ]
        .map(mask)
        .into()
    });
    let mask = |text: String, (pattern, shown): &(Regex, &str)| {
        pattern.replace_all(&text, *shown).into_owned()
    };
    MASKS.iter().fold(text.to_owned(), mask)
}
