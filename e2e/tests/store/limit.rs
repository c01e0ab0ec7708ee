//! The rate limit that gateways share.

use std::time::Duration;

use barrage_cluster::rate_limit::Limiter;
use barrage_core::rate_limit::{Allowed, SharedRateLimit};
use prometheus_client::registry::Registry;

use super::{connect, consumer::room, nodes::Nodes};

fn counts(answers: &[Allowed]) -> Vec<u32> {
    answers.iter().map(|answer| answer.count).collect()
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
    first.take(&room(), 3, &[(u64::MAX, 1)], 10, 10).await;
    second.take(&room(), 3, &[(u64::MAX, 1)], 10, 10).await;

    // A busy machine takes longer than a flush may wait, and then all is allowed: with others it is tried again.
    for user in (0..).step_by(10) {
        let before = [unanswered(&registries[0]), unanswered(&registries[1])];
        let taken = first.take(&room(), 3, &[(user + 1, 6), (user + 2, 30)], 1, 10).await;
        let left = second.take(&room(), 3, &[(user + 1, 30), (user + 3, 1)], 1, 10).await;
        let quick = first.take(&room(), 3, &[(user + 4, 30)], 100, 10).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let full = first.take(&room(), 3, &[(user + 4, 30)], 100, 10).await;
        if before != [unanswered(&registries[0]), unanswered(&registries[1])] {
            continue;
        }
        assert_eq!(counts(&taken), [6, 10]);
        assert_eq!(taken[0].wait_ms, 0);
        assert!((1..=1_000).contains(&taken[1].wait_ms), "{taken:?}");
        assert!((4..=9).contains(&left[0].count), "4 left, and what came since: {left:?}");
        assert_eq!(left[1], Allowed { count: 1, wait_ms: 0 });
        assert_eq!((counts(&quick), counts(&full)), (vec![10], vec![10]), "200 ms later it is full again");
        break;
    }

    let before = unanswered(&registries[0]);
    (0..6).for_each(|node| nodes.kill(node));
    assert_eq!(counts(&first.take(&room(), 3, &[(8, 30)], 10, 10).await), [30], "nobody is refused without Redis");
    assert_ne!(unanswered(&registries[0]), before);
}
