//! The table of `docs/degraded-modes.md`, read from the page, so that the tests and the page cannot differ.

use barrage_e2e::cluster::Role;

const PAGE: &str = include_str!("../../../docs/degraded-modes.md");
const HEADING: &str =
    "| What is down | Sender | Viewer | Who joins | History, ranking by API | `/readyz` | Metric | Afterwards |";

/// A row: what the page says that happens.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) down: &'static str,
    /// `acknowledged` or ``told `retry` ``.
    pub(crate) sender: &'static str,
    /// `goes on` or `stands still`.
    pub(crate) viewer: &'static str,
    /// `with history` or `without history`.
    pub(crate) joins: &'static str,
    /// `200` or `503`.
    pub(crate) api: &'static str,
    /// Checks that are not as they should be.
    pub(crate) readyz: Vec<(Role, &'static str)>,
    /// Metrics that rise.
    pub(crate) metrics: Vec<(Role, &'static str)>,
}

/// All rows of the page.
pub(crate) fn rows() -> Vec<Row> {
    let table = PAGE.split_once(HEADING).expect("the page has its table").1;
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines.map(row).collect()
}

fn row(line: &'static str) -> Row {
    let cells: Vec<&'static str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [down, sender, viewer, joins, api, readyz, metrics, _afterwards] = cells.as_slice() else {
        panic!("a row has eight cells: {line}");
    };
    Row { down, sender, viewer, joins, api, readyz: named(readyz), metrics: named(metrics) }
}

/// ``gateway `log`, consumer `reading` ``.
fn named(cell: &'static str) -> Vec<(Role, &'static str)> {
    let one = |text: &'static str| {
        let (role, name) = text.trim().split_once(' ')?;
        let role = [Role::Gateway, Role::Consumer, Role::Ranker].into_iter().find(|one| one.to_string() == role)?;
        Some((role, name.strip_prefix('`')?.strip_suffix('`')?))
    };
    cell.split(',').filter(|text| *text != "none").map(|text| one(text).unwrap_or_else(|| panic!("{text}"))).collect()
}
