//! What became of a message after a relay took it: reads the reports that come back.
//!
//! [`read`] makes a [`Report`] of the bytes of one message: a delivery status notification (RFC 3464, RFC 6533), a
//! disposition notification (RFC 8098), a complaint (RFC 5965), a bounce in one of the many forms that follow no
//! standard, or an automatic answer, which is no bounce. A report is a claim of whoever sent it: only the token of the
//! return path ([`TokenKeys`]) proves which transaction it is about.
//!
//! No I/O. Time and memory are bounded whatever the bytes are.

mod addresses;
mod auto_reply;
mod complaint;
mod delivery_status;
mod diagnosis;
mod disposition;
mod envelope;
mod header;
mod original;
mod parts;
mod report;
mod text;
mod token;

pub use report::{Report, ReportKind, Reported};
pub use token::{Expiry, ReturnPath, ReturnPathError, Token, TokenError, TokenKey, TokenKeys};

use sendport_core::replies::ReplyTable;

use diagnosis::Judge;
use header::Header;
use original::Original;
use parts::Part;

/// So much of a message is read. A report says what it has to say before the message that it returns, of which only the
/// header is of interest; who fetches a message can stop here.
pub const READ_BYTES: usize = 1 << 20;

/// Reads one message. `bounces` classifies what the servers said: [`ReplyTable::of_bounces`].
pub fn read(message: &[u8], bounces: &ReplyTable) -> Report {
    let is_truncated = message.len() > READ_BYTES;
    let parts = parts::read(&message[..message.len().min(READ_BYTES)]);
    let judge = Judge { table: bounces };
    let header = &parts[0].header;
    let human = human_text(&parts);
    let mut report = by_type(&parts, &human, &judge)
        .or_else(|| text::read(header, &human, &parts, &judge))
        .or_else(|| auto_reply::read(header, &judge))
        .unwrap_or_default();
    report.is_truncated = is_truncated;
    report.date = header.date("Date");
    report.references = references(header);
    envelope::read(header, &mut report);
    report
}

/// A report with a part for programs.
fn by_type(parts: &[Part<'_>], human: &str, judge: &Judge<'_>) -> Option<Report> {
    let original = Original::in_parts(parts);
    parts.iter().find_map(|part| match &*part.essence {
        "message/delivery-status" | "message/global-delivery-status" => {
            let found = delivery_status::read(&part.text(), human, &original, judge);
            found.map(|report| with_text(report, parts, human, judge))
        }
        "message/disposition-notification" | "message/global-disposition-notification" => {
            Some(disposition::read(&part.text(), &original))
        }
        "message/feedback-report" => Some(complaint::read(&part.text(), &original)),
        _ => None,
    })
}

/// The part for programs may lack what the part for people says.
fn with_text(mut report: Report, parts: &[Part<'_>], human: &str, judge: &Judge<'_>) -> Report {
    let names = |it: &Reported| it.address().is_some();
    if report.recipients.iter().any(names) {
        return report;
    }
    let from_text = text::recipients(&parts[0].header, human, parts, judge);
    if from_text.iter().any(names) {
        report.recipients = from_text;
    }
    report
}

/// The texts for people: the plain ones, else the HTML.
fn human_text(parts: &[Part<'_>]) -> String {
    let of = |essence: &str| -> String {
        let texts = parts.iter().filter(|it| it.essence == essence);
        texts.map(Part::text).collect::<Vec<_>>().join("\n")
    };
    let plain = of("text/plain");
    match plain.trim().is_empty() {
        false => plain,
        true => mail_parser::decoders::html::html_to_text(&of("text/html")),
    }
}

/// Messages that this one answers: a hint, no proof.
fn references(header: &Header<'_>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let fields = ["In-Reply-To", "References"].map(|name| header.text(name).unwrap_or_default());
    for id in fields.iter().flat_map(|it| it.split_whitespace()) {
        let is_id = id.starts_with('<') && id.ends_with('>') && id.len() < 1000;
        if is_id && !found.iter().any(|it| it == id) && found.len() < 20 {
            found.push(id.to_owned());
        }
    }
    found
}
