//! The route table as an engineer reads it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use barrage_cluster::membership::Member;
use barrage_core::{link::Peer, routes::Table};
use barrage_proto::heat::report::Role;

/// The table, and by `alive` who is there; `None` when that is not known.
pub(super) fn text(pool: &str, table: &Table, alive: Option<&[Member]>) -> String {
    let seen = Seen { table, alive };
    let mode = if table.manual { "manual: no operator changes it" } else { "auto" };
    let mut text = format!(
        "pool {pool}, epoch {}, {mode}; {} partitions, each room on {}; {} rooms\n",
        table.epoch,
        table.partition_count(),
        table.placement().spread(),
        table.rooms.all().len()
    );
    let sections = [Some(consumers(&seen)), Some(rankers(&seen)), gateways(&seen)];
    for rows in sections.into_iter().flatten() {
        text.push('\n');
        align(&mut text, &rows);
    }
    text
}

struct Seen<'a> {
    table: &'a Table,
    alive: Option<&'a [Member]>,
}

impl Seen<'_> {
    fn of(&self, role: Role) -> BTreeMap<&Peer, &Member> {
        let members = self.alive.unwrap_or_default().iter().filter(|member| member.role == role);
        members.map(|member| (&member.name, member)).collect()
    }

    /// Whether somebody is there, and which table is followed.
    fn state(&self, member: Option<&&Member>) -> [String; 2] {
        match (self.alive, member) {
            (None, _) => ["?".to_owned(), "?".to_owned()],
            (_, None) => ["dead".to_owned(), "-".to_owned()],
            (_, Some(member)) if member.routes_epoch < self.table.epoch => {
                ["alive, behind".to_owned(), member.routes_epoch.to_string()]
            }
            (_, Some(member)) => ["alive".to_owned(), member.routes_epoch.to_string()],
        }
    }

    fn row<const N: usize>(&self, name: &str, member: Option<&&Member>, rest: [String; N]) -> Vec<String> {
        let state = self.state(member);
        [name.to_owned()].into_iter().chain(state).chain(rest).collect()
    }
}

fn consumers(seen: &Seen<'_>) -> Vec<Vec<String>> {
    let heard = seen.of(Role::Consumer);
    let mut owned: BTreeMap<Option<&Peer>, Vec<u32>> = heard.keys().map(|name| (Some(*name), Vec::new())).collect();
    for (number, owner) in (0..).zip(&seen.table.partitions) {
        owned.entry(owner.consumer.as_ref()).or_default().push(number);
    }
    let mut rows = vec![header(["CONSUMER", "STATE", "EPOCH", "PARTITIONS"])];
    // Nobody comes first: those partitions wait.
    for (consumer, partitions) in owned {
        let partitions = ranges(&partitions);
        rows.push(match consumer {
            Some(name) => seen.row(name, heard.get(name), [partitions]),
            None => header(["(nobody)", "-", "-", &partitions]),
        });
    }
    rows
}

fn rankers(seen: &Seen<'_>) -> Vec<Vec<String>> {
    let (table, heard) = (seen.table, seen.of(Role::Ranker));
    let mut rooms: BTreeMap<&Peer, usize> = BTreeMap::new();
    for room in table.rooms.all() {
        if let Some(ranker) = table.ranker_of(&room.id) {
            *rooms.entry(ranker).or_default() += 1;
        }
    }
    let names: BTreeSet<&Peer> =
        table.rankers.keys().chain(heard.keys().copied()).chain(rooms.keys().copied()).collect();
    let mut rows = vec![header(["RANKER", "STATE", "EPOCH", "ADDRESS", "ROOMS"])];
    for name in names {
        let address = table.rankers.get(name).map_or("(not in the table)", String::as_str);
        let rooms = rooms.get(name).copied().unwrap_or_default();
        rows.push(seen.row(name, heard.get(name), [address.to_owned(), rooms.to_string()]));
    }
    rows
}

/// Those that are heard; the table knows none.
fn gateways(seen: &Seen<'_>) -> Option<Vec<Vec<String>>> {
    let mut rows = vec![header(["GATEWAY", "STATE", "EPOCH", "ADDRESS"])];
    rows.extend(
        seen.of(Role::Gateway).iter().map(|(name, member)| seen.row(name, Some(member), [member.address.clone()])),
    );
    (rows.len() > 1).then_some(rows)
}

fn header<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.into_iter().map(ToOwned::to_owned).collect()
}

/// `0-3 7` for 0, 1, 2, 3, 7.
fn ranges(numbers: &[u32]) -> String {
    let mut text = String::new();
    for run in numbers.chunk_by(|a, b| a + 1 == *b) {
        let separator = if text.is_empty() { "" } else { " " };
        let (first, last) = (run[0], run[run.len() - 1]);
        let _ =
            if first == last { write!(text, "{separator}{first}") } else { write!(text, "{separator}{first}-{last}") };
    }
    if text.is_empty() { "-".to_owned() } else { text }
}

/// Columns as wide as their widest cell.
pub(in crate::cli::cluster) fn align(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    for row in rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use barrage_core::{room::Rooms, routes::Owner};

    use super::*;

    #[test]
    fn who_owns_what_and_who_is_dead() {
        let owner = |name: &str| Owner { consumer: Some(name.into()), epoch: 1 };
        let table = Table {
            epoch: 4,
            partitions: vec![owner("c-0"), owner("c-0"), owner("c-1"), owner("c-0"), Owner::default()],
            rankers: [("r-0".into(), "h:1".to_owned())].into(),
            rooms: Rooms::new(&[barrage_crds::RoomManifest::demo()]),
            ..Table::default()
        };
        let member = |role, name: &str, routes_epoch| Member {
            role,
            name: name.into(),
            incarnation: 1,
            address: "h:2".to_owned(),
            at_ms: 0,
            silent_ms: 0,
            routes_epoch,
        };
        let alive =
            [member(Role::Consumer, "c-0", 4), member(Role::Consumer, "c-2", 3), member(Role::Gateway, "g-0", 4)];
        let shown = text("default", &table, Some(&alive));
        let wanted = "pool default, epoch 4, auto; 5 partitions, each room on 1; 1 rooms\n\n\
             CONSUMER  STATE          EPOCH  PARTITIONS\n\
             (nobody)  -              -      4\n\
             c-0       alive          4      0-1 3\n\
             c-1       dead           -      2\n\
             c-2       alive, behind  3      -\n\n\
             RANKER  STATE  EPOCH  ADDRESS  ROOMS\n\
             r-0     dead   -      h:1      1\n\n\
             GATEWAY  STATE  EPOCH  ADDRESS\n\
             g-0      alive  4      h:2\n";
        assert_eq!(shown, wanted);
        assert!(text("default", &table, None).contains("c-1       ?"));
    }
}
