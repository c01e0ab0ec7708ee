//! The rate limit that gateways share.

use std::time::Duration;

use barrage::limit::{Allowed, Limiter};
use prometheus_client::registry::Registry;

use super::{connect, consumer::room, nodes::Nodes};

fn counts(answers: &[Allowed]) -> Vec<u32> {
    answers.iter().map(|answer| answer.count).collect()
}

/// Busy machines take longer than a flush may wait; then all is allowed, which is not what is asked for here.
async fn answered(limiter: &Limiter, registry: &Registry, wishes: &[(u64, u32)]) -> Vec<Allowed> {
    loop {
        let before = unanswered(registry);
        let answers = limiter.take(&room(), 3, wishes, 10, 10).await;
        if unanswered(registry) == before {
            return answers;
        }
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
}

fn unanswered(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text.lines().find(|line| line.starts_with("limit_unanswered")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn users_have_one_bucket_whatever_gateway_they_use() {
    let mut nodes = Nodes::start();
    let [one, two] = [connect(&nodes).await, connect(&nodes).await];
    let mut registries = [Registry::default(), Registry::default()];
    let [first, second] = [Limiter::new(&one, &mut registries[0]), Limiter::new(&two, &mut registries[1])];
    // The first question finds no script and no answer to whether redis-cell is there.
    first.take(&room(), 3, &[(1, 1)], 10, 10).await;
    second.take(&room(), 3, &[(1, 1)], 10, 10).await;

    let answers = answered(&first, &registries[0], &[(7, 6), (8, 30)]).await;
    assert_eq!(counts(&answers), [6, 10]);
    assert_eq!(answers[0].wait_ms, 0);
    assert!((1..=100).contains(&answers[1].wait_ms), "{answers:?}");
    let answers = answered(&second, &registries[1], &[(7, 6), (9, 1)]).await;
    assert!((4..=6).contains(&answers[0].count), "4 left, and what came since: {answers:?}");
    assert_eq!(answers[1], Allowed { count: 1, wait_ms: 0 });

    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(counts(&answered(&first, &registries[0], &[(8, 30)]).await), [10], "a second later it is full again");

    let before = unanswered(&registries[0]);
    (0..6).for_each(|node| nodes.kill(node));
    assert_eq!(counts(&first.take(&room(), 3, &[(8, 30)], 10, 10).await), [30], "nobody is refused without Redis");
    assert_ne!(unanswered(&registries[0]), before);
}
