//! Each row of the table, on a cluster: what it says happens, and afterwards everything is exact.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use barrage_core::room::Placement;
use barrage_e2e::{
    client::{ClientV2, Event, Join},
    cluster::{ClusterOptions, Fault, Line, Node, Party, Role, Run, Slowness, SmallDisk},
    server::{Options, Server},
};
use barrage_proto::v2::pb::Reason;
use tokio::task::block_in_place;

use crate::{
    PATIENCE, eventually,
    scene::{DANMAKU, Scene, shows},
    table::{Row, rows},
    wait,
};

/// How long nothing is shown where a room stands still.
const STILL: Duration = Duration::from_secs(4);
/// How long what was read of a room serves others, and a little more: its ranking for a second.
const SHARED_PAGE: Duration = Duration::from_millis(1_200);
/// How long a danmaku is waited for.
const SHOWN_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks at what one is told.
const SHORT: Duration = Duration::from_millis(20);
/// Further danmaku that are looked for.
const TRIES: usize = 3;
const SLOW: Slowness = Slowness { delay: Duration::from_millis(200), bytes_per_s: 10_000_000 };

/// What is broken for a row; nothing for those that tests of their own are about.
fn faults(down: &str) -> Option<Vec<Fault>> {
    let redis = |nodes: &[usize], fault: fn(usize) -> Fault| nodes.iter().copied().map(fault).collect();
    Some(match down {
        "a broker of three" => vec![Fault::Kill(Node::Broker(0))],
        "Kafka" => Party::ALL.map(|party| Fault::Cut(Line::Kafka(party))).to_vec(),
        "gateways cut from Kafka, routes stale" => vec![Fault::Cut(Line::Kafka(Party::Gateways))],
        "Redis" => redis(&[0, 1, 2, 3, 4, 5], |node| Fault::Kill(Node::Redis(node))),
        "a shard of Redis, master and replica" => redis(&[0, 3], |node| Fault::Kill(Node::Redis(node))),
        "Redis is slow, 200 ms each way" => redis(&[0, 1, 2, 3, 4, 5], |node| Fault::Slow(Line::Redis(node), SLOW)),
        "the rankers" => vec![Fault::Kill(Node::Ranker(0)), Fault::Kill(Node::Ranker(1))],
        "the disk is full, dev mode" | "a partition of Kafka" => return None,
        other => panic!("the page has a row that no test knows: {other}"),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_table_is_what_happens() {
    let rows = rows();
    assert_eq!(rows.len(), 9, "rows in docs/degraded-modes.md");
    let mut scene = Scene::start(ClusterOptions::default()).await;
    block_in_place(|| {
        scene.chat(1, 10..30);
        let mut wrong = Vec::new();
        for row in &rows {
            if let Some(faults) = faults(row.down) {
                eprintln!("{}", row.down);
                wrong.extend(
                    differences(&mut scene, row, &faults).into_iter().map(|cell| format!("{}: {cell}", row.down)),
                );
            }
        }
        assert!(wrong.is_empty(), "docs/degraded-modes.md says otherwise than what happens:\n{}", wrong.join("\n"));
    });
}

/// Whether a cell says what happens, or that it may.
fn allows(says: &str, happens: &str) -> bool {
    says.split(", or ").any(|one| one == happens)
}

/// What happens otherwise than a row says. That everything is exact afterwards is asserted.
fn differences(scene: &mut Scene, row: &Row, faults: &[Fault]) -> Vec<String> {
    let (mut sender, mut watcher) = (scene.join(0, 2), scene.join(1, 3));
    scene.keep(&mut sender);
    let before: Vec<f64> = row.metrics.iter().map(|(role, name)| scene.metric(*role, name)).collect();
    faults.iter().for_each(|fault| fault.inject(&mut scene.cluster).unwrap());

    let mut wrong = Vec::new();
    let mut compare = |cell: &str, happens: &str, says: &str| {
        if !allows(says, happens) {
            wrong.push(format!("{cell}: {happens}, not {says}"));
        }
    };
    let (seq, text) = scene.say(&mut sender);
    let told = answer(&mut sender, seq);
    compare("sender", told, row.sender);
    // Where nothing can be sent, what others have appended tells whether viewers see it.
    let shown = if told == "acknowledged" { text.clone() } else { scene.append_danmaku() };
    let mut happens = sees(&mut watcher, &shown, row.viewer);
    // What is on its way for over 5 s, while a partition changes its leader for example, is kept and shown to nobody.
    for _ in 0..TRIES {
        if happens != row.viewer && told == "acknowledged" {
            let next = scene.keep(&mut sender);
            happens = sees(&mut watcher, &next, row.viewer);
        }
    }
    compare("viewer", happens, row.viewer);
    sleep(SHARED_PAGE);
    compare("who joins", joins(&mut scene.join(1, 4)), row.joins);
    for path in ["history", "ranking"] {
        let answer = scene.api(0).get(&format!("/v1/rooms/demo/{path}")).unwrap();
        compare(path, &answer.status.to_string(), row.api);
    }
    for (role, check) in &row.readyz {
        if let Err(others) = eventually(|| says(scene, *role, check)) {
            wrong.push(format!("`{check}` of {role} is ok; not ok are {others}"));
        }
    }
    for ((role, name), before) in row.metrics.iter().zip(before) {
        let moved = || match scene.metric(*role, name) {
            now if name.starts_with("barrage_health") && now < before => Ok(()),
            now if !name.starts_with("barrage_health") && now > before => Ok(()),
            now => Err(format!("`{name}` of {role} is {now}, before it {before}")),
        };
        wrong.extend(eventually(moved).err());
    }

    faults.iter().for_each(|fault| wait(fault.heal(&mut scene.cluster)).unwrap());
    scene.settle(&mut sender, seq, &text);
    let (mut after, mut watcher) = (scene.join(0, 2), scene.join(1, 3));
    let goes_on = (0..=TRIES).any(|_| {
        let text = scene.keep(&mut after);
        sees(&mut watcher, &text, "goes on") == "goes on"
    });
    assert!(goes_on, "{}: afterwards", row.down);
    scene.until_well();
    scene.until_exact();
    wrong
}

/// Whether a process of a role says that a check is degraded: it works on.
fn says(scene: &Scene, role: Role, check: &str) -> Result<(), String> {
    let complaints = scene.complaints(role);
    let named = complaints.iter().any(|one| one.name == check);
    if named { Ok(()) } else { Err(format!("{complaints:?}")) }
}

#[test]
fn the_row_of_a_full_disk_is_what_happens() {
    let row = rows().into_iter().find(|row| row.down == "the disk is full, dev mode").unwrap();
    let run = Run::start().unwrap();
    let Ok(disk) = SmallDisk::mount(&run, "disk", 8) else {
        return eprintln!("only root can mount a small disk; not tested here");
    };
    let server = Server::start(Options { data: Some(disk.path().join("data")), ..Options::default() }).unwrap();
    let join = |user| {
        let token = server.token("demo", user).unwrap();
        ClientV2::join(&Join::new(&server.ws_url(), "demo", &token), user).unwrap()
    };
    let (mut sender, mut watcher) = (join(2), join(3));
    let seq = sender.say("弹幕 1").unwrap();
    assert_eq!(answer(&mut sender, seq), "acknowledged");
    assert_eq!(sees(&mut watcher, "弹幕 1", "goes on"), "goes on");
    eventually(|| match server.api().whole_history("demo") {
        Ok(kept) if !kept.is_empty() => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .unwrap();

    disk.fill().unwrap();
    // The log's file has some room left inside.
    let large = "弹".repeat(300);
    let mut told = "acknowledged";
    for _ in 0..100 {
        if told == "acknowledged" {
            let seq = sender.say(&large).unwrap();
            told = answer(&mut sender, seq);
        }
    }
    assert!(allows(row.sender, told), "{told}");
    let joined = joins(&mut join(4));
    assert!(allows(row.joins, joined), "{joined}");
    for path in ["history", "ranking"] {
        assert_eq!(server.api().get(&format!("/v1/rooms/demo/{path}")).unwrap().status.to_string(), row.api, "{path}");
    }
    for (_, check) in &row.readyz {
        let said = server.api().get("/readyz").unwrap();
        assert!(said.status == 200 && said.body.contains(&format!("\"{check}\",\"ok\":false")), "{}", said.body);
    }
    for (_, metric) in &row.metrics {
        let said = server.api().get("/metrics").unwrap().body;
        let value = said.lines().find_map(|line| line.strip_prefix(metric)?.trim().parse::<f64>().ok());
        assert!(value.is_some_and(|value| value > 0.0), "{metric}: {value:?}");
    }
    disk.free().unwrap();
    // As above: what is on its way for over 5 s is shown to nobody.
    let goes_on = (2..3 + TRIES).any(|number| {
        let text = format!("弹幕 {number}");
        let seq = sender.say(&text).unwrap();
        assert!(sender.wait_fate(seq, PATIENCE).is_ok());
        sees(&mut watcher, &text, "goes on") == "goes on"
    });
    assert!(goes_on, "{}: afterwards", row.down);
}

fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// A danmaku of a room on another partition is acknowledged the first time, before, while and after what waits for the
/// partition is given up.
#[tokio::test(flavor = "multi_thread")]
async fn the_row_of_a_partition_that_takes_nothing_is_what_happens() {
    const PARTITIONS: u32 = 3;
    let row = rows().into_iter().find(|row| row.down == "a partition of Kafka").unwrap();
    let placement = Placement::new(PARTITIONS, 1).unwrap();
    let apart = |room: &String| placement.partition_of(room, 0) != placement.partition_of("demo", 0);
    let other = (0..).map(|number| format!("other-{number}")).find(apart).unwrap();
    let [partition, partition_beside] =
        ["demo", &other].map(|room| i32::try_from(placement.partition_of(room, 0)).unwrap());
    let manifest = |room: &str| {
        format!("apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata:\n  name: {room}\nspec: {{}}\n")
    };
    let rooms = format!("{}---\n{}", manifest("demo"), manifest(&other));
    let mut scene = Scene::start(ClusterOptions { rooms, partitions: PARTITIONS, ..ClusterOptions::default() }).await;
    block_in_place(|| {
        scene.chat(1, 10..20);
        let (mut sender, mut watcher) = (scene.join(0, 2), scene.join(1, 3));
        scene.keep(&mut sender);
        let mut beside = [0, 1].map(|gateway| scene.join_room(&other, gateway, 5 + gateway as u64));
        let mut say_beside = || {
            let began = Instant::now();
            for one in &mut beside {
                let seq = one.say("beside").unwrap();
                assert_eq!(answer(one, seq), "acknowledged", "a room of another partition");
            }
            began.elapsed()
        };
        let metrics: Vec<f64> = row.metrics.iter().map(|(role, name)| scene.metric(*role, name)).collect();

        // It is at one broker alone, which the other one does without.
        wait(scene.cluster.kafka.place(DANMAKU, partition, &[2])).unwrap();
        wait(scene.cluster.kafka.place(DANMAKU, partition_beside, &[0, 1])).unwrap();
        let mut before: Vec<_> = (0..100).map(|_| say_beside()).collect();
        // Stopped, not killed: Kafka elects no leader among copies that all ended without a word.
        let broker = Fault::Pause(Node::Broker(2));
        broker.inject(&mut scene.cluster).unwrap();
        let (seq, text) = scene.say(&mut sender);
        let mut during = Vec::new();
        let told = loop {
            during.push(say_beside());
            if let Ok(told) = sender.wait_for("an answer", SHORT, told_of(seq)) {
                break told;
            }
        };
        during.extend((0..100).map(|_| say_beside()));
        assert!(allows(row.sender, told), "{told}");
        assert_eq!(sees(&mut watcher, &text, row.viewer), row.viewer);
        assert!(allows(row.joins, joins(&mut scene.join(1, 4))));
        for path in ["history", "ranking"] {
            let answer = scene.api(0).get(&format!("/v1/rooms/demo/{path}")).unwrap();
            assert!(allows(row.api, &answer.status.to_string()), "{path}: {}", answer.status);
        }
        for (role, check) in &row.readyz {
            eventually(|| says(&scene, *role, check)).unwrap();
        }
        for ((role, name), before) in row.metrics.iter().zip(metrics) {
            assert!(scene.metric(*role, name) > before, "{name}");
        }

        wait(broker.heal(&mut scene.cluster)).unwrap();
        scene.settle(&mut sender, seq, &text);
        scene.until_well();
        scene.until_exact();
        let (count, [before, during]) = (during.len(), [p99(&mut before), p99(&mut during)]);
        eprintln!(
            "a room of another partition was acknowledged within {during:?} ({count} times, P99), before {before:?}"
        );
    });
}

fn answer(sender: &mut ClientV2, seq: u64) -> &'static str {
    sender.wait_for("an answer", PATIENCE, told_of(seq)).unwrap()
}

fn told_of(seq: u64) -> impl Fn(&Event) -> Option<&'static str> {
    move |event| match event {
        Event::Ack(ack) if ack.seq.contains(&seq) => Some("acknowledged"),
        Event::Error(error) if error.seq == seq && error.reason() == Reason::Retry => Some("told `retry`"),
        _ => None,
    }
}

fn sees(watcher: &mut ClientV2, text: &str, expected: &str) -> &'static str {
    let patience = if expected == "stands still" { STILL } else { SHOWN_WITHIN };
    let seen = |event: &Event| match event {
        Event::History(danmaku, _) => danmaku.iter().any(|one| one.content == text).then_some(()),
        event => shows(event, text),
    };
    if watcher.wait_for("the danmaku", patience, seen).is_ok() { "goes on" } else { "stands still" }
}

fn joins(viewer: &mut ClientV2) -> &'static str {
    let begins = |event: &Event| match event {
        Event::History(danmaku, _) => Some(!danmaku.is_empty()),
        _ => None,
    };
    if viewer.wait_for("its beginning", PATIENCE, begins).unwrap() { "with history" } else { "without history" }
}
