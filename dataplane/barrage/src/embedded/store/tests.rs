//! The embedded store: each record takes effect once, rankings and history are exact, pages lose and repeat nothing.

use std::{collections::BTreeMap, path::Path};

use barrage_proto::{
    Position,
    log::{Entry, Record},
};
use proptest::prelude::*;

use super::*;
use barrage_core::store::*;

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(dir, &mut Registry::default()).unwrap()
}

fn room() -> RoomId {
    RoomId::from("demo")
}

fn record(offset: u64, received_ms: i64, entries: &[(u64, &str)]) -> SliceRecord {
    let entry =
        |&(user, text): &(u64, &str)| Entry { user, content: text.as_bytes().to_vec().into(), ..Entry::default() };
    let entries = entries.iter().map(entry).collect();
    SliceRecord {
        offset,
        record: Record { room: "demo".into(), shard: 0, received_ms, entries, ..Record::default() }.into(),
    }
}

fn batch(shard: u32, history_length: u64, records: Vec<SliceRecord>) -> Arc<[SliceBatch]> {
    [SliceBatch {
        room: room(),
        shard,
        owner_epoch: 0,
        partition: 3,
        expected: None,
        rebuilding: false,
        history_length,
        history_age_ms: i64::MAX,
        records,
    }]
    .into()
}

async fn all_texts(store: &EmbeddedStore, limit: usize) -> Vec<String> {
    let mut texts = Vec::new();
    let mut from = Cursor::default();
    loop {
        let page = store.history(&room(), Direction::After, from, limit).await.unwrap();
        texts.extend(page.items.iter().map(|item| String::from_utf8(item.entry.content.to_vec()).unwrap()));
        if page.items.is_empty() {
            return texts;
        }
        from = page.after;
    }
}

#[tokio::test]
async fn a_record_applied_twice_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let records = vec![record(4, 10, &[(7, "a"), (7, "b"), (9, "c")]), record(5, 11, &[(0, ""), (9, "d")])];
    store.apply(batch(0, 100, records.clone())).await;
    store.apply(batch(0, 100, records)).await;
    drop(store);
    let store = open(dir.path());
    let ranking = store.ranking(&room(), 10).await.unwrap();
    assert_eq!(ranking.scores, [Scored { user: 7, score: 2 }, Scored { user: 9, score: 2 }]);
    assert_eq!(ranking.applied.position(0), Some(Position { partition: 3, offset: 5, index: u32::MAX }));
    assert_eq!(all_texts(&store, 2).await, ["a", "b", "c", "d"]);
    assert_eq!(store.ledger(&room()).await.unwrap().1, 4);
    assert_eq!(store.applied_ends(4).await.unwrap(), [0, 0, 0, 6]);
}

#[tokio::test]
async fn ties_go_to_the_lower_user_id_and_the_largest_ids_sort_last() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.apply(batch(0, 100, vec![record(0, 0, &[(u64::MAX, "a"), (1, "b"), (2, "c"), (2, "d")])])).await;
    let users = |ranking: Ranking| ranking.scores.iter().map(|scored| scored.user).collect::<Vec<_>>();
    assert_eq!(users(store.ranking(&room(), 10).await.unwrap()), [2, 1, u64::MAX]);
    assert_eq!(users(store.ranking(&room(), 2).await.unwrap()), [2, 1]);
}

#[tokio::test]
async fn history_is_trimmed_to_its_length_and_a_tenth_at_most() {
    for length in [0, 1_000] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        for offset in 0..3_000 {
            store.apply(batch(0, length, vec![record(offset, 0, &[(7, "x")])])).await;
        }
        let kept = all_texts(&store, 1_000).await.len() as u64;
        assert!((length..=length + length / 10).contains(&kept), "{kept} of {length} kept");
        assert_eq!(store.ranking(&room(), 1).await.unwrap().scores, [Scored { user: 7, score: 3_000 }]);
    }
}

#[tokio::test]
async fn long_records_are_compressed_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let text = "哈哈哈".repeat(300);
    store.apply(batch(0, 100, vec![record(0, 0, &[(7, &text)])])).await;
    assert_eq!(all_texts(&store, 10).await, [text]);
}

#[tokio::test]
async fn ledgers_are_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let watermark = [(3, Position { partition: 1, offset: 9, index: u32::MAX })].into_iter().collect();
    let counts = Counts { shown: 1, merged: 2, sampled_out: 3, deleted: 4, expired: 5, likes: 6 };
    let ledger = Ledger { epoch: 6, counts, watermark };
    store.save_ledgers(vec![(room(), ledger.clone())]).await.unwrap();
    store.confirm(&[]).await.unwrap();
    drop(store);
    assert_eq!(open(dir.path()).ledger(&room()).await.unwrap(), (ledger, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the slices, records and page size: paging either way gives every danmaku once, in one order.
    #[test]
    fn pages_lose_and_repeat_nothing(
        records in prop::collection::vec((0..4_u32, 1..4_usize, 0..50_i64), 1..40),
        limit in 1..7_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let store = open(dir.path());
            let mut expected: BTreeMap<u32, Vec<String>> = BTreeMap::new();
            for (offset, (shard, rows, received_ms)) in (0_u64..).zip(records) {
                let texts: Vec<String> = (0..rows).map(|row| format!("{shard}:{offset}-{row}")).collect();
                let entries: Vec<(u64, &str)> = texts.iter().map(|text| (7, text.as_str())).collect();
                store.apply(batch(shard, 1_000, vec![record(offset, received_ms, &entries)])).await;
                expected.entry(shard).or_default().extend(texts);
            }
            let forward = all_texts(&store, limit).await;
            let mut backward = Vec::new();
            let mut from = Cursor::default();
            loop {
                let page = store.history(&room(), Direction::Before, from, limit).await.unwrap();
                let texts = page.items.iter().map(|item| String::from_utf8(item.entry.content.to_vec()).unwrap());
                backward.splice(0..0, texts.collect::<Vec<_>>());
                if !page.more {
                    break;
                }
                from = page.before;
            }
            for texts in [&forward, &backward] {
                for (shard, of_slice) in &expected {
                    let prefix = format!("{shard}:");
                    let found: Vec<_> = texts.iter().filter(|text| text.starts_with(&prefix)).collect();
                    assert_eq!(found, of_slice.iter().collect::<Vec<_>>());
                }
                assert_eq!(texts.len(), expected.values().map(Vec::len).sum::<usize>());
            }
        });
    }
}
