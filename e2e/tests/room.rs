//! A room from its viewers' side: what is sent is seen by all in order, once, also by its sender, also after a break.

use std::time::{Duration, Instant};

use barrage_e2e::{
    client::{ClientError, ClientV1, ClientV2, Event, Join},
    server::{Options, Server},
    session::Fate,
};
use barrage_proto::{v1, v2::pb};

const PATIENCE: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_millis(400);

fn server(spec: &str) -> Server {
    let manifest =
        format!("apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata: {{name: demo}}\nspec: {spec}\n");
    Server::start(Options { manifest: Some(manifest), shards: Some(2), ..Options::default() }).unwrap()
}

fn join(server: &Server, user: u64) -> Join {
    Join::new(&server.ws_url(), "demo", &server.token("demo", user).unwrap())
}

fn v2_client(server: &Server, user: u64) -> ClientV2 {
    ClientV2::join(&join(server, user), user).unwrap()
}

fn say(client: &mut ClientV2, text: &str) {
    let seq = client.say(text).unwrap();
    let fate = client.wait_fate(seq, PATIENCE).unwrap();
    assert!(matches!(fate, Fate::Acknowledged(_)), "{text}: {fate:?}");
}

/// The texts that a client is shown until one of them is `last`, in order.
fn texts_until(client: &mut ClientV2, last: &str) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    while texts.last().map(String::as_str) != Some(last) {
        let batch = |event: &Event| {
            if let Event::Batch(danmaku, _) = event { Some(danmaku.clone()) } else { None }
        };
        let danmaku = client.wait_for(format!("danmaku {last:?} after {texts:?}"), PATIENCE, batch).unwrap();
        texts.extend(danmaku.into_iter().map(|danmaku| danmaku.content));
    }
    texts
}

fn history(client: &mut ClientV2) -> (Vec<String>, bool) {
    let history = |event: &Event| match event {
        Event::History(danmaku, truncated) => {
            Some((danmaku.iter().map(|danmaku| danmaku.content.clone()).collect(), *truncated))
        }
        _ => None,
    };
    client.wait_for("history", PATIENCE, history).unwrap()
}

fn board(client: &mut ClientV2) -> Vec<(u64, u64)> {
    let scores = |event: &Event| match event {
        Event::Snapshot(snapshot) => Some(snapshot.user.iter().copied().zip(snapshot.score.iter().copied()).collect()),
        _ => None,
    };
    client.wait_for("leaderboard", PATIENCE, scores).unwrap()
}

#[test]
fn both_versions_see_what_both_versions_send_once_and_in_order() {
    let server = server("{rateLimit: {messagesPerSecond: 100, burst: 100}}");
    let mut new = v2_client(&server, 1);
    let mut old = ClientV1::join(&join(&server, 2), 2).unwrap();
    let mut watcher = v2_client(&server, 3);
    for i in 0..10 {
        say(&mut new, &format!("new {i}"));
    }
    for i in 0..10 {
        old.say(&format!("old {i}")).unwrap();
    }
    let expected = |name: &str| (0..10).map(|i| format!("{name} {i}")).collect::<Vec<_>>();
    for client in [&mut new, &mut watcher] {
        let seen = texts_until(client, "old 9");
        for name in ["new", "old"] {
            let of_name: Vec<_> = seen.iter().filter(|text| text.starts_with(name)).cloned().collect();
            assert_eq!(of_name, expected(name));
        }
    }
    let seen: Vec<_> = old.collect(Duration::from_secs(1)).unwrap().into_iter().map(|shown| shown.content).collect();
    assert_eq!(seen, [expected("new"), expected("old")].concat());
}

#[test]
fn v1_heartbeats_are_answered() {
    let server = server("{}");
    let mut client = ClientV1::join(&join(&server, 77), 77).unwrap();
    client.heartbeat().unwrap();
    let beat = client.next(PATIENCE).unwrap();
    assert_eq!((beat.frame_type, beat.user_id, &*beat.content), (v1::FrameType::Heartbeat, 77, ""));
    assert!(beat.timestamp_ms > 1_700_000_000_000);
}

#[test]
fn who_joins_gets_history_leaderboard_and_state() {
    let server = server("{rateLimit: {messagesPerSecond: 100, burst: 100}}");
    let mut first = v2_client(&server, 1);
    assert_eq!((history(&mut first), board(&mut first)), ((vec![], false), vec![]));
    for i in 0..5 {
        say(&mut first, &format!("danmaku {i}"));
    }
    // Who joins within a quarter of a second shares one read of the history; what is newer comes live.
    std::thread::sleep(Duration::from_millis(300));
    let mut second = v2_client(&server, 2);
    let state = |event: &Event| {
        if let Event::State(state) = event { Some(*state) } else { None }
    };
    second.wait_for("room state", PATIENCE, state).unwrap();
    assert_eq!(history(&mut second).0, (0..5).map(|i| format!("danmaku {i}")).collect::<Vec<_>>());
    let mut late = ClientV2::join(&Join { query: "history=2".to_owned(), ..join(&server, 3) }, 3).unwrap();
    assert_eq!(history(&mut late).0, ["danmaku 3", "danmaku 4"]);
    let watched = |event: &Event| {
        if let Event::State(state) = event { (state.viewers == 3).then_some(()) } else { None }
    };
    second.wait_for("a state with 3 viewers", PATIENCE, watched).unwrap();
}

#[test]
fn the_leaderboard_follows() {
    let server = server("{rateLimit: {messagesPerSecond: 100, burst: 100}}");
    let mut clients: Vec<_> = (1..=3).map(|user| v2_client(&server, user)).collect();
    for (client, count) in clients.iter_mut().zip([1, 3, 3]) {
        for i in 0..count {
            say(client, &format!("{i}"));
        }
    }
    let mut held = std::collections::BTreeMap::new();
    let deadline = Instant::now() + PATIENCE;
    while held != [(1, 1), (2, 3), (3, 3)].into() {
        assert!(Instant::now() < deadline, "the viewer holds {held:?}");
        for event in clients[0].collect(SILENCE).unwrap() {
            match event {
                Event::Snapshot(board) => held = board.user.into_iter().zip(board.score).collect(),
                Event::Delta(delta) => held.extend(delta.user.into_iter().zip(delta.score)),
                _ => {}
            }
        }
    }
    let ranking = server.api().ranking("demo", 10, 0).unwrap();
    let users: Vec<_> = ranking.iter().map(|place| (place.user, place.score)).collect();
    assert_eq!(users, [(2, 3), (3, 3), (1, 1)]);
}

#[test]
fn who_comes_back_gets_what_it_missed_without_gap_also_after_a_kill() {
    let mut server = server("{rateLimit: {messagesPerSecond: 100, burst: 100}}");
    let mut viewer = v2_client(&server, 1);
    let mut sender = v2_client(&server, 2);
    say(&mut sender, "seen");
    texts_until(&mut viewer, "seen");
    await_cursor(&mut viewer);
    let mut seen = std::collections::HashSet::from(["seen".to_owned()]);
    viewer.connection().stream().shutdown(std::net::Shutdown::Both).unwrap();
    for i in 0..5 {
        say(&mut sender, &format!("missed {i}"));
    }
    viewer.rejoin().unwrap();
    let mut expected: Vec<_> = (0..5).map(|i| format!("missed {i}")).collect();
    say(&mut sender, "live again");
    expected.push("live again".to_owned());
    assert_eq!(resumed(&mut viewer, "live again", &mut seen), expected);

    server.kill9();
    server.restart().unwrap();
    sender.rejoin().unwrap();
    say(&mut sender, "after the kill");
    viewer.rejoin().unwrap();
    say(&mut sender, "and on");
    assert_eq!(resumed(&mut viewer, "and on", &mut seen), ["after the kill", "and on"]);
}

fn await_cursor(client: &mut ClientV2) {
    let deadline = Instant::now() + PATIENCE;
    while client.cursor().is_empty() {
        assert!(Instant::now() < deadline, "no cursor came");
        client.collect(SILENCE).unwrap();
    }
}

/// What a resumed viewer is newly shown up to `last`, from history and live. What it has seen may come again, after a
/// kill, too; like any client it drops that.
fn resumed(client: &mut ClientV2, last: &str, seen: &mut std::collections::HashSet<String>) -> Vec<String> {
    let (mut texts, truncated) = history(client);
    assert!(!truncated);
    if texts.last().map(String::as_str) != Some(last) {
        texts.extend(texts_until(client, last));
    }
    texts.retain(|text| seen.insert(text.clone()));
    texts
}

#[test]
fn a_retry_is_kept_once_and_not_echoed() {
    let server = server("{}");
    let mut client = v2_client(&server, 5);
    say(&mut client, "once");
    texts_until(&mut client, "once");
    let retry = pb::Send { seq: 1, content: "once".to_owned(), retry_age_ms: 10, ..pb::Send::default() };
    client.send(&retry).unwrap();
    let ack = |event: &Event| {
        if let Event::Ack(ack) = event { Some(ack.seq.clone()) } else { None }
    };
    assert_eq!(client.wait_for("ack of the retry", PATIENCE, ack).unwrap(), [1]);
    let events = client.collect(SILENCE).unwrap();
    let shown = events.iter().any(|event| matches!(event, Event::Batch(danmaku, _) if !danmaku.is_empty()));
    assert!(!shown, "{events:?}");
    assert_eq!(server.api().whole_history("demo").unwrap().len(), 1);
    assert_eq!(server.api().ranking("demo", 1, 0).unwrap()[0].score, 1);
}

#[test]
fn after_a_refusal_later_ones_wait_until_it_is_sent_again_or_given_up() {
    let server = server("{rateLimit: {messagesPerSecond: 2, burst: 1}}");
    let mut client = v2_client(&server, 5);
    let send =
        |seq, oldest_pending| pb::Send { seq, oldest_pending, content: format!("number {seq}"), ..pb::Send::default() };
    let reason = |client: &mut ClientV2, wanted| {
        let reason = |event: &Event| match event {
            Event::Error(error) if error.seq == wanted => Some(error.reason()),
            Event::Ack(ack) if ack.seq.contains(&wanted) => Some(pb::Reason::Unspecified),
            _ => None,
        };
        client.wait_for(format!("answer to {wanted}"), PATIENCE, reason).unwrap()
    };
    for (seq, expected) in [(1, pb::Reason::Unspecified), (2, pb::Reason::RateLimited), (3, pb::Reason::Blocked)] {
        client.send(&send(seq, 1)).unwrap();
        assert_eq!(reason(&mut client, seq), expected);
    }
    std::thread::sleep(Duration::from_millis(600));
    client.send(&send(3, 1)).unwrap();
    assert_eq!(reason(&mut client, 3), pb::Reason::Blocked, "2 was neither sent again nor given up");
    client.send(&send(2, 2)).unwrap();
    assert_eq!(reason(&mut client, 2), pb::Reason::Unspecified);
    std::thread::sleep(Duration::from_millis(600));
    client.send(&send(4, 4)).unwrap();
    assert_eq!(reason(&mut client, 4), pb::Reason::Unspecified, "3 was given up");
}

#[test]
fn senders_see_their_own_even_when_the_room_leaves_it_out_and_the_ledger_balances() {
    let server = server("{rateLimit: {messagesPerSecond: 1000, burst: 1000}, viewerBudget: {danmakuPerSecond: 4}}");
    let mut watcher = v2_client(&server, 1);
    let mut old = ClientV1::join(&join(&server, 2), 2).unwrap();
    let mut new = v2_client(&server, 3);
    for i in 0..40 {
        old.say(&format!("old {i}")).unwrap();
        new.say(&format!("new {i}")).unwrap();
    }
    let seen_old: Vec<_> = old.collect(Duration::from_secs(1)).unwrap();
    for i in 0..40 {
        let own = format!("old {i}");
        assert_eq!(seen_old.iter().filter(|shown| shown.content == own).count(), 1, "{own}");
    }
    let events = new.collect(Duration::from_millis(200)).unwrap();
    let seen_new: Vec<_> = events
        .iter()
        .flat_map(|event| if let Event::Batch(danmaku, _) = event { danmaku.as_slice() } else { &[] })
        .map(|danmaku| danmaku.content.as_str())
        .collect();
    for i in 0..40 {
        let own = format!("new {i}");
        assert_eq!(seen_new.iter().filter(|&&text| text == own).count(), 1, "{own}");
    }
    let (mut shown, mut left_out) = (0, 0);
    for event in watcher.collect(SILENCE).unwrap() {
        if let Event::Batch(danmaku, batch) = event {
            shown += danmaku.len();
            left_out += (batch.merged + batch.sampled_out + batch.expired) as usize;
        }
    }
    assert!(shown < 40, "the budget holds: {shown} shown");
    assert_eq!(shown + left_out, 80, "every danmaku is shown or counted");
    let ledger = server.api().room("demo").unwrap().ledger;
    assert_eq!((ledger.logged, ledger.check()), (80, None));
}

#[test]
fn a_viewer_that_never_reads_is_skipped_then_closed_and_slows_nobody() {
    let manifest = "apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata: {name: demo}\n\
                    spec: {rateLimit: {messagesPerSecond: 1000, burst: 1000}, viewerBudget: {danmakuPerSecond: 10000}}\n";
    let extra = ["--slow-timeout", "2"].map(str::to_owned).to_vec();
    let server = Server::start(Options { manifest: Some(manifest.to_owned()), extra, ..Options::default() }).unwrap();
    let deaf = ClientV1::join(&join(&server, 1), 1).unwrap();
    let mut watcher = v2_client(&server, 2);
    let mut sender = v2_client(&server, 3);
    let metric = |name: &str| {
        let metrics = server.api().get("/metrics").unwrap().body;
        metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0_u64)
    };
    let deadline = Instant::now() + Duration::from_secs(50);
    let mut sent = 0;
    while metric("barrage_gateway_disconnects_total{reason=\"Slow\"}") == 0 {
        assert!(Instant::now() < deadline, "after {sent} danmaku of 1 KB the deaf viewer is still there");
        let mut seq = 0;
        for _ in 0..100 {
            sent += 1;
            seq = sender.say(&format!("{sent}{}", "x".repeat(1_000))).unwrap();
        }
        sender.wait_fate(seq, PATIENCE).unwrap();
        texts_until(&mut watcher, &format!("{sent}{}", "x".repeat(1_000)));
    }
    assert!(metric("barrage_gateway_skipped_flushes_total") > 0, "what it missed is counted");
    drop(deaf);
}

#[test]
fn at_shutdown_viewers_are_told_when_to_come_back() {
    let mut server = server("{}");
    let mut new = v2_client(&server, 1);
    let mut old = ClientV1::join(&join(&server, 2), 2).unwrap();
    say(&mut new, "before");
    let status = server.terminate(PATIENCE).unwrap();
    assert!(status.success(), "{status}");
    let away = |event: &Event| {
        if let Event::GoAway(away) = event { Some(away.reconnect_after_ms) } else { None }
    };
    let after_ms = new.wait_for("go-away", PATIENCE, away).unwrap();
    assert!(after_ms <= 5_000, "{after_ms}");
    let goodbye = loop {
        if let Err(error) = old.next(PATIENCE) {
            break error;
        }
    };
    assert!(matches!(goodbye, ClientError::Closed { code: 1001, .. }), "{goodbye}");
    server.restart().unwrap();
    assert_eq!(server.api().whole_history("demo").unwrap().len(), 1);
}

#[test]
fn a_second_server_on_one_data_directory_is_refused() {
    let server = server("{}");
    let second = Server::start(Options { data: Some(server.data()), ..Options::default() });
    let error = second.err().expect("the data directory is taken").to_string();
    assert!(error.contains("another barrage runs"), "{error}");
}
