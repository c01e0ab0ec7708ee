//! The log on librdkafka's mock brokers: what is read is what was appended, in order, whatever they answer.

mod standing;

use std::{collections::BTreeSet, time::Instant};

use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use tokio::time::timeout;

use super::*;
use barrage_core::log::LogRecord;

/// Generous: what is waited for comes in milliseconds.
const SOON: Duration = Duration::from_secs(30);
const BROKERS: i32 = 3;

type Mock = MockCluster<'static, DefaultProducerContext>;

fn config(mock: &Mock) -> KafkaConfig {
    let brokers = mock.bootstrap_servers().split(',').map(|broker| broker.parse().unwrap()).collect();
    KafkaConfig { pool: "test".into(), brokers, trial: false, tls: None, sasl: None }
}

fn mock(partitions: i32) -> Mock {
    let mock = MockCluster::new(BROKERS).unwrap();
    mock.create_topic("test.danmaku", partitions, BROKERS).unwrap();
    mock.create_topic("test.dead", 1, BROKERS).unwrap();
    mock
}

fn open(mock: &Mock, partitions: u32) -> KafkaLog {
    KafkaLog::open(&config(mock), partitions, &mut Registry::default()).unwrap()
}

/// A log whose appends fail after `give_up`.
fn open_impatient(mock: &Mock, partitions: u32, give_up: Duration) -> KafkaLog {
    let log = open(mock, partitions);
    let mut shared = Arc::into_inner(log.0).unwrap();
    shared.producer = Producer::open_with(shared.config.clone(), shared.metrics.clone(), give_up).unwrap();
    KafkaLog(Arc::new(shared))
}

fn record(partition: u32, text: &str) -> NewRecord {
    NewRecord { partition, payload: text.to_owned().into(), trace: None }
}

fn text(record: &LogRecord) -> String {
    String::from_utf8(record.payload.to_vec()).unwrap()
}

async fn read(reader: &mut Reader, count: usize) -> Vec<LogRecord> {
    let mut records = Vec::new();
    while records.len() < count {
        records.extend(timeout(SOON, reader.next(100)).await.expect("records come").unwrap());
    }
    records
}

async fn until_appended(log: &KafkaLog, partition: u32, text: &str) -> u64 {
    let began = Instant::now();
    loop {
        match log.append(vec![record(partition, text)]).await {
            Ok(offsets) => return offsets[0],
            Err(error) if began.elapsed() > SOON => panic!("{error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

#[tokio::test]
async fn what_is_appended_is_read_in_order_with_its_offset_and_trace() {
    let mock = mock(2);
    let log = open(&mock, 2);
    let trace = TraceParent::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let mut records = vec![record(0, "a"), record(1, "b"), record(0, "c")];
    records[2].trace = trace;
    assert_eq!(log.append(records).await.unwrap(), [0, 0, 1]);
    assert_eq!(log.append(vec![]).await.unwrap(), Vec::<u64>::new());
    assert!(log.append(vec![record(2, "astray")]).await.is_err());
    assert_eq!(log.append(vec![record(0, "d")]).await.unwrap(), [2]);

    let mut reader = log.reader(0, 0, Reading::Live).unwrap();
    let records = read(&mut reader, 3).await;
    let seen: Vec<_> = records.iter().map(|record| (record.offset, text(record), record.trace)).collect();
    assert_eq!(seen, [(0, "a".into(), None), (1, "c".into(), trace), (2, "d".into(), None)]);
    assert!(records.is_sorted_by_key(|record| record.append_ms));
    // Waits for what comes, and loses nothing when it is not waited for any more.
    assert!(timeout(Duration::from_millis(50), reader.next(100)).await.is_err());
    log.append(vec![record(0, "e")]).await.unwrap();
    assert_eq!(text(&read(&mut reader, 1).await[0]), "e");
    assert_eq!(log.last_error(), None);
}

#[tokio::test]
async fn at_most_as_many_as_asked_for_and_each_reading_has_its_own_place() {
    let mock = mock(1);
    let log = open(&mock, 1);
    log.append((0..10).map(|i| record(0, &i.to_string())).collect()).await.unwrap();
    let mut live = log.reader(0, 8, Reading::Live).unwrap();
    let mut behind = log.reader(0, 2, Reading::CatchUp).unwrap();
    assert!(log.reader(0, 0, Reading::CatchUp).is_err(), "one reading of a partition at a time");
    assert_eq!(read(&mut live, 2).await[0].offset, 8);
    let mut offsets = Vec::new();
    while offsets.len() < 8 {
        let records = timeout(SOON, behind.next(3)).await.unwrap().unwrap();
        assert!(records.len() <= 3);
        offsets.extend(records.iter().map(|record| record.offset));
    }
    assert_eq!(offsets, (2..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_reader_that_follows_another_starts_where_it_is_told() {
    let mock = mock(1);
    let log = open(&mock, 1);
    log.append((0..50).map(|i| record(0, &i.to_string())).collect()).await.unwrap();
    for from in [40, 3, 49, 0, 17] {
        let mut reader = log.reader(0, from, Reading::Live).unwrap();
        assert_eq!(timeout(SOON, reader.next(1)).await.unwrap().unwrap()[0].offset, from);
    }
}

#[tokio::test]
async fn a_reader_beyond_the_end_waits_for_the_log_to_get_there() {
    let mock = mock(1);
    let log = open(&mock, 1);
    log.append(vec![record(0, "0")]).await.unwrap();
    let mut reader = log.reader(0, 3, Reading::Live).unwrap();
    assert!(timeout(Duration::from_millis(700), reader.next(100)).await.is_err());
    log.append((1..5).map(|i| record(0, &i.to_string())).collect()).await.unwrap();
    assert_eq!(text(&read(&mut reader, 1).await[0]), "3");
}

#[tokio::test]
async fn a_partition_that_nobody_takes_from_holds_up_no_other() {
    let mock = mock(2);
    let log = open(&mock, 2);
    let _idle = log.reader(0, 0, Reading::Live).unwrap();
    let mut reader = log.reader(1, 0, Reading::Live).unwrap();
    // More than the idle one may hold.
    let large = "x".repeat(1 << 20);
    for _ in 0..40 {
        log.append(vec![record(0, &large)]).await.unwrap();
    }
    log.append(vec![record(1, "through")]).await.unwrap();
    assert_eq!(text(&read(&mut reader, 1).await[0]), "through");
}

#[tokio::test]
async fn commits_are_kept_with_their_release() {
    let mock = mock(3);
    let log = open(&mock, 3);
    log.append((0..6).map(|i| record(i % 3, "x")).collect()).await.unwrap();
    let fresh = PartitionState { start: 0, end: 2, committed: 0, released: 0 };
    assert_eq!(log.state(1).await.unwrap(), fresh);
    let commit = |partition, offset, released| Commit { partition, offset, released };
    log.commit(vec![commit(0, 1, 0), commit(1, 2, 7)]).await.unwrap();
    log.commit(vec![]).await.unwrap();
    // Another process.
    let log = open(&mock, 3);
    assert_eq!(log.state(0).await.unwrap(), PartitionState { committed: 1, ..fresh });
    assert_eq!(log.state(1).await.unwrap(), PartitionState { committed: 2, released: 7, ..fresh });
    assert_eq!(log.state(2).await.unwrap(), fresh);
    log.commit(vec![commit(1, 2, 0)]).await.unwrap();
    assert_eq!(log.state(1).await.unwrap().released, 0);
}

#[tokio::test]
async fn order_holds_while_brokers_answer_with_errors() {
    let mock = mock(1);
    let log = open(&mock, 1);
    let mut reader = log.reader(0, 0, Reading::Live).unwrap();
    let (count, mut appends) = (200, Vec::new());
    for i in 0..count {
        if i % 60 == 0 {
            let errors = [
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            ];
            mock.request_errors(RDKafkaApiKey::Produce, &errors);
        }
        let log = log.clone();
        appends.push(tokio::spawn(async move { log.append(vec![record(0, &i.to_string())]).await }));
        tokio::task::yield_now().await;
    }
    let mut offsets = Vec::new();
    for append in appends {
        offsets.push(append.await.unwrap().unwrap()[0]);
    }
    assert_eq!(offsets, (0..count).collect::<Vec<_>>());
    let texts: Vec<_> = read(&mut reader, offsets.len()).await.iter().map(text).collect();
    assert_eq!(texts, (0..count).map(|i| i.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn nothing_passes_a_record_that_was_refused_for_good() {
    let mock = mock(1);
    let log = open(&mock, 1);
    log.append(vec![record(0, "before")]).await.unwrap();
    // All that are in flight at once: real brokers refuse what comes behind a gap, mock brokers do not look.
    mock.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD; 5]);
    for broker in 1..=BROKERS {
        mock.broker_round_trip_time(broker, Duration::from_millis(50)).unwrap();
    }
    // One fills a request, so that most wait behind those in flight.
    let large = "x".repeat(700 * 1024);
    let appends = (0..20).map(|i| {
        let (log, text) = (log.clone(), format!("{i} {large}"));
        tokio::spawn(async move { log.append(vec![record(0, &text)]).await.is_ok() })
    });
    let mut kept = Vec::new();
    for (i, append) in appends.collect::<Vec<_>>().into_iter().enumerate() {
        if append.await.unwrap() {
            kept.push(i.to_string());
        }
    }
    assert!(log.last_error().is_some());
    mock.clear_request_errors(RDKafkaApiKey::Produce);
    let after = until_appended(&log, 0, "after").await;
    assert_eq!(log.last_error(), None);
    let mut reader = log.reader(0, 0, Reading::Live).unwrap();
    let seen: Vec<_> = read(&mut reader, usize::try_from(after).unwrap() + 1).await.iter().map(text).collect();
    assert_eq!(seen[0], "before");
    assert_eq!(seen.last().unwrap(), "after");
    assert_eq!(kept, Vec::<String>::new(), "everything behind the refused one is refused with it");
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn nothing_passes_a_record_that_is_in_the_log_nobody_knows_where() {
    let mock = mock(1);
    let log = open(&mock, 1);
    log.append(vec![record(0, "before")]).await.unwrap();
    for broker in 1..=BROKERS {
        mock.broker_round_trip_time(broker, Duration::from_millis(200)).unwrap();
    }
    // What brokers say to a repeated request whose first answer they have forgotten; librdkafka takes it for delivered.
    mock.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER]);
    let append = |text: &'static str| {
        let log = log.clone();
        tokio::spawn(async move { log.append(vec![record(0, text)]).await })
    };
    let first = append("somewhere");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let behind = append("behind");
    tokio::task::yield_now().await;
    // Who would end the line is slow to hear of it: this is the only thread of the runtime.
    std::thread::sleep(Duration::from_millis(600));
    let first = first.await.unwrap().unwrap_err().to_string();
    assert!(first.contains("cannot say where"), "{first}");
    behind.await.unwrap().unwrap_err();
    let after = until_appended(&log, 0, "after").await;
    let mut reader = log.reader(0, 0, Reading::Live).unwrap();
    let seen: Vec<_> = read(&mut reader, usize::try_from(after).unwrap() + 1).await.iter().map(text).collect();
    assert_eq!(seen, ["before", "after"]);
}

#[tokio::test]
async fn nothing_gets_in_behind_what_failed_in_its_lane_until_the_caller_knows() {
    let mock = mock(1);
    let log = open(&mock, 1);
    let lane = Lane::default();
    log.append_in(&lane, true, vec![record(0, "first")]).await.unwrap();
    log.append_in(&lane, false, vec![record(0, "second")]).await.unwrap();
    mock.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD]);
    log.append_in(&lane, false, vec![record(0, "refused")]).await.unwrap_err();
    mock.clear_request_errors(RDKafkaApiKey::Produce);
    // Another caller's append goes by the line that replaced it.
    until_appended(&log, 0, "elsewhere").await;
    let behind = log.append_in(&lane, false, vec![record(0, "behind")]).await.unwrap_err().to_string();
    assert!(behind.contains("what stands before it has failed"), "{behind}");
    let last = log.append_in(&lane, true, vec![record(0, "anew")]).await.unwrap()[0];
    let mut reader = log.reader(0, 0, Reading::Live).unwrap();
    let seen: Vec<_> = read(&mut reader, usize::try_from(last).unwrap() + 1).await.iter().map(text).collect();
    assert_eq!(seen, ["first", "second", "elsewhere", "anew"]);
}

#[tokio::test]
async fn appends_fail_together_while_brokers_are_away_and_go_on_afterwards() {
    let mock = mock(1);
    let log = open_impatient(&mock, 1, Duration::from_secs(2));
    log.append(vec![record(0, "before")]).await.unwrap();
    for broker in 1..=BROKERS {
        mock.broker_down(broker).unwrap();
    }
    let first = tokio::spawn({
        let log = log.clone();
        async move { log.append(vec![record(0, "away")]).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    log.append(vec![record(0, "behind")]).await.unwrap_err();
    let first = first.await.unwrap().unwrap_err().to_string();
    assert!(first.contains("no acknowledgement within 2 s"), "{first}");
    assert!(log.last_error().is_some());
    for broker in 1..=BROKERS {
        mock.broker_up(broker).unwrap();
    }
    let last = until_appended(&log, 0, "after").await;
    let mut reader = log.reader(0, 0, Reading::Live).unwrap();
    let seen: Vec<_> = read(&mut reader, usize::try_from(last).unwrap() + 1).await.iter().map(text).collect();
    // Each time that it was tried again, it may have been given up before it was known to be in.
    assert_eq!(BTreeSet::from_iter(&seen), BTreeSet::from_iter(&["before".to_owned(), "after".to_owned()]));
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_takes_again_when_it_is_drained() {
    let mock = mock(1);
    let log = open(&mock, 1);
    log.append(vec![record(0, "before")]).await.unwrap();
    for broker in 1..=BROKERS {
        mock.broker_down(broker).unwrap();
    }
    let large = "x".repeat(partition_queue::RECORD_BYTES_MAX);
    // The share of a partition when no other has anything, a third.
    let waiting = (0..=partition_queue::QUEUE_BYTES_MAX / partition_queue::RECORD_BYTES_MAX / 3).map(|_| {
        let (log, large) = (log.clone(), large.clone());
        tokio::spawn(async move { log.append(vec![record(0, &large)]).await })
    });
    let waiting: Vec<_> = waiting.collect();
    tokio::task::yield_now().await;
    let refused = log.append(vec![record(0, "one more")]).await.unwrap_err().to_string();
    assert!(refused.contains("wait for partition 0 already"), "{refused}");
    for broker in 1..=BROKERS {
        mock.broker_up(broker).unwrap();
    }
    for append in waiting {
        timeout(SOON, append).await.unwrap().unwrap().unwrap();
    }
    log.append(vec![record(0, "again")]).await.unwrap();
    let too_large = "x".repeat(partition_queue::RECORD_BYTES_MAX + 1);
    assert!(log.append(vec![record(0, &too_large)]).await.unwrap_err().to_string().contains("is over"));
}

#[tokio::test]
async fn a_reader_goes_on_when_its_brokers_come_back() {
    let mock = mock(1);
    let log = open(&mock, 1);
    let mut reader = log.reader(0, 0, Reading::Live).unwrap();
    log.append(vec![record(0, "before")]).await.unwrap();
    assert_eq!(text(&read(&mut reader, 1).await[0]), "before");
    for broker in 1..=BROKERS {
        mock.broker_down(broker).unwrap();
    }
    assert!(timeout(Duration::from_millis(300), reader.next(100)).await.is_err());
    for broker in 1..=BROKERS {
        mock.broker_up(broker).unwrap();
    }
    log.append(vec![record(0, "after")]).await.unwrap();
    assert_eq!(text(&read(&mut reader, 1).await[0]), "after");
}

#[tokio::test]
async fn what_is_set_aside_says_where_it_stood_and_why() {
    use rdkafka::message::{Headers, Message};

    let mock = mock(1);
    let log = open(&mock, 1);
    let letter = DeadLetter { partition: 3, offset: 9, reason: "no record".into(), payload: "bad".into() };
    log.set_aside(letter).await.unwrap();
    let config = config(&mock);
    let fetcher = Fetcher::open(&config.client(), "other", "test.dead", 1, &log.0.metrics).unwrap();
    let queue = fetcher.assign(0, 0, || ()).unwrap();
    let message = queue.poll(SOON).unwrap().unwrap();
    assert_eq!(message.payload(), Some(&b"bad"[..]));
    let headers: Vec<_> =
        message.headers().unwrap().iter().map(|h| (h.key.to_owned(), h.value.unwrap().to_vec())).collect();
    let expected = [("partition", "3"), ("offset", "9"), ("reason", "no record")];
    assert_eq!(headers, expected.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec())));
}
