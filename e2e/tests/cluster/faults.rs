//! A whole cluster and its faults. A script stands in for the program: what it is told and when it lives is what
//! matters here.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use barrage_e2e::cluster::{Cluster, ClusterOptions, Condition, Fault, Line, Node, Party, Role, Slowness};

use crate::{PATIENCE, until};

/// Says that it is up, then the time, until it is told to end.
const STAND_IN: &str = r#"#!/bin/sh
trap 'echo drained; exit 0' TERM
env | grep ^BARRAGE_ | sort
echo "{\"role\":\"$1\",\"name\":\"$BARRAGE_NAME\",\"admin\":\"$BARRAGE_ADMIN_LISTEN\"}"
while :; do echo "now $(date +%s)"; sleep 0.1; done
"#;

fn stand_in(folder: &Path) -> ClusterOptions {
    let program = folder.join("barrage");
    fs::write(&program, STAND_IN).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    ClusterOptions { program: Some(program), partitions: 0, ..ClusterOptions::default() }
}

/// The newest time that a stand-in has said, Unix seconds.
fn now(log: &str) -> i64 {
    log.lines().filter_map(|line| line.strip_prefix("now ")?.parse().ok()).next_back().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_done_and_undone() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(stand_in(folder.path())).await.unwrap();
    assert_eq!((cluster.gateways.len(), cluster.consumers.len(), cluster.rankers.len()), (2, 3, 2));

    for node in [Node::Broker(1), Node::Redis(4), Node::Gateway(0), Node::Consumer(2), Node::Ranker(1)] {
        let first = cluster.daemon(node).pid();
        let kill = Fault::Kill(node);
        kill.inject(&mut cluster).unwrap();
        assert!(!cluster.daemon(node).is_running(), "{}", kill.describe());
        kill.heal(&mut cluster).await.unwrap();
        assert!(cluster.daemon(node).is_running() && cluster.daemon(node).pid() != first);

        let pause = Fault::Pause(node);
        pause.inject(&mut cluster).unwrap();
        let stat = format!("/proc/{}/stat", cluster.daemon(node).pid().unwrap());
        until(&pause.describe(), async || fs::read_to_string(&stat).unwrap().contains(") T ")).await;
        pause.heal(&mut cluster).await.unwrap();
        until("it goes on", async || !fs::read_to_string(&stat).unwrap().contains(") T ")).await;
    }
    let empty = Fault::Empty(4);
    empty.inject(&mut cluster).unwrap();
    empty.heal(&mut cluster).await.unwrap();

    let slowness = Slowness { delay: Duration::from_millis(5), bytes_per_s: 1_000_000 };
    for line in [Line::Broker(Party::Gateways, 2), Line::Kafka(Party::Consumers), Line::Redis(0), Line::Ranker(1)] {
        let condition = |cluster: &Cluster| match line {
            Line::Broker(party, number) => cluster.kafka.wire(party, number).unwrap().condition(),
            Line::Kafka(party) => cluster.kafka.wire(party, 1).unwrap().condition(),
            Line::Redis(number) => cluster.redis.wire(number).unwrap().condition(),
            Line::Ranker(number) => cluster.rankers[number].wire().unwrap().condition(),
        };
        for (fault, expected) in
            [(Fault::Cut(line), Condition::Cut), (Fault::Slow(line, slowness), Condition::Slow(slowness))]
        {
            fault.inject(&mut cluster).unwrap();
            assert_eq!(condition(&cluster), expected, "{}", fault.describe());
            fault.heal(&mut cluster).await.unwrap();
            assert_eq!(condition(&cluster), Condition::Whole);
        }
    }
    assert!(Fault::ClockJump(Node::Gateway(0), 9).inject(&mut cluster).is_err(), "nobody was given a clock");
    assert!(Fault::FullDisk(Node::Broker(0)).inject(&mut cluster).is_err(), "nor a small disk");
    assert_eq!(Fault::Cut(Line::Kafka(Party::Gateways)).describe(), "cut between gateways and all of Kafka");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_is_told_where_everything_is_and_keeps_it_for_life() {
    let folder = tempfile::tempdir().unwrap();
    let settings = vec![("BARRAGE_GATEWAY_SHARDS".to_owned(), "1".to_owned())];
    let mut options = ClusterOptions { pool: "stage".to_owned(), settings, ..stand_in(folder.path()) };
    (options.gateways, options.consumers, options.rankers, options.kafka.nodes) = (1, 0, 0, 1);
    (options.kafka.secured, options.redis.secured) = (true, true);
    let mut cluster = Cluster::start(options).await.unwrap();
    let brokers = format!("BARRAGE_KAFKA_BROKERS={}", cluster.kafka.brokers(Party::Gateways)[0]);
    let gateway = &mut cluster.gateways[0];
    let told = gateway.daemon().log();
    let listen = format!("BARRAGE_GATEWAY_LISTEN={}", gateway.listen().unwrap());
    for line in [
        "BARRAGE_NAME=gateway-0",
        "BARRAGE_POOL=stage",
        "BARRAGE_GATEWAY_SHARDS=1",
        "BARRAGE_KAFKA_TLS=true",
        "BARRAGE_KAFKA_SASL_MECHANISM=SCRAM-SHA-512",
        "BARRAGE_REDIS_USERNAME=barrage",
        &listen,
        &brokers,
    ] {
        assert!(told.lines().any(|one| one == line), "{line} is missing in\n{told}");
    }
    // Files that it is told of are there.
    for path in told.lines().filter_map(|line| line.split_once("_FILE=")).map(|(_, path)| path) {
        assert!(Path::new(path).is_file(), "{path}");
    }
    let status = gateway.daemon().terminate(PATIENCE).await.unwrap();
    assert!(status.success() && gateway.daemon().log().contains("drained"));
    gateway.restart().await.unwrap();
    let settings = |log: &str| log.lines().filter(|line| line.starts_with("BARRAGE_")).collect::<String>();
    assert_eq!(settings(&gateway.daemon().log()), settings(&told));
    assert_eq!(cluster.add(Role::Gateway).await.unwrap().daemon().name(), "gateway-1");
    assert!(cluster.token_key().is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_jumps_and_a_disk_is_full_for_one_node_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = ClusterOptions { clocks: true, ..stand_in(folder.path()) };
    (options.gateways, options.consumers, options.rankers, options.kafka.nodes) = (2, 0, 0, 1);
    options.small_disks = vec![(Node::Gateway(1), 1)];
    let mut cluster = match Cluster::start(options).await {
        Ok(cluster) => cluster,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let day = 24 * 3600;
    let ahead = |cluster: &mut Cluster| {
        let [one, other] = [0, 1].map(|number| now(&cluster.daemon(Node::Gateway(number)).log()));
        one - other
    };
    let jump = Fault::ClockJump(Node::Gateway(0), day);
    jump.inject(&mut cluster).unwrap();
    until(&jump.describe(), async || ahead(&mut cluster) > day - 3600).await;
    jump.heal(&mut cluster).await.unwrap();
    until("its clock is right", async || ahead(&mut cluster) < 3600).await;

    let full = Fault::FullDisk(Node::Gateway(1));
    full.inject(&mut cluster).unwrap();
    let file = cluster.daemon(Node::Gateway(1)).folder().join("file");
    assert!(fs::write(&file, "words").is_err());
    assert!(fs::write(cluster.daemon(Node::Gateway(0)).folder().join("file"), "words").is_ok());
    full.heal(&mut cluster).await.unwrap();
    assert!(fs::write(&file, "words").is_ok());
}
