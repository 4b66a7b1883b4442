//! The log: tracing on standard error, for people or as JSON.
//!
//! Messages are constant and fields carry the facts; no secret is ever a field. Addresses are
//! masked where they are written, and once more in the finished line: the words of servers and
//! of rows hold some too.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use regex::bytes::Regex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::SubscriberBuilder;

use crate::config::{LogConfig, LogFormat};

/// Starts logging. `RUST_LOG` wins over the configured level.
///
/// # Errors
/// A sentence about the directive that cannot be read.
pub fn init(config: &LogConfig) -> Result<(), String> {
    let filter = directives(config)?;
    let masks = masks().map_err(|error| error.to_string())?;
    let builder = SubscriberBuilder::default()
        .with_env_filter(filter)
        .with_writer(move || Masked(masks.clone()));
    // Fails only if a log was started before, as tests do.
    let _ = match config.format {
        LogFormat::Human => builder
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// What is logged.
///
/// # Errors
/// A sentence about the directive that cannot be read.
pub fn directives(config: &LogConfig) -> Result<EnvFilter, String> {
    let variable = std::env::var("RUST_LOG").ok();
    let directives = variable
        .filter(|level| !level.trim().is_empty())
        .unwrap_or_else(|| config.level.clone());
    check(&directives)?;
    // The TDS client logs what it also returns; the store says it once, and in context.
    EnvFilter::try_new(format!("tiberius=off,{directives}"))
        .map_err(|error| format!("log.level: '{directives}' cannot be read: {error}"))
}

/// Standard error, with the addresses in each line masked.
struct Masked(Regex);

impl Write for Masked {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(&masked(&self.0, line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The first character of a local part, an escape of JSON in front of it, and the rest.
fn masks() -> Result<Regex, regex::Error> {
    Regex::new(r#"(\\u[0-9a-f]{4}|\\.)?([^ \t\r\n<>"'(),;:=\\@])[^ \t\r\n<>"'(),;:=\\@]*@"#)
}

fn masked<'l>(masks: &Regex, line: &'l [u8]) -> Cow<'l, [u8]> {
    masks.replace_all(line, &b"$1$2***@"[..])
}

/// A word that is no level would be taken for the name of a module, and all else be silent.
fn check(directives: &str) -> Result<(), String> {
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok() && !word.is_empty();
    let unknown = |word: &&str| !word.contains(['=', '[']) && !is_level(word);
    match directives.split(',').map(str::trim).find(unknown) {
        None => Ok(()),
        Some(word) => Err(format!(
            "log.level: '{word}' is not a level; write error, warn, info, debug, trace or off, \
             or <module>=<level>"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_somebody_elses_words_is_masked() {
        let masks = masks().unwrap();
        for (line, shown) in [
            (
                "WARN what=\"554 <bob@x.org>: denied\" to=eve@x.org",
                "WARN what=\"554 <b***@x.org>: denied\" to=e***@x.org",
            ),
            ("sender=a***@contoso.com", "sender=a***@contoso.com"),
            (
                r#"{"a":"\u001bbob@x.org\nü.e@x.org"}"#,
                r#"{"a":"\u001bb***@x.org\nü***@x.org"}"#,
            ),
            ("no address", "no address"),
        ] {
            let found = masked(&masks, line.as_bytes()).into_owned();
            assert_eq!(String::from_utf8(found).unwrap(), shown);
        }
    }

    #[test]
    fn a_level_that_is_none_is_refused_and_not_silent() {
        for known in [
            "info",
            "DEBUG",
            "off",
            "info,sendport::smtp=debug",
            "sendport=trace",
        ] {
            assert_eq!(check(known), Ok(()));
        }
        for unknown in ["", "verbose", "info,verbos", "info,"] {
            assert!(check(unknown).unwrap_err().contains("is not a level"));
        }
    }
}
