//! Bounces that only a text describes: what the servers of thirty years write, each in its own form.
//!
//! Nothing here knows a server. A text is cut before the copy of the message; the addresses that are left, without the
//! sender's and the servers' own, are ranked by their place in a line; what is near an address is about it.

mod phrases;
mod recipients;

use sendport_core::domain::ReportedOutcome;

use crate::addresses::{self, Found};
use crate::diagnosis::{Diagnosis, Judge};
use crate::header::Header;
use crate::original::{self, Original};
use crate::parts::Part;
use crate::report::{Report, ReportKind, Reported};

/// Bytes of a text that are searched for what it says; a bounce says it in its first lines.
const SEARCHED: usize = 32 * 1024;

/// Reads a message without a part for programs. `None`: it is no bounce.
pub(crate) fn read(
    header: &Header<'_>,
    human: &str,
    parts: &[Part<'_>],
    judge: &Judge<'_>,
) -> Option<Report> {
    let (said, _) = original::cut(beginning(human));
    let signs = signs(header, said);
    if !signs.is_bounce() {
        return None;
    }
    let recipients = recipients(header, human, parts, judge);
    if !signs.is_from_server && recipients.iter().all(|it| it.address().is_none()) {
        return None;
    }
    Some(Report {
        kind: ReportKind::Text,
        message_id: original_of(human, parts).message_id,
        recipients,
        ..Report::default()
    })
}

/// The recipients that a text is about; one without an address where it names none.
pub(crate) fn recipients(
    header: &Header<'_>,
    human: &str,
    parts: &[Part<'_>],
    judge: &Judge<'_>,
) -> Vec<Reported> {
    let original = original_of(human, parts);
    let (said, _) = original::cut(beginning(human));
    let outcome = outcome(header, said);
    let named = recipients::find(header, said, &original);
    let reported = |diagnosis: Diagnosis, address: Option<String>| Reported {
        final_recipient: address,
        ..judge.reported(outcome, diagnosis)
    };
    if named.is_empty() {
        let only = match &original.recipients[..] {
            [only] => Some(only.clone()),
            _ => None,
        };
        return vec![reported(Diagnosis::of(said_by_server(said)), only)];
    }
    let is_only = named.len() == 1;
    let named = named.into_iter().take(Report::MOST_RECIPIENTS);
    named
        .map(|it| {
            let near = Diagnosis::of(&it.said);
            // Some say why before they name the recipient.
            let is_elsewhere = is_only && judge.is_unexplained(&near);
            let diagnosis = match is_elsewhere {
                true => Diagnosis::of(said_by_server(said)),
                false => near,
            };
            reported(diagnosis, Some(it.address))
        })
        .collect()
}

/// What a text for people says about an address: from its line to the line that begins with another one; all of it where
/// it does not name the address.
pub(crate) fn about<'a>(human: &'a str, address: Option<&str>) -> &'a str {
    let (said, _) = original::cut(beginning(human));
    let found = addresses::find(said);
    let is_it =
        |it: &Found<'_>| address.is_some_and(|address| address.eq_ignore_ascii_case(it.address));
    let Some(first) = found.iter().find(|it| is_it(it)) else {
        return said;
    };
    let begins_line = |it: &Found<'_>| {
        let before = &said[line_start(said, it.start)..it.start];
        before
            .trim_matches(|c: char| c.is_whitespace() || c == '<')
            .is_empty()
    };
    let mut others = found.iter().filter(|it| it.start > first.end && !is_it(it));
    let next = others.find(|it| begins_line(it));
    let end = next.map_or(said.len(), |it| line_start(said, it.start).max(first.end));
    &said[line_start(said, first.start)..end]
}

fn original_of(human: &str, parts: &[Part<'_>]) -> Original {
    let in_part = Original::in_parts(parts);
    if in_part.message_id.is_some() || !in_part.recipients.is_empty() {
        return in_part;
    }
    let (_, copy) = original::cut(human);
    Original::read(copy.as_bytes())
}

fn beginning(text: &str) -> &str {
    let end = (0..=SEARCHED.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |it| it + 1)
}

/// The part of a text from the line with a code on, else all of it.
fn said_by_server(said: &str) -> &str {
    let mut at = 0;
    for line in said.split_inclusive('\n') {
        if crate::diagnosis::smtp_code_in(line).is_some()
            || crate::diagnosis::status_in(line).is_some()
        {
            return &said[at..];
        }
        at += line.len();
    }
    said
}

/// What makes a message look like a bounce.
struct Signs {
    /// A server writes.
    is_from_server: bool,
    has_subject: bool,
    has_text: bool,
    /// A list, or an automatic answer that quotes the subject of a notification.
    is_something_else: bool,
}

impl Signs {
    /// Two of three.
    fn is_bounce(&self) -> bool {
        let signs = [self.is_from_server, self.has_subject, self.has_text];
        !self.is_something_else && signs.iter().filter(|it| **it).count() >= 2
    }
}

fn signs(header: &Header<'_>, said: &str) -> Signs {
    let lower = |name: &str| header.text(name).unwrap_or_default().to_lowercase();
    let (from, return_path) = (lower("From"), lower("Return-Path"));
    let is_listed = header.has("X-Failed-Recipients");
    let is_from_server = is_listed
        || addresses::find(&from)
            .iter()
            .any(|it| phrases::is_daemon(it.address))
        || phrases::is_daemon(from.trim_matches(['<', '>', '"', ' ']))
        || from.contains("mail deliver")
        || return_path == "<>"
        || return_path.contains("mailer-daemon");
    let has_text = is_listed || phrases::is_text(&said.to_lowercase());
    let is_answer = lower("Auto-Submitted").starts_with("auto-replied") && !has_text;
    let is_list = header.has("List-Id") || header.has("List-Unsubscribe");
    Signs {
        is_from_server,
        has_subject: phrases::is_subject(&header.subject().to_lowercase()),
        has_text,
        is_something_else: is_answer || is_list,
    }
}

fn outcome(header: &Header<'_>, said: &str) -> ReportedOutcome {
    let text = said.to_lowercase();
    let subject = header.subject().to_lowercase();
    let is_final = [
        "permanent",
        "failed permanently",
        "given up",
        "giving up",
        "has failed",
        "could not be delivered to",
    ]
    .iter()
    .any(|it| text.contains(it));
    if phrases::is_success(&text) && !is_final {
        ReportedOutcome::Delivered
    } else if phrases::is_delay(&subject) || (phrases::is_delay(&text) && !is_final) {
        ReportedOutcome::Delayed
    } else {
        ReportedOutcome::Bounced
    }
}
