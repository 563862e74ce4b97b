//! Tables that never wrap: columns fall away from the right, text is cut, the first column never.

use super::screen::{Screen, Tone};
use super::text::{fit, pad, pad_left, visible};

/// The least width in which the last column still says something.
const LEAST_TEXT: usize = 12;

/// Between two columns.
const GAP: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

pub(super) struct Table {
    headers: Vec<(&'static str, Align)>,
    rows: Vec<(Tone, Vec<String>)>,
}

impl Table {
    /// The last column is text and takes what is left of the width.
    pub(super) fn new(headers: Vec<(&'static str, Align)>) -> Self {
        Self { headers, rows: Vec::new() }
    }

    /// A row; its tone is that of the second column.
    pub(super) fn row(&mut self, tone: Tone, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.headers.len(), "a row has a cell for each column");
        self.rows.push((tone, cells.iter().map(|cell| visible(cell).into_owned()).collect()));
    }

    pub(super) fn print(&self, screen: &mut Screen) {
        let mut widths: Vec<usize> =
            (0..self.headers.len()).map(|column| self.natural(column)).collect();
        shrink(&mut widths, screen.width());
        let header: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        let (before, word, after) = self.line(&header, &widths);
        screen.line(format!("{before}{word}{after}").trim_end());
        for (tone, cells) in &self.rows {
            let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
            let (before, word, after) = self.line(&cells, &widths);
            screen.toned(&before, *tone, &word, &after);
        }
    }

    fn natural(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|(_, cells)| cells[column].chars().count());
        cells.chain([self.headers[column].0.chars().count()]).max().unwrap_or(0)
    }

    /// The line in three parts: the first column, the second (which may be coloured), the rest.
    fn line(&self, cells: &[&str], widths: &[usize]) -> (String, String, String) {
        let mut parts = [String::new(), String::new(), String::new()];
        for (column, width) in widths.iter().enumerate() {
            let text = if column == 0 { cells[0].into() } else { fit(cells[column], *width) };
            let cell = match self.headers[column].1 {
                Align::Left => pad(&text, *width),
                Align::Right => pad_left(&text, *width),
            };
            let part = &mut parts[column.min(2)];
            part.push_str(&cell);
            part.push_str(&" ".repeat(GAP));
        }
        parts.into()
    }
}

/// Fits the widths into `total`: the last column is cut down to its least width, then columns fall away from the
/// right.
fn shrink(widths: &mut Vec<usize>, total: usize) {
    loop {
        let Some((last, others)) = widths.split_last() else { return };
        let taken: usize = others.iter().map(|width| width + GAP).sum();
        let left = total.saturating_sub(taken);
        if others.is_empty() || *last <= left {
            return;
        }
        if left >= LEAST_TEXT {
            let last = widths.len() - 1;
            widths[last] = left;
            return;
        }
        widths.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(width: usize) -> String {
        let mut table = Table::new(vec![
            ("ID", Align::Left),
            ("STATE", Align::Left),
            ("N", Align::Right),
            ("NOTE", Align::Left),
        ]);
        table.row(
            Tone::Bad,
            vec!["github".into(), "failed".into(), "5".into(), "exit 1; one try in 11s".into()],
        );
        table.row(Tone::Good, vec!["geo".into(), "active".into(), "12".into(), String::new()]);
        let (mut screen, printed) = Screen::for_test(width, false);
        table.print(&mut screen);
        printed.text()
    }

    #[test]
    fn columns_fall_away_from_the_right_and_ids_are_never_cut() {
        insta::assert_snapshot!(
            [80, 34, 24, 16, 4]
                .map(|width| format!("{width} columns\n{}", printed(width)))
                .join("\n")
        );
    }
}
