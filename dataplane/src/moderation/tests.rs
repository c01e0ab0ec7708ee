//! Rules are a function of the log: by place, whatever is met twice or late.

use barrage_proto::log::{Entry, Gift, Sanction as Said, act::Kind, sanction};
use proptest::prelude::*;

use super::*;

const USER: u64 = 7;

fn at(offset: u64) -> Position {
    Position { partition: 1, offset, index: 0 }
}

fn act(kind: Kind) -> log::Act {
    log::Act { actor: 1, role: 1, reason: "why".into(), kind: Some(kind) }
}

fn said(kind: sanction::Kind, until_ms: i64) -> log::Act {
    act(Kind::Sanction(Said { user: USER, kind: kind.into(), until_ms }))
}

fn hides(rules: &Rules, offset: u64, received_ms: i64) -> bool {
    rules.hides(at(offset), USER, Role::Viewer, received_ms)
}

#[test]
fn a_mute_hides_what_stands_behind_it_until_its_time_or_its_end() {
    let mut rules = Rules::default();
    assert!(rules.take(&said(sanction::Kind::Muted, 1_000), at(5), 0));
    assert!(!hides(&rules, 4, 10), "before it");
    assert!(hides(&rules, 6, 999) && !hides(&rules, 7, 1_000), "by receipt time");
    assert!(rules.take(&said(sanction::Kind::Banned, 0), at(10), 2_000));
    assert!(hides(&rules, 11, i64::MAX) && hides(&rules, 6, 999), "for ever, and what was hidden stays so");
    assert!(rules.take(&said(sanction::Kind::None, 0), at(20), 3_000));
    assert!(hides(&rules, 11, 2_500) && !hides(&rules, 21, 3_500));
    assert!(!rules.hides(at(11), USER, Role::Host, 2_500), "hosts are beyond it");
    assert!(!rules.hides(at(11), USER + 16, Role::Viewer, 2_500), "another user");
    assert_eq!(rules.sanction(USER, 3_500), None);
}

#[test]
fn of_a_user_who_is_muted_over_and_over_the_newest_are_known() {
    let mut rules = Rules::default();
    for offset in 0..300 {
        rules.take(&said(sanction::Kind::Muted, 1_000), at(2 * offset), 0);
    }
    assert_eq!(rules.sanctions[&USER].len(), rules::SANCTIONS_MAX);
    assert!(hides(&rules, 599, 999) && hides(&rules, 401, 999) && !hides(&rules, 399, 999));
}

#[test]
fn what_is_removed_is_hidden_for_everybody_and_later_ones_are_not() {
    let mut rules = Rules::default();
    rules.take(&act(Kind::Remove(at(3).into())), at(9), 0);
    rules.take(&act(Kind::RemoveUser(USER)), at(12), 0);
    for (offset, hidden) in [(3, true), (11, true), (12, false), (13, false)] {
        assert_eq!(rules.hides(at(offset), USER, Role::Host, 0), hidden, "{offset}");
    }
    assert!(rules.hides(at(3), 99, Role::Viewer, 0));
}

#[test]
fn settings_change_what_they_name() {
    let mut rules = RoomRules::default();
    let set = |position, settings| Act { shard: ROOM_SHARD, position, at_ms: 0, act: act(Kind::Settings(settings)) };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    rules.take(&set(
        at(1),
        log::Settings { slow_mode_s: Some(30), block_words: words(&["a", "b", "", &"x".repeat(65)]), ..<_>::default() },
    ));
    rules
        .take(&set(at(2), log::Settings { moderators_only: Some(true), allow_words: words(&["a"]), ..<_>::default() }));
    let settings = LiveSettings { slow_mode_s: Some(30), moderators_only: Some(true) };
    assert_eq!(rules.settings(), settings);
    assert_eq!(rules.blocked_words().collect::<Vec<_>>(), ["b"]);
    assert!(!rules.take(&set(at(1), log::Settings::default())), "known");
    assert_eq!(rules.audit(10).len(), 2);
}

#[test]
fn super_chats_stay_by_their_value_unless_they_are_removed() {
    let chat = |value| Entry {
        user: USER,
        gift: Some(Gift { value, super_chat: true, ..Gift::default() }.into()),
        ..Entry::default()
    };
    let mut rules = RoomRules::default();
    let shard = shard_of(USER);
    rules.stay(shard, &chat(10), at(1), 0);
    rules.stay(shard, &chat(100), at(2), 0);
    rules.stay(shard, &chat(100), at(2), 0);
    let staying = |rules: &RoomRules, now_ms| rules.super_chats(now_ms).len();
    assert_eq!((staying(&rules, 0), staying(&rules, 60_000), staying(&rules, 300_000)), (2, 1, 0));
    rules.take(&Act { shard, position: at(3), at_ms: 0, act: act(Kind::Remove(at(2).into())) });
    assert_eq!(staying(&rules, 0), 1);
    rules.take(&Act { shard, position: at(4), at_ms: 0, act: act(Kind::RemoveUser(USER)) });
    assert_eq!(staying(&rules, 0), 0);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut rules = Rules::default();
    for number in 0..super::rules::REMOVED_MAX as u64 + 10 {
        rules.take(&act(Kind::Remove(at(number).into())), at(1_000_000 + number), 0);
    }
    assert_eq!(rules.removed.len(), super::rules::REMOVED_MAX);
    assert!(!rules.hides(at(0), 1, Role::Viewer, 0), "the oldest is forgotten");
}

fn acts() -> impl Strategy<Value = Vec<log::Act>> {
    let kind = (0..6, 1..4_u64, 0..3_i64).prop_map(|(which, user, until_ms)| match which {
        0 => Kind::Sanction(Said { user, kind: 1, until_ms }),
        1 => Kind::Sanction(Said { user, kind: 2, until_ms }),
        2 => Kind::Sanction(Said { user, kind: 0, until_ms }),
        3 => Kind::RemoveUser(user),
        4 => Kind::Remove(at(user).into()),
        _ => Kind::Pin(log::Pin { content: "x".repeat(usize::try_from(user).unwrap() - 1), ..log::Pin::default() }),
    });
    prop::collection::vec(kind.prop_map(act), 0..20)
}

proptest! {
    /// Whoever reads acts again, from wherever, knows the same; and so does who reads them from a store.
    #[test]
    fn acts_met_twice_change_nothing(acts in acts(), again in 0..20_usize) {
        let mut once = Rules::default();
        for (offset, act) in (10..).zip(&acts) {
            prop_assert!(once.take(act, at(offset), 5));
        }
        let mut twice = Rules::decode(&once.encode()).unwrap();
        prop_assert_eq!(&twice, &once);
        for (offset, act) in (10..).zip(&acts).skip(again) {
            prop_assert!(!twice.take(act, at(offset), 5));
        }
        prop_assert_eq!(twice, once);
    }
}
