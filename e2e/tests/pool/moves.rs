//! Slices that move between partitions under load, while those are killed who move them: nothing is lost, doubled or
//! out of order, the ranking is exact, the books balance. How long senders of a slice waited is printed.

use std::{
    fmt::Write,
    fs, slice,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use barrage_core::room::{partition_of, shard_of};
use barrage_e2e::{
    checker::{check_history, check_ranking, count},
    client::ClientV2,
    cluster::{Cluster, ClusterOptions, Fault, Node},
    load::{Chat, Endpoint, Load, LoadError, Outcome, run},
    session::Fate,
    swarm::{Control, Format, Harvest, Said},
};
use tokio::task::block_in_place;

use crate::{PATIENCE, api, join, until};

/// Users of the second gateway's senders stand behind those of the first's.
const OTHERS: u64 = 1_000_000;
/// Danmaku/s at each gateway.
const RATE: f64 = 60.0;
/// The first of the users who say how long a move takes; all are in one slice.
const PROBE: u64 = 77;

#[tokio::test(flavor = "multi_thread")]
async fn slices_move_under_load_while_gateways_and_consumers_are_killed() {
    let options = ClusterOptions { partitions: 4, ..ClusterOptions::default() };
    let mut cluster = Cluster::start(options).await.unwrap_or_else(|error| panic!("{error}"));
    let controls = [Arc::new(Control::default()), Arc::new(Control::default())];
    let loads: Vec<_> = (0..2).map(|gateway| speak(&cluster, gateway, &controls[gateway])).collect();
    let shard = shard_of(PROBE);
    let mut probes = Vec::new();
    tokio::time::sleep(Duration::from_secs(3)).await;

    spread(&cluster, 4).await;
    observe("spread over 4 partitions", &cluster, &mut probes);
    spread(&cluster, 1).await;
    observe("brought back", &cluster, &mut probes);
    let own = partition_of("demo", 4);
    for to in [(own + 1) % 4, own, (own + 2) % 4, own] {
        place(&cluster, shard, to).await;
        observe(&format!("slice to partition {to}"), &cluster, &mut probes);
    }
    // Each is stopped when the move is written and killed before it could do its part: a gateway that has not ended it,
    // the owner that the slice leaves, the owner that it comes to.
    let (left, reached) = ((own + 1) % 4, (own + 2) % 4);
    let faults =
        [(Node::Gateway(0), left), (owner(&cluster, left).await, own), (owner(&cluster, reached).await, reached)];
    for (node, to) in faults {
        Fault::Pause(node).inject(&mut cluster).unwrap();
        place(&cluster, shard, to).await;
        let fault = Fault::Kill(node);
        fault.inject(&mut cluster).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        fault.heal(&mut cluster).await.unwrap();
        observe(&format!("slice to partition {to}, {}", fault.describe()), &cluster, &mut probes);
    }
    // Faster than anybody can complete them.
    for to in [own, (own + 1) % 4, (own + 2) % 4, own] {
        place(&cluster, shard, to).await;
    }
    observe("four moves at once", &cluster, &mut probes);

    controls.iter().for_each(|control| control.hush());
    block_in_place(|| judge(&cluster, loads, &probes));
}

/// Says how long a sender of the slice waited, and when what it said was kept.
fn observe(what: &str, cluster: &Cluster, probes: &mut Vec<ClientV2>) {
    block_in_place(|| {
        let mut of_the_slice = (PROBE..).filter(|user| shard_of(*user) == shard_of(PROBE));
        let user = of_the_slice.nth(probes.len()).expect("there are many users");
        let mut probe = join(cluster, 1, user);
        let began = Instant::now();
        let seq = probe.say(what).unwrap();
        let fate = probe.wait_fate(seq, PATIENCE).unwrap();
        let waited = began.elapsed();
        assert!(matches!(fate, Fate::Acknowledged(_)), "{what}: {fate:?}");
        until("what was said after a move is kept", || {
            api(cluster, 1).whole_ranking("demo").is_ok_and(|places| places.iter().any(|place| place.user == user))
        });
        probes.push(probe);
        println!("{what}: its sender waited {} ms, kept after {} ms", waited.as_millis(), began.elapsed().as_millis());
    });
}

/// Everybody's senders, the probe among them, against what is kept at the end.
fn judge(cluster: &Cluster, loads: Vec<JoinHandle<Result<Outcome, LoadError>>>, probes: &[ClientV2]) {
    let mut harvest = Harvest::nothing().unwrap();
    for load in loads {
        harvest.add(load.join().unwrap().unwrap().harvest);
    }
    let api = api(cluster, 0);
    until("the books", || api.room("demo").is_ok_and(|room| room.books.check().is_none()));
    let history = api.whole_history("demo").unwrap();
    let mut findings = check_history(&harvest.senders, &history);
    for probe in probes {
        findings.extend(check_history(slice::from_ref(probe.session()), &history));
    }
    findings.extend(check_ranking(&api.whole_ranking("demo").unwrap(), &[], &count(&history)));
    let lines = harvest.senders.iter().flat_map(|sender| sender.lines());
    let (said, retried) = lines.fold((0, 0), |(said, again), line| (said + 1, again + u32::from(line.tries > 1)));
    println!("{said} danmaku, {retried} of them sent again, {} kept", history.len());
    let named = findings.iter().fold(String::new(), |mut named, finding| {
        _ = writeln!(named, "{finding}");
        named
    });
    assert!(findings.is_empty(), "{named}");
    assert!(said > 1_000 && retried > 0, "{said} danmaku, {retried} retried: no load");
}

fn speak(cluster: &Cluster, gateway: usize, control: &Arc<Control>) -> JoinHandle<Result<Outcome, LoadError>> {
    let address = cluster.gateways[gateway].listen().unwrap();
    let target = Endpoint::parse(&format!("ws://{address}")).unwrap().target("demo").unwrap();
    let first = gateway as u64 * OTHERS;
    let chat = Chat::new(RATE, 60, 0.5, gateway as u64).unwrap();
    let load = Load {
        target,
        key: Some(cluster.token_key().unwrap()),
        format: Format::V2,
        viewers: 2,
        dial_rate: None,
        script: Some(Box::new(chat.map(move |said| Said { user: said.user + first, ..said }))),
        senders_max: 60,
        duration: None,
        threads: 1,
        api: None,
    };
    let control = Arc::clone(control);
    thread::spawn(move || run(load, &control))
}

async fn spread(cluster: &Cluster, over: u32) {
    cluster.command(&["routes", "plan", "--spread", &format!("demo={over}"), "--apply"]).await.unwrap();
}

/// Moves one slice.
async fn place(cluster: &Cluster, shard: u32, to: u32) {
    let file = cluster.command(&["routes", "show", "-o", "file"]).await.unwrap();
    let slice = format!("\"demo/{shard}\" = ");
    let mut lines: Vec<_> = file.lines().filter(|line| !line.starts_with(&slice)).map(str::to_owned).collect();
    let slices = lines.iter().position(|line| line == "[slices]").expect("the file has such a section");
    if to != partition_of("demo", 4) {
        lines.insert(slices + 1, format!("{slice}{to}"));
    }
    let path = cluster.run().folder().join("routes.toml");
    fs::write(&path, lines.join("\n")).unwrap();
    cluster.command(&["routes", "apply", "-f", &path.display().to_string()]).await.unwrap();
}

async fn owner(cluster: &Cluster, partition: u32) -> Node {
    let file = cluster.command(&["routes", "show", "-o", "file"]).await.unwrap();
    let lines = file.lines().filter_map(|line| line.split_once(" = ["));
    let mut owned = lines.filter(|(name, _)| name.trim_matches('"').starts_with("consumer-"));
    let its = |list: &str| list.trim_end_matches(']').split(',').any(|one| one.trim() == partition.to_string());
    let (name, _) = owned.find(|(_, list)| its(list)).expect("somebody owns it");
    Node::Consumer(name.trim_matches('"').trim_start_matches("consumer-").parse().unwrap())
}
