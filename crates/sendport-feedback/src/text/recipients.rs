//! Which addresses of a text are recipients, and what it says about each.

use super::{line_start, phrases};
use crate::addresses::{self, Found};
use crate::header::Header;
use crate::original::Original;

/// A recipient that a text names.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) address: String,
    /// What the text says about it.
    pub(super) said: String,
}

/// The rank of an address that has a line of its own.
const OWN_LINE: u8 = 5;

/// Bytes about one recipient that are read.
const LONGEST: usize = 4096;

/// The recipients, in their order; none where the text names none.
pub(super) fn find(header: &Header<'_>, said: &str, original: &Original) -> Vec<Named> {
    let own = own_addresses(header, original);
    let is_other = |it: &Found<'_>| {
        let address = it.address.to_lowercase();
        !own.contains(&address) && !phrases::is_daemon(&address) && !is_message_id(said, it)
    };
    let all = addresses::find(said);
    let found: Vec<_> = all.iter().copied().filter(is_other).collect();
    let listed = header.text("X-Failed-Recipients");
    let listed = listed.map(|it| addresses::all(&it)).unwrap_or_default();
    if !listed.is_empty() {
        return listed
            .into_iter()
            .map(|it| named(said, &found, it))
            .collect();
    }
    let best = best(said, &found, original);
    if best.is_empty() {
        // Who mails itself is named like any other recipient.
        let is_named = |it: &&Found<'_>| rank(said, it, original) >= 2 * OWN_LINE;
        let own = all.iter().find(is_named).map(|it| it.address.to_owned());
        return own.into_iter().map(|it| named(said, &all, it)).collect();
    }
    best.into_iter().map(|it| named(said, &found, it)).collect()
}

/// The addresses whose place in a line is the best that occurs; none that the text names as a sender or a help desk.
fn best(said: &str, found: &[Found<'_>], original: &Original) -> Vec<String> {
    let ranks: Vec<_> = found.iter().map(|it| rank(said, it, original)).collect();
    let ranked = || found.iter().zip(&ranks);
    let is_original = |address: &str| {
        original
            .recipients
            .iter()
            .any(|to| to.eq_ignore_ascii_case(address))
    };
    let others: Vec<_> = ranked()
        .filter(|(it, rank)| **rank == 0 && !is_original(it.address))
        .map(|(it, _)| it.address)
        .take(20)
        .collect();
    let ranked = || ranked().filter(|(it, rank)| **rank > 0 && !others.contains(&it.address));
    let Some(best) = ranked().map(|(_, rank)| *rank).max() else {
        return Vec::new();
    };
    let mut recipients: Vec<String> = Vec::new();
    for (it, _) in ranked().filter(|(_, rank)| **rank == best) {
        let is_known = recipients
            .iter()
            .any(|known| known.eq_ignore_ascii_case(it.address));
        if !is_known && recipients.len() < crate::Report::MOST_RECIPIENTS {
            recipients.push(it.address.to_owned());
        }
    }
    recipients
}

/// The sender of the message, to whom the report goes: never its recipient, unless it mailed itself.
fn own_addresses(header: &Header<'_>, original: &Original) -> Vec<String> {
    let fields = ["To", "From", "Delivered-To", "Envelope-To", "X-Original-To"];
    let texts = fields.iter().filter_map(|name| header.text(name));
    let own = texts
        .flat_map(|it| addresses::all(&it))
        .chain(original.senders.iter().cloned());
    let is_recipient = |it: &String| {
        original
            .recipients
            .iter()
            .any(|to| to.eq_ignore_ascii_case(it))
    };
    own.filter(|it| !is_recipient(it))
        .map(|it| it.to_lowercase())
        .collect()
}

fn is_message_id(said: &str, it: &Found<'_>) -> bool {
    let line = &said[line_start(said, it.start)..it.start];
    let label = line.trim().to_lowercase();
    label.starts_with("message-id")
        || label.starts_with("message id")
        || label.starts_with("in-reply-to")
}

/// How a line looks that names a recipient; 0: it does not.
fn rank(said: &str, it: &Found<'_>, original: &Original) -> u8 {
    let start = line_start(said, it.start);
    let before = said[start..it.start]
        .trim_matches(|c: char| c.is_whitespace() || "<*\"'([-\u{2022}".contains(c));
    let before = before.to_lowercase();
    let after = said[it.end..].trim_start_matches(['>', '"', '\'', ')', ']']);
    let after = after.lines().next().unwrap_or_default().trim();
    let is_in_original = original
        .recipients
        .iter()
        .any(|to| to.eq_ignore_ascii_case(it.address));
    let is_sender = ["from", "sender", "reply-to", "envelope-from", "mail from"]
        .iter()
        .any(|label| {
            let is_field = before.starts_with(label) && !before.contains('@');
            is_field || before.trim_end_matches([':', ' ']).ends_with(label)
        });
    let is_help = [
        "contact",
        "help",
        "questions",
        "e-mail to",
        "write to",
        "forward",
        "send mail to",
        "assistance",
        "support",
    ]
    .iter()
    .any(|word| before.contains(word));
    if is_sender || (is_help && !is_in_original) {
        return 0;
    }
    let is_first = before.is_empty() || before.ends_with("mailto:");
    // `To:` alone is a field of the message.
    let is_labelled = !matches!(&*before, "to" | "to:" | "cc:")
        && [
            "to",
            "to:",
            "recipient",
            "recipient:",
            "address",
            "address:",
            "for",
            "user",
            "rcpt to:",
            "rcpt to: ",
            "recipients:",
            "adresse",
            "adresse:",
            "failed",
            "e-mail:",
            "email:",
            "original address:",
            "addressed to:",
        ]
        .iter()
        .any(|label| before.trim_end().ends_with(label));
    let base = if is_first && (after.is_empty() || after.starts_with(':')) {
        OWN_LINE
    } else if is_first {
        4
    } else if is_labelled {
        3
    } else {
        2
    };
    // Bcc is not in the header: an address of its own line counts without it.
    2 * base + u8::from(is_in_original && base <= 3)
}

/// What a text says about an address: from the line that names it first to the line that names another one, and where it
/// names the address in a list of addresses, what follows the list.
fn named(said: &str, found: &[Found<'_>], address: String) -> Named {
    let mut of_it = found
        .iter()
        .filter(|it| it.address.eq_ignore_ascii_case(&address));
    let Some(first) = of_it.next() else {
        let said = super::said_by_server(said).to_owned();
        return Named { address, said };
    };
    let start = line_start(said, first.start);
    let other = found
        .iter()
        .find(|it| it.start > first.end && !it.address.eq_ignore_ascii_case(&address))
        .map(|it| line_start(said, it.start).max(first.end));
    let end = other.unwrap_or(said.len());
    let section = bounded(&said[start..end]);
    let own = section.replace(first.address, " ");
    let says = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count() > 3;
    let line = bounded(&said[start..]);
    let text = if says(&own) {
        section
    } else if other.is_none() {
        // Nothing after it: what precedes it says why.
        bounded(said)
    } else {
        line
    };
    Named {
        said: text.to_owned(),
        address,
    }
}

fn bounded(text: &str) -> &str {
    let end = (0..=LONGEST.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}
