//! What moderators did decides at the door, and what viewers are told of it.

use barrage_proto::log::act::Kind;

use super::*;
use crate::gateway::testing::{at, danmaku, room};
use barrage_core::{
    link::More,
    moderation::{ROOM_SHARD, shard_of_act},
    token::Role,
};

const USER: u64 = 7;
const NOW_MS: i64 = 1_000_000;

const fn identity(role: Role) -> Identity {
    Identity { user: USER, role, send: true }
}

/// The act of a kind, at an offset.
fn act(offset: u64, kind: Kind) -> Act {
    let shard = shard_of_act(&kind, USER);
    Act { shard, position: at(offset), at_ms: NOW_MS, act: log::Act { kind: Some(kind), ..log::Act::default() } }
}

fn sanction(kind: log::sanction::Kind, until_ms: i64) -> Kind {
    Kind::Sanction(log::Sanction { user: USER, kind: kind.into(), until_ms })
}

fn settings(change: impl FnOnce(&mut log::Settings)) -> Kind {
    let mut settings = log::Settings::default();
    change(&mut settings);
    Kind::Settings(settings)
}

/// A room after acts, and what viewers are told of them.
fn after(room: &Room, acts: &[Act]) -> (ModerationState, Content) {
    let (state, mut content) = (ModerationState::new(room), Content::default());
    state.take_frame(room, acts, 0, &mut content);
    (state, content)
}

fn says(state: &ModerationState, role: Role, text: &str, now_ms: i64) -> Result<(), (Refusal, u32)> {
    state.check(&identity(role), text, &mut String::new(), now_ms)
}

#[test]
fn a_muted_user_is_told_for_how_long() {
    let room = room(|_| {});
    let until_ms = NOW_MS + 5_000;
    let (state, content) = after(&room, &[act(1, sanction(log::sanction::Kind::Muted, until_ms))]);
    assert_eq!(says(&state, Role::Viewer, "hello", NOW_MS), Err((Refusal::Muted, 5_000)));
    assert_eq!(says(&state, Role::Moderator, "hello", until_ms - 1), Err((Refusal::Muted, 1)));
    assert_eq!(says(&state, Role::Viewer, "hello", until_ms), Ok(()), "it is over");
    for role in [Role::Host, Role::Service] {
        assert_eq!(says(&state, role, "hello", NOW_MS), Ok(()), "{role:?} is beyond it");
    }
    let other = Identity { user: USER + 1, ..identity(Role::Viewer) };
    assert_eq!(state.check(&other, "hello", &mut String::new(), NOW_MS), Ok(()));
    let [notice] = &content.notices[..] else { panic!("one is told") };
    assert_eq!((notice.user, notice.notice.kind(), notice.notice.until_ms), (USER, pb::NoticeKind::Muted, until_ms));
}

#[test]
fn an_act_holds_though_a_later_super_chat_comes_in_the_same_frame() {
    let room = room(|_| {});
    let acts = [
        act(1, sanction(log::sanction::Kind::Banned, 0)),
        act(1, settings(|set| set.slow_mode_s = Some(10))),
        act(1, settings(|set| set.block_words = vec!["spam".to_owned()])),
        act(1, Kind::RemoveUser(USER)),
    ];
    for act in acts {
        // Somebody of the same slice.
        let user = (USER + 1..).find(|&user| shard_of(user) == act.shard).unwrap();
        let gift = log::Gift { value: 100, super_chat: true, ..log::Gift::default() };
        let more = Some(Arc::new(More { gift: Some(gift), reply: None }));
        let chat = Danmaku { received_ms: unix_ms(), more, ..danmaku(user, 2, "thanks") };
        let mut content = Content { danmaku: vec![chat], ..Content::default() };
        let state = ModerationState::new(&room);
        state.take_frame(&room, std::slice::from_ref(&act), 0, &mut content);
        assert_eq!(state.rules().audit(10).len(), 1, "{act:?}");
        assert_eq!(content.highlights.map(|stands| stands.super_chats.len()), Some(1), "{act:?}");
    }
}

#[test]
fn a_sanction_without_an_end_lasts_until_it_is_lifted() {
    let room = room(|_| {});
    let ban = act(1, sanction(log::sanction::Kind::Banned, 0));
    let (state, _) = after(&room, std::slice::from_ref(&ban));
    assert_eq!(says(&state, Role::Viewer, "hello", i64::MAX), Err((Refusal::Muted, 0)));
    assert_eq!(state.notice(USER).map(|notice| notice.kind()), Some(pb::NoticeKind::Banned));
    assert_eq!(state.notice(USER + 1), None);
    let mut content = Content::default();
    state.take_frame(&room, &[act(2, sanction(log::sanction::Kind::None, 0))], 0, &mut content);
    assert_eq!(says(&state, Role::Viewer, "hello", NOW_MS), Ok(()));
    assert_eq!(content.notices[0].notice.kind(), pb::NoticeKind::Lifted);
    let mut content = Content::default();
    state.take_frame(&room, &[ban], 0, &mut content);
    assert_eq!(says(&state, Role::Viewer, "hello", NOW_MS), Ok(()), "an act that is known changes nothing");
    assert!(content.notices.is_empty());
}

#[test]
fn in_a_quiet_room_only_moderators_speak() {
    let room = room(|_| {});
    let (state, content) = after(&room, &[act(1, settings(|set| set.moderators_only = Some(true)))]);
    assert_eq!(says(&state, Role::Viewer, "hello", NOW_MS), Err((Refusal::ModeratorsOnly, 0)));
    for role in [Role::Moderator, Role::Host, Role::Service] {
        assert_eq!(says(&state, role, "hello", NOW_MS), Ok(()));
    }
    assert_eq!(content.settings, Some(pb::RoomSettings { slow_mode_s: 0, moderators_only: true }));
}

#[test]
fn words_of_the_owner_and_of_moderators_are_blocked() {
    let owned = room(|manifest| manifest.spec.moderation.blocked_words = vec!["spoiler".to_owned()]);
    let (state, _) = after(&owned, &[act(1, settings(|set| set.block_words = vec!["spam".to_owned()]))]);
    let says = |text| says(&state, Role::Viewer, text, NOW_MS);
    for text in ["a SPOILER!", "buy spam"] {
        assert_eq!(says(text), Err((Refusal::BlockedWord, 0)), "{text}");
    }
    assert_eq!(says("hello"), Ok(()));
    assert_eq!(super::tests::says(&state, Role::Moderator, "spam", NOW_MS), Ok(()));
    state.take_frame(
        &owned,
        &[act(2, settings(|set| set.allow_words = vec!["spam".to_owned()]))],
        0,
        &mut Content::default(),
    );
    assert_eq!((says("spam"), says("spoiler")), (Ok(()), Err((Refusal::BlockedWord, 0))));
    state.change(&room(|_| {}));
    assert_eq!(says("spoiler"), Ok(()), "the owner has changed the list");
}

#[test]
fn slow_mode_counts_from_the_last_danmaku() {
    let room = room(|manifest| manifest.spec.moderation.slow_mode_seconds = 10);
    let state = ModerationState::new(&room);
    let take = |now_ms| state.take_slow(&room, &identity(Role::Viewer), now_ms);
    assert_eq!([take(NOW_MS), take(NOW_MS + 1), take(NOW_MS + 9_999)], [Ok(()), Err(9_999), Err(1)]);
    assert_eq!([take(NOW_MS + 10_000), take(NOW_MS + 10_001)], [Ok(()), Err(9_999)], "who is refused waits no longer");
    for role in [Role::Moderator, Role::Host] {
        assert_eq!(state.take_slow(&room, &identity(role), NOW_MS + 10_002), Ok(()));
    }
    let (moderated, _) = after(&room, &[act(1, settings(|set| set.slow_mode_s = Some(0)))]);
    assert_eq!([(); 2].map(|()| moderated.take_slow(&room, &identity(Role::Viewer), NOW_MS)), [Ok(()), Ok(())]);
}

#[test]
fn slow_mode_counts_what_was_said_at_other_gateways() {
    let room = room(|manifest| manifest.spec.moderation.slow_mode_seconds = 10);
    let state = ModerationState::new(&room);
    let mut said = danmaku(USER, 1, "elsewhere");
    said.received_ms = NOW_MS;
    let mut content = Content { danmaku: vec![said], ..Content::default() };
    state.take_frame(&room, &[], 0, &mut content);
    assert_eq!(state.take_slow(&room, &identity(Role::Viewer), NOW_MS + 4_000), Err(6_000));
    assert_eq!(state.take_slow(&room, &identity(Role::Viewer), NOW_MS + 10_000), Ok(()));
}

#[test]
fn what_is_removed_is_neither_shown_nor_found_in_history() {
    let room = room(|_| {});
    let state = ModerationState::new(&room);
    let mut content = Content { danmaku: vec![danmaku(USER, 1, "one"), danmaku(USER, 2, "two")], ..Content::default() };
    let acts = [act(3, Kind::Remove(at(1).into()))];
    state.take_frame(&room, &acts, 0, &mut content);
    let shown: Vec<_> = content.danmaku.iter().map(|danmaku| danmaku.position.offset).collect();
    assert_eq!((shown, content.removal.danmaku.len()), (vec![2], 1));
    assert!(state.hides(&danmaku(USER, 1, "one")) && !state.hides(&danmaku(USER, 2, "two")));
    let item = |offset| {
        let danmaku = danmaku(USER, offset, "x");
        let (shard, entry) = (shard_of(USER), danmaku.entry());
        HistoryItem { shard, position: danmaku.position, received_ms: danmaku.received_ms, entry }
    };
    assert!(state.hides_item(&item(1)) && !state.hides_item(&item(2)));
    state.take_frame(&room, &[act(9, Kind::RemoveUser(USER))], 0, &mut content);
    assert!(content.danmaku.is_empty(), "what waits to be written is taken away, too");
    assert_eq!(content.removal.user, [USER]);
}

#[test]
fn what_is_shown_can_be_answered() {
    let (room, mut content) = (room(|_| {}), Content { danmaku: vec![danmaku(USER, 5, "hi")], ..Content::default() });
    let state = ModerationState::new(&room);
    assert_eq!(state.find(at(5)), None);
    state.take_frame(&room, &[], 0, &mut content);
    assert_eq!(state.find(at(5)).map(|found| found.user), Some(USER));
    assert!(content.highlights.is_none(), "nothing of it stays on screens");
    state.forget();
    assert_eq!((state.find(at(5)), state.is_known()), (None, false));
}

#[test]
fn what_stands_is_told_whole() {
    let room = room(|_| {});
    let pin = log::Pin { content: "welcome".to_owned(), user: USER, ..log::Pin::default() };
    let (state, content) = after(&room, &[act(1, Kind::Pin(pin))]);
    let pinned = content.highlights.unwrap().pin.unwrap();
    assert_eq!((pinned.content.as_str(), pinned.user), ("welcome", USER));
    let standing = |state: &ModerationState| {
        let mut frames = Vec::new();
        state.encode_standing(&room, &mut Encoder::plain(), &mut frames);
        barrage_proto::v2::frames(&frames).count()
    };
    assert_eq!((standing(&state), standing(&ModerationState::new(&room))), (1, 0), "the default is not said");
}

#[test]
fn acts_that_were_missed_are_news_once() {
    let room = room(|_| {});
    let (state, _) = after(&room, &[act(1, sanction(log::sanction::Kind::Muted, 0))]);
    let mut stored = RoomRules::default();
    for act in [
        act(1, sanction(log::sanction::Kind::Muted, 0)),
        act(4, sanction(log::sanction::Kind::None, 0)),
        act(5, settings(|set| set.moderators_only = Some(true))),
    ] {
        stored.take(&act);
    }
    assert!(!state.has_missed());
    state.found_missed(stored);
    assert!(state.has_missed());
    let mut content = Content::default();
    state.take_missed(&room, &mut content);
    let kinds: Vec<_> = content.notices.iter().map(|notice| notice.notice.kind()).collect();
    assert_eq!(kinds, [pb::NoticeKind::Lifted], "the first was known");
    assert!(content.settings.unwrap().moderators_only && state.is_known() && !state.has_missed());
    assert!(state.rules().slice(ROOM_SHARD).is_some());
    assert_eq!(says(&state, Role::Viewer, "hello", NOW_MS), Err((Refusal::ModeratorsOnly, 0)));
}
