//! The session as a log file, without secrets.

use super::event::{Event, EventKind};

/// The lines of an event with its time in UTC: `C:` is the client, `S:` the server, `*` neither.
pub fn dialogue_lines(event: &Event) -> Vec<String> {
    let at = sendport_core::clock::format(event.at, "%Y-%m-%dT%H:%M:%S%.3fZ");
    let lines = lines_of(&event.what).into_iter();
    lines.map(|line| format!("{at} {line}")).collect()
}

fn lines_of(what: &EventKind) -> Vec<String> {
    match what {
        EventKind::Note { text } => vec![format!("* {text}")],
        EventKind::Command { line } => vec![format!("C: {line}")],
        EventKind::Reply { lines } => lines.iter().map(|it| format!("S: {}", it.text)).collect(),
        EventKind::Certificates { chain } => {
            let line = |it: &super::Certificate| {
                format!(
                    "* certificate of '{}' by '{}', {} to {}",
                    it.subject, it.issuer, it.not_before, it.not_after
                )
            };
            chain.iter().map(line).collect()
        }
        // The reply is already there.
        EventKind::Refusal { refusal } if refusal.code != 0 => Vec::new(),
        EventKind::Refusal { refusal } => vec![format!("* {}", refusal.reply())],
        EventKind::Warning(warning) => vec![format!("* warning: {}", warning.text)],
    }
}
