//! Selection: the budget holds, who matters comes first, repeats are merged, nothing is unaccounted for.

use super::*;

const NOW_MS: i64 = 50_000;

type Said = (Position, Entry);

fn danmaku(offset: u64, role: Role, user: u64, text: &str) -> Said {
    let role = i32::from(role).cast_unsigned();
    (position(offset), Entry { user, role, content: text.to_owned().into(), ..Entry::default() })
}

fn select(
    said: Vec<Said>,
    allowance: &mut Allowance,
    recent: &mut RecentTexts,
    is_ranked: impl Fn(u64) -> bool,
    now_ms: i64,
) -> Selection<'static> {
    let candidate = |(position, entry): &'static Said| Candidate { position: *position, received_ms: 0, entry };
    super::select(said.leak().iter().map(candidate).collect(), allowance, recent, is_ranked, now_ms)
}

fn plain(offset: u64, text: &str) -> Said {
    danmaku(offset, Role::Viewer, offset, text)
}

fn offsets(selection: &Selection<'_>) -> Vec<u64> {
    selection.shown.iter().map(|danmaku| danmaku.position.offset).collect()
}

fn position(offset: u64) -> Position {
    Position { partition: 0, offset, index: 0 }
}

/// A budget with room for exactly `available` now.
fn allowance(available: f64) -> Allowance {
    Allowance { per_ms: 0.0, depth: available, tokens: available, filled_ms: NOW_MS }
}

#[test]
fn within_the_budget_everything_is_shown_repeats_too() {
    let candidates = vec![plain(1, "6"), plain(2, "6"), plain(3, "7")];
    let selection = select(candidates, &mut allowance(3.0), &mut RecentTexts::default(), |_| false, NOW_MS);
    assert_eq!(offsets(&selection), [1, 2, 3]);
    assert_eq!(selection, Selection { shown: selection.shown.clone(), ..Selection::default() });
}

#[test]
fn over_the_budget_rank_decides_and_order_stays() {
    let candidates = vec![
        plain(1, "a"),
        danmaku(2, Role::Moderator, 2, "b"),
        danmaku(3, Role::Viewer, 42, "c"),
        danmaku(4, Role::Host, 4, "d"),
        plain(5, "e"),
    ];
    let ranked = |user| user == 42;
    let selection = select(candidates, &mut allowance(3.0), &mut RecentTexts::default(), ranked, NOW_MS);
    assert_eq!(offsets(&selection), [2, 3, 4]);
    assert_eq!((selection.merged, selection.sampled_out), (0, 2));
}

#[test]
fn repeats_in_a_tick_are_merged_into_the_one_shown() {
    let candidates = vec![plain(1, "666"), plain(2, "x"), plain(3, "666"), plain(4, "666")];
    let selection = select(candidates, &mut allowance(1.0), &mut RecentTexts::default(), |_| false, NOW_MS);
    assert_eq!(offsets(&selection), [1]);
    assert_eq!(selection.merges, [(position(1), 3)]);
    assert_eq!((selection.merged, selection.sampled_out), (2, 1));
}

#[test]
fn repeats_of_a_text_on_screen_count_up_on_it_until_it_is_gone() {
    let mut recent = RecentTexts::default();
    select(vec![plain(1, "666")], &mut allowance(1.0), &mut recent, |_| false, NOW_MS);
    for (offset, total) in [(2, 2), (3, 3)] {
        let selection = select(vec![plain(offset, "666")], &mut allowance(0.0), &mut recent, |_| false, NOW_MS + 100);
        assert_eq!(selection.merges, [(position(1), total)]);
        assert_eq!((selection.merged, selection.sampled_out), (1, 0));
    }
    let late = select(vec![plain(4, "666")], &mut allowance(0.0), &mut recent, |_| false, NOW_MS + 5_000);
    assert_eq!((late.merged, late.sampled_out), (0, 1));
}

#[test]
fn who_matters_and_has_no_room_counts_up_on_the_screen_too() {
    let mut recent = RecentTexts::default();
    select(vec![plain(1, "666")], &mut allowance(1.0), &mut recent, |_| false, NOW_MS);
    let candidates = vec![plain(2, "666"), danmaku(3, Role::Viewer, 42, "666"), danmaku(4, Role::Host, 4, "new")];
    let selection = select(candidates, &mut allowance(1.0), &mut recent, |user| user == 42, NOW_MS + 100);
    assert_eq!(offsets(&selection), [4]);
    assert_eq!(selection.merges, [(position(1), 3)]);
    assert_eq!((selection.merged, selection.sampled_out), (2, 0));
}

#[test]
fn the_budget_fills_with_time_up_to_its_burst() {
    let mut allowance = Allowance::new(200, 0);
    assert_eq!(allowance.available(0), 50);
    allowance.spend(50);
    assert_eq!(allowance.available(4), 0);
    assert_eq!(allowance.available(10), 2);
    assert_eq!(allowance.available(60_000), 50);
    // The clock went back: nothing is given, nothing is taken.
    assert_eq!(allowance.available(0), 50);
}
