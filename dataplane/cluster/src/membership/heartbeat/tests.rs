//! Heartbeats against the broker that librdkafka brings for tests.

use rdkafka::mocking::MockCluster;

use super::*;
use crate::membership::{alive, members};

async fn so(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it comes to pass");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_something_is_alive_and_who_stops_is_not() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("test.heat", 1, 1).unwrap();
    let mut base = ClientConfig::new();
    base.set("bootstrap.servers", cluster.bootstrap_servers());
    assert_eq!(members(base.clone(), "test").await.unwrap(), []);

    let (heat, shutdown) = (Heat::default(), CancellationToken::new());
    heat.goes_by(7);
    let identity = Identity { role: Role::Ranker, name: "ranker-0".into(), address: "127.0.0.1:1".to_owned() };
    let start = |identity| start(&base, "test", identity, heat.clone(), Metrics::default(), shutdown.clone()).unwrap();
    let (mut beat, task) = start(identity.clone());
    assert!(beat.announced().await);
    // From now on whoever moves a slice has to wait for this process.
    let heard = members(base.clone(), "test").await.unwrap();
    assert_eq!(heard.len(), 1);
    let seen = (heard[0].role, &*heard[0].name, &*heard[0].address, heard[0].routes_epoch);
    assert_eq!(seen, (Role::Ranker, "ranker-0", "127.0.0.1:1", 7));
    assert_eq!(alive(base.clone(), "test").await.unwrap()[0].incarnation, heard[0].incarnation);

    cluster.broker_down(1).unwrap();
    so(|| !beat.is_within(Duration::from_secs(5)) && beat.trouble().is_some()).await;
    cluster.broker_up(1).unwrap();
    so(|| beat.is_within(Duration::from_secs(2)) && beat.trouble().is_none()).await;

    shutdown.cancel();
    task.await.unwrap();
    assert_eq!(alive(base, "test").await.unwrap(), []);
}
