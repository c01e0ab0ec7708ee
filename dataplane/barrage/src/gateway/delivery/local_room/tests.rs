//! Who gets which flush, without sockets: viewers in time and behind, those who join, and senders of what was left out.

use barrage_proto::v2::{FrameType, pb};

use super::{super::subscriber::Seat, *};
use crate::gateway::{
    encode::{Content, Notice},
    testing::{at, danmaku, find, payload, room_state, texts_v1, types},
};
use barrage_core::room::shard_of;

const USER: u64 = 7;

/// A viewer that keeps what it gets.
struct Watcher {
    seat: Seat,
    drained: Cell<bool>,
    got: RefCell<Vec<Bytes>>,
    notices: Cell<u32>,
}

impl Subscriber for Watcher {
    fn seat(&self) -> &Seat {
        &self.seat
    }

    fn is_drained(&self) -> bool {
        self.drained.get()
    }

    fn write(&self, message: &Bytes) {
        self.got.borrow_mut().push(message.clone());
    }

    fn send(&self, message: &Bytes) {
        self.write(message);
    }

    fn notify(&self, _: &pb::Notice) {
        self.notices.set(self.notices.get() + 1);
    }
}

impl Watcher {
    fn new(version: Version, user: u64) -> Rc<Self> {
        let (drained, got, notices) = (Cell::new(true), RefCell::default(), Cell::new(0));
        Rc::new(Self { seat: Seat::new(version, user), drained, got, notices })
    }

    /// Texts of version 1 messages, in order.
    fn texts(&self) -> Vec<String> {
        self.got.take().iter().flat_map(texts_v1).collect()
    }

    /// Offsets of danmaku in version 2 messages, in order.
    fn offsets(&self) -> Vec<u64> {
        let batches = self.got.take().iter().flat_map(find::<pb::Batch>).collect::<Vec<_>>();
        batches
            .iter()
            .flat_map(|batch| barrage_proto::batch::rows(batch).unwrap().map(|row| row.position.offset))
            .collect()
    }
}

/// A room and its metrics.
fn room() -> (LocalRoom<Watcher>, Metrics) {
    let (encoder, metrics) = (Rc::new(RefCell::new(Encoder::plain())), Metrics::default());
    (LocalRoom::new(room_state(|_| {}), encoder, metrics.clone()), metrics)
}

/// A flush that shows danmaku of a user at these offsets, and accounts for all up to `through`.
fn flush(offsets: impl IntoIterator<Item = u64>, through: u64) -> Arc<Flush> {
    let danmaku = offsets.into_iter().map(|offset| danmaku(USER, offset, &offset.to_string())).collect();
    let watermark = [(shard_of(USER), at(through))].into_iter().collect();
    let content = Content { danmaku, watermark, ..Content::default() };
    Arc::new(content.encode("demo".into(), &mut Encoder::plain()))
}

fn joined(room: &LocalRoom<Watcher>) -> Rc<Watcher> {
    let viewer = Watcher::new(Version::V2, 1);
    room.enter(&viewer);
    room.join(&viewer, &Cursor::default(), room.flush_number());
    viewer.got.take();
    viewer
}

#[test]
fn everybody_gets_a_flush_once_in_its_format() {
    let (room, metrics) = room();
    let (old, new) = (Watcher::new(Version::V1, 1), joined(&room));
    assert!(!room.enter(&old), "it is not the first");
    room.broadcast(&flush([1, 2], 2), Instant::now());
    assert_eq!((old.texts(), new.offsets()), (vec!["1".to_owned(), "2".to_owned()], vec![1, 2]));
    room.leave(&new);
    room.broadcast(&flush([3], 3), Instant::now());
    assert_eq!((old.texts(), new.offsets()), (vec!["3".to_owned()], vec![]));
    assert_eq!((metrics.offered.get(), metrics.delivered.get(), metrics.skipped.get()), (3, 3, 0));
}

#[test]
fn leaving_leaves_the_others_in_their_places() {
    let (room, _) = room();
    let viewers: Vec<_> = (0..4).map(|_| joined(&room)).collect();
    assert_eq!(room.state.viewers(), 4);
    room.leave(&viewers[0]);
    room.leave(&viewers[3]);
    room.broadcast(&flush([1], 1), Instant::now());
    let got: Vec<_> = viewers.iter().map(|viewer| viewer.offsets().len()).collect();
    assert_eq!((got, room.state.viewers()), (vec![0, 1, 1, 0], 2));
}

#[test]
fn a_viewer_that_is_behind_gets_what_it_missed_in_order() {
    let (room, metrics) = room();
    let viewer = joined(&room);
    viewer.drained.set(false);
    (1..=3).for_each(|offset| room.broadcast(&flush([offset], offset), Instant::now()));
    assert_eq!(viewer.offsets(), [0; 0], "nothing on top of what waits");
    viewer.drained.set(true);
    assert!(room.catch_up(&viewer));
    assert_eq!(viewer.offsets(), [1, 2, 3]);
    assert!(!room.catch_up(&viewer), "there is no more");
    room.broadcast(&flush([4], 4), Instant::now());
    assert_eq!(viewer.offsets(), [4]);
    assert_eq!((metrics.offered.get(), metrics.delivered.get(), metrics.skipped.get()), (4, 4, 0));
}

#[test]
fn a_viewer_that_is_far_behind_skips_and_is_told_how_the_room_stands() {
    let (room, metrics) = room();
    let (viewer, v1) = (joined(&room), Watcher::new(Version::V1, 2));
    room.enter(&v1);
    for viewer in [&viewer, &v1] {
        viewer.drained.set(false);
    }
    let big = |offset| {
        let danmaku = vec![danmaku(USER, offset, &"x".repeat(40_000))];
        Arc::new(Content { danmaku, ..Content::default() }.encode("demo".into(), &mut Encoder::plain()))
    };
    (1..=3).for_each(|offset| room.broadcast(&big(offset), Instant::now()));
    assert!(room.catch_up(&viewer) && room.catch_up(&v1));
    let whole = viewer.got.borrow().last().map(types);
    let kept = [FrameType::RankingSnapshot, FrameType::RoomState, FrameType::RoomSettings, FrameType::Highlights];
    assert_eq!(whole.as_deref(), Some(&kept[..]));
    assert_eq!((viewer.offsets(), v1.texts().len()), (vec![3], 1));
    assert_eq!((metrics.delivered.get(), metrics.skipped.get()), (2, 4));
}

#[test]
fn what_is_kept_is_bounded_in_time_and_number() {
    let (room, _) = room();
    let (viewer, began) = (joined(&room), Instant::now());
    viewer.drained.set(false);
    for offset in 0..KEPT_FLUSHES_MAX as u64 + 10 {
        room.broadcast(&flush([offset], offset), began);
    }
    assert_eq!(room.v2.kept.borrow().len(), KEPT_FLUSHES_MAX);
    room.tidy(began + KEPT + Duration::from_millis(1));
    assert!(room.v1.kept.borrow().is_empty() && room.v2.kept.borrow().is_empty());
    assert!(room.catch_up(&viewer));
    assert_eq!(viewer.got.borrow().len(), 1, "nothing is kept, so it is told how the room stands");
}

#[test]
fn a_viewer_joins_at_the_first_flush_that_its_history_does_not_include() {
    let (room, metrics) = room();
    let viewer = Watcher::new(Version::V2, 1);
    assert!(room.enter(&viewer), "the first one here");
    (1..=4).for_each(|offset| room.broadcast(&flush([offset], offset), Instant::now()));
    assert_eq!(viewer.offsets(), [0; 0], "it has not joined");
    let history: Cursor = [(shard_of(USER), at(2))].into_iter().collect();
    room.join(&viewer, &history, room.flush_number());
    assert_eq!(viewer.offsets(), [3, 4]);
    room.broadcast(&flush([5], 5), Instant::now());
    assert_eq!(viewer.offsets(), [5]);
    assert_eq!((metrics.offered.get(), metrics.delivered.get()), (3, 3));
}

#[test]
fn a_viewer_gets_all_flushes_behind_the_board_that_it_was_shown() {
    let (room, _) = room();
    let viewer = Watcher::new(Version::V2, 1);
    room.enter(&viewer);
    (1..=4).for_each(|offset| room.broadcast(&flush([offset], offset), Instant::now()));
    let history: Cursor = [(shard_of(USER), at(4))].into_iter().collect();
    room.join(&viewer, &history, 1);
    assert_eq!(viewer.offsets(), [2, 3, 4], "the history includes them, the leaderboard of flush 1 does not");
}

#[test]
fn a_viewer_that_joins_with_output_waiting_catches_up_when_that_is_out() {
    let (room, _) = room();
    let viewer = Watcher::new(Version::V2, 1);
    room.enter(&viewer);
    room.broadcast(&flush([1], 1), Instant::now());
    viewer.drained.set(false);
    room.join(&viewer, &Cursor::default(), 0);
    assert_eq!(viewer.offsets(), [0; 0]);
    room.catch_up(&viewer);
    assert_eq!(viewer.offsets(), [1]);
}

#[test]
fn a_flush_with_nothing_to_show_is_no_message() {
    let (room, metrics) = room();
    let viewer = joined(&room);
    room.broadcast(&flush([], 9), Instant::now());
    assert!(viewer.got.borrow().is_empty() && metrics.offered.get() == 0);
    assert!(room.watermark.borrow().covers(shard_of(USER), at(9)), "but it counts");
}

#[test]
fn a_notice_is_for_one_user_on_all_connections() {
    let (room, _) = room();
    let viewers = [(Version::V1, 5), (Version::V2, 5), (Version::V2, 6)].map(|(version, user)| {
        let viewer = Watcher::new(version, user);
        room.enter(&viewer);
        viewer
    });
    let notices = vec![Notice { user: 5, notice: pb::Notice::default() }];
    let flush = Content { notices, ..Content::default() }.encode("demo".into(), &mut Encoder::plain());
    room.broadcast(&Arc::new(flush), Instant::now());
    assert_eq!(viewers.map(|viewer| viewer.notices.get()), [1, 1, 0]);
}

/// The sender of a danmaku on its way, with its entry.
fn sent(room: &LocalRoom<Watcher>, version: Version, seq: u64) -> (Rc<Watcher>, Entry) {
    let (sender, danmaku) = (Watcher::new(version, USER), danmaku(USER, seq, "mine"));
    let entry = danmaku.entry();
    room.accepted(Rc::downgrade(&sender), shard_of(USER), danmaku);
    (sender, entry)
}

#[test]
fn a_sender_sees_its_own_danmaku_that_nobody_is_shown() {
    for acknowledged_first in [true, false] {
        let (room, metrics) = room();
        let (sender, entry) = sent(&room, Version::V2, 1);
        let (_, later) = sent(&room, Version::V2, 9);
        if acknowledged_first {
            room.acknowledged(&entry, at(1));
            room.broadcast(&flush([], 1), Instant::now());
        } else {
            room.broadcast(&flush([], 1), Instant::now());
            assert!(sender.got.borrow().is_empty(), "it is not known where it stands");
            room.acknowledged(&entry, at(1));
        }
        room.acknowledged(&later, at(9));
        let [message] = &sender.got.take()[..] else { panic!("one echo") };
        assert!(find::<pb::Batch>(message).iter().all(|batch| batch.echo));
        room.broadcast(&flush([], 1), Instant::now());
        assert!(sender.got.borrow().is_empty(), "once");
        assert_eq!(metrics.echoes.get(), 1);
    }
}

#[test]
fn a_version_1_sender_gets_its_danmaku_as_any_other() {
    let (room, _) = room();
    let (sender, entry) = sent(&room, Version::V1, 1);
    room.acknowledged(&entry, at(1));
    room.broadcast(&flush([], 1), Instant::now());
    assert_eq!(sender.texts(), ["mine"]);
}

#[test]
fn what_is_shown_or_refused_or_hidden_is_not_echoed() {
    let (room, metrics) = room();
    let (shown, entry) = sent(&room, Version::V2, 1);
    room.acknowledged(&entry, at(1));
    room.broadcast(&flush([1], 1), Instant::now());
    let (refused, entry) = sent(&room, Version::V2, 2);
    room.refused(&entry);
    room.acknowledged(&entry, at(2));
    let (gone, entry) = sent(&room, Version::V2, 3);
    drop(gone);
    room.acknowledged(&entry, at(3));
    room.broadcast(&flush([], 9), Instant::now());
    assert!(shown.got.borrow().is_empty() && refused.got.borrow().is_empty());
    assert_eq!(metrics.echoes.get(), 0);
}

#[test]
fn the_beginning_says_how_the_room_stands() {
    let (room, _) = room();
    let page = Page::without_history(Cursor::default(), Vec::new(), 0);
    let message = room.beginning(&page, &Wanted::Newest(50));
    assert_eq!(types(&message), [FrameType::RoomState, FrameType::RankingSnapshot, FrameType::History]);
    assert!(!payload(&message).is_empty());
}
