//! The operator's session with a real Kafka and Redis Cluster: it makes a pool of nothing, gives the work to those who
//! come, writes rooms that gateways serve a moment later, and of two that hold one pool only one writes.

use std::time::Duration;

use barrage_core::room::RoomId;
use barrage_crds::RoomManifest;
use barrage_e2e::{
    cluster::{Cluster, ClusterOptions, Party, Role},
    http::Api,
};
use barrage_operator::{
    metrics::Metrics,
    problem::Reason,
    session::{
        News, Session, Stage, Target,
        kafka::{self, Shared},
        plan::{Expected, Pods},
        target::{KafkaTarget, RedisTarget},
    },
};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};

/// Of anything: brokers that have just started take a while.
const PATIENCE: Duration = Duration::from_secs(60);

async fn servers() -> Cluster {
    let options = ClusterOptions { partitions: 0, gateways: 0, consumers: 0, rankers: 0, ..ClusterOptions::default() };
    Cluster::start(options).await.unwrap()
}

fn target(cluster: &Cluster) -> Target {
    let nodes =
        |addresses: Vec<std::net::SocketAddr>| addresses.iter().map(|a| a.to_string().parse().unwrap()).collect();
    Target {
        pool_id: "default".to_owned(),
        partitions: 3,
        spread: 1,
        kafka: KafkaTarget {
            brokers: nodes(cluster.kafka.brokers(Party::Consumers)),
            trial: false,
            tls: None,
            sasl: None,
        },
        redis: RedisTarget { nodes: nodes(cluster.redis.addresses()), trial: false, tls: None, auth: None },
    }
}

fn expected(consumers: u32, rankers: u32) -> Expected {
    let pods = |prefix: &str, count| Pods { prefix: prefix.to_owned(), count: Some(count) };
    Expected { paused: false, consumers: pods("consumer-", consumers), rankers: pods("ranker-", rankers) }
}

/// A session, and what it says when its process must not go on.
fn open(target: Target, expected: Expected) -> (Session, mpsc::Receiver<String>) {
    let (fatal, told) = mpsc::channel(1);
    let (changed, metrics) = (watch::channel(()).0, Metrics::register(&mut Registry::default()));
    (kafka::open(target, expected, Shared { changed, fatal, metrics }), told)
}

async fn until(session: &Session, what: &str, holds: impl FnMut(&News) -> bool) -> News {
    let mut news = session.follow();
    let waited = tokio::time::timeout(PATIENCE, news.wait_for(holds)).await;
    let last = || format!("{what}: {:?}", session.news());
    waited.unwrap_or_else(|_| panic!("{}", last())).unwrap_or_else(|_| panic!("{}", last())).clone()
}

fn is_open(news: &News) -> bool {
    news.stage == Stage::Open
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_is_made_work_is_given_out_and_rooms_are_served() {
    let mut cluster = servers().await;
    let (session, _told) = open(target(&cluster), expected(1, 1));
    until(&session, "the pool is made", is_open).await;
    cluster.add(Role::Ranker).await.unwrap();
    cluster.add(Role::Consumer).await.unwrap();
    let gateway = cluster.add(Role::Gateway).await.unwrap();
    let viewers = gateway.listen().unwrap();
    let shared = |news: &News| {
        news.table.partitions.iter().all(|owner| owner.consumer.as_deref() == Some("consumer-0"))
            && news.table.rankers.contains_key("ranker-0")
    };
    until(&session, "work is given out", shared).await;
    session.serve(RoomId::from("demo"), Some(RoomManifest::demo())).await.unwrap();
    let api = Api::new(&format!("http://{viewers}"));
    let status = || tokio::task::block_in_place(|| api.get("/v1/rooms/demo")).map(|answer| answer.status).ok();
    let served = async {
        while status() != Some(200) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, served).await.unwrap();
    let heard = async {
        while session.heard().room(&RoomId::from("demo"), &session.news().table, std::time::Instant::now()).is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.unwrap();
    session.serve(RoomId::from("demo"), None).await.unwrap();
    let gone = async {
        while status() == Some(200) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_hold_one_pool_the_later_writes_and_the_earlier_must_not_go_on() {
    let cluster = servers().await;
    let (first, mut first_told) = open(target(&cluster), expected(1, 1));
    until(&first, "the pool is made", is_open).await;
    let (second, mut second_told) = open(target(&cluster), expected(1, 1));
    until(&second, "the pool is there", is_open).await;
    let refused = first.serve(RoomId::from("demo"), Some(RoomManifest::demo())).await.unwrap_err();
    assert_eq!(refused.reason, Reason::RoutesUnavailable);
    let why = tokio::time::timeout(PATIENCE, first_told.recv()).await.unwrap().unwrap();
    assert!(why.contains("another writer has taken over"), "{why}");
    second.serve(RoomId::from("demo"), Some(RoomManifest::demo())).await.unwrap();
    let rooms: Vec<_> = second.news().manifests.keys().cloned().collect();
    assert_eq!(rooms, ["demo"]);
    assert!(second_told.try_recv().is_err());
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named() {
    let mut target = Target {
        pool_id: "default".to_owned(),
        partitions: 3,
        spread: 1,
        kafka: KafkaTarget { brokers: Vec::new(), trial: false, tls: None, sasl: None },
        redis: RedisTarget { nodes: Vec::new(), trial: false, tls: None, auth: None },
    };
    target.kafka.brokers = vec!["127.0.0.1:1".parse().unwrap()];
    let (session, _told) = open(target, expected(1, 1));
    let news = until(&session, "it fails", |news| matches!(news.stage, Stage::Failing(_))).await;
    let Stage::Failing(problem) = news.stage else { unreachable!() };
    assert_eq!(problem.reason, Reason::KafkaUnreachable);
    assert!(problem.message.contains("127.0.0.1:1") && problem.message.contains("spec.kafka"), "{problem}");
    let refused = session.serve(RoomId::from("demo"), None).await.unwrap_err();
    assert_eq!(refused.reason, Reason::KafkaUnreachable);
}
