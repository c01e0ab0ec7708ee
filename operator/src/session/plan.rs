//! Who gets which work, by who is alive and which pods there should be. Pure.

use std::time::{Duration, Instant};

use barrage_core::{
    link::Peer,
    routes::{Table, change::Change, plan},
};

use super::heat::Heard;

/// Until work is given away or out, unless all are there before: three heartbeats.
const LISTEN: Duration = Duration::from_secs(3);

/// Which pods there should be. Pods of a StatefulSet are named by it and a number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Whether the pool is paused: then nothing is planned.
    pub paused: bool,
    /// Consumers.
    pub consumers: Pods,
    /// Rankers.
    pub rankers: Pods,
}

/// The pods of a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pods {
    /// What their names begin with, like `default-consumer-`.
    pub prefix: String,
    /// How many there should be; `None` when somebody else says so.
    pub count: Option<u32>,
}

impl Pods {
    /// Whether this is one of those that there should be.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        let number = name.strip_prefix(&self.prefix).and_then(|number| number.parse::<u32>().ok());
        number.is_some_and(|number| self.count.is_none_or(|count| number < count))
    }

    fn are_all(&self, alive: usize) -> bool {
        self.count.is_some_and(|count| alive >= count as usize)
    }
}

/// What to change so that those who are alive share the work; `None` when nothing is to be changed now.
#[must_use]
pub fn change(table: &Table, heard: &Heard, expected: &Expected, now: Instant) -> Option<Change> {
    // Nobody is shut out by what is too old to be known.
    if table.manual || expected.paused || table.epoch == 0 || heard.is_stale(now) {
        return None;
    }
    let mut alive = heard.alive(now);
    alive.consumers.retain(|name| expected.consumers.holds(name));
    alive.rankers.retain(|name, _| expected.rankers.holds(name));
    let all = expected.consumers.are_all(alive.consumers.len()) && expected.rankers.are_all(alive.rankers.len());
    if !all && heard.listened(now).is_none_or(|listened| listened < LISTEN) {
        return None;
    }
    let planned = match plan::plan(table, &alive, None) {
        Ok(planned) => planned,
        // Without consumers rankers can still be told apart.
        Err(_) if !alive.rankers.is_empty() => {
            Table { epoch: table.epoch + 1, rankers: alive.rankers.clone(), ..table.clone() }
        }
        Err(_) => return None,
    };
    let change = Change::between(table, &planned);
    (!change.is_empty(table)).then_some(change)
}

/// Whether pods beyond those that there should be hold work, or have yet to learn that they do not. Where nobody is heard,
/// they are taken to.
#[must_use]
pub fn is_draining(table: &Table, heard: &Heard, pods: &Pods, now: Instant) -> bool {
    let beyond = |name: &Peer| name.starts_with(&pods.prefix) && !pods.holds(name);
    let owns = table.partitions.iter().filter_map(|owner| owner.consumer.as_ref()).any(beyond);
    let ranks = table.rankers.keys().any(beyond);
    owns || ranks || heard.is_stale(now) || !heard.goes_by(table.epoch, now)
}

#[cfg(test)]
mod tests {
    use barrage_core::routes::Owner;
    use barrage_proto::heat::{Report, report::Role};

    use super::*;

    fn say(heard: &mut Heard, role: Role, name: &str, now: Instant) {
        let (name, address) = (name.to_owned(), format!("{name}.ranker:7800"));
        heard.report(Report { role: role.into(), name, address, routes_epoch: 9, ..Report::default() }, now);
    }

    fn expected(count: u32) -> Expected {
        let pods = |role: &str| Pods { prefix: format!("p-{role}-"), count: Some(count) };
        Expected { paused: false, consumers: pods("consumer"), rankers: pods("ranker") }
    }

    fn owners(table: &Table, change: &Change) -> Vec<String> {
        (0..table.partition_count())
            .map(|number| {
                let before = table.partitions[number as usize].consumer.clone();
                change.owners.get(&number).cloned().unwrap_or(before).map_or_else(String::new, |name| name.to_string())
            })
            .collect()
    }

    #[test]
    fn all_who_are_there_get_work_at_once_and_some_only_after_a_while() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        let table = Table { epoch: 1, partitions: vec![Owner::default(); 2], ..Table::default() };
        say(&mut heard, Role::Consumer, "p-consumer-0", now);
        say(&mut heard, Role::Ranker, "p-ranker-0", now);
        assert_eq!(change(&table, &heard, &expected(2), now), None);
        let change_now = change(&table, &heard, &expected(1), now).unwrap();
        assert_eq!(owners(&table, &change_now), ["p-consumer-0", "p-consumer-0"]);
        let later = now + LISTEN;
        say(&mut heard, Role::Consumer, "p-consumer-0", later);
        assert!(change(&table, &heard, &expected(2), later).is_some());
    }

    #[test]
    fn nothing_is_decided_on_what_is_old_paused_or_taken_over() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        let table = Table { epoch: 1, partitions: vec![Owner::default(); 2], ..Table::default() };
        say(&mut heard, Role::Consumer, "p-consumer-0", now);
        say(&mut heard, Role::Ranker, "p-ranker-0", now);
        assert!(change(&table, &heard, &expected(1), now).is_some());
        assert_eq!(change(&table, &heard, &expected(1), now + Duration::from_secs(6)), None);
        assert_eq!(change(&Table { manual: true, ..table.clone() }, &heard, &expected(1), now), None);
        assert_eq!(change(&table, &heard, &Expected { paused: true, ..expected(1) }, now), None);
    }

    #[test]
    fn pods_that_shall_go_lose_their_work_first() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        for number in 0..2 {
            say(&mut heard, Role::Consumer, &format!("p-consumer-{number}"), now);
        }
        say(&mut heard, Role::Ranker, "p-ranker-0", now);
        let owner = |number: u32| Owner { consumer: Some(format!("p-consumer-{number}").into()), epoch: 1 };
        let table = Table {
            epoch: 5,
            partitions: vec![owner(0), owner(1)],
            rankers: [("p-ranker-0".into(), "p-ranker-0.ranker:7800".to_owned())].into(),
            ..Table::default()
        };
        assert_eq!(change(&table, &heard, &Expected { consumers: expected(2).consumers, ..expected(1) }, now), None);
        let one = expected(1);
        assert!(is_draining(&table, &heard, &one.consumers, now));
        let change_now = change(&table, &heard, &one, now).unwrap();
        assert_eq!(owners(&table, &change_now), ["p-consumer-0", "p-consumer-0"]);
        let after = Table { partitions: vec![owner(0), owner(0)], epoch: 6, ..table };
        assert!(!is_draining(&after, &heard, &one.consumers, now));
        assert!(is_draining(&Table { epoch: 10, ..after }, &heard, &one.consumers, now));
    }
}
