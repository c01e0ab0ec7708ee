//! Following and writing against the broker that librdkafka brings for tests. It knows no aborted transactions and fences
//! nobody: that is tried on a real one.

use barrage_proto::routes as pb;
use prost::Message as _;
use rdkafka::{
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer},
};

use super::*;
use barrage_core::routes::{Owner, change::Change, entry::Key, plan};

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster() -> (Cluster, ClientConfig) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("test.routes", 1, 1).unwrap();
    let mut base = ClientConfig::new();
    base.set("bootstrap.servers", cluster.bootstrap_servers());
    (cluster, base)
}

fn creation() -> Change {
    let alive = plan::Alive { consumers: ["c-0".into(), "c-1".into()].into(), ..plan::Alive::default() };
    Change::between(&Table::default(), &plan::plan(&Table::default(), &alive, Some(4)).unwrap())
}

fn owned(table: &Table, partition: u32, consumer: &str) -> Change {
    Change { owners: [(partition, Some(consumer.into()))].into(), ..Change::on(table) }
}

fn following(base: &ClientConfig) -> (Routes, Freshness, CancellationToken) {
    let shutdown = CancellationToken::new();
    let (routes, freshness, _) = follow(base.clone(), "test", Metrics::default(), shutdown.clone());
    (routes, freshness, shutdown)
}

/// Waits for a table, or for something to be so; fails after half a minute.
async fn until<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("it comes to pass")
}

async fn so(condition: impl Fn() -> bool) {
    until(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_whole_changes_and_know_how_fresh_they_are() {
    let (_cluster, base) = cluster();
    let (mut routes, freshness, _shutdown) = following(&base);
    so(|| freshness.waiting_for().contains("pool create --partitions")).await;

    let mut writer = Writer::open(base.clone(), "test", "tester").await.unwrap();
    writer.write(&creation()).await.unwrap();
    let table = until(first(&mut routes, &freshness)).await.unwrap().unwrap();
    assert_eq!((table.epoch, table.partition_count()), (1, 4));
    assert_eq!(*table, *writer.table());

    let next = owned(&table, 3, "c-2");
    writer.write(&next).await.unwrap();
    let table = until(routes.wait_for(|table| table.epoch == 2)).await.unwrap().clone();
    assert_eq!(table.partitions[3], Owner { consumer: Some("c-2".into()), epoch: 2 });
    so(|| freshness.is_within(Duration::from_secs(1))).await;

    // Who comes later sees the last table first.
    let (late, _, _shutdown) = following(&base);
    let first_seen = until(late.clone().wait_for(|table| table.epoch > 0)).await.unwrap().epoch;
    assert_eq!(first_seen, 2);
    assert_eq!(read(base, "test").await.unwrap().unwrap(), *table);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_refused_when_the_table_has_moved_on() {
    let (_cluster, base) = cluster();
    let mut writer = Writer::open(base.clone(), "test", "tester").await.unwrap();
    writer.write(&creation()).await.unwrap();
    let before = writer.table().clone();
    writer.write(&owned(&before, 0, "c-9")).await.unwrap();
    let refused = writer.write(&owned(&before, 1, "c-9")).await.unwrap_err();
    assert!(matches!(refused, WriteError::Moved { planned: 1, current: 2 }), "{refused}");
    let table = writer.table().clone();
    writer.write(&owned(&table, 1, "c-8")).await.unwrap();
    assert_eq!(read(base, "test").await.unwrap().unwrap(), *writer.table());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_the_table_stays_and_grows_stale_until_it_is_back() {
    let (cluster, base) = cluster();
    let mut writer = Writer::open(base.clone(), "test", "tester").await.unwrap();
    writer.write(&creation()).await.unwrap();
    let (mut routes, freshness, _shutdown) = following(&base);
    until(first(&mut routes, &freshness)).await.unwrap().unwrap();
    cluster.broker_down(1).unwrap();
    so(|| !freshness.is_within(Duration::from_secs(3)) && freshness.last_error().is_some()).await;
    assert_eq!(routes.borrow().epoch, 1);
    cluster.broker_up(1).unwrap();
    so(|| freshness.is_within(Duration::from_secs(1)) && freshness.last_error().is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_entry_stops_nothing() {
    let (_cluster, base) = cluster();
    let producer: BaseProducer = base.create().unwrap();
    let nonsense = BaseRecord::<str, str>::to("test.routes").partition(PARTITION).key("weather").payload("rain");
    producer.send(nonsense).map_err(|(error, _)| error).unwrap();
    producer.flush(Duration::from_secs(10)).unwrap();
    let mut writer = Writer::open(base.clone(), "test", "tester").await.unwrap();
    writer.write(&creation()).await.unwrap();
    assert_eq!("weather".parse::<Key>().unwrap_err().to_string().lines().count(), 1);
    assert_eq!(read(base, "test").await.unwrap().unwrap(), *writer.table());
}

/// What an earlier version wrote when it moved a slice to partition 1.
fn move_a_slice(base: &ClientConfig) {
    let producer: BaseProducer = base.create().unwrap();
    let entry = b"\x08\x02\x22\x0c\x0a\x04demo\x10\x05\x18\x01\x28\x01";
    let head = pb::Head { partitions: 4, ..pb::Head::default() };
    let head = pb::Entry { epoch: 2, kind: Some(pb::entry::Kind::Head(head)) }.encode_to_vec();
    for (key, value) in [("slice/demo/5", &entry[..]), ("head", &head)] {
        let record = BaseRecord::<str, [u8]>::to("test.routes").partition(PARTITION).key(key).payload(value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(10)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_begins_with_a_table_of_which_slices_have_moved_and_who_has_begun_stays_where_it_is() {
    let (_cluster, base) = cluster();
    let mut writer = Writer::open(base.clone(), "test", "tester").await.unwrap();
    writer.write(&creation()).await.unwrap();
    let (mut begun, at_work, _shutdown) = following(&base);
    until(first(&mut begun, &at_work)).await.unwrap().unwrap();
    move_a_slice(&base);

    let (mut routes, freshness, _shutdown) = following(&base);
    let refused = until(first(&mut routes, &freshness)).await.unwrap_err();
    assert!(refused.to_string().contains("slice/demo/5 is one"), "{refused}");
    let read = read(base.clone(), "test").await.unwrap_err();
    assert!(matches!(read, TableError::Moved(_)), "{read}");
    let opened = Writer::open(base, "test", "tester").await.err().unwrap();
    assert!(matches!(opened, WriteError::Table(TableError::Moved(_))), "{opened}");
    so(|| at_work.last_error().is_some_and(|trouble| trouble.contains("slice/demo/5"))).await;
    assert_eq!((begun.borrow().epoch, routes.borrow().epoch), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_is_named() {
    let cluster = MockCluster::new(1).unwrap();
    let mut base = ClientConfig::new();
    base.set("bootstrap.servers", cluster.bootstrap_servers());
    // The broker for tests makes topics that are asked for, unless told not to.
    cluster
        .topic_error("test.routes", rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        .unwrap();
    let error = read(base, "test").await.unwrap_err();
    assert!(matches!(&error, TableError::Read(ReadError::NoTopic(topic)) if topic == "test.routes"), "{error}");
}
