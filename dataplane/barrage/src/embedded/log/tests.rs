//! The embedded log: durable, in order, and honest about what it lost.

use std::{fs, io::Write, path::Path};

use bytes::Bytes;

use super::*;

fn open(dir: &Path, floors: &[u64]) -> EmbeddedLog {
    EmbeddedLog::open(dir, floors, &mut Registry::default()).unwrap()
}

fn record(partition: u32, text: &str) -> NewRecord {
    NewRecord { partition, payload: Bytes::copy_from_slice(text.as_bytes()), trace: None }
}

async fn texts(log: &EmbeddedLog, partition: u32, from: u64) -> Vec<(u64, String)> {
    let records = log.read(partition, from, 100).await.unwrap();
    records.iter().map(|record| (record.offset, String::from_utf8(record.payload.to_vec()).unwrap())).collect()
}

#[tokio::test]
async fn appends_are_read_in_order_and_survive_a_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &[0, 0]);
    assert_eq!(log.append(vec![record(0, "a"), record(1, "b"), record(0, "c")]).await.unwrap(), [0, 0, 1]);
    assert_eq!(**log.ends.borrow(), [2, 1]);
    drop(log);
    let log = open(dir.path(), &[0, 0]);
    assert_eq!(texts(&log, 0, 0).await, [(0, "a".into()), (1, "c".into())]);
    assert_eq!(texts(&log, 1, 0).await, [(0, "b".into())]);
    assert_eq!(log.append(vec![record(0, "d")]).await.unwrap(), [2]);
}

#[tokio::test]
async fn concurrent_appends_share_commits_and_keep_each_callers_order() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &[0]);
    let callers = (0..50).map(|caller| {
        let log = log.clone();
        tokio::spawn(async move {
            for i in 0..4 {
                log.append(vec![record(0, &format!("{caller}-{i}"))]).await.unwrap();
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let records = log.read(0, 0, 1_000).await.unwrap();
    let texts: Vec<_> = records.iter().map(|r| std::str::from_utf8(&r.payload).unwrap().to_owned()).collect();
    for caller in 0..50 {
        let prefix = format!("{caller}-");
        let own: Vec<_> = texts.iter().filter_map(|text| text.strip_prefix(&prefix)).collect();
        assert_eq!(own, ["0", "1", "2", "3"]);
    }
}

#[tokio::test]
async fn a_log_that_lost_its_tail_goes_on_above_what_the_store_applied() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), &[0]));
    let log = open(dir.path(), &[7]);
    assert_eq!(log.append(vec![record(0, "next")]).await.unwrap(), [7]);
}

#[tokio::test]
async fn a_corrupt_tail_costs_only_the_tail() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &[0]);
    for i in 0..20 {
        log.append(vec![record(0, &format!("record {i}"))]).await.unwrap();
    }
    // As a killed process leaves them: the write-ahead log is not folded in.
    for file in ["log.db", "log.db-wal"] {
        fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
    }
    let wal = copy.path().join("log.db-wal");
    let length = fs::metadata(&wal).unwrap().len();
    fs::OpenOptions::new().write(true).open(&wal).unwrap().set_len(length - 100).unwrap();
    fs::OpenOptions::new().append(true).open(&wal).unwrap().write_all(&[0xff; 80]).unwrap();
    let damaged = open(copy.path(), &[0]);
    let texts = texts(&damaged, 0, 0).await;
    assert_eq!(texts.len(), 19);
    assert_eq!(texts.last(), Some(&(18, "record 18".to_owned())));
    assert_eq!(damaged.append(vec![record(0, "on")]).await.unwrap(), [19]);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("log.db"), "not a database, certainly not one".repeat(100)).unwrap();
    let error = EmbeddedLog::open(dir.path(), &[0], &mut Registry::default()).err().unwrap().to_string();
    assert!(error.contains("log.db") && error.contains("move it away"), "{error}");
}

#[tokio::test]
async fn another_number_of_partitions_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), &[0, 0]));
    let error = EmbeddedLog::open(dir.path(), &[0; 3], &mut Registry::default()).err().unwrap();
    assert!(matches!(error, LogError::Partitions { made: 2, asked: 3 }));
}

#[tokio::test]
async fn trimming_stops_at_the_commit_and_at_the_age() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &[0]);
    for i in 0..4 {
        log.append(vec![record(0, &i.to_string())]).await.unwrap();
    }
    log.commit(vec![Commit { partition: 0, offset: 2, released: 0 }]).await.unwrap();
    assert_eq!(log.trim(0).await.unwrap(), 0);
    assert_eq!(log.trim(i64::MAX).await.unwrap(), 2);
    assert_eq!(log.trim(i64::MAX).await.unwrap(), 0);
    assert_eq!(log.state(0).await.unwrap(), PartitionState { start: 2, end: 4, committed: 2, released: 0 });
    assert_eq!(texts(&log, 0, 0).await, [(2, "2".into()), (3, "3".into())]);
}

#[tokio::test]
async fn rewinding_finds_the_window_before_an_offset() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &[0]);
    for i in 0..5 {
        log.append(vec![record(0, &i.to_string())]).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    assert_eq!(log.rewind(0, 4, 60_000).await.unwrap(), 0);
    assert_eq!(log.rewind(0, 4, 0).await.unwrap(), 3);
    assert_eq!(log.rewind(0, 0, 60_000).await.unwrap(), 0);
}
