//! Events and findings as lines of a terminal: ASCII, and nothing that could disturb it.

use sendport_core::domain::Address;
use sendport_smtp::mail_hosts::{MailDomain, MailHost, Route, Service};

use crate::probe::{Certificate, Event, EventKind, Phase, Refusal, ReplyLine, Report};

/// Texts go on in another line here.
const WIDTH: usize = 84;

/// Column of what a line means.
const MEANING: usize = 30;

/// Time and step in front of each line.
pub(super) fn event(event: &Event) -> Vec<String> {
    let took = event.took_ms.map(time).unwrap_or_default();
    let head = format!("{took:>8}  {:<9} ", event.phase);
    let mut lines = body(&event.what).into_iter();
    let first = lines.next().unwrap_or_default();
    let more = lines.map(|line| format!("{:>20} {line}", ""));
    let all = std::iter::once(format!("{head} {first}")).chain(more);
    all.map(|line| plain(line.trim_end())).collect()
}

fn body(what: &EventKind) -> Vec<String> {
    match what {
        EventKind::Note { text } => indented("  ", text),
        EventKind::Command { line } => vec![format!("> {line}")],
        EventKind::Reply { lines } => lines.iter().map(heard).collect(),
        EventKind::Certificates { chain } => {
            chain.iter().enumerate().flat_map(certificate).collect()
        }
        EventKind::Refusal { refusal } => refused(refusal),
        EventKind::Warning(warning) => indented("! ", &warning.text),
    }
}

fn heard(line: &ReplyLine) -> String {
    match &line.meaning {
        Some(meaning) => format!("< {:<MEANING$} {meaning}", line.text),
        None => format!("< {}", line.text),
    }
}

fn certificate((at, shown): (usize, &Certificate)) -> Vec<String> {
    let names = match shown.names.is_empty() {
        true => shown.subject.clone(),
        false => shown.names.join(", "),
    };
    let what = match at {
        0 => format!("certificate for {names}"),
        _ => format!("of the authority {}", shown.subject),
    };
    let issued = format!(
        "issued by {}, valid {} to {}, {} days left",
        shown.issuer,
        sendport_core::clock::format(shown.not_before, "%Y-%m-%d"),
        sendport_core::clock::format(shown.not_after, "%Y-%m-%d"),
        shown.days_left
    );
    let mut lines = indented("  ", &what);
    lines.extend(indented("    ", &issued));
    if at == 0 {
        lines.push(format!("    pin {}", shown.pin));
    }
    lines
}

/// A reply is printed above already.
fn refused(refusal: &Refusal) -> Vec<String> {
    let mut lines = Vec::new();
    if refusal.code == 0 || refusal.explanation.is_none() {
        lines.extend(indented("  ", &refusal.reply()));
    }
    if let Some(it) = &refusal.explanation {
        lines.extend(indented("  cause: ", &it.cause));
        lines.extend(indented("  to do: ", &it.advice));
        lines.push(format!("  fault: {} ({})", it.fault.as_str(), it.key));
    }
    lines
}

fn time(millis: u64) -> String {
    match millis {
        0..10_000 => format!("{millis} ms"),
        _ => format!("{}.{} s", millis / 1000, millis / 100 % 10),
    }
}

/// The first line begins with `head`, the others are as far in.
fn indented(head: &str, text: &str) -> Vec<String> {
    let mut lines = vec![head.to_owned()];
    for word in text.split_ascii_whitespace() {
        let last = lines.len() - 1;
        let fits = lines[last].chars().count() + word.chars().count() < WIDTH;
        let begins = lines[last].trim_end().len() <= head.trim_end().len();
        if !fits && !begins {
            lines.push(format!("{}{word}", " ".repeat(head.len())));
            continue;
        }
        if !lines[last].ends_with(' ') {
            lines[last].push(' ');
        }
        lines[last].push_str(word);
    }
    lines
}

/// Nothing but printable ASCII and Latin letters: a server could otherwise write what it likes on
/// the terminal.
pub(super) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' | '\u{c0}'..='\u{17f}' => shown.push(c),
            other => shown.extend(other.escape_unicode()),
        }
    }
    shown
}

/// What it came to, in one line.
pub(super) fn verdict(report: &Report, asked: &[Address], until: &str) -> String {
    let accepted = report.accepted.join(", ");
    match report.failed {
        Some(phase) if report.in_doubt() => {
            return format!(
                "failed at {phase}; it may have been taken. {}",
                next_look(report)
            );
        }
        Some(phase) if accepted.is_empty() => return format!("failed at {phase}"),
        Some(phase) if report.sent => {
            return format!(
                "failed at {phase}; sent to {accepted}. {}",
                next_look(report)
            );
        }
        Some(phase @ Phase::Rcpt) => {
            return format!("failed at {phase}; would accept mail for {accepted}");
        }
        Some(phase) => return format!("failed at {phase}"),
        None => {}
    }
    if report.sent {
        return format!("sent to {accepted}. {}", next_look(report));
    }
    match asked.is_empty() || report.accepted.is_empty() {
        true => format!("went well up to {until}; nothing was sent"),
        false => format!("would accept mail for {accepted}; nothing was sent (--send sends)"),
    }
}

/// A server that took a message has not delivered it yet.
fn next_look(report: &Report) -> String {
    let id = report.message_id.as_deref().unwrap_or_default();
    format!(
        "Whether it is delivered, the server's log or message tracking says, by Message-ID {id}"
    )
}

/// What the DNS says of a domain.
pub(super) fn mail_domain(found: &MailDomain) -> Vec<String> {
    let domain = &found.domain;
    let mut lines = match &found.route {
        Route::Hosts { hosts } => hosts.iter().map(mx).collect(),
        Route::Implicit { host } => vec![
            format!("{domain} has no MX: mail goes to its own addresses (RFC 5321 section 5.1)"),
            mx(host),
        ],
        Route::NullMx => vec![format!(
            "{domain} has a null MX (MX 0 .): it says that it takes no mail at all (RFC 7505)"
        )],
        Route::NoDomain => vec![format!("there is no domain {domain}")],
        Route::Failed { why } => vec![format!("the MX of {domain} cannot be looked up: {why}")],
    };
    lines.extend(found.submission.iter().map(service));
    lines.iter().map(|line| plain(line)).collect()
}

fn mx(host: &MailHost) -> String {
    let addresses: Vec<_> = host.addresses.iter().map(ToString::to_string).collect();
    let where_to = match &host.problem {
        Some(problem) => format!("no address: {problem}"),
        None => addresses.join(", "),
    };
    format!("MX   {:>5}  {}: {where_to}", host.preference, host.name)
}

fn service(service: &Service) -> String {
    let what = match service.service {
        "_submissions._tcp" => "submission over TLS (RFC 8314), tls = \"implicit\"",
        _ => "submission (RFC 6186), tls = \"starttls\"",
    };
    match service.target.is_empty() {
        true => format!("SRV         {}: says that there is none", service.service),
        false => format!(
            "SRV  {:>5}  {}:{}: {what}",
            service.priority, service.target, service.port
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Server;

    #[test]
    fn a_message_that_may_have_been_taken_is_named() {
        let report = Report {
            failed: Some(Phase::Content),
            server: Server::default(),
            extensions: Vec::new(),
            certificates: Vec::new(),
            accepted: vec!["ops@b.test".to_owned()],
            sent: false,
            message_id: Some("<1@a.test>".to_owned()),
            refusals: Vec::new(),
            warnings: Vec::new(),
            events: Vec::new(),
        };
        let text = verdict(&report, &[], "content");
        assert!(text.contains("may have been taken"), "{text}");
        assert!(text.ends_with("by Message-ID <1@a.test>"), "{text}");
    }

    #[test]
    fn a_server_cannot_write_on_the_terminal() {
        let shown = plain("250 \u{1b}[2Jh\u{e4}i\u{202e}");
        assert_eq!(shown, "250 \\u{1b}[2Jh\u{e4}i\\u{202e}");
    }

    #[test]
    fn long_texts_go_on_below_their_first_word() {
        let lines = indented("  cause: ", &"word ".repeat(40));
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= WIDTH));
        assert!(lines[0].starts_with("  cause: word"));
        assert!(lines[1].starts_with("         word"));
        let one = "x".repeat(200);
        assert_eq!(indented("! ", &one), [format!("! {one}")]);
    }
}
