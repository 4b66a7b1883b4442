//! Work that takes longer than two seconds shows its progress: on a terminal a line that shows what it is at and for how
//! long, and at its end how long all of it took. Nothing of that goes to programs.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use clap::ArgMatches;
use parking_lot::Mutex;

use super::terminal::{age, is_dumb, say};

/// Shorter work shows no progress.
const SLOW: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_secs(1);

struct Work {
    begun: Option<Instant>,
    at: String,
    /// The line is on the terminal.
    drawn: bool,
}

static WORK: Mutex<Work> = Mutex::new(Work {
    begun: None,
    at: String::new(),
    drawn: false,
});

/// Work begins.
pub(super) fn begin(at: impl Display) {
    *WORK.lock() = Work {
        begun: Some(Instant::now()),
        at: at.to_string(),
        drawn: false,
    };
    if std::io::stderr().is_terminal() && !is_dumb() {
        // Without it nothing but the line is missing.
        let _ = thread::Builder::new().spawn(draw_until_it_ends);
    }
}

/// It goes on with this.
pub(super) fn at(what: impl Display) {
    WORK.lock().at = what.to_string();
}

/// It has ended.
pub(super) fn end() {
    let mut work = WORK.lock();
    clear(&mut work);
    work.begun = None;
}

/// `, in 7 s`, the end of a summary; empty for short work.
pub(super) fn took() -> String {
    let begun = WORK.lock().begun;
    let took = begun.map(|begun| begun.elapsed());
    let took = took.filter(|took| *took >= SLOW);
    took.map_or_else(String::new, |took| {
        format!(", in {}", age(took.as_secs().cast_signed()))
    })
}

/// Says a sum of what took long.
pub(super) fn sum(what: impl Display) {
    let took = took();
    if !took.is_empty() {
        say(format_args!("{what}{took}"));
    }
}

/// Prints something where the line was.
pub(super) fn instead<T>(print: impl FnOnce() -> T) -> T {
    let mut work = WORK.lock();
    clear(&mut work);
    print()
}

/// Whether a program reads the answer.
pub(super) fn is_for_programs(arguments: &ArgMatches) -> bool {
    let json = arguments.try_get_one::<bool>("json").ok().flatten();
    let below = || {
        arguments
            .subcommand()
            .is_some_and(|(_, it)| is_for_programs(it))
    };
    json == Some(&true) || below()
}

fn clear(work: &mut Work) {
    if std::mem::take(&mut work.drawn) {
        let _ = write!(std::io::stderr(), "\r\u{1b}[K");
    }
}

fn draw_until_it_ends() {
    thread::park_timeout(SLOW);
    while draw() {
        thread::park_timeout(STEP);
    }
}

/// False once there is nothing to draw any more.
fn draw() -> bool {
    let mut work = WORK.lock();
    let Some(begun) = work.begun else {
        return false;
    };
    let line = format!(
        "{}, {}",
        work.at,
        age(begun.elapsed().as_secs().cast_signed())
    );
    let columns = terminal_size::terminal_size_of(std::io::stderr());
    let room = columns
        .map_or(80, |(columns, _)| usize::from(columns.0))
        .saturating_sub(1);
    let shown: String = line
        .chars()
        .filter(|c| !c.is_control())
        .take(room)
        .collect();
    work.drawn = true;
    write!(std::io::stderr(), "\r\u{1b}[K{shown}").is_ok()
}
