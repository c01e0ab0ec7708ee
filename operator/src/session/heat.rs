//! What the pods of a pool say of their work: who is alive, and how hot each room is. Pure; the time is an argument.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use barrage_core::{
    link::Peer,
    room::RoomId,
    routes::{Table, plan::Alive},
};
use barrage_proto::heat::{Load, Report, report::Role};

/// Who was silent for so long is dead: five heartbeats.
const ALIVE: Duration = Duration::from_secs(5);
/// Every room that is not silent is said within a minute; with slack for what comes late.
const ROOM: Duration = Duration::from_secs(75);
/// How much of what was said before is heard first: enough to know of every room, and a little more.
pub(super) const PAST: Duration = Duration::from_secs(80);

/// Everything that was heard.
#[derive(Debug, Default)]
pub struct Heard {
    members: BTreeMap<(i32, String), Member>,
    since: Option<Instant>,
    last: Option<Instant>,
}

#[derive(Debug)]
struct Member {
    incarnation: u64,
    /// When it was first heard, and whether that was its first report, which says everything.
    first: Instant,
    whole: bool,
    at: Instant,
    routes_epoch: u64,
    address: String,
    lag: u64,
    connections: u32,
    rooms: HashMap<String, (Load, Instant)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoomHeat {
    /// Viewers connected.
    pub viewers: u64,
    /// Danmaku per second that gateways accept.
    pub messages_per_second: u64,
    /// Records that wait for the consumers of its partitions.
    pub lag: u64,
    /// The highest of its gateways' 99th percentiles, ms; 0 when nobody says any.
    pub latency_ms_p99: u64,
}

impl Heard {
    /// Listening has begun.
    pub fn begin(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Somebody said something.
    pub fn report(&mut self, report: Report, now: Instant) {
        self.begin(now);
        self.last = self.last.max(Some(now));
        let key = (report.role, report.name);
        if self.members.get(&key).is_some_and(|known| now < known.at) {
            // Whoever listens anew hears again what is known already.
            return;
        }
        let fresh = self.members.get(&key).is_none_or(|known| known.incarnation != report.incarnation);
        if fresh {
            let (incarnation, address) = (report.incarnation, String::new());
            let (whole, rooms) = (report.whole, HashMap::new());
            let member = Member {
                incarnation,
                first: now,
                whole,
                at: now,
                routes_epoch: 0,
                address,
                lag: 0,
                connections: 0,
                rooms,
            };
            self.members.insert(key.clone(), member);
        }
        let Some(member) = self.members.get_mut(&key) else { return };
        (member.at, member.routes_epoch, member.address) = (now, report.routes_epoch, report.address);
        if let Some(total) = report.total {
            (member.lag, member.connections) = (total.lag, total.connections);
        }
        for room in report.rooms {
            member.rooms.insert(room.room, (room.load.unwrap_or_default(), now));
        }
        member.rooms.retain(|_, (_, at)| now.duration_since(*at) < ROOM);
        self.members.retain(|_, member| now.duration_since(member.at) < ROOM);
    }

    /// How long somebody has been listening; `None` when nobody is.
    #[must_use]
    pub fn listened(&self, now: Instant) -> Option<Duration> {
        self.since.map(|since| now.duration_since(since))
    }

    /// Whether nobody at all was heard for so long that what is known is too old to decide on.
    #[must_use]
    pub fn is_stale(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.duration_since(last) > ALIVE)
    }

    #[must_use]
    pub fn alive(&self, now: Instant) -> Alive {
        let of = |role: Role| self.living(role, now);
        Alive {
            consumers: of(Role::Consumer).map(|(name, _)| Peer::from(name)).collect(),
            rankers: of(Role::Ranker).map(|(name, member)| (Peer::from(name), member.address.clone())).collect(),
        }
    }

    /// Whether everybody who is alive goes by the table of this epoch or a later one.
    #[must_use]
    pub fn goes_by(&self, epoch: u64, now: Instant) -> bool {
        let alive = |member: &&Member| now.duration_since(member.at) <= ALIVE;
        self.members.values().filter(alive).all(|member| member.routes_epoch >= epoch)
    }

    /// Whether everybody who is alive has been heard for sure.
    #[must_use]
    pub fn is_settled(&self, now: Instant) -> bool {
        !self.is_stale(now) && self.listened(now).is_some_and(|listened| listened >= ALIVE)
    }

    /// Viewers of all gateways; `None` while they are not known.
    #[must_use]
    pub fn viewers(&self, now: Instant) -> Option<u64> {
        let gateways = self.living(Role::Gateway, now);
        self.is_settled(now).then(|| gateways.map(|(_, member)| u64::from(member.connections)).sum())
    }

    /// What is said of a room; `None` while a gateway that is alive may not have said everything.
    #[must_use]
    pub fn room(&self, id: &RoomId, table: &Table, now: Instant) -> Option<RoomHeat> {
        let told = |member: &Member| member.whole || now.duration_since(member.first) >= ROOM;
        if !self.is_settled(now) || !self.living(Role::Gateway, now).all(|(_, member)| told(member)) {
            return None;
        }
        let mut heat = RoomHeat::default();
        for (_, member) in self.living(Role::Gateway, now) {
            if let Some((load, _)) = member.rooms.get(id.as_str()) {
                heat.viewers += u64::from(load.connections);
                heat.messages_per_second += u64::from(load.messages);
                heat.latency_ms_p99 = heat.latency_ms_p99.max(load.latency_ms_p99.into());
            }
        }
        let mut owners: Vec<_> = partitions_of(id, table)
            .into_iter()
            .filter_map(|p| table.partitions.get(p as usize)?.consumer.as_deref())
            .collect();
        owners.sort_unstable();
        owners.dedup();
        let lag = |owner: &str| self.members.get(&(Role::Consumer.into(), owner.to_owned())).map_or(0, |m| m.lag);
        heat.lag = owners.into_iter().map(lag).sum();
        Some(heat)
    }

    fn living(&self, role: Role, now: Instant) -> impl Iterator<Item = (&str, &Member)> {
        let of_role = self.members.iter().filter(move |((of, _), _)| *of == i32::from(role));
        of_role
            .filter(move |(_, member)| now.duration_since(member.at) <= ALIVE)
            .map(|((_, name), m)| (name.as_str(), m))
    }
}

/// Partitions that a room's slices live on, in order.
#[must_use]
pub fn partitions_of(id: &RoomId, table: &Table) -> Vec<u32> {
    if table.partition_count() == 0 {
        return Vec::new();
    }
    table.placement().partitions_of(id.as_str()).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use barrage_core::routes::Owner;
    use barrage_proto::heat::RoomLoad;

    use super::*;

    fn report(role: Role, name: &str, connections: u32, messages: u32) -> Report {
        let load = Load { connections, messages, lag: 40, latency_ms_p99: connections, ..Load::default() };
        Report {
            role: role.into(),
            name: name.to_owned(),
            incarnation: 1,
            address: format!("{name}:7800"),
            routes_epoch: 3,
            total: Some(load),
            whole: true,
            rooms: vec![RoomLoad { room: "demo".to_owned(), load: Some(load), ..RoomLoad::default() }],
            ..Report::default()
        }
    }

    #[test]
    fn a_room_is_what_its_gateways_say_and_its_owners_lag() {
        let (mut heard, now) = (Heard::default(), Instant::now());
        let owner = Owner { consumer: Some("c-0".into()), epoch: 1 };
        let table = Table { epoch: 3, partitions: vec![owner; 4], ..Table::default() };
        let demo = RoomId::from("demo");
        heard.begin(now);
        let now = now + ALIVE;
        assert_eq!(heard.room(&demo, &table, now), None);
        heard.report(report(Role::Gateway, "g-0", 5, 2), now);
        heard.report(report(Role::Gateway, "g-1", 7, 1), now);
        heard.report(report(Role::Consumer, "c-0", 0, 9), now);
        assert_eq!(
            heard.room(&demo, &table, now),
            Some(RoomHeat { viewers: 12, messages_per_second: 3, lag: 40, latency_ms_p99: 7 })
        );
        assert_eq!((heard.viewers(now), heard.goes_by(3, now), heard.goes_by(4, now)), (Some(12), true, false));
        assert_eq!(heard.room(&RoomId::from("other"), &table, now).map(|room| room.viewers), Some(0));
        // One that was there before may have more rooms than it has said yet.
        heard.report(Report { whole: false, ..report(Role::Gateway, "g-2", 1, 1) }, now);
        assert_eq!(heard.room(&demo, &table, now), None);
    }

    #[test]
    fn what_is_heard_again_is_no_news() {
        let (mut heard, now) = (Heard::default(), Instant::now() + ROOM);
        let before = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap();
        heard.report(report(Role::Ranker, "r-0", 0, 0), before(60));
        let newer =
            |address: &str| Report { incarnation: 2, address: address.to_owned(), ..report(Role::Ranker, "r-0", 0, 0) };
        heard.report(newer("r-0:2"), now);
        // Listening began again.
        heard.report(report(Role::Ranker, "r-0", 0, 0), before(60));
        assert!(!heard.is_stale(now));
        assert_eq!(heard.alive(now).rankers.get("r-0").map(String::as_str), Some("r-0:2"));
    }

    #[test]
    fn who_is_silent_is_dead_and_when_all_are_it_is_stale() {
        let (mut heard, start) = (Heard::default(), Instant::now());
        assert!(heard.is_stale(start));
        heard.report(report(Role::Consumer, "c-0", 0, 0), start);
        heard.report(report(Role::Ranker, "r-0", 0, 0), start);
        let later = start + Duration::from_secs(4);
        heard.report(report(Role::Ranker, "r-0", 0, 0), later);
        let dead = start + Duration::from_secs(6);
        let alive = heard.alive(dead);
        assert!(alive.consumers.is_empty() && !heard.is_stale(dead));
        assert_eq!(alive.rankers.get("r-0").map(String::as_str), Some("r-0:7800"));
        assert!(heard.is_stale(later + Duration::from_secs(6)));
        assert_eq!(heard.listened(dead), Some(Duration::from_secs(6)));
    }
}
