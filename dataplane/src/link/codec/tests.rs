//! Tests of the bytes of links.

use std::sync::Arc;

use barrage_proto::{
    Cursor, log,
    log::{Entry, Record},
    v2::pb::{Mode, Role, Size},
};
use bytes::{BufMut, Bytes};
use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{
    link::{
        Accounted, BoardChange, Candidates, Danmaku, Emitted, LeftOut, More, Request, RoomFrame, Snapshot, Style,
        Update,
    },
    moderation::Act,
    store::Scored,
    trace::TraceParent,
};

fn rooms() -> impl Strategy<Value = RoomId> {
    "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?".prop_map(|id| RoomId::from(id.as_str()))
}

fn positions() -> impl Strategy<Value = Position> {
    any::<(u32, u64, u32)>().prop_map(|(partition, offset, index)| Position { partition, offset, index })
}

fn cursors() -> impl Strategy<Value = Cursor> {
    vec((0..SHARDS_MAX, positions()), 0..5).prop_map(|positions| positions.into_iter().collect())
}

fn danmaku() -> impl Strategy<Value = Danmaku> {
    let role = prop_oneof![Just(Role::Viewer), Just(Role::Moderator), Just(Role::Host), Just(Role::Service)];
    let gift = (any::<(u64, u32, bool)>(), ".{0,9}").prop_map(|((value, count, super_chat), name)| log::Gift {
        value,
        name,
        count,
        super_chat,
    });
    let reply = any::<(u32, u64, u32, u64)>().prop_map(|(partition, offset, index, user)| log::Reply {
        partition,
        offset,
        index,
        user,
    });
    let more = (option::of(reply), option::of(gift)).prop_map(|(reply, gift)| More { reply, gift });
    let more = more.prop_map(|more| (more != More::default()).then(|| Arc::new(more)));
    let mode = prop_oneof![Just(Mode::Scroll), Just(Mode::Top), Just(Mode::Bottom), Just(Mode::Reverse)];
    let size = prop_oneof![Just(Size::Normal), Just(Size::Small), Just(Size::Large)];
    let style = (mode, any::<u32>(), size).prop_map(|(mode, colour, size)| Style { mode, colour, size });
    let look = (style, more);
    (positions(), any::<(u64, u64, u64, i64, i64)>(), role, ".{0,30}", look).prop_map(
        |(position, (user, session, seq, sent_ms, received_ms), role, content, (style, more))| Danmaku {
            position,
            user,
            session,
            seq,
            role,
            sent_ms,
            received_ms,
            content: content.into(),
            style,
            more,
        },
    )
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = (0..SHARDS_MAX, positions(), any::<(i64, u64, bool)>(), ".{0,9}");
    let act = act.prop_map(|(shard, position, (at_ms, user, removes), reason)| {
        let kind = log::act::Kind::Sanction(log::Sanction { user, kind: 1, until_ms: at_ms });
        let kind = if removes { log::act::Kind::RemoveUser(user) } else { kind };
        Act { shard, position, at_ms, act: log::Act { actor: user, role: 2, reason, kind: Some(kind) } }
    });
    vec(act, 0..3)
}

fn traces() -> impl Strategy<Value = TraceParent> {
    let header = "00-[0-9a-f]{31}1-[0-9a-f]{15}1-0[01]";
    header.prop_map(|header| TraceParent::parse(header.as_bytes()).unwrap())
}

fn candidates() -> impl Strategy<Value = Candidates> {
    (rooms(), 0..SHARDS_MAX, positions(), any::<u64>(), vec(danmaku(), 0..5), option::of(traces()), acts()).prop_map(
        |(room, shard, record, owner_epoch, danmaku, trace, acts)| {
            let acts = acts.into_iter().map(|act| Entry { act: Some(act.act.into()), likes: 1, ..Entry::default() });
            let entries = danmaku.iter().map(Danmaku::entry).chain(acts).collect();
            let said =
                Record { received_ms: danmaku.first().map_or(0, |one| one.received_ms), entries, ..Record::default() };
            let record = Position { index: 0, ..record };
            Candidates { room, shard, record, owner_epoch, said: said.into(), payload: None, trace }
        },
    )
}

fn requests() -> impl Strategy<Value = Request> {
    (rooms(), 0..3, any::<(u64, u64, u32)>()).prop_map(|(room, kind, (epoch, number, viewers))| match kind {
        0 => Request::Follow { room, epoch, number },
        1 => Request::Unfollow { room },
        _ => Request::Seen { room, epoch, number, viewers },
    })
}

fn scores() -> impl Strategy<Value = Vec<Scored>> {
    vec(any::<(u64, u64)>().prop_map(|(user, score)| Scored { user, score }), 0..5)
}

fn frames() -> impl Strategy<Value = RoomFrame> {
    let board = (any::<bool>(), scores(), vec(any::<u64>(), 0..5));
    let board = board.prop_map(|(reset, scores, removed)| BoardChange { reset, scores, removed });
    let counts = any::<(u64, u64, u32, u32, u32)>();
    let merges = vec((positions(), any::<u32>()), 0..3);
    let beside = (acts(), vec(traces(), 0..3));
    (counts, cursors(), vec(danmaku(), 0..5), merges, option::of(board), beside).prop_map(
        |((epoch, number, merged, sampled_out, expired), watermark, danmaku, merges, board, (acts, traces))| {
            RoomFrame {
                epoch,
                number,
                watermark,
                danmaku,
                merges,
                left_out: LeftOut { merged, sampled_out, expired, deleted: merged },
                board,
                acts,
                likes: epoch,
                traces,
            }
        },
    )
}

fn updates() -> impl Strategy<Value = Update> {
    let snapshots = (any::<(u64, u64)>(), cursors(), scores())
        .prop_map(|((epoch, number), watermark, board)| Snapshot { epoch, number, watermark, board });
    prop_oneof![
        (rooms(), snapshots).prop_map(|(room, snapshot)| Update::Snapshot(room, snapshot)),
        (rooms(), any::<u32>()).prop_map(|(room, viewers)| Update::Viewers(room, viewers)),
        (rooms(), any::<(u64, u64)>()).prop_map(|(room, settled)| Update::Settled(room, settled)),
        (rooms(), frames()).prop_map(|(room, frame)| Update::Frame(room, Arc::new(Emitted::from(frame)))),
    ]
}

/// Sends messages as one stream that comes in pieces, and gives what was understood.
fn over_the_wire<M: Wire>(messages: &[M], piece: usize) -> Vec<M> {
    let (mut sent, mut received, mut understood) = (BytesMut::new(), BytesMut::new(), Vec::new());
    for message in messages {
        message.encode(&mut sent);
    }
    for piece in sent.chunks(piece) {
        received.extend_from_slice(piece);
        while let Some(message) = take(&mut received).unwrap() {
            understood.push(message);
        }
    }
    assert!(received.is_empty());
    understood
}

proptest! {
    #[test]
    fn candidates_arrive_as_they_were_sent(sent in vec(candidates(), 1..4), piece in 1..300_usize) {
        prop_assert_eq!(format!("{:?}", over_the_wire(&sent, piece)), format!("{sent:?}"));
    }

    #[test]
    fn what_is_accounted_for_arrives_as_it_was_sent(room in rooms(), shard in 0..SHARDS_MAX, record in positions()) {
        let sent = [Accounted { room, shard, record: Position { index: u32::MAX, ..record } }];
        prop_assert_eq!(over_the_wire(&sent, 7), sent);
    }

    #[test]
    fn requests_arrive_as_they_were_sent(sent in vec(requests(), 1..4), piece in 1..100_usize) {
        prop_assert_eq!(over_the_wire(&sent, piece), sent);
    }

    #[test]
    fn updates_arrive_as_they_were_sent(sent in vec(updates(), 1..4), piece in 1..300_usize) {
        prop_assert_eq!(format!("{:?}", over_the_wire(&sent, piece)), format!("{sent:?}"));
    }

    #[test]
    fn any_bytes_are_understood_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        Candidates::decode(&bytes).ok();
        Accounted::decode(&bytes).ok();
        Request::decode(&bytes).ok();
        Update::decode(&bytes).ok();
        take::<Update>(&mut BytesMut::from(&bytes[..])).ok();
    }
}

#[test]
fn what_a_newer_peer_says_is_skipped() {
    // Field 15, of two bytes: no kind of today.
    let unknown: &[u8] = &[15 << 3 | 2, 2, 1, 2];
    let known = Request::Unfollow { room: RoomId::from("demo") };
    let mut received = BytesMut::new();
    received.put_u8(4);
    received.put_slice(unknown);
    known.encode(&mut received);
    assert_eq!(take(&mut received), Ok(Some(known)));
    assert_eq!(Update::decode(unknown).map(|update| update.is_none()), Ok(true));
    let record = Some(pb::Place::default());
    let mut bytes = pb::Accounted { room: "demo".into(), shard: 1, record }.encode_to_vec();
    bytes.extend_from_slice(unknown);
    assert!(Accounted::decode(&bytes).unwrap().is_some(), "with a field that is not known");
    let role = pb::Danmaku { role: 77, record, ..pb::Danmaku::default() };
    assert_eq!(candidates::from_wire(role).map(|danmaku| danmaku.role), Ok(Role::Viewer));
}

#[test]
fn impossible_values_are_refused_by_name() {
    let good = pb::Candidates { room: "demo".into(), record: Some(pb::Place::default()), ..pb::Candidates::default() };
    let refusal = |change: fn(&mut pb::Candidates)| {
        let mut candidates = good.clone();
        change(&mut candidates);
        Candidates::decode(&candidates.encode_to_vec()).map(|_| ())
    };
    assert_eq!(refusal(|_| ()), Ok(()));
    for room in ["", "-a", "a-", "A", "a b", &"a".repeat(64)] {
        let bytes = pb::Candidates { room: room.into(), ..good.clone() }.encode_to_vec();
        assert_eq!(Candidates::decode(&bytes).map(|_| ()), Err(Malformed::Field("room")), "{room:?}");
    }
    assert_eq!(refusal(|it| it.shard = SHARDS_MAX), Err(Malformed::Field("shard")));
    assert_eq!(refusal(|it| it.record = None), Err(Malformed::Field("record")));
    assert_eq!(refusal(|it| it.said = Bytes::from_static(b"\xff")), Err(Malformed::Undecodable));
}

#[test]
fn lengths_are_bounded() {
    let whole = |bytes: &[u8]| take::<Request>(&mut BytesMut::from(bytes));
    let mut over = BytesMut::new();
    prost::encode_length_delimiter(MESSAGE_BYTES_MAX + 1, &mut over).unwrap();
    assert_eq!(whole(&over), Err(Malformed::TooLong));
    assert_eq!(whole(&[0x80; 9]), Ok(None), "the length may go on");
    assert_eq!(whole(&[0x80; 10]), Err(Malformed::TooLong));
    assert_eq!(whole(&[2, 0xff, 0xff]), Err(Malformed::Undecodable));
}

#[test]
fn a_frame_is_encoded_by_whoever_comes_first() {
    let emitted = Arc::new(Emitted::from(RoomFrame { number: 7, ..RoomFrame::default() }));
    let update = Update::Frame(RoomId::from("demo"), Arc::clone(&emitted));
    let first = encoded(&update);
    assert_eq!(emitted.encoded.get(), Some(&first));
    assert_eq!(encoded(&update).as_ptr(), first.as_ptr());
    let Some(Update::Frame(_, received)) = take(&mut BytesMut::from(first)).unwrap() else { panic!("no frame") };
    assert_eq!(received.frame.number, 7);
}
