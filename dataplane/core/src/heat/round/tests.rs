//! What is said is what changed, all is said within a minute, and 100,000 rooms fit.

use std::collections::HashSet;

use super::*;

fn taken(rooms: impl IntoIterator<Item = (String, RoomTaken)>) -> Taken {
    let rooms = rooms.into_iter().map(|(id, taken)| (RoomId::from(id.as_str()), taken)).collect();
    Taken { rooms, ..Taken::default() }
}

fn messages(messages: u32) -> RoomTaken {
    RoomTaken { messages, bytes: u64::from(messages) * 10, slices: vec![(0, 0); 16], ..RoomTaken::default() }
}

fn viewers(connections: u32) -> RoomTaken {
    RoomTaken { connections, ..RoomTaken::default() }
}

fn rooms(count: u32) -> Taken {
    taken((0..count).map(|i| (format!("room-{i}"), RoomTaken { connections: 3, ..messages(i % 40) })))
}

/// A second that is not the turn of `demo`.
fn seconds() -> impl Iterator<Item = u64> {
    let turn = hash(&[b"demo"]) % WHOLE_S;
    (0..).filter(move |second| second % WHOLE_S != turn)
}

#[test]
fn a_room_is_said_when_it_changes_and_once_when_it_falls_silent() {
    let mut rounds = Rounds::default();
    let mut seconds = seconds();
    let mut say = |room: RoomTaken| {
        let (total, parts) = rounds.round(seconds.next().unwrap(), taken([("demo".to_owned(), room)]));
        (total, parts.concat())
    };
    let (total, said) = say(viewers(20));
    assert_eq!((total.connections, said[0].load.unwrap().connections), (20, 20));
    assert_eq!(say(viewers(22)).1, [], "a tenth is no news");
    assert_eq!(say(viewers(23)).1[0].load.unwrap().connections, 23);
    assert_eq!(say(viewers(23)).1, []);
    assert_eq!(say(viewers(0)).1[0].load, Some(Load::default()));
    assert_eq!(say(viewers(0)).1, []);
    assert_eq!(say(messages(1)).1[0].load.unwrap().messages, 1);
    assert_eq!(say(messages(0)).1, []);
    let last: Vec<_> = (0..20).flat_map(|_| say(messages(0)).1).collect();
    assert_eq!(last.len(), 1, "{last:?}");
    assert_eq!(last[0].load.unwrap().messages, 0);
}

#[test]
fn slices_are_said_of_busy_rooms_only() {
    let mut rounds = Rounds::default();
    let mut busy = messages(1_000);
    busy.slices[3] = (600, 6_000);
    busy.slices[9] = (400, 4_000);
    let (_, parts) = rounds.round(0, taken([("demo".to_owned(), busy), ("quiet".to_owned(), messages(50))]));
    let said: HashMap<_, _> = parts.concat().into_iter().map(|room| (room.room.clone(), room)).collect();
    assert_eq!((&said["demo"].shard, &said["demo"].slice_messages), (&vec![3, 9], &vec![600, 400]));
    assert!(said["quiet"].shard.is_empty());
}

#[test]
fn a_hundred_thousand_rooms_fit_in_bounded_records() {
    // The first second says all: nobody knows anything of this process yet.
    let (total, parts) = Rounds::default().round(0, rooms(100_000));
    let size = |part: &Vec<RoomLoad>| part.iter().map(|room| room.encoded_len() + 4).sum::<usize>();
    let bytes: usize = parts.iter().map(size).sum();
    println!("{} rooms in {} records: {} bytes a room", 100_000, parts.len(), bytes / 100_000);
    assert_eq!(total.connections, 300_000);
    assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 100_000);
    assert!(parts.iter().all(|part| size(part) <= REPORT_BYTES_MAX));
    assert!(bytes / 100_000 < 40, "{bytes}");
}

#[test]
fn all_rooms_come_within_a_minute_but_not_at_once() {
    let mut rounds = Rounds::default();
    rounds.round(0, rooms(6_000));
    let mut seen = HashSet::new();
    for second in 1..=WHOLE_S {
        let said = rounds.round(second, rooms(6_000)).1.concat();
        assert!((50..150).contains(&said.len()), "{} rooms at second {second}", said.len());
        seen.extend(said.into_iter().map(|room| room.room));
    }
    assert_eq!(seen.len(), 6_000);
}
