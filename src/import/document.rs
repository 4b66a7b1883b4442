//! Writes the configuration of an import.

use std::fmt::Write as _;

use sendport_core::byte_size::ByteSize;
use sendport_smtp::settings::tls::TlsMode;

use super::carry::{
    FixedRetry, ImportedConfig, ImportedPort, ImportedRelay, Protection, RelayLogin,
};
use super::names;

/// Longest line of a comment.
const WIDTH: usize = 100;

/// What a section without `max_age` has.
const DEFAULT_MAX_AGE_SECONDS: u64 = 2 * 24 * 3600;

/// Default of `attachments.max_total_size`.
const DEFAULT_MAX_TOTAL_SIZE: u64 = 25_000_000;

/// A name that a person replaces: the source does not contain it.
const PLACEHOLDER_ACCOUNT: &str = "DOMAIN\\account";

pub(super) fn write(made: &ImportedConfig) -> String {
    let mut out = String::new();
    comment(&mut out, "", &format!("Imported from {}.", made.source));
    comment(
        &mut out,
        "",
        "Add [database] and environment, or move these sections into your configuration; then run \
         `sendport check`.",
    );
    write_findings(&mut out, made);
    if let Some(level) = made.log_level {
        section(&mut out, &["log"]);
        key(&mut out, "level", level);
    }
    for relay in &made.relays {
        write_relay(&mut out, relay);
    }
    for port in &made.send_ports {
        write_port(&mut out, port);
    }
    out
}

fn write_findings(out: &mut String, made: &ImportedConfig) {
    if made.findings.is_empty() {
        return;
    }
    out.push_str("#\n");
    comment(out, "", "Not carried over, or not unchanged:");
    for finding in &made.findings {
        comment(out, "- ", &format!("{}: {}", finding.what, finding.text));
    }
}

fn write_relay(out: &mut String, relay: &ImportedRelay) {
    section(out, &["relay", &relay.name]);
    key(out, "kind", "smtp");
    key(out, "host", &relay.host);
    let _ = writeln!(out, "port = {}", relay.port);
    let tls = match relay.tls {
        TlsMode::None => "none",
        TlsMode::Opportunistic => "opportunistic",
        TlsMode::Starttls => "starttls",
        TlsMode::Implicit => "implicit",
    };
    key(out, "tls", tls);
    let (mechanism, username) = match &relay.login {
        RelayLogin::None => return,
        RelayLogin::Basic { username } => ("auto", username.as_str()),
        RelayLogin::WindowsAccount => ("ntlm", PLACEHOLDER_ACCOUNT),
    };
    section(out, &["relay", &relay.name, "auth"]);
    key(out, "mechanism", mechanism);
    key(out, "username", username);
    if let Some(file) = &relay.password_file {
        key(out, "password_file", file);
    }
}

fn write_port(out: &mut String, port: &ImportedPort) {
    out.push('\n');
    for remark in &port.remarks {
        comment(out, "", remark);
    }
    let below = |name: &'static str| ["send_port", port.name.as_str(), name];
    header(out, &["send_port", &port.name]);
    key(out, "from", &port.from.to_string());
    list(out, "relays", &port.relays);
    if !port.allow_principals.is_empty() {
        list(out, "allow_principals", &port.allow_principals);
    }
    if let Some(charset) = port.charset {
        key(out, "charset", charset.name());
    }
    if port.asks_for_receipts {
        out.push_str("dsn_notify = [\"success\", \"failure\", \"delay\"]\n");
    }
    if port.biztalk_macros {
        out.push_str("biztalk_macros = true\n");
    }
    let protection = port.protection.and_then(word_of);
    if let Some(word) = protection {
        key(out, "protection", word);
    }
    if let Some(age) = port.retry.and_then(max_age) {
        key(out, "max_age", &duration(age));
    }
    if let Some(retry) = port.retry {
        section(out, &below("retry"));
        let _ = writeln!(out, "attempts = {}", retry.attempts);
        key(out, "first_delay", &duration(retry.delay_seconds));
        key(out, "longest_delay", &duration(retry.delay_seconds));
        out.push_str("jitter = 0.0\n");
    }
    if let Some(window) = &port.window {
        section(out, &below("delivery_window"));
        key(out, "time_zone", &window.time_zone);
        let [from, to] = [&window.from, &window.to].map(|it| quoted(it));
        let _ = writeln!(out, "open = [{{ from = {from}, to = {to} }}]");
    }
    write_attachments(out, port);
    if let Some(form) = port.protection.and_then(|it| it.signature) {
        section(out, &below("signing"));
        let file = names::file_name(&port.name);
        key(out, "certificate_file", &format!("{file}.signing.pem"));
        key(out, "form", form);
    }
    if port.protection.is_some_and(|it| it.encrypts) {
        section(out, &below("encryption"));
    }
}

fn write_attachments(out: &mut String, port: &ImportedPort) {
    let Some(limits) = &port.attachments else {
        return;
    };
    section(out, &["send_port", &port.name, "attachments"]);
    if let Some(size) = limits.max_size {
        let size_text = |bytes| ByteSize(bytes).to_string();
        key(out, "max_size", &size_text(size));
        if size > DEFAULT_MAX_TOTAL_SIZE {
            key(out, "max_total_size", &size_text(size));
        }
    }
    if let Some(extensions) = &limits.forbidden_extensions {
        list(out, "forbidden_extensions", extensions);
    }
}

/// The minimum protection, by its word.
fn word_of(protection: Protection) -> Option<&'static str> {
    match (protection.signature.is_some(), protection.encrypts) {
        (true, true) => Some("sign+encrypt"),
        (true, false) => Some("sign"),
        (false, true) => Some("encrypt"),
        (false, false) => None,
    }
}

/// Seconds, where the default would end before the last attempt.
fn max_age(retry: FixedRetry) -> Option<u64> {
    let all = u64::from(retry.attempts).saturating_mul(retry.delay_seconds);
    (all > DEFAULT_MAX_AGE_SECONDS).then_some(all)
}

/// In the largest unit that leaves no rest.
fn duration(seconds: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let fits = |(unit, _): &&(u64, &str)| seconds >= *unit && seconds.is_multiple_of(*unit);
    let unit = units.iter().find(fits);
    unit.map_or_else(
        || "0s".to_owned(),
        |(unit, letter)| format!("{}{letter}", seconds / unit),
    )
}

/// A blank line, and the header of a table.
fn section(out: &mut String, path: &[&str]) {
    out.push('\n');
    header(out, path);
}

fn header(out: &mut String, path: &[&str]) {
    let path: Vec<_> = path.iter().map(|name| table_name(name)).collect();
    let _ = writeln!(out, "[{}]", path.join("."));
}

/// A bare key, or a quoted one.
fn table_name(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !name.is_empty() && name.chars().all(bare) {
        true => name.to_owned(),
        false => quoted(name),
    }
}

fn key(out: &mut String, name: &str, value: &str) {
    let _ = writeln!(out, "{name} = {}", quoted(value));
}

fn list(out: &mut String, name: &str, values: &[String]) {
    let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
    let _ = writeln!(out, "{name} = [{}]", values.join(", "));
}

/// A basic string of one line (TOML 1.0, String).
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Lines of comment, the first with `mark`; a line break of the source cannot end it.
fn comment(out: &mut String, mark: &str, text: &str) {
    let visible: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let indent = " ".repeat(mark.len());
    let mut line = format!("# {mark}");
    let mut is_empty = true;
    for word in visible.split_whitespace() {
        if !is_empty && line.chars().count() + word.chars().count() >= WIDTH {
            let _ = writeln!(out, "{}", line.trim_end());
            line = format!("# {indent}");
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    let _ = writeln!(out, "{}", line.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_read_back_as_it_was() {
        for text in ["", "a b", "a\"b\\c", "x\r\ny\u{7f}\u{0}", "größe \u{202e}"] {
            let read: toml::Table = format!("k = {}", quoted(text)).parse().expect(text);
            assert_eq!(read["k"].as_str(), Some(text));
        }
    }

    #[test]
    fn a_comment_ends_at_no_line_break_of_its_text() {
        let mut out = String::new();
        comment(&mut out, "- ", "a\n[relay.evil]\r\u{2028}b");
        assert!(out.lines().all(|line| line.starts_with('#')), "{out}");
        assert_eq!(out.lines().count(), 1, "{out}");
        comment(&mut out, "- ", &"word ".repeat(60));
        assert!(out.lines().all(|line| line.starts_with("# ")), "{out}");
        assert!(out.lines().all(|line| line.len() <= WIDTH), "{out}");
    }

    #[test]
    fn durations_are_in_their_largest_unit() {
        for (seconds, text) in [
            (0, "0s"),
            (5000, "5000s"),
            (300, "5m"),
            (7200, "2h"),
            (86_400, "1d"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn a_long_series_of_attempts_needs_a_longer_age() {
        let retry = |attempts| FixedRetry {
            attempts,
            delay_seconds: 300,
        };
        assert_eq!(max_age(retry(4)), None);
        assert_eq!(max_age(retry(1001)), Some(300_300));
    }
}
