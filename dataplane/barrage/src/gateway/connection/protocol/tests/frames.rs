//! Frames that are good, and each way to be none.

use super::*;

#[test]
fn a_message_holds_frames_one_after_the_other() {
    let mut peer = Peer::new(Version::V2, Role::Viewer);
    let beat = pb::Heartbeat { client_ms: 5, server_ms: 0 };
    let actions = peer.message([v2(&beat), v2(&danmaku(1)), v2(&pb::Like { count: 3 })].concat());
    let [Action::Heartbeat { client_ms: 5 }, Action::Submit { entry, .. }, Action::Like(3)] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!((entry.seq, &entry.content[..]), (1, &b"hello"[..]));
    assert!(peer.message(Vec::new()).is_empty());
}

#[test]
fn version_1_has_danmaku_and_heartbeats() {
    let mut peer = Peer::new(Version::V1, Role::Viewer);
    let beat = v1(v1::FrameType::Heartbeat, 0, "");
    let (first, second) = (v1(v1::FrameType::Danmaku, USER, "one"), v1(v1::FrameType::Danmaku, USER, "two"));
    let actions = peer.message([beat, first, second].concat());
    let [Action::Heartbeat { .. }, Action::Submit { entry: one, .. }, Action::Submit { entry: two, .. }] = &actions[..]
    else {
        panic!("{actions:?}")
    };
    // It has no numbers: they are counted here.
    assert_eq!((one.seq, two.seq, two.session, two.sent_ms), (1, 2, 99, 1_000));
    assert_eq!((&one.content[..], &two.content[..]), (&b"one"[..], &b"two"[..]));
}

#[test]
fn a_long_message_is_not_kept_alive_by_a_short_text() {
    let mut peer = Peer::new(Version::V1, Role::Viewer);
    let padding = v1(v1::FrameType::Heartbeat, 0, "").repeat(10);
    for (message, shares) in [
        (v1(v1::FrameType::Danmaku, USER, &"x".repeat(60)), true),
        ([padding, v1(v1::FrameType::Danmaku, USER, "x")].concat(), false),
    ] {
        let message = Bytes::from(message);
        let actions = peer.message(message.clone());
        let Some(Action::Submit { entry, .. }) = actions.last() else { panic!("{actions:?}") };
        assert_eq!(message.as_ptr_range().contains(&entry.content.as_ptr()), shares);
    }
}

#[test]
fn what_a_version_1_client_gets_wrong_is_ignored() {
    let good = v1(v1::FrameType::Danmaku, USER, "hello");
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let cases = [
        (good[..v1::HEADER_BYTES - 1].to_vec(), Refusal::Truncated),
        (good[..good.len() - 1].to_vec(), Refusal::Truncated),
        (with(0, 0), Refusal::BadMagic),
        (with(2, 9), Refusal::UnsupportedVersion),
        (with(3, 99), Refusal::UnknownType),
        (with(v1::HEADER_BYTES, 0xff), Refusal::ContentNotUtf8),
        (v1(v1::FrameType::Danmaku, USER + 1, "hello"), Refusal::WrongUser),
        (v1(v1::FrameType::Danmaku, USER, ""), Refusal::ContentEmpty),
        (v1(v1::FrameType::Danmaku, USER, &"x".repeat(65)), Refusal::ContentTooLong),
        (v1(v1::FrameType::Danmaku, USER, "a\u{7}b"), Refusal::ContentUnreadable),
    ];
    for (bytes, wanted) in cases {
        let mut peer = Peer::new(Version::V1, Role::Viewer);
        let action = peer.one(bytes.clone());
        assert!(matches!(action, Action::Ignore(reason) if reason == wanted), "{bytes:?}: {action:?}, not {wanted:?}");
        assert!(matches!(peer.one(good.clone()), Action::Submit { .. }), "and the connection goes on");
    }
    assert!(matches!(Peer::new(Version::V1, Role::Viewer).protocol.text(), Action::Ignore(Refusal::TextMessage)));
}

#[test]
fn a_version_2_client_is_told_what_is_wrong_with_a_frame() {
    let good = v2(&danmaku(1));
    let header = |code: u8, flags: u8, room: u16, payload: &[u8]| {
        let payload_bytes = u32::try_from(payload.len()).unwrap();
        let mut bytes = Vec::new();
        v2::Header { code, flags, room, payload_bytes }.encode(&mut bytes);
        [&bytes[..], payload].concat()
    };
    let mut no_magic = good.clone();
    no_magic[0] = 0;
    let mut other_version = good.clone();
    other_version[2] = 9;
    let send = FrameType::Send.code();
    let cases = [
        (good[..5].to_vec(), Refusal::Truncated),
        (good[..good.len() - 1].to_vec(), Refusal::Truncated),
        (no_magic, Refusal::BadMagic),
        (other_version, Refusal::UnsupportedVersion),
        (header(send, 0, 1, &[]), Refusal::UnknownRoom),
        (header(send, 0x02, 0, &[]), Refusal::UnsupportedFlags),
        (header(send, 1, 0, b"no zstd"), Refusal::BadCompression),
        (header(send, 0, 0, &[0xff; 3]), Refusal::BadPayload),
        (header(FrameType::Heartbeat.code(), 0, 0, &[0xff; 3]), Refusal::BadPayload),
        (header(FrameType::Like.code(), 0, 0, &[0xff; 3]), Refusal::BadPayload),
        (v2(&pb::Ack::default()), Refusal::UnexpectedType),
        (v2(&pb::GoAway::default()), Refusal::UnexpectedType),
    ];
    for (bytes, wanted) in cases {
        let mut peer = Peer::new(Version::V2, Role::Viewer);
        let action = peer.message(bytes.clone()).remove(0);
        let Action::RefuseFrame { reason, detail } = &action else { panic!("{action:?}, not {wanted:?}") };
        assert_eq!(*reason, wanted, "{bytes:?}: {detail}");
        assert!(!detail.is_empty());
        assert_eq!(peer.send(&danmaku(1)), Ok(1), "and the connection goes on");
    }
    assert_eq!(reason(&Peer::new(Version::V2, Role::Viewer).protocol.text()), Some(Refusal::TextMessage));
}

#[test]
fn a_frame_of_a_newer_client_is_skipped() {
    let mut peer = Peer::new(Version::V2, Role::Viewer);
    let mut bytes = Vec::new();
    v2::Header { code: 0x7e, flags: 0, room: 0, payload_bytes: 0 }.encode(&mut bytes);
    let action = peer.one(bytes);
    assert!(matches!(action, Action::Skip(Some(Refusal::UnknownType))), "{action:?}");
}

#[test]
fn likes_count_up_to_a_limit_and_of_those_who_may_send() {
    let mut peer = Peer::new(Version::V2, Role::Viewer);
    let mut likes = |count| match peer.one(v2(&pb::Like { count })) {
        Action::Like(counted) => counted,
        other => panic!("{other:?}"),
    };
    assert_eq!([likes(60), likes(60), likes(u32::MAX)], [60, 40, 0]);
    let mut watcher = Peer::of(Version::V2, Identity::ANONYMOUS);
    let action = watcher.one(v2(&pb::Like { count: 1 }));
    assert!(matches!(action, Action::Skip(None)), "{action:?}");
}

#[test]
fn bound_by_moderation_is_who_is_no_host() {
    use pb::NoticeKind::{Banned, Muted};
    let hears = |version, role, kind| Peer::new(version, role).protocol.hears(kind);
    assert_eq!(hears(Version::V2, Role::Viewer, Muted), (true, false));
    assert_eq!(hears(Version::V2, Role::Moderator, Banned), (true, true));
    assert_eq!(hears(Version::V1, Role::Viewer, Banned), (false, true));
    assert_eq!(hears(Version::V2, Role::Host, Banned), (false, false));
    assert_eq!(hears(Version::V2, Role::Service, Muted), (false, false));
}
