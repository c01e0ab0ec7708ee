//! Danmaku: what they become, why one is refused, and in which order those of a sender go.

use super::*;

/// Peers whose danmaku would be accepted, but for a reason.
fn refused(change: impl FnOnce(&mut Peer, &mut pb::Send)) -> SendRefusal {
    let mut peer = Peer::new(Version::V2, Role::Viewer);
    let mut send = danmaku(3);
    change(&mut peer, &mut send);
    peer.send(&send).unwrap_err()
}

#[test]
fn each_reason_is_given() {
    let who = |peer: &mut Peer, role, send| peer.protocol.identity = Identity { user: USER, role, send };
    assert_eq!(refused(|_, send| send.seq = 0), (Refusal::BadSequence, 0));
    assert_eq!(refused(|_, send| send.oldest_pending = 4), (Refusal::BadSequence, 0));
    assert_eq!(refused(|peer, _| who(peer, Role::Viewer, false)), (Refusal::SendNotAllowed, 0));
    assert_eq!(refused(|_, send| send.content.clear()), (Refusal::ContentEmpty, 0));
    assert_eq!(refused(|_, send| send.content = "x".repeat(65)), (Refusal::ContentTooLong, 0));
    assert_eq!(refused(|_, send| send.content = "a\u{1b}[2J".to_owned()), (Refusal::ContentUnreadable, 0));
    assert_eq!(refused(|_, send| send.mode = 9), (Refusal::BadStyle, 0));
    assert_eq!(refused(|_, send| send.colour = 0x100_0000), (Refusal::BadStyle, 0));
    assert_eq!(refused(|_, send| send.size = -1), (Refusal::BadStyle, 0));
    assert_eq!(refused(|_, send| send.retry_age_ms = RETRY_AGE_MS_MAX + 1), (Refusal::UnknownOutcome, 0));
    assert_eq!(refused(|_, send| send.reply_to = Some(pb::DanmakuId::default())), (Refusal::UnknownReply, 0));
    assert_eq!(refused(|_, send| send.gift = Some(pb::GiftOrder::default())), (Refusal::GiftNotAllowed, 0));
    let no_gift = |peer: &mut Peer, send: &mut pb::Send| {
        who(peer, Role::Service, true);
        send.gift = Some(pb::GiftOrder::default());
    };
    assert_eq!(refused(no_gift), (Refusal::BadGift, 0));
    assert_eq!(refused(|peer, _| peer.room.is_full = true), (Refusal::Retry, BUSY_RETRY_AFTER_MS));
    for reason in [(Refusal::Muted, 9), (Refusal::BlockedWord, 0), (Refusal::ModeratorsOnly, 0)] {
        assert_eq!(refused(|peer, _| peer.room.text = Err(reason)), reason);
    }
    for reason in [(Refusal::RateLimited, 250), (Refusal::SlowMode, 3_000)] {
        assert_eq!(refused(|peer, _| peer.room.limit = Err(reason)), reason);
    }
}

#[test]
fn a_text_that_is_not_utf_8_is_refused_under_its_number() {
    let mut peer = Peer::new(Version::V2, Role::Viewer);
    let send = v2::UncheckedSend { seq: 5, content: vec![0xff, 0xfe], ..v2::UncheckedSend::default() };
    let action = peer.one(v2(&send));
    let wanted = Refusal::ContentNotUtf8;
    assert!(
        matches!(action, Action::RefuseSend { seq: 5, reason, retry_after_ms: 0 } if reason == wanted),
        "{action:?}"
    );
}

#[test]
fn what_is_refused_takes_nothing_from_its_senders_limit() {
    let mut peer = Peer::new(Version::V2, Role::Viewer);
    peer.room.text = Err((Refusal::BlockedWord, 0));
    peer.send(&danmaku(1)).unwrap_err();
    peer.room.text = Ok(());
    peer.send(&pb::Send { oldest_pending: 1, ..danmaku(2) }).unwrap_err();
    peer.room.is_full = true;
    peer.send(&danmaku(1)).unwrap_err();
    assert!(peer.room.taken.is_empty());
    peer.room.is_full = false;
    assert_eq!(peer.send(&danmaku(1)), Ok(1));
    assert_eq!(peer.room.taken, [false]);
}

#[test]
fn a_danmaku_becomes_an_entry_of_its_sender() {
    let mut peer = Peer::new(Version::V2, Role::Moderator);
    let answered = Position { partition: 3, offset: 1_042, ..Position::default() };
    peer.room.known = Some((answered, 55));
    let send = pb::Send { retry_age_ms: 10, colour: 0xff_0000, reply_to: Some(answered.into()), ..danmaku(4) };
    let Action::Submit { entry, reviewable } = peer.one(v2(&send)) else { panic!("it is accepted") };
    assert!(!reviewable, "a moderator keeps order");
    assert_eq!((entry.user, entry.session, entry.seq, entry.sent_ms), (USER, 99, 4, 1_000));
    assert_eq!((entry.role, entry.retry, entry.colour), (1, true, 0xff_0000));
    let reply = entry.reply.unwrap();
    assert_eq!((reply.partition, reply.offset, reply.index, reply.user), (3, 1_042, 0, 55));
    let of_viewer = Peer::new(Version::V2, Role::Viewer).one(v2(&danmaku(1)));
    assert!(matches!(of_viewer, Action::Submit { reviewable: true, .. }), "{of_viewer:?}");
}

#[test]
fn a_gift_is_of_who_gives_it_and_bound_by_no_limit_of_its_service() {
    let mut peer = Peer::new(Version::V2, Role::Service);
    let rocket = pb::GiftOrder { user: 8, value: 5, name: "rocket".to_owned(), count: 2, super_chat: false };
    let Action::Submit { entry, reviewable } = peer.one(v2(&pb::Send { gift: Some(rocket), ..danmaku(1) })) else {
        panic!("it is accepted")
    };
    let gift = entry.gift.unwrap();
    assert_eq!((entry.user, entry.role, gift.value, gift.count, reviewable), (8, 0, 5, 2, false));
    assert_eq!(peer.room.taken, [true]);
}

#[test]
fn nothing_overtakes_what_was_refused() {
    let mut peer = Peer::new(Version::V2, Role::Viewer);
    assert_eq!(peer.send(&danmaku(1)), Ok(1));
    peer.room.limit = Err((Refusal::RateLimited, 100));
    assert_eq!(peer.send(&danmaku(2)), Err((Refusal::RateLimited, 100)));
    peer.room.limit = Ok(());
    assert_eq!(peer.send(&danmaku(3)), Err((Refusal::Blocked, 0)));
    assert_eq!(peer.send(&danmaku(2)), Ok(2), "it is sent again");
    assert_eq!(peer.send(&danmaku(4)), Err((Refusal::Blocked, 0)), "3 is still missing");
    assert_eq!(peer.send(&danmaku(3)), Ok(3));
    assert_eq!(peer.send(&danmaku(4)), Ok(4));
}

#[test]
fn what_is_given_up_holds_nothing_up() {
    let mut peer = Peer::new(Version::V2, Role::Viewer);
    peer.send(&pb::Send { content: String::new(), ..danmaku(1) }).unwrap_err();
    assert_eq!(peer.send(&danmaku(2)), Err((Refusal::Blocked, 0)));
    assert_eq!(peer.send(&pb::Send { oldest_pending: 2, ..danmaku(2) }), Ok(2));
}

#[test]
fn a_late_refusal_holds_up_what_follows_unless_it_is_for_good() {
    let mut peer = Peer::new(Version::V2, Role::Viewer);
    for seq in 1..=2 {
        assert_eq!(peer.send(&danmaku(seq)), Ok(seq));
    }
    // The moderator did not want the first; the log did not take the second.
    assert_eq!(reason(&peer.protocol.refuse(1, Refusal::Rejected, 0)), Some(Refusal::Rejected));
    assert_eq!(peer.send(&danmaku(3)), Ok(3));
    assert_eq!(reason(&peer.protocol.refuse(2, Refusal::Retry, 1_000)), Some(Refusal::Retry));
    assert_eq!(peer.send(&danmaku(4)), Err((Refusal::Blocked, 0)));
    let retry = pb::Send { retry_age_ms: 1_000, ..danmaku(2) };
    assert_eq!(peer.send(&retry), Ok(2));
}

#[test]
fn a_bad_number_holds_nothing_up() {
    let mut peer = Peer::new(Version::V2, Role::Viewer);
    assert_eq!(peer.send(&danmaku(0)), Err((Refusal::BadSequence, 0)));
    assert_eq!(peer.send(&danmaku(1)), Ok(1));
}

#[test]
fn a_version_1_client_is_never_held_up() {
    let mut peer = Peer::new(Version::V1, Role::Viewer);
    let frame = v1(v1::FrameType::Danmaku, USER, "hello");
    peer.room.limit = Err((Refusal::RateLimited, 100));
    assert_eq!(reason(&peer.one(frame.clone())), Some(Refusal::RateLimited));
    peer.room.limit = Ok(());
    let action = peer.one(frame);
    assert!(matches!(action, Action::Submit { .. }), "{action:?}");
    assert!(matches!(peer.protocol.refuse(1, Refusal::Retry, 0), Action::Ignore(Refusal::Retry)));
}
