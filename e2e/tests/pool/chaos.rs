//! Under load, with one thing after another broken at random, nothing acknowledged is lost, doubled or out of order, the
//! ranking is exact and the ledger balances.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use barrage_core::room::shard_of;
use barrage_e2e::{
    chaos::{Chaos, Crowd, CrowdOptions, Screens, Verdict, Window, until_well},
    cluster::{Cluster, ClusterOptions, Fault, Line, Party, RedisCluster, Slowness},
};
use tokio::{sync::Mutex, time::sleep};

use crate::until;

/// How often something is broken; the long form asks for more.
const FAULTS: &str = "BARRAGE_FAULTS";
const FAULTS_SHORT: usize = 30;
/// Repeats a run.
const SEED: &str = "BARRAGE_SEED";

/// A cluster under load needs the machine for itself.
pub(crate) static TURN: Mutex<()> = Mutex::const_new(());

/// More rooms than partitions, so that every consumer and every ranker has something to do.
const ROOMS: [&str; 4] = ["demo", "music", "games", "night"];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_doubled_or_out_of_order_whatever_breaks() {
    let _turn = TURN.lock().await;
    let faults = std::env::var(FAULTS).ok().filter(|faults| !faults.is_empty());
    let faults = faults.map_or(FAULTS_SHORT, |faults| faults.parse().unwrap());
    let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    let mut cluster = many_rooms().await;
    let crowd = gather(&mut cluster, seed).await;
    let screens = Screens::watch(&crowd).unwrap();
    let windows = Chaos { seed, faults }.wreak(&mut cluster, &crowd).await;
    let windows = windows.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let verdict = judged(&cluster, crowd, screens, windows).await;
    assert!(verdict.senders().count() > 20, "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_fell_behind_and_reads_a_slow_log_passes_over_nothing() {
    let _turn = TURN.lock().await;
    let mut cluster = many_rooms().await;
    let crowd = gather(&mut cluster, 4).await;
    let screens = Screens::watch(&crowd).unwrap();
    // While the store is away, the feed runs away from those who apply.
    let store = (0..RedisCluster::NODES).map(|node| Fault::Cut(Line::Redis(node)));
    store.clone().for_each(|cut| cut.inject(&mut cluster).unwrap());
    let said = acknowledged(&crowd) + 1_500;
    until("danmaku that cannot be applied", || acknowledged(&crowd) >= said);
    // Brokers answer, and records come, but only after longer than a reader wants to wait.
    let slowness = Slowness { delay: Duration::from_millis(850), bytes_per_s: 1_000_000 };
    let log = Fault::Slow(Line::Kafka(Party::Consumers), slowness);
    log.inject(&mut cluster).unwrap();
    for cut in store {
        cut.heal(&mut cluster).await.unwrap();
    }
    sleep(Duration::from_secs(12)).await;
    log.heal(&mut cluster).await.unwrap();
    until_well(&mut cluster, &crowd, "a store that was away and a slow log")
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    judged(&cluster, crowd, screens, Vec::new()).await;
}

/// Danmaku acknowledged so far.
fn acknowledged(crowd: &Crowd) -> u64 {
    crowd.corners().iter().map(|corner| corner.control.progress.acknowledged.value()).sum()
}

/// A cluster that serves [`ROOMS`].
pub(crate) async fn many_rooms() -> Cluster {
    let manifests: String = ROOMS.map(manifest).concat();
    // Rooms share partitions, and have several.
    let options = ClusterOptions { rooms: manifests, spread: Some(2), ..ClusterOptions::default() };
    Cluster::start(options).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Senders and watchers at all gateways, all of them served.
pub(crate) async fn gather(cluster: &mut Cluster, seed: u64) -> Crowd {
    let rooms = ROOMS.map(str::to_owned).to_vec();
    let recording = recording();
    let options = CrowdOptions { rooms, rate: 150.0, users: 12, watchers: 2, seed, recording };
    let crowd = Crowd::gather(cluster, &options).unwrap();
    until_well(cluster, &crowd, "the start").await.unwrap_or_else(|error| panic!("{error}"));
    crowd
}

/// Prints what was felt of each, and sees to it that every promise was kept.
pub(crate) async fn judged(cluster: &Cluster, crowd: Crowd, screens: Screens, windows: Vec<Window>) -> Verdict {
    let verdict = Verdict::reach(cluster, crowd, shard_of).await.unwrap_or_else(|error| panic!("{error}"));
    for felt in screens.tell(windows, verdict.senders()).unwrap() {
        println!("{felt}");
    }
    println!("{verdict}");
    assert!(verdict.findings().is_empty(), "{verdict}");
    verdict
}

fn manifest(room: &str) -> String {
    format!(
        "---\napiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata: {{name: {room}}}\n\
         spec: {{rateLimit: {{messagesPerSecond: 1000, burst: 1000}}, history: {{length: 1000000}}}}\n"
    )
}

/// One that is there; without it all texts are made up.
fn recording() -> Option<PathBuf> {
    let data = std::env::var_os("BARRAGE_RECORDINGS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    Some(data.join("danmaku-bilibili.jsonl")).filter(|recording| recording.is_file())
}
