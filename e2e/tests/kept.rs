//! What was acknowledged is kept, once and in order, and the ledger balances: under load, through `kill -9`, on a full
//! disk and with a damaged log.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use barrage_e2e::{
    client::{ClientV2, Event, Join},
    server::{self, Options, Server},
    session::Fate,
};
use barrage_proto::v2::pb;
use rand::RngExt;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);
/// Kills in one run; the long form asks for more.
const KILLS: &str = "BARRAGE_KILLS";
const KILLS_SHORT: usize = 20;

fn manifest(spec: &str) -> Options {
    let manifest =
        format!("apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata: {{name: demo}}\nspec: {spec}\n");
    Options { manifest: Some(manifest), ..Options::default() }
}

/// Room for everybody, and a history that holds a whole run.
const WIDE: &str = "{rateLimit: {messagesPerSecond: 1000, burst: 1000}, history: {length: 1000000}}";

fn load(server: &Server, arguments: &[&str]) -> Child {
    let program = server::binary().unwrap().with_file_name("barrage-load");
    let common = ["--url", &server.ws_url(), "--data", server.data().to_str().unwrap(), "--json"].map(str::to_owned);
    let mut command = Command::new(&program);
    command.args(arguments).args(common).stdout(Stdio::piped()).stderr(Stdio::null());
    let hint = format!("{} is missing: cargo build -p barrage-e2e --bins", program.display());
    command.spawn().expect(&hint)
}

/// The report of a run that kept every promise.
fn kept(load: Child) -> Value {
    let output = load.wait_with_output().unwrap();
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("no report ({error}), {}", output.status));
    for promise in ["lost", "doubled", "outOfOrder", "findings", "unanswered"] {
        assert_eq!(report[promise], 0, "{promise}: {report:#}");
    }
    let count = |name: &str| report["ledger"][name].as_u64().unwrap();
    let accounted: u64 = ["shown", "merged", "sampledOut", "deleted", "expired"].into_iter().map(count).sum();
    assert_eq!(count("logged"), accounted, "the ledger balances: {report:#}");
    assert!(output.status.success(), "{}: {report:#}", output.status);
    report
}

#[test]
fn a_generated_room_over_its_budget_keeps_and_accounts_for_everything() {
    let server = Server::start(manifest(WIDE)).unwrap();
    let arguments = ["chat", "--rate", "600", "--users", "60", "--viewers", "20", "--duration", "10s"];
    let report = kept(load(&server, &arguments));
    assert!(report["acknowledged"].as_u64().unwrap() > 1_000, "{report:#}");
    assert!(report["ledger"]["sampledOut"].as_u64().unwrap() > 0, "600/s is over the budget of 200: {report:#}");
    assert!(report["ledger"]["merged"].as_u64().unwrap() > 0, "repeats are merged: {report:#}");
    assert_eq!(report["ownUnseen"], 0, "senders see their own: {report:#}");
}

#[test]
fn a_replay_of_generated_danmaku_is_kept_whole() {
    let recording = tempfile::NamedTempFile::with_suffix(".jsonl").unwrap();
    let lines = (0..400).map(|i| {
        let (t_ms, user) = (i * 20, i * i % 37);
        format!("{{\"t_ms\":{t_ms},\"mode\":1,\"size\":25,\"color\":1,\"sent_s\":1,\"user\":{user},\"text\":\"第{i}条 danmaku\"}}\n")
    });
    std::fs::write(recording.path(), lines.collect::<String>()).unwrap();
    assert_eq!(replayed(recording.path()), 400);
}

#[test]
fn a_replay_of_recorded_danmaku_is_kept_whole() {
    let data = std::env::var_os("BARRAGE_RECORDINGS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let recording = data.join("danmaku-bilibili.jsonl");
    if !recording.is_file() {
        eprintln!("no recording at {}; the generated one stands for it", recording.display());
        return;
    }
    let lines = std::fs::read_to_string(&recording).unwrap().lines().count() as u64;
    assert_eq!(replayed(&recording), lines);
}

/// Replays a recording; returns how many danmaku were acknowledged, all of which are kept.
fn replayed(recording: &Path) -> u64 {
    let server = Server::start(manifest(WIDE)).unwrap();
    let report = kept(load(&server, &["replay", recording.to_str().unwrap(), "--rate", "150", "--viewers", "5"]));
    assert_eq!(server.api().whole_history("demo").unwrap().len() as u64, report["acknowledged"].as_u64().unwrap());
    report["acknowledged"].as_u64().unwrap()
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_kill_9_at_random_moments() {
    let kills = std::env::var(KILLS).map_or(KILLS_SHORT, |kills| kills.parse().unwrap());
    let mut server = Server::start(manifest(WIDE)).unwrap();
    let seconds = kills * 2 + 5;
    let duration = format!("{seconds}s");
    let load = load(&server, &["chat", "--rate", "200", "--users", "40", "--viewers", "5", "--duration", &duration]);
    let mut random = rand::rng();
    std::thread::sleep(Duration::from_secs(2));
    for _ in 0..kills {
        std::thread::sleep(Duration::from_millis(random.random_range(0..1_500)));
        server.kill9();
        server.restart().unwrap();
    }
    let report = kept(load);
    assert!(report["acknowledged"].as_u64().unwrap() > kills as u64 * 50, "{report:#}");
    assert!(report["disconnects"].as_u64().unwrap() > 0, "the kills were noticed: {report:#}");
}

#[test]
fn a_full_disk_refuses_with_retry_keeps_viewers_and_recovers() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("only root can mount a small disk; not tested here");
        return;
    };
    let server = Server::start(Options { data: Some(disk.0.path().join("data")), ..manifest(WIDE) }).unwrap();
    let join = |user| Join::new(&server.ws_url(), "demo", &server.token("demo", user).unwrap());
    let mut watcher = ClientV2::join(&join(1), 1).unwrap();
    let mut sender = ClientV2::join(&join(2), 2).unwrap();
    let seq = sender.say("before").unwrap();
    assert!(matches!(sender.wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)));

    let ballast = disk.fill();
    let retry = |event: &Event| match event {
        Event::Error(error) if error.reason() == pb::Reason::Retry => Some(error.retry_after_ms),
        _ => None,
    };
    // The log's file has some room left inside: it refuses once that is used up.
    let deadline = Instant::now() + PATIENCE;
    let mut sent = vec![seq];
    let retry_after_ms = loop {
        assert!(Instant::now() < deadline, "a full disk never refused");
        sent.push(sender.say(&"x".repeat(1_000)).unwrap());
        if let Ok(after_ms) = sender.wait_for("retry", Duration::from_millis(50), retry) {
            break after_ms;
        }
    };
    assert!(retry_after_ms > 0);
    let ready = server.api().get("/readyz").unwrap();
    assert!(ready.status == 200 && ready.body.contains("degraded"), "{}", ready.body);
    watcher.send(&pb::Heartbeat::default()).unwrap();
    let beat = |event: &Event| matches!(event, Event::Heartbeat(_)).then_some(());
    watcher.wait_for("the watcher is still served", PATIENCE, beat).unwrap();

    std::fs::remove_file(ballast).unwrap();
    for seq in &sent {
        let fate = sender.wait_fate(*seq, PATIENCE).unwrap();
        assert!(matches!(fate, Fate::Acknowledged(_)), "number {seq} after the disk has room again: {fate:?}");
    }
    await_kept(&server, sent.len());
    let deadline = Instant::now() + PATIENCE;
    while !server.api().get("/readyz").unwrap().body.contains("\"status\":\"ok\"") {
        assert!(Instant::now() < deadline, "{}", server.api().get("/readyz").unwrap().body);
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Waits until the history holds so many danmaku, and no more.
fn await_kept(server: &Server, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let kept = server.api().whole_history("demo").unwrap().len();
        if kept == count && server.api().room("demo").unwrap().ledger.balance() {
            return;
        }
        assert!(Instant::now() < deadline && kept <= count, "{kept} of {count} danmaku are kept");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A file system of a few megabytes; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    const MEBIBYTES: usize = 16;

    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={}m", Self::MEBIBYTES);
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).status();
        mount.is_ok_and(|status| status.success()).then(|| Self(folder))
    }

    /// Fills what is free; returns the file that does.
    fn fill(&self) -> PathBuf {
        let ballast = self.0.path().join("ballast");
        let mut file = std::fs::File::create(&ballast).unwrap();
        let block = vec![0; 4_096];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the server that has files there is about to be killed.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_log_with_a_corrupt_tail_starts_says_so_and_goes_on() {
    let mut server = Server::start(manifest(WIDE)).unwrap();
    let join = Join::new(&server.ws_url(), "demo", &server.token("demo", 2).unwrap());
    let mut sender = ClientV2::join(&join, 2).unwrap();
    for i in 0..20 {
        let seq = sender.say(&format!("before {i}")).unwrap();
        sender.wait_fate(seq, PATIENCE).unwrap();
    }
    await_kept(&server, 20);
    server.kill9();
    let wal = server.data().join("log.db-wal");
    let mut bytes = std::fs::read(&wal).unwrap();
    let length = bytes.len();
    // The last pages may be of a commit that came meanwhile: the second half is of danmaku for sure.
    bytes[length / 2..].fill(0xff);
    std::fs::write(&wal, bytes).unwrap();
    server.restart().unwrap();
    assert!(server.log().contains("lost its tail"), "{}", server.log());
    // The store had applied them: nothing is gone, and new ones do not fall on their places.
    await_kept(&server, 20);
    sender.rejoin().unwrap();
    let seq = sender.say("after").unwrap();
    assert!(matches!(sender.wait_fate(seq, PATIENCE).unwrap(), Fate::Acknowledged(_)));
    await_kept(&server, 21);
}
