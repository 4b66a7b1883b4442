//! The log: tracing on standard error, for people or as JSON.
//!
//! Messages are constant and fields carry the facts; no secret is ever a field. Addresses are
//! masked where they are written, and once more in the finished line: the words of servers and
//! of rows hold some too.

use std::borrow::Cow;
use std::io::{self, Write};

use regex::bytes::{Captures, Regex};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::fmt::SubscriberBuilder;

use crate::config::{LogConfig, LogFormat};

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A word that is no level.
    #[error(
        "log.level: '{0}' is not a level; write error, warn, info, debug, trace or off, or \
         <module>=<level>"
    )]
    Level(String),
    /// The directives as a whole.
    #[error("log.level: '{directives}' cannot be read: {source}")]
    Directives {
        /// As configured.
        directives: String,
        /// Why.
        source: ParseError,
    },
    /// The pattern that masks addresses.
    #[error(transparent)]
    Mask(#[from] regex::Error),
}

/// Starts logging. `RUST_LOG` wins over the configured level.
///
/// # Errors
/// [`LogError`].
pub fn init(config: &LogConfig, colors: bool) -> Result<(), LogError> {
    let filter = directives(config)?;
    let masks = masks()?;
    let builder = SubscriberBuilder::default()
        .with_env_filter(filter)
        .with_writer(move || RedactedFields(masks.clone()));
    // Fails only if a log was started before, as tests do.
    let _ = match config.format {
        LogFormat::Human => builder.with_ansi(colors).with_target(false).try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            // The list of spans has it too.
            .with_current_span(false)
            .try_init(),
    };
    Ok(())
}

/// What is logged.
///
/// # Errors
/// [`LogError`].
pub fn directives(config: &LogConfig) -> Result<EnvFilter, LogError> {
    let variable = std::env::var("RUST_LOG").ok();
    let directives = variable
        .filter(|level| !level.trim().is_empty())
        .unwrap_or_else(|| config.level.clone());
    check(&directives)?;
    // The TDS client logs what it also returns; the store says it once, and in context.
    EnvFilter::try_new(format!("tiberius=off,{directives}"))
        .map_err(|source| LogError::Directives { directives, source })
}

/// Standard error, with the addresses in each line masked. A line that cannot be written is lost: nobody may fail of it.
struct RedactedFields(Regex);

impl Write for RedactedFields {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // The subscriber would report an error on standard error, and panic where that fails too.
        let _written = io::stderr().write_all(&masked(&self.0, line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _flushed = io::stderr().flush();
        Ok(())
    }
}

/// The first character of a local part, an escape of JSON in front of it, and the rest.
fn masks() -> Result<Regex, regex::Error> {
    Regex::new(r#"(\\u[0-9a-f]{4}|\\.)?([^ \t\r\n<>"'(),;:=\\@])[^ \t\r\n<>"'(),;:=\\@]*@"#)
}

fn masked<'l>(masks: &Regex, line: &'l [u8]) -> Cow<'l, [u8]> {
    masks.replace_all(line, |found: &Captures<'_>| {
        let part = |n| found.get(n).map_or(&b""[..], |part| part.as_bytes());
        let end = found.get(0).map_or(line.len(), |whole| whole.end());
        let local = &part(0)[part(1).len()..];
        let local = local.strip_suffix(b"@").unwrap_or(local);
        match is_no_address(local, &line[end..]) {
            true => part(0).to_owned(),
            false => [part(1), part(2), b"***@"].concat(),
        }
    })
}

/// What files and units are called; no domain ends like this.
const ENDINGS: [&[u8]; 19] = [
    b"pem",
    b"crt",
    b"cer",
    b"der",
    b"p7b",
    b"p7c",
    b"p12",
    b"pfx",
    b"key",
    b"crl",
    b"keytab",
    b"password",
    b"secret",
    b"token",
    b"toml",
    b"json",
    b"eml",
    b"service",
    b"socket",
];

/// Services of Kerberos principals.
const SERVICES: [&[u8]; 4] = [b"smtp", b"mssqlsvc", b"ldap", b"host"];

/// A path, a file, a Message-ID of ours or a Kerberos principal: what is on both sides of the @.
fn is_no_address(local: &[u8], after: &[u8]) -> bool {
    let is_path = local.starts_with(b"/") && !local.starts_with(b"//");
    let word = |c: &u8| !b" \t\r\n<>\"'(),;:=\\@/".contains(c);
    let domain = after.iter().take_while(|c| word(c)).count();
    let domain = &after[..domain];
    let domain = domain.strip_suffix(b".").unwrap_or(domain);
    let ending = domain.rsplit(|c| *c == b'.').next().unwrap_or_default();
    let is_file = ending.len() < domain.len() && ENDINGS.contains(&&*ending.to_ascii_lowercase());
    let id = local.get(..36).and_then(|id| std::str::from_utf8(id).ok());
    let is_message_id = id.is_some_and(|id| uuid::Uuid::try_parse(id).is_ok());
    let service = local.split(|c| *c == b'/').next().unwrap_or_default();
    let is_service = SERVICES.iter().any(|it| service.eq_ignore_ascii_case(it));
    is_path || is_file || is_message_id || is_service
}

/// The filter would take a word that is no level for the name of a module, and log nothing else.
fn check(directives: &str) -> Result<(), LogError> {
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok() && !word.is_empty();
    let unknown = |word: &&str| !word.contains(['=', '[']) && !is_level(word);
    match directives.split(',').map(str::trim).find(unknown) {
        None => Ok(()),
        Some(word) => Err(LogError::Level(word.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_texts_of_others_are_masked() {
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
    fn text_without_an_address_is_not_redacted() {
        let masks = masks().unwrap();
        for line in [
            "what=\"/etc/sendport/certs/ops@contoso.example.pem: expected PEM, found HTML\"",
            "what=certs/ops@contoso.example.CRT. why",
            r#"{"file":"C:\\certs\\ops@contoso.example.p12"}"#,
            "file=/run/credentials/sendport@prod.service/password",
            "unit=sendport@prod.service",
            "message_id=<0f8fad5b-d9cb-469f-a165-70867728950e.ec-aes-256-gcm@contoso.com>",
            "no ticket for smtp@mail.contoso.com, SMTP/mail.contoso.com@CONTOSO.COM",
        ] {
            let found = masked(&masks, line.as_bytes()).into_owned();
            assert_eq!(String::from_utf8(found).unwrap(), line);
        }
        for (line, shown) in [
            (
                "proxy=http://alice@proxy:3128",
                "proxy=http:/***@proxy:3128",
            ),
            ("to=smtpadmin@x.org", "to=s***@x.org"),
            ("to=bob@pem", "to=b***@pem"),
            ("a@b@x.pem", "a***@b@x.pem"),
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
            "info,sendport_smtp=debug",
            "sendport=trace",
        ] {
            assert!(check(known).is_ok(), "{known}");
        }
        for unknown in ["", "verbose", "info,verbos", "info,"] {
            assert!(matches!(check(unknown), Err(LogError::Level(_))));
        }
    }
}
