//! Brokers: what is written through wires and kills is read again, and secured ones let nobody else in.

use std::{sync::Arc, time::Duration};

use barrage_e2e::cluster::{Condition, Kafka, KafkaOptions, Party, Run};
use rdkafka::{
    ClientConfig, Message, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    consumer::{BaseConsumer, Consumer},
    producer::{FutureProducer, FutureRecord},
};

use crate::{PATIENCE, until};

const TOPIC: &str = "test.danmaku";

/// A topic of three partitions, so that every broker leads one.
async fn make_topic(kafka: &Kafka) {
    let replicas = i32::try_from(kafka.nodes()).unwrap();
    let admin: AdminClient<_> = kafka.client(None).create().unwrap();
    let topic = NewTopic::new(TOPIC, 3, TopicReplication::Fixed(replicas));
    let made = admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap();
    made.into_iter().for_each(|one| assert_eq!(one, Ok(TOPIC.to_owned())));
}

fn producer(mut config: ClientConfig, timeout: Duration) -> FutureProducer {
    config.set("enable.idempotence", "true").set("message.timeout.ms", timeout.as_millis().to_string());
    config.create().unwrap()
}

/// Writes a record to each partition; whether all were acknowledged.
async fn write(producer: &FutureProducer, text: &str) -> bool {
    let sends = (0..3).map(|partition| {
        let record = FutureRecord::<(), _>::to(TOPIC).partition(partition).payload(text);
        producer.send(record, Duration::ZERO)
    });
    futures_util::future::join_all(sends).await.iter().all(Result::is_ok)
}

/// Everything in the topic until `last` has come from each partition.
fn read(config: &ClientConfig, last: &str) -> Vec<String> {
    let consumer: BaseConsumer = config.clone().set("group.id", "reader").create().unwrap();
    let mut from = TopicPartitionList::new();
    for partition in 0..3 {
        from.add_partition_offset(TOPIC, partition, rdkafka::Offset::Beginning).unwrap();
    }
    consumer.assign(&from).unwrap();
    let mut texts = Vec::new();
    while texts.iter().filter(|text| *text == last).count() < 3 {
        let record = consumer.poll(PATIENCE).expect("a record").expect("a record that can be read");
        texts.push(String::from_utf8(record.payload().unwrap().to_vec()).unwrap());
    }
    texts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_through_cuts_and_kills_is_read_again() {
    let run = Run::start().unwrap();
    let mut kafka = Kafka::start(&run, &KafkaOptions::default()).await.unwrap();
    make_topic(&kafka).await;
    let gateway = producer(kafka.client(Some(Party::Gateways)), PATIENCE);
    assert!(write(&gateway, "whole").await);

    // One broker cut from gateways: its partition waits, the others and other parties do not.
    let hasty = producer(kafka.client(Some(Party::Gateways)), Duration::from_secs(3));
    assert!(write(&hasty, "known").await);
    let wire = kafka.wire(Party::Gateways, 1).unwrap();
    wire.set(Condition::Cut);
    assert!(!write(&hasty, "cut").await, "the partition that broker 1 leads is out of reach");
    assert!(write(&producer(kafka.client(Some(Party::Consumers)), PATIENCE), "other wires").await);
    wire.set(Condition::Whole);
    assert!(write(&gateway, "mended").await);

    kafka.daemon(1).kill9();
    kafka.until_alive(2, "the dead broker is missed").await.unwrap();
    assert!(write(&gateway, "two of three").await, "two in sync are enough");
    kafka.restart(1).await.unwrap();
    kafka.daemon(2).pause().unwrap();
    kafka.until_alive_at(0, 2, "the stopped broker is missed").await.unwrap();
    kafka.daemon(2).resume().unwrap();
    kafka.until_alive(3, "it is back").await.unwrap();
    assert!(write(&gateway, "all again").await);

    // What was on the cut wire arrives later: its sender does not know what became of it.
    let texts = read(&kafka.client(Some(Party::Consumers)), "all again");
    for text in ["whole", "known", "other wires", "mended", "two of three", "all again"] {
        assert_eq!(texts.iter().filter(|one| *one == text).count(), 3, "{text}: {texts:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secured_brokers_take_plain_and_scram_and_nobody_else() {
    let run = Run::start().unwrap();
    let options = KafkaOptions { nodes: 1, secured: true, client_certificate: true, ..KafkaOptions::default() };
    let kafka = Kafka::start(&run, &options).await.unwrap();
    make_topic(&kafka).await;
    let own = kafka.client(Some(Party::Gateways));
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let config = own.clone().set("sasl.mechanism", mechanism).to_owned();
        assert!(write(&producer(config, PATIENCE), mechanism).await, "{mechanism}");
    }
    let hasty = Duration::from_secs(3);
    let mut strangers = [own.clone(), own.clone(), own.clone()];
    strangers[0].set("sasl.password", "wrong");
    strangers[1].remove("ssl.certificate.location").remove("ssl.key.location");
    strangers[2].set("security.protocol", "ssl");
    for (number, mut stranger) in strangers.into_iter().enumerate() {
        stranger.set("log_level", "0");
        assert!(!write(&producer(stranger, hasty), "refused").await, "stranger {number}");
    }
    assert_eq!(read(&own, "SCRAM-SHA-512").len(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_beside_each_other_know_nothing_of_each_other() {
    let runs: [Arc<Run>; 2] = [Run::start().unwrap(), Run::start().unwrap()];
    let options = KafkaOptions { nodes: 1, ..KafkaOptions::default() };
    let [one, other] = runs.each_ref().map(|run| Kafka::start(run, &options));
    let (mut one, other) = tokio::try_join!(one, other).unwrap();
    make_topic(&other).await;
    let has_topic = |kafka: &Kafka| {
        let client: BaseConsumer = kafka.client(None).create().unwrap();
        let metadata = client.fetch_metadata(None, PATIENCE).unwrap();
        metadata.topics().iter().any(|topic| topic.name() == TOPIC)
    };
    assert!(!has_topic(&one));
    assert_ne!(runs[0].folder(), runs[1].folder());
    one.daemon(0).kill9();
    drop(one);
    until("the other goes on", async || has_topic(&other)).await;
}
