//! Each row of the table, on a cluster: what it says happens, and afterwards everything is exact.

use std::{thread::sleep, time::Duration};

use barrage_e2e::{
    client::{ClientV2, Event, Join},
    cluster::{ClusterOptions, Fault, Line, Node, Party, Role, Run, Slowness, SmallDisk},
    server::{Options, Server},
};
use barrage_proto::v2::pb::Reason;
use tokio::task::block_in_place;

use crate::{
    PATIENCE, eventually,
    scene::{Scene, shows},
    table::{Row, rows},
    wait,
};

/// How long nothing is shown where a room stands still.
const STILL: Duration = Duration::from_secs(4);
/// How long what was read for one who joined serves others, and a little more.
const SHARED_PAGE: Duration = Duration::from_millis(300);
/// How long a danmaku is waited for.
const SHOWN_WITHIN: Duration = Duration::from_secs(20);
/// Further danmaku that are looked for.
const TRIES: usize = 3;
const SLOW: Slowness = Slowness { delay: Duration::from_millis(200), bytes_per_s: 10_000_000 };

/// What is broken for a row; nothing for the one that a test of dev mode is about.
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
        "the disk is full, dev mode" => return None,
        other => panic!("the page has a row that no test knows: {other}"),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_table_is_what_happens() {
    let rows = rows();
    assert_eq!(rows.len(), 8, "rows in docs/degraded-modes.md");
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

fn answer(sender: &mut ClientV2, seq: u64) -> &'static str {
    let told = |event: &Event| match event {
        Event::Ack(ack) if ack.seq.contains(&seq) => Some("acknowledged"),
        Event::Error(error) if error.seq == seq && error.reason() == Reason::Retry => Some("told `retry`"),
        _ => None,
    };
    sender.wait_for("an answer", PATIENCE, told).unwrap()
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
