//! The part for people.

use std::fmt::Write as _;

use sendport_core::clock::utc_text;
use sendport_core::domain::ReportAction;

use super::{DeliveryReport, ReportedRecipient, one_line};

/// Recipients with their replies; all of them are in the part for programs.
const MOST_SHOWN: usize = 50;

/// Characters of a reply or a subject.
const LONGEST: usize = 500;

/// Columns of a line.
const LINE: usize = 76;

/// The part, with its header section.
pub(super) fn part(report: &DeliveryReport<'_>) -> Vec<u8> {
    let text = text(report);
    let kind = match text.is_ascii() {
        true => "Content-Type: text/plain; charset=us-ascii\r\n",
        false => "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
    };
    format!("{kind}Content-Description: Notification\r\n\r\n{text}").into_bytes()
}

fn text(report: &DeliveryReport<'_>) -> String {
    let (what, next) = words(report);
    let mut text = paragraph(&format!(
        "This is the mail service of {}. {what}",
        report.reporting_mta
    ));
    for recipient in report.recipients.iter().take(MOST_SHOWN) {
        text += &shown(recipient);
    }
    let more = report.recipients.len().saturating_sub(MOST_SHOWN);
    if more > 0 {
        let _ = write!(
            text,
            "\r\n  and {more} more, which the second part of this report lists\r\n"
        );
    }
    text += "\r\n";
    text += &paragraph(&next);
    text += "\r\nThe message:\r\n";
    if let Some(subject) = report.subject {
        text += &indented(&format!("Subject: {}", one_line(subject, LONGEST)));
    }
    text += &indented(&format!("Submitted: {}", utc_text(report.arrival)));
    text += &indented(&format!(
        "Message-ID: {}",
        one_line(report.message_id, LONGEST)
    ));
    text
}

/// What happened, and what happens next.
fn words(report: &DeliveryReport<'_>) -> (String, String) {
    let one = report.recipients.len() == 1;
    let whom = if one {
        "this recipient"
    } else {
        "these recipients"
    };
    match report.action {
        ReportAction::Failed => (
            format!("Your message was not delivered to {whom}:"),
            "Nothing more is tried. Correct the cause and send the message again.".to_owned(),
        ),
        ReportAction::Delayed => (
            format!("Your message is late for {whom}:"),
            match report.retry_until {
                Some(until) => format!(
                    "You need not send it again: it is tried until {}. If it cannot be delivered by then, another \
                     report says so.",
                    utc_text(until)
                ),
                None => "You need not send it again: it is tried again.".to_owned(),
            },
        ),
        ReportAction::Relayed => (
            format!("Your message was passed on for {whom}:"),
            "The next mail server accepted it, but sends no reports of success: nobody reports whether the message \
             reaches the mailbox."
                .to_owned(),
        ),
    }
}

fn shown(recipient: &ReportedRecipient) -> String {
    let mut text = format!("\r\n{}", indented(&one_line(&recipient.address, LONGEST)));
    if let Some(reply) = &recipient.reply {
        let said = match (&recipient.remote_mta, recipient.is_of_relay) {
            (Some(name), true) => format!(
                "{} replied: {}",
                one_line(name, LONGEST),
                one_line(reply, LONGEST)
            ),
            _ => one_line(reply, LONGEST),
        };
        for line in wrapped(&said, LINE - 4) {
            let _ = write!(text, "    {line}\r\n");
        }
    }
    text
}

fn paragraph(text: &str) -> String {
    let lines = wrapped(text, LINE).into_iter();
    lines.map(|line| line + "\r\n").collect()
}

fn indented(text: &str) -> String {
    format!("  {text}\r\n")
}

/// Lines of at most `width` characters; a longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if column + 1 + length <= width => {
                line.push(' ');
                line.push_str(word);
                column += 1 + length;
            }
            _ => {
                lines.push(word.to_owned());
                column = length;
            }
        }
    }
    lines
}
