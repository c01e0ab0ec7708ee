//! What comes in wrong behind the gateways: records that are none, that are too new, that the store refuses. They are set
//! aside with the reason, and their partition goes on.

use std::time::Duration;

use barrage_core::room::shard_of;
use barrage_e2e::{
    client::Event,
    cluster::{ClusterOptions, Role},
};
use barrage_proto::log::Record;
use prost::Message;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
};
use tokio::task::block_in_place;

use crate::{
    PATIENCE,
    loss::{key, send},
    scene::{Scene, shows},
    until,
};

/// More than clocks of clients are ever wrong by.
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// A record of the topic of dead letters.
#[derive(Debug)]
struct Letter {
    partition: String,
    offset: String,
    reason: String,
    payload: Vec<u8>,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_applied_is_set_aside_with_its_reason_and_the_partition_goes_on() {
    let mut scene = Scene::start(ClusterOptions::default()).await;
    block_in_place(|| {
        let records = [
            b"\xff\xff no record".to_vec(),
            Record { room: "demo".into(), version: 1, ..Record::default() }.encode_to_vec(),
            Record { shard: 3, ..Record::default() }.encode_to_vec(),
        ];
        let mut watcher = scene.join(1, 3);
        for record in &records {
            scene.append(record);
            let text = scene.append_danmaku();
            watcher.wait_for("the danmaku behind it", PATIENCE, |event: &Event| shows(event, &text)).unwrap();
        }
        let letters = letters(&scene, 3);
        for ((letter, record), reason) in letters.iter().zip(&records).zip(["no record", "version 1", "names no room"])
        {
            assert!(letter.reason.contains(reason), "{letter:?}");
            assert_eq!((&letter.payload, &letter.partition), (record, &scene.partition.to_string()));
        }
        let offsets: Vec<u64> = letters.iter().map(|letter| letter.offset.parse().unwrap()).collect();
        assert!(offsets.is_sorted() && offsets[0] < offsets[2], "{offsets:?}");
        until("they are counted", || match scene.metric(Role::Consumer, "barrage_consumer_unreadable_records_total") {
            3.0 => Ok(()),
            other => Err(other.to_string()),
        });
        scene.chat(0, 10..30);
        scene.until_exact();
        scene.until_well();
        the_store_refuses_a_slice(&mut scene);
        a_clock_is_a_day_off(&mut scene);
    });
}

/// Somebody wrote into a slice's history what can only come much later: whatever comes is refused.
fn the_store_refuses_a_slice(scene: &mut Scene) {
    let poisoned = 10;
    scene.chat(0, poisoned..poisoned + 1);
    scene.until_exact();
    let hist = key(poisoned, "hist");
    send(&scene.cluster, &hist, &["XADD", &hist, "4000000000-1", "n", "0", "t", "0", "p", "0", "b", ""]);
    let (mut sender, mut watcher) = (scene.join(0, poisoned), scene.join(1, 3));
    let text = scene.keep(&mut sender);
    watcher.wait_for("what is set aside is shown all the same", PATIENCE, |event| shows(event, &text)).unwrap();
    // Others, of the same partition, do not wait.
    let other = (11..).find(|user| shard_of(*user) != shard_of(poisoned)).unwrap();
    scene.chat(0, other..other + 1);
    let letter = letters(scene, 4).remove(3);
    assert!(letter.reason.contains("XADD"), "{letter:?}");
    let record = Record::decode(&*letter.payload).unwrap();
    assert_eq!(record.entries.iter().map(|entry| entry.content.to_vec()).collect::<Vec<_>>(), [text.into_bytes()]);
    until("it is said", || {
        let complaints = scene.complaints(Role::Consumer);
        let said = complaints.iter().any(|one| one.name == "data" && one.detail.starts_with("SetAside"));
        if said { Ok(()) } else { Err(format!("{complaints:?}")) }
    });
    assert_eq!(scene.metric(Role::Consumer, "barrage_consumer_refused_records_total"), 1.0);
    // As the complaint says: then the slice is filled again, with what was set aside.
    for of in ["applied", "rank", "hist"] {
        let key = key(poisoned, of);
        send(&scene.cluster, &key, &["DEL", &key]);
    }
    scene.keep(&mut sender);
    scene.until_exact();
}

/// What a client says of its time is passed on, and decides nothing.
fn a_clock_is_a_day_off(scene: &mut Scene) {
    use barrage_proto::v2::pb;
    let mut watcher = scene.join(1, 3);
    let users = [(40, -DAY_MS), (41, DAY_MS), (42, 0)];
    let mut sent = Vec::new();
    for (user, off_ms) in users {
        let mut sender = scene.join(0, user);
        let text = format!("clock of {user}");
        let sent_ms = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap() + off_ms;
        let one = pb::Send { seq: 1, sent_ms, content: text.clone(), ..pb::Send::default() };
        sender.send(&one).unwrap();
        let acknowledged = |event: &Event| matches!(event, Event::Ack(_)).then_some(());
        sender.wait_for("its acknowledgement", PATIENCE, acknowledged).unwrap();
        let shown = |event: &Event| match event {
            Event::Batch(danmaku, _) => danmaku.iter().find(|one| one.content == text).map(|one| one.sent_ms),
            _ => None,
        };
        assert_eq!(watcher.wait_for("the danmaku", PATIENCE, shown).unwrap(), sent_ms);
        scene.count(&text);
        sent.push(text);
    }
    scene.until_exact();
    let history = scene.api(0).whole_history("demo").unwrap();
    let place = |text: &String| history.iter().position(|kept| kept.content == *text).unwrap();
    assert!(sent.iter().map(place).is_sorted(), "the order is that of receipt");
}

/// Waits until there are so many dead letters; all of them.
fn letters(scene: &Scene, count: usize) -> Vec<Letter> {
    let mut config = scene.cluster.kafka.client(None);
    let consumer: BaseConsumer = config.set("group.id", "reader").create().unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset("default.dead", 0, Offset::Beginning).unwrap();
    consumer.assign(&from).unwrap();
    let mut letters = Vec::new();
    until("dead letters", || {
        while let Some(record) = consumer.poll(Duration::from_millis(500)) {
            let record = record.map_err(|error| error.to_string())?;
            let header = |name: &str| {
                let found = record.headers()?.iter().find(|header| header.key == name)?;
                Some(String::from_utf8_lossy(found.value?).into_owned())
            };
            let [partition, offset, reason] = ["partition", "offset", "reason"].map(|name| header(name).unwrap());
            letters.push(Letter { partition, offset, reason, payload: record.payload().unwrap().to_vec() });
        }
        if letters.len() >= count { Ok(()) } else { Err(format!("{letters:?}")) }
    });
    letters
}
