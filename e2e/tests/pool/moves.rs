//! The partitions of a hot room go to other consumers under load, while those are killed who give and take them: nothing
//! is lost, doubled or out of order, the ranking is exact, the ledger balances. How long senders waited is printed.

use std::{
    collections::BTreeSet,
    fmt::Write,
    slice,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use barrage_e2e::{
    checker::{check_history, check_ranking, count},
    client::ClientV2,
    cluster::{Cluster, ClusterOptions, Fault, Node},
    load::{Chat, Endpoint, Load, LoadError, Outcome, run},
    session::Fate,
    swarm::{Control, Format, Harvest, Said},
};
use tokio::task::block_in_place;

use crate::{PATIENCE, api, join, until, zombie::share};

/// All of them have slices of the room.
const PARTITIONS: u32 = 4;
/// Users of the second gateway's senders stand behind those of the first's.
const OTHERS: u64 = 1_000_000;
/// Danmaku/s at each gateway.
const RATE: f64 = 60.0;
/// The first of the users who say how long a move takes.
const PROBE: u64 = 77;

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_rooms_partitions_move_under_load_while_gateways_and_consumers_are_killed() {
    let options = ClusterOptions { partitions: PARTITIONS, spread: Some(PARTITIONS), ..ClusterOptions::default() };
    let mut cluster = Cluster::start(options).await.unwrap_or_else(|error| panic!("{error}"));
    let controls = [Arc::new(Control::default()), Arc::new(Control::default())];
    let loads: Vec<_> = (0..2).map(|gateway| speak(&cluster, gateway, &controls[gateway])).collect();
    let mut probes = Vec::new();
    tokio::time::sleep(Duration::from_secs(3)).await;

    for consumers in [&[0][..], &[1, 2], &[0, 1, 2]] {
        share(&cluster, consumers, &[0, 1]).await;
        observe(&format!("all partitions with {consumers:?}"), &cluster, &mut probes);
    }
    // Each is stopped when the change is written and killed before it could do its part: a gateway, an owner that gives
    // its partitions away, one that gets others.
    let faults = [(Node::Gateway(0), &[0, 1][..]), (Node::Consumer(0), &[1, 2]), (Node::Consumer(2), &[2])];
    for (node, consumers) in faults {
        Fault::Pause(node).inject(&mut cluster).unwrap();
        share(&cluster, consumers, &[0, 1]).await;
        let fault = Fault::Kill(node);
        fault.inject(&mut cluster).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        fault.heal(&mut cluster).await.unwrap();
        observe(&format!("all partitions with {consumers:?}, {}", fault.describe()), &cluster, &mut probes);
    }
    // Faster than anybody can complete them.
    for consumers in [&[0][..], &[1], &[2], &[0, 1, 2]] {
        share(&cluster, consumers, &[0, 1]).await;
    }
    observe("four moves at once", &cluster, &mut probes);

    controls.iter().for_each(|control| control.hush());
    block_in_place(|| judge(&cluster, loads, &probes));
}

/// Says how long a sender waited, and when what it said was kept.
fn observe(what: &str, cluster: &Cluster, probes: &mut Vec<ClientV2>) {
    block_in_place(|| {
        let user = PROBE + probes.len() as u64;
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
    until("the ledger", || api.room("demo").is_ok_and(|room| room.ledger.check().is_none()));
    let history = api.whole_history("demo").unwrap();
    let on: BTreeSet<u32> = history.iter().map(|kept| kept.id.partition).collect();
    assert_eq!(on, (0..PARTITIONS).collect::<BTreeSet<_>>(), "partitions that the room is on");
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
