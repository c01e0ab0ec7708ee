//! A danmaku is one trace through all roles, and a collector that is gone disturbs nobody.

use barrage_e2e::{
    cluster::{Cluster, ClusterOptions},
    collector::{Collector, Span},
    session::Fate,
};
use tokio::task::block_in_place;

use crate::{PATIENCE, join, until};

/// Each stage with the role whose process it is in, and the stage that it follows.
const STAGES: [(&str, &str, &str); 4] = [
    ("publish", "gateway-0", ""),
    ("apply", "consumer-", "publish"),
    ("decide", "ranker-", "publish"),
    ("deliver", "gateway-", "decide"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_danmaku_is_one_trace_through_all_roles() {
    let collector = Collector::start().await.unwrap();
    let settings = vec![
        ("BARRAGE_TRACE_OTLP_ENDPOINT".to_owned(), collector.endpoint()),
        ("BARRAGE_TRACE_SAMPLE_RATIO".to_owned(), "1".to_owned()),
    ];
    let options = ClusterOptions { consumers: 1, rankers: 1, settings, ..ClusterOptions::default() };
    let cluster = Cluster::start(options).await.unwrap_or_else(|error| panic!("{error}"));
    block_in_place(|| {
        let _watcher = join(&cluster, 1, 1);
        said(&cluster, "traced");
        until("a whole trace", || {
            let spans = collector.spans();
            spans.iter().filter(|span| span.name == "publish").any(|publish| is_whole(publish, &spans))
        });
        drop(collector);
        said(&cluster, "the collector is gone");
    });
}

fn said(cluster: &Cluster, text: &str) {
    let mut sender = join(cluster, 0, 2);
    let seq = sender.say(text).unwrap();
    let fate = sender.wait_fate(seq, PATIENCE).unwrap();
    assert!(matches!(fate, Fate::Acknowledged(_)), "{fate:?}");
}

fn is_whole(publish: &Span, spans: &[Span]) -> bool {
    STAGES.iter().all(|(name, process, follows)| {
        let mut of_stage = spans.iter().filter(|span| span.trace == publish.trace && span.name == *name);
        of_stage.any(|span| {
            let parent = spans.iter().find(|other| other.trace == span.trace && other.id == span.parent);
            let follows_it = parent.map_or("", |parent| parent.name.as_str()) == *follows;
            follows_it && span.process.starts_with(process)
        })
    })
}
