//! The table in docs/relays.md.

use std::fs;
use std::path::{Path, PathBuf};

use super::cell::Cell;
use super::mechanism::Mechanism;

const BEGIN: &str = "<!-- relay-matrix.sh: begin -->\n";
const END: &str = "<!-- relay-matrix.sh: end -->\n";

/// A server with one kind of TLS.
pub(super) struct Row {
    pub(super) server: &'static str,
    pub(super) tls: &'static str,
    pub(super) cells: Vec<Cell>,
}

/// A line for each server and kind of TLS, a column for each mechanism.
pub(super) fn markdown(rows: &[Row]) -> String {
    let names: Vec<_> = Mechanism::columns().map(|name| name.to_string()).collect();
    let mut lines = vec![
        format!("| server | `tls` | {} |", names.join(" | ")),
        format!("|---|---|{}", ":-:|".repeat(names.len())),
    ];
    lines.extend(rows.iter().map(line));
    lines.join("\n") + "\n"
}

fn line(row: &Row) -> String {
    let cells: Vec<_> = row.cells.iter().map(|cell| mark(*cell)).collect();
    format!("| {} | {} | {} |", row.server, row.tls, cells.join(" | "))
}

fn mark(cell: Cell) -> &'static str {
    match cell {
        Cell::Taken => "yes",
        Cell::NotOffered => "-",
        Cell::NeedsTls => "TLS",
        Cell::AuthRequired => "auth",
    }
}

/// What the docs say, of the mechanisms that this build has.
///
/// # Panics
/// Where docs/relays.md does not have the two marks.
#[expect(
    clippy::print_stderr,
    reason = "the person who runs the tests has to read it"
)]
pub(super) fn read() -> String {
    let table = parts().1;
    if cfg!(feature = "gssapi") {
        return table;
    }
    eprintln!("built without the feature gssapi: the last column of docs/relays.md is not checked");
    let without_last = |line: &str| {
        let line = line.trim_end_matches('|');
        line[..=line.rfind('|').unwrap_or_default()].to_owned() + "\n"
    };
    table.lines().map(without_last).collect()
}

/// # Panics
/// In a build that does not have every mechanism.
pub(super) fn write(table: &str) {
    if !cfg!(feature = "gssapi") {
        panic!("to write every column, build with --features gssapi");
    }
    let (before, _, after) = parts();
    let text = [&before, BEGIN, table, END, &after].concat();
    fs::write(file(), text).expect("to write docs/relays.md");
}

/// The text before, between and after the marks.
fn parts() -> (String, String, String) {
    let text = fs::read_to_string(file()).expect("docs/relays.md");
    let (before, rest) = text.split_once(BEGIN).expect("the mark of the beginning");
    let (table, after) = rest.split_once(END).expect("the mark of the end");
    (before.to_owned(), table.to_owned(), after.to_owned())
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/relays.md")
}
