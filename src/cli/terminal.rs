//! Output for people: the width of the terminal, colors, ages, and lines on standard output.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use sendport_core::domain::Timestamp;

use super::progress;

/// When to use colors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Even in a pipe
    Always,
    /// Never
    Never,
}

static CHOSEN: OnceLock<Color> = OnceLock::new();

impl Color {
    /// Sets the choice of the command line for the whole process.
    pub(super) fn choose(self) {
        let _ = CHOSEN.set(self);
    }

    /// Whether a stream has colors, by the command line and `NO_COLOR` (no-color.org).
    pub(super) fn on(stream: &impl IsTerminal) -> bool {
        match CHOSEN.get().copied().unwrap_or_default() {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let unwanted = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
                stream.is_terminal() && !unwanted && !is_dumb()
            }
        }
    }
}

/// The terminal supports no escape sequences.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|it| it == "dumb")
}

/// The meaning of a status, shown as a color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Good,
    Notice,
    Bad,
}

impl Paint {
    /// The color of a cell, if its column has statuses.
    pub(super) fn of_word(column: &str, word: &str) -> Option<Self> {
        if !["Status", "Condition", "State"].contains(&column) {
            return None;
        }
        match word {
            "relayed" | "closed" | "running" => Some(Self::Good),
            "delayed" | "held" | "partial" | "half_open" => Some(Self::Notice),
            "failed" | "expired" | "cancelled" | "open" | "paused" | "lost" => Some(Self::Bad),
            _ => None,
        }
    }
}

/// The text in color, if standard output has colors.
pub(super) fn painted(paint: Paint, text: &str) -> String {
    if !Color::on(&std::io::stdout()) {
        return text.to_owned();
    }
    let code = match paint {
        Paint::Good => 32,
        Paint::Notice => 33,
        Paint::Bad => 31,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// Columns of the terminal; `None` in a pipe or a file.
pub(super) fn width() -> Option<usize> {
    let stdout = std::io::stdout();
    let (columns, _) = terminal_size::terminal_size_of(&stdout)?;
    Some(usize::from(columns.0))
}

/// The first error of writing to standard output.
static OUTPUT_ERROR: OnceLock<std::io::Error> = OnceLock::new();

/// Prints one line on standard output. A closed pipe is ignored; [`output_failure`] returns any other error.
pub(super) fn say(line: impl Display) {
    let written = progress::instead(|| writeln!(std::io::stdout(), "{line}"));
    note_output(written);
}

/// Keeps the first error of writing. A closed pipe is no error.
pub(super) fn note_output(written: std::io::Result<()>) {
    if let Err(error) = written
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        let _ = OUTPUT_ERROR.set(error);
    }
}

/// The failure of a command whose output could not be written.
pub(super) fn output_failure() -> Option<super::Failure> {
    note_output(std::io::stdout().flush());
    let error = OUTPUT_ERROR.get()?;
    Some(super::Failure::Other(format!(
        "standard output cannot be written: {error}"
    )))
}

/// Prints a note on standard error, beside the result.
pub(super) fn note(line: impl Display) {
    let _ = progress::instead(|| writeln!(std::io::stderr(), "sendport: note: {line}"));
}

/// Writes bytes to standard output unchanged. A closed pipe is ignored.
pub(super) fn put(bytes: &[u8]) -> Result<(), super::Failure> {
    match progress::instead(|| std::io::stdout().write_all(bytes)) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// In UTC, in full seconds: `2026-11-30 09:08:51Z`.
pub(super) fn short_time(at: Timestamp) -> String {
    sendport_core::clock::format(at, "%Y-%m-%d %H:%M:%SZ")
}

/// `45 s`, `19 min`, `3 h 20 min`, `2 d 4 h`.
pub(super) fn age(seconds: i64) -> String {
    let two = |large: i64, unit: &str, small: i64, below: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {below}"),
    };
    match seconds.max(0) {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min", s / 60),
        s @ 3600..86_400 => two(s / 3600, "h", s % 3600 / 60, "min"),
        s => two(s / 86_400, "d", s % 86_400 / 3600, "h"),
    }
}

/// A time and its distance from now: `2026-11-30 09:08:51Z (19 min ago)`.
pub(super) fn when(at: Timestamp, now: Timestamp) -> String {
    let seconds = (now - at).num_seconds();
    let away = age(seconds.abs());
    let away = if seconds < 0 {
        format!("in {away}")
    } else {
        format!("{away} ago")
    };
    format!("{} ({away})", short_time(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_shown_in_words() {
        for (seconds, words) in [
            (-3, "0 s"),
            (59, "59 s"),
            (1140, "19 min"),
            (3600, "1 h"),
            (12_000, "3 h 20 min"),
            (187_200, "2 d 4 h"),
        ] {
            assert_eq!(age(seconds), words);
        }
    }
}
