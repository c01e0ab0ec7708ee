//! The table of figures.

use std::{fmt, thread};

/// Whether this is the build that figures are judged in.
const IS_RELEASE: bool = !cfg!(debug_assertions);

/// Figures of one run.
pub(super) struct Table {
    short: bool,
    sample: String,
    rows: Vec<Row>,
}

/// One figure.
pub(super) struct Row {
    pub(super) figure: String,
    pub(super) value: String,
    /// What it is compared with, from the same run.
    pub(super) baseline: String,
    pub(super) ratio: String,
    pub(super) target: Option<Target>,
}

pub(super) struct Target {
    text: String,
    met: bool,
}

impl Target {
    pub(super) fn at_least(value: f64, least: f64, text: impl Into<String>) -> Self {
        Self { text: text.into(), met: value >= least }
    }

    pub(super) fn at_most(value: f64, most: f64, text: impl Into<String>) -> Self {
        Self { text: text.into(), met: value <= most }
    }
}

impl Row {
    /// A figure without a baseline or a target.
    pub(super) fn plain(figure: impl Into<String>, value: impl Into<String>) -> Self {
        Self { figure: figure.into(), value: value.into(), baseline: String::new(), ratio: String::new(), target: None }
    }

    pub(super) fn against(self, baseline: impl Into<String>, ratio: impl Into<String>) -> Self {
        Self { baseline: baseline.into(), ratio: ratio.into(), ..self }
    }

    pub(super) fn target(self, target: Target) -> Self {
        Self { target: Some(target), ..self }
    }

    fn cells(&self) -> [String; 6] {
        let (target, met) = match &self.target {
            Some(Target { text, .. }) if !IS_RELEASE => (text.clone(), "-"),
            Some(Target { text, met: true }) => (text.clone(), "yes"),
            Some(Target { text, met: false }) => (text.clone(), "NO"),
            None => (String::new(), ""),
        };
        let Self { figure, value, baseline, ratio, .. } = self;
        [figure.clone(), value.clone(), baseline.clone(), ratio.clone(), target, met.to_owned()]
    }
}

impl Table {
    pub(super) fn new(short: bool, sample: &str) -> Self {
        Self { short, sample: sample.to_owned(), rows: Vec::new() }
    }

    /// Adds a row, and shows it at once to whoever waits.
    pub(super) fn add(&mut self, row: Row) {
        eprintln!("  {}", row.cells().join("   ").trim_end());
        self.rows.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let profile = if IS_RELEASE { "release" } else { "TEST BUILD, a quarter of the load: no target is judged" };
        let size = if self.short { "short: fewer viewers, fewer seconds" } else { "full" };
        writeln!(f, "\n{size}; {cores} cores, shared with the load generator; {profile}; text: {}\n", self.sample)?;
        let head = ["figure", "value", "baseline, same run", "ratio", "target", "met"].map(str::to_owned);
        let rows: Vec<_> = [head].into_iter().chain(self.rows.iter().map(Row::cells)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 6] = std::array::from_fn(width);
        for (number, row) in rows.iter().enumerate() {
            let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(f, "{}", cells.join(" | ").trim_end())?;
            if number == 0 {
                writeln!(f, "{}", widths.map(|width| "-".repeat(width)).join("-|-"))?;
            }
        }
        let missed: Vec<_> = self.rows.iter().filter(|row| row.is_missed()).map(|row| row.figure.as_str()).collect();
        if !IS_RELEASE {
            writeln!(f, "\nevery benchmark ran; targets are judged by `make bench`")
        } else if missed.is_empty() {
            writeln!(f, "\nevery target is met")
        } else {
            writeln!(f, "\nMISSED: {}", missed.join("; "))
        }
    }
}

impl Row {
    fn is_missed(&self) -> bool {
        self.target.as_ref().is_some_and(|target| !target.met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_target_stands_out_where_targets_are_judged() {
        let mut table = Table::new(true, "made up");
        table.add(Row::plain("speed", "5").against("10", "0.50").target(Target::at_least(0.5, 0.9, "≥ 0.90")));
        table.add(Row::plain("size", "5").target(Target::at_most(5.0, 5.0, "≤ 5")));
        let text = table.to_string();
        assert!(text.contains("short"), "{text}");
        if IS_RELEASE {
            assert!(text.contains("speed  | 5     | 10                 | 0.50  | ≥ 0.90 | NO"), "{text}");
            assert!(text.contains("≤ 5    | yes") && text.contains("MISSED: speed\n"), "{text}");
        } else {
            assert!(text.contains("speed  | 5     | 10                 | 0.50  | ≥ 0.90 | -"), "{text}");
            assert!(text.contains("TEST BUILD") && !text.contains("MISSED"), "{text}");
        }
    }
}
