//! Owners that come back after others have taken their work write nothing more, and work that moves under load loses
//! nothing.

use std::{collections::BTreeMap, time::Duration};

use barrage_e2e::{
    chaos::{Crowd, Screens, until_well},
    cluster::{Cluster, Fault, Line, Node, Party, RedisCluster, Role, RoleProcess},
    http::Api,
};
use tokio::task::block_in_place;

use crate::{
    chaos::{TURN, gather, judged, many_rooms},
    until,
};

/// Of the pool's log.
const PARTITIONS: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_lost_its_partitions_while_it_stood_still_writes_nothing() {
    let _turn = TURN.lock().await;
    let mut cluster = many_rooms().await;
    let crowd = gather(&mut cluster, 1).await;
    let screens = Screens::watch(&crowd).unwrap();
    // Without the store it has writes in hand that it goes on trying.
    let store = (0..RedisCluster::NODES).map(|node| Fault::Cut(Line::Redis(node)));
    store.clone().for_each(|cut| cut.inject(&mut cluster).unwrap());
    until("writes that are tried again", || metric(&cluster.consumers[0], "barrage_consumer_apply_failures_total") > 0);
    Fault::Pause(Node::Consumer(0)).inject(&mut cluster).unwrap();
    for cut in store {
        cut.heal(&mut cluster).await.unwrap();
    }
    share(&cluster, &[1, 2], &[0, 1]).await;
    until("all partitions with the others", || {
        owned(&cluster.consumers[1]) + owned(&cluster.consumers[2]) == PARTITIONS
    });
    until_applied(&cluster, &crowd);
    // It cannot learn of the new table when it goes on: what it writes then, it writes as the owner that it was.
    let table = Fault::Cut(Line::Kafka(Party::Consumers));
    table.inject(&mut cluster).unwrap();
    Fault::Pause(Node::Consumer(0)).heal(&mut cluster).await.unwrap();
    until("a write of the zombie that is refused", || {
        metric(&cluster.consumers[0], "barrage_consumer_fenced_writes_total") > 0
    });
    table.heal(&mut cluster).await.unwrap();
    until_well(&mut cluster, &crowd, "a zombie among the consumers").await.unwrap_or_else(|error| panic!("{error}"));
    judged(&cluster, crowd, screens, Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ranker_that_lost_its_rooms_while_it_stood_still_shows_nothing() {
    let _turn = TURN.lock().await;
    let mut cluster = many_rooms().await;
    let crowd = gather(&mut cluster, 2).await;
    let screens = Screens::watch(&crowd).unwrap();
    Fault::Pause(Node::Ranker(0)).inject(&mut cluster).unwrap();
    share(&cluster, &[0, 1, 2], &[1]).await;
    let shown: Vec<u64> = crowd.corners().iter().map(|corner| corner.control.progress.danmaku.value()).collect();
    until("danmaku by the other ranker", || {
        let now = crowd.corners().iter().map(|corner| corner.control.progress.danmaku.value());
        now.zip(&shown).all(|(now, before)| now > *before)
    });
    let table = Fault::Cut(Line::Kafka(Party::Rankers));
    table.inject(&mut cluster).unwrap();
    Fault::Pause(Node::Ranker(0)).heal(&mut cluster).await.unwrap();
    until("the zombie's ledger is refused", || metric(&cluster.rankers[0], "barrage_ranker_fenced_rooms_total") > 0);
    let stale: u64 = cluster.gateways.iter().map(|one| metric(one, "barrage_gateway_stale_frames_total")).sum();
    println!("frames of the zombie that gateways passed over: {stale}");
    table.heal(&mut cluster).await.unwrap();
    until_well(&mut cluster, &crowd, "a zombie among the rankers").await.unwrap_or_else(|error| panic!("{error}"));
    judged(&cluster, crowd, screens, Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_is_shared_anew_under_load_loses_nothing() {
    let _turn = TURN.lock().await;
    let mut cluster = many_rooms().await;
    let crowd = gather(&mut cluster, 3).await;
    let screens = Screens::watch(&crowd).unwrap();
    for consumers in [&[0_usize, 1][..], &[2], &[1, 2], &[0, 1, 2]] {
        share(&cluster, consumers, &[0, 1]).await;
        until_well(&mut cluster, &crowd, "other consumers").await.unwrap_or_else(|error| panic!("{error}"));
    }
    cluster.add(Role::Consumer).await.unwrap();
    cluster.add(Role::Ranker).await.unwrap();
    for (consumers, rankers) in [(&[0_usize, 1, 2, 3][..], &[0_usize, 1, 2][..]), (&[3], &[2]), (&[0, 1, 2], &[0, 1])] {
        share(&cluster, consumers, rankers).await;
        until_well(&mut cluster, &crowd, "other consumers and rankers").await.unwrap_or_else(|error| panic!("{error}"));
    }
    // Those without work leave.
    for node in [Node::Consumer(3), Node::Ranker(2)] {
        cluster.daemon(node).terminate(Duration::from_secs(30)).await.unwrap();
    }
    cluster.consumers.pop();
    cluster.rankers.pop();
    until_well(&mut cluster, &crowd, "two that left").await.unwrap_or_else(|error| panic!("{error}"));
    judged(&cluster, crowd, screens, Vec::new()).await;
}

/// Shares the work among these consumers and rankers.
pub(crate) async fn share(cluster: &Cluster, consumers: &[usize], rankers: &[usize]) {
    let consumers: Vec<_> = consumers.iter().map(|number| format!("consumer-{number}")).collect();
    let address = |number: usize| cluster.rankers[number].advertised().unwrap();
    let rankers: Vec<_> = rankers.iter().map(|&number| format!("ranker-{number}={}", address(number))).collect();
    let (consumers, rankers) = (consumers.join(","), rankers.join(","));
    let command = ["routes", "plan", "--consumers", &consumers, "--rankers", &rankers, "--apply"];
    println!("{}", cluster.command(&command).await.unwrap_or_else(|error| panic!("{error}")));
}

/// The sum of a metric over its labels; 0 where it is not shown.
fn metric(process: &RoleProcess, name: &str) -> u64 {
    let api = Api::new(&format!("http://{}", process.admin()));
    let text = block_in_place(|| api.get("/metrics")).unwrap().body;
    let values = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' ')?.1.parse::<u64>().ok());
    // Counts; shown as whole numbers.
    values.sum()
}

/// Partitions that a consumer works on.
fn owned(consumer: &RoleProcess) -> u64 {
    metric(consumer, "barrage_consumer_owned_partitions")
}

/// Waits until everything that is acknowledged now is applied.
fn until_applied(cluster: &Cluster, crowd: &Crowd) {
    let mut acknowledged: BTreeMap<&str, u64> = BTreeMap::new();
    for corner in crowd.corners() {
        *acknowledged.entry(&corner.room).or_default() += corner.control.progress.acknowledged.value();
    }
    for (room, acknowledged) in acknowledged {
        let api = crowd.api(cluster, 0, room).unwrap();
        let applied = || block_in_place(|| api.room(room)).is_ok_and(|room| room.ledger.logged >= acknowledged);
        until("what is acknowledged to be applied", applied);
    }
}
