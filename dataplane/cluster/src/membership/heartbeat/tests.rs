//! Heartbeats against the broker that librdkafka brings for tests.

use rdkafka::mocking::MockCluster;

use super::*;
use crate::membership::alive;

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

    let (heat, shutdown) = (Heat::default(), CancellationToken::new());
    heat.goes_by(7);
    let identity = ProcessIdentity { role: Role::Ranker, name: "ranker-0".into(), address: "127.0.0.1:1".to_owned() };
    let start = |identity| start(&base, "test", identity, heat.clone(), Metrics::default(), shutdown.clone()).unwrap();
    let (beat, task) = start(identity.clone());
    let heard = loop {
        let heard = alive(base.clone(), "test").await.unwrap();
        if !heard.is_empty() {
            break heard;
        }
    };
    assert_eq!(heard.len(), 1);
    let seen = (heard[0].role, &*heard[0].name, &*heard[0].address, heard[0].routes_epoch);
    assert_eq!(seen, (Role::Ranker, "ranker-0", "127.0.0.1:1", 7));

    cluster.broker_down(1).unwrap();
    so(|| beat.last_error().is_some()).await;
    cluster.broker_up(1).unwrap();
    so(|| beat.last_error().is_none()).await;

    shutdown.cancel();
    task.await.unwrap();
    assert_eq!(alive(base, "test").await.unwrap(), []);
}
