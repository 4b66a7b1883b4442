//! Tables for a terminal: as wide as their content, long cells wrapped at words.

use std::fmt;

use crate::domain::Timestamp;

/// A cell is no wider than this.
const WIDEST: usize = 44;

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
        self.rows.push(cells.into_iter().collect());
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let widest = cells
            .flat_map(|cell| wrapped(cell))
            .map(|line| line.chars().count())
            .max();
        widest.unwrap_or(0).max(self.head[column].chars().count())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.is_empty() {
            return writeln!(f, "  (nothing)");
        }
        let used = |column: &usize| {
            self.rows
                .iter()
                .any(|row| row.get(*column).is_some_and(|c| !c.is_empty()))
        };
        let columns: Vec<(usize, usize)> = (0..self.head.len())
            .filter(used)
            .map(|c| (c, self.width(c)))
            .collect();
        let line = |f: &mut fmt::Formatter<'_>, cell: &dyn Fn(usize) -> String| {
            let cells: Vec<_> = columns
                .iter()
                .map(|(c, width)| format!("{:width$}", cell(*c)))
                .collect();
            writeln!(f, "  {}", cells.join("  ").trim_end())
        };
        line(f, &|column| self.head[column].clone())?;
        let widths: std::collections::HashMap<_, _> = columns.iter().copied().collect();
        line(f, &|column| "-".repeat(widths[&column]))?;
        for row in &self.rows {
            let cells: Vec<Vec<String>> = row.iter().map(|cell| wrapped(cell)).collect();
            let height = columns
                .iter()
                .map(|(c, _)| cells[*c].len())
                .max()
                .unwrap_or(1);
            for at in 0..height {
                line(f, &|column| {
                    cells[column].get(at).cloned().unwrap_or_default()
                })?;
            }
        }
        Ok(())
    }
}

/// The lines of a cell; control characters cannot disturb the terminal.
fn wrapped(cell: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in cell
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
    {
        let last = lines.len() - 1;
        let length = lines[last].chars().count();
        if length == 0 {
            lines[last] = word.to_owned();
        } else if length + 1 + word.chars().count() <= WIDEST {
            lines[last].push(' ');
            lines[last].push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// To the second, as people compare it with their logs.
pub(super) fn short_time(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_cells_wrap_at_words_and_empty_columns_are_left_out() {
        let mut table = Table::new(["A", "Empty", "B"]);
        table.row(["1".into(), String::new(), "word ".repeat(12)]);
        let text = table.to_string();
        assert!(!text.contains("Empty"), "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= WIDEST + 10),
            "{text}"
        );
        assert_eq!(text.matches("word").count(), 12);
    }

    #[test]
    fn a_cell_cannot_disturb_the_terminal() {
        let mut table = Table::new(["A"]);
        table.row(["x\u{1b}[2Jy\nz".into()]);
        assert!(!table.to_string().contains('\u{1b}'));
    }
}
