//! Tables for a terminal: no wider than it, and as wide as their content in a pipe.

use std::fmt;

use super::terminal::{self, Paint};

/// Between two columns, and before the first.
const GAP: usize = 2;
/// No column is made narrower than this; a terminal that is too narrow for it gets a list.
const NARROWEST: usize = 8;

/// Rows under headings.
pub(super) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new<H: Into<String>>(head: impl IntoIterator<Item = H>) -> Self {
        Self {
            head: head.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let clean = |cell: String| {
            cell.split(separates)
                .filter(|it| !it.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        };
        self.rows.push(cells.into_iter().map(clean).collect());
    }

    /// The columns that say something, with the width of their widest cell.
    fn columns(&self) -> Vec<(usize, usize)> {
        let width = |text: &String| text.chars().count();
        let cells = |column: usize| self.rows.iter().filter_map(move |row| row.get(column));
        (0..self.head.len())
            .filter_map(|column| {
                let widest = cells(column).map(width).max().filter(|it| *it > 0)?;
                Some((column, widest.max(width(&self.head[column]))))
            })
            .collect()
    }

    fn shown(&self, room: Option<usize>) -> String {
        if self.rows.is_empty() {
            return "  (nothing)\n".to_owned();
        }
        let mut columns = self.columns();
        if let Some(room) = room
            && !fit(&mut columns, room)
        {
            return self.listed(room);
        }
        let mut text = String::new();
        let names = |column: usize| vec![self.head[column].clone()];
        self.line(&mut text, &columns, &names);
        for (column, width) in &columns {
            text += &format!(
                "{:GAP$}{}",
                "",
                "-".repeat((*width).max(self.head[*column].chars().count()))
            );
        }
        text.push('\n');
        for row in &self.rows {
            let width = |column| {
                columns
                    .iter()
                    .find(|it| it.0 == column)
                    .map_or(NARROWEST, |it| it.1)
            };
            self.line(&mut text, &columns, &|column| {
                wrapped(&row[column], width(column))
            });
        }
        text
    }

    /// One row, as many lines as its highest cell has.
    fn line(
        &self,
        text: &mut String,
        columns: &[(usize, usize)],
        cell: &dyn Fn(usize) -> Vec<String>,
    ) {
        let cells: Vec<_> = columns.iter().map(|(column, _)| cell(*column)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(1);
        for at in 0..height {
            let mut line = String::new();
            for ((column, width), cell) in columns.iter().zip(&cells) {
                let part = cell.get(at).map_or("", String::as_str);
                let padded = format!("{part:width$}");
                line += &format!("{:GAP$}{}", "", self.painted(*column, part, padded));
            }
            *text += line.trim_end();
            text.push('\n');
        }
    }

    fn painted(&self, column: usize, cell: &str, padded: String) -> String {
        match Paint::of_word(&self.head[column], cell) {
            Some(paint) => padded.replacen(cell, &terminal::painted(paint, cell), 1),
            None => padded,
        }
    }

    /// A line for each cell.
    fn listed(&self, room: usize) -> String {
        let mut text = String::new();
        for row in &self.rows {
            for (head, cell) in self.head.iter().zip(row).filter(|it| !it.1.is_empty()) {
                for line in wrapped(
                    &format!("{head}: {cell}"),
                    room.saturating_sub(GAP).max(NARROWEST),
                ) {
                    text += &format!("{:GAP$}{line}\n", "");
                }
            }
            text.push('\n');
        }
        text
    }
}

/// Takes from the widest columns until the line fits; false if it cannot.
fn fit(columns: &mut [(usize, usize)], room: usize) -> bool {
    loop {
        let needed: usize = columns.iter().map(|(_, width)| width + GAP).sum();
        if needed <= room {
            return true;
        }
        let widest = columns.iter_mut().max_by_key(|(_, width)| *width);
        let Some((_, width)) = widest.filter(|(_, width)| *width > NARROWEST) else {
            return false;
        };
        *width -= 1;
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown(terminal::width()))
    }
}

/// Control characters cannot disturb the terminal.
fn separates(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// The lines of a text; a word that is longer than a line is cut.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let words = text.split(separates).filter(|word| !word.is_empty());
    for part in words.flat_map(|word| parts(word, width)) {
        let last = lines.len() - 1;
        let used = lines[last].chars().count();
        if used == 0 {
            lines[last] = part;
        } else if used + 1 + part.chars().count() <= width {
            lines[last].push(' ');
            lines[last].push_str(&part);
        } else {
            lines.push(part);
        }
    }
    lines
}

fn parts(word: &str, width: usize) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    letters
        .chunks(width.max(1))
        .map(|part| part.iter().collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["A", "Empty", "Reason"]);
        table.row(["1".into(), String::new(), "word ".repeat(30)]);
        table.row(["2".into(), String::new(), "x".repeat(100)]);
        table
    }

    #[test]
    fn a_table_fits_the_terminal_and_is_wide_in_a_pipe() {
        for room in [40, 60, 80, 132] {
            let text = table().shown(Some(room));
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(room), "{room}:\n{text}");
            assert_eq!(text.matches("word").count(), 30, "{text}");
            assert_eq!(text.matches('x').count(), 100, "{text}");
            assert!(!text.contains("Empty"), "{text}");
        }
        assert_eq!(table().shown(None).lines().count(), 4, "a line a row");
    }

    #[test]
    fn a_terminal_that_is_too_narrow_gets_a_list() {
        let text = table().shown(Some(12));
        assert!(
            text.starts_with("  A: 1\n  Reason:\n  word word\n"),
            "{text}"
        );
    }

    #[test]
    fn a_cell_cannot_disturb_the_terminal() {
        let mut table = Table::new(["A"]);
        table.row(["x\u{1b}[2Jy\nz".into()]);
        assert!(!table.shown(None).contains('\u{1b}'));
    }
}
