//! Guard against header injection: checks every column that is written into a header before
//! anything is built.

use sendport_core::domain::Alert;

use super::MimeError;

/// Refuses control characters in the columns that are written into headers. A tab counts as a space;
/// white space around a value is ignored, including line breaks.
pub(super) fn check_columns(alert: &Alert, subject: &str) -> Result<(), MimeError> {
    let lists = [
        ("ToRecipients", &alert.to_recipients),
        ("CcRecipients", &alert.cc_recipients),
        ("BccRecipients", &alert.bcc_recipients),
    ];
    for (column, list) in lists {
        // Any other control character fails only its entry.
        let breaks = |c: char| matches!(c, '\r' | '\n' | '\0');
        refuse(column, list.as_deref().unwrap_or_default(), breaks)?;
    }
    let optional = [
        ("FromAddress", &alert.from_address),
        ("ReplyTo", &alert.reply_to),
        ("Subject", &alert.subject),
        ("AlertName", &alert.alert_name),
    ];
    for (column, value) in optional {
        check(column, value.as_deref().unwrap_or_default())?;
    }
    check("Subject", subject)
}

/// Refuses control characters in one value.
pub(super) fn check(column: &str, value: &str) -> Result<(), MimeError> {
    refuse(column, value, |c| c.is_control() && c != '\t')
}

fn refuse(column: &str, value: &str, bad: impl Fn(char) -> bool) -> Result<(), MimeError> {
    let around = value.chars().take_while(|c| c.is_whitespace()).count();
    let found = value
        .trim()
        .chars()
        .zip(around + 1..)
        .find(|&(c, _)| bad(c));
    match found {
        None => Ok(()),
        Some((c, position)) => Err(MimeError::HeaderInjection {
            column: column.to_owned(),
            found: match c {
                '\r' => "a carriage return (CR)".to_owned(),
                '\n' => "a line feed (LF)".to_owned(),
                '\0' => "a NUL".to_owned(),
                c => format!("the control character U+{:04X}", u32::from(c)),
            },
            position,
        }),
    }
}
