//! Delivery status notifications: `message/delivery-status` (RFC 3464) and `message/global-delivery-status` (RFC 6533).

use sendport_core::domain::{EnhancedStatusCode, ReportedOutcome, Timestamp};

use crate::addresses;
use crate::diagnosis::{Diagnosis, Judge, one_line, status_in};
use crate::header::Header;
use crate::original::Original;
use crate::report::{Report, ReportKind, Reported};

/// Characters of a name, an address or an id that a report gives.
const LONGEST_VALUE: usize = 400;

/// Reads the part. `None`: it says nothing about any recipient.
pub(crate) fn read(
    part: &str,
    human: &str,
    original: &Original,
    judge: &Judge<'_>,
) -> Option<Report> {
    let groups = groups(part);
    let groups: Vec<_> = groups
        .iter()
        .map(|it| Header::read(it.as_bytes()))
        .collect();
    let of_message = groups.first()?;
    // Some write the fields of the first recipient without the empty line before them.
    let groups = groups.iter().filter(|it| is_of_recipient(it));
    let reporting_mta = typed(of_message, "Reporting-MTA");
    let recipients: Vec<_> = groups
        .take(Report::MOST_RECIPIENTS)
        .map(|group| recipient(group, human, original, judge))
        .collect();
    if recipients.is_empty() {
        return None;
    }
    let arrival = ["X-Original-Message-ID", "Original-Message-ID"];
    let named = arrival.iter().find_map(|name| of_message.text(name));
    Some(Report {
        kind: ReportKind::DeliveryStatus,
        envelope_id: of_message
            .text("Original-Envelope-Id")
            .filter(|it| is_short(it)),
        message_id: original
            .message_id
            .clone()
            .or(named.and_then(|it| crate::original::message_id(&it))),
        reporting_mta,
        recipients,
        ..Report::default()
    })
}

/// Groups of fields between empty lines.
fn groups(part: &str) -> Vec<String> {
    let mut groups = vec![String::new()];
    for line in part.lines() {
        let is_empty = line.trim().is_empty();
        let last = groups.last_mut();
        match last {
            Some(last) if !is_empty => {
                last.push_str(line);
                last.push_str("\r\n");
            }
            Some(last) if !last.is_empty() => groups.push(String::new()),
            _ => {}
        }
        if groups.len() > Report::MOST_RECIPIENTS + 2 {
            break;
        }
    }
    groups
}

fn is_of_recipient(group: &Header<'_>) -> bool {
    [
        "Final-Recipient",
        "Original-Recipient",
        "Action",
        "X-Actual-Recipient",
        "Final-rcpt",
    ]
    .iter()
    .any(|name| group.has(name))
}

fn is_short(value: &str) -> bool {
    (1..=LONGEST_VALUE).contains(&value.chars().count())
}

/// The value behind the type: `dns; mx.contoso.com`.
fn typed(group: &Header<'_>, name: &str) -> Option<String> {
    let value = group.text(name)?;
    let value = value.split_once(';').map_or(&*value, |(_, value)| value);
    // A comment may follow (RFC 5322 section 3.2.2).
    let value = value.split(" (").next().unwrap_or_default().trim();
    is_short(value).then(|| one_line(value))
}

/// An address behind its type: `rfc822; jo@contoso.com`, `utf-8; j\x{F6}@contoso.com`.
pub(crate) fn address(group: &Header<'_>, name: &str) -> Option<String> {
    let value = group.text(name)?;
    let value = unescaped(value.split_once(';').map_or(&*value, |(_, value)| value));
    let found = addresses::find(&value)
        .last()
        .map(|it| it.address.to_owned());
    // A local user has no domain.
    let name = value.trim().trim_matches(['<', '>', '"']);
    let name = (is_short(name) && !name.contains(char::is_whitespace)).then(|| name.to_owned());
    found.or(name)
}

/// `\x{...}` of RFC 6533 section 3.
fn unescaped(value: &str) -> String {
    let mut pieces = value.split("\\x{");
    let mut decoded = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let hex = piece.split_once('}');
        let char = hex.and_then(|(hex, _)| char::from_u32(u32::from_str_radix(hex, 16).ok()?));
        match (char, hex) {
            (Some(char), Some((_, rest))) => {
                decoded.push(char);
                decoded.push_str(rest);
            }
            _ => {
                decoded.push_str("\\x{");
                decoded.push_str(piece);
            }
        }
    }
    decoded
}

fn recipient(group: &Header<'_>, human: &str, original: &Original, judge: &Judge<'_>) -> Reported {
    let final_recipient = ["Final-Recipient", "X-Actual-Recipient"]
        .iter()
        .find_map(|name| address(group, name));
    let original_recipient = address(group, "Original-Recipient");
    let status = group.text("Status").and_then(|it| status_in(&it));
    let diagnosis = diagnosis(group, human, status, final_recipient.as_deref());
    let outcome = outcome(
        &group.text("Action").unwrap_or_default(),
        status,
        &diagnosis,
    );
    let mut reported = judge.reported(outcome, diagnosis);
    let only = || match &original.recipients[..] {
        [only] => Some(only.clone()),
        _ => None,
    };
    let is_named = final_recipient.is_some() || original_recipient.is_some();
    reported.final_recipient = if is_named { final_recipient } else { only() };
    reported.original_recipient = original_recipient;
    reported.remote_mta = typed(group, "Remote-MTA");
    reported.at = date(group, "Last-Attempt-Date");
    reported.retry_until = date(group, "Will-Retry-Until");
    reported
}

fn date(group: &Header<'_>, name: &str) -> Option<Timestamp> {
    group.date(name)
}

/// What the last server said; where the part does not say it, the text for people does.
fn diagnosis(
    group: &Header<'_>,
    human: &str,
    status: Option<EnhancedStatusCode>,
    address: Option<&str>,
) -> Diagnosis {
    let said = [
        "Diagnostic-Code",
        "X-Diagnostic-Code",
        "X-Notes",
        "X-PostfixDiagnostic",
    ]
    .iter()
    .find_map(|name| group.text(name));
    let said = said.as_deref().map_or("", |it| {
        // `smtp; 550 ...`: a type is one word.
        match it.split_once(';') {
            Some((kind, text)) if !kind.trim().contains(' ') => text,
            _ => it,
        }
    });
    let comment = group.text("Status").unwrap_or_default();
    let comment = comment.split_once(' ').map_or("", |(_, comment)| comment);
    let mut diagnosis = match (said.trim().is_empty(), comment.is_empty()) {
        (false, _) => Diagnosis::of(said),
        (true, false) => Diagnosis::of(comment),
        (true, true) => Diagnosis::of(crate::text::about(human, address)),
    };
    let says = |it: &EnhancedStatusCode| (it.subject, it.detail) != (0, 0);
    // The field is the reporting server's; a code that the last server gave may say more.
    diagnosis.status = status.filter(says).or(diagnosis.status).or(status);
    diagnosis
}

/// `Action` (RFC 3464 section 2.3.3); where it is missing, the class of the status decides.
fn outcome(
    action: &str,
    status: Option<EnhancedStatusCode>,
    diagnosis: &Diagnosis,
) -> ReportedOutcome {
    let word = action
        .split(|c: char| !c.is_ascii_alphabetic())
        .find(|it| !it.is_empty());
    let class = status.or(diagnosis.status).map_or(5, |it| it.class);
    match &*word.unwrap_or_default().to_ascii_lowercase() {
        "failed" | "failure" | "fail" => ReportedOutcome::Bounced,
        "delayed" | "delay" | "deferred" => ReportedOutcome::Delayed,
        "delivered" | "success" => ReportedOutcome::Delivered,
        "relayed" | "expanded" => ReportedOutcome::RelayedOn,
        _ if class == 2 => ReportedOutcome::Delivered,
        _ if class == 4 => ReportedOutcome::Delayed,
        _ => ReportedOutcome::Bounced,
    }
}
