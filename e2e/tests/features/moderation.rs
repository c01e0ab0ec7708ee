//! What moderators do holds when it is answered: at every shard, for history and export, across kills.

use std::time::Duration;

use barrage_e2e::client::Event;
use barrage_proto::v2::pb;
use serde_json::{Value, json};

use super::scene::{Outcome, Person, WIDE, done, get, history, history_becomes, moderator, mute, server};

/// Everything that somebody is shown for a moment, by text.
fn shown(person: &mut Person, time: Duration) -> Vec<String> {
    let events = person.client.collect(time).unwrap();
    let texts = events.into_iter().flat_map(|event| match event {
        Event::Batch(danmaku, _) | Event::History(danmaku, _) => danmaku,
        _ => Vec::new(),
    });
    texts.map(|danmaku| danmaku.content).collect()
}

#[test]
fn a_muted_user_is_refused_and_never_shown_also_after_a_kill() {
    let mut server = server(WIDE);
    // Enough people that every shard has some.
    let mut watchers: Vec<_> = (100..108).map(|user| Person::enter(&server, user, "viewer")).collect();
    let mut loud = Person::enter(&server, 7, "viewer");
    loud.say_kept("before");
    watchers.iter_mut().for_each(|watcher| drop(watcher.see("before")));
    mute(&server, 7);
    loud.say_refused("after", pb::Reason::Muted);
    let reason = loud.wait("a notice", |event| match event {
        Event::Notice(notice) => Some((notice.kind(), notice.reason.clone())),
        _ => None,
    });
    assert_eq!(reason, (pb::NoticeKind::Muted, "flooding".into()));
    server.kill9();
    server.restart().unwrap();
    let mut again = Person::enter(&server, 7, "viewer");
    again.say_refused("after the kill", pb::Reason::Muted);
    let mut other = Person::enter(&server, 8, "viewer");
    other.say_kept("fence");
    let mut watcher = Person::enter(&server, 100, "viewer");
    assert!(shown(&mut watcher, Duration::from_millis(500)).iter().all(|text| !text.starts_with("after")));
    history_becomes(&server, &["before", "fence"]);
    done(&server, "DELETE", "moderation/mutes/7", &Value::Null);
    again.say_kept("free again");
    other.see("free again");
}

#[test]
fn what_is_removed_leaves_screens_history_and_export_and_keeps_its_score() {
    let mut server = server(WIDE);
    let mut watcher = Person::enter(&server, 1, "viewer");
    let mut rude = Person::enter(&server, 7, "viewer");
    let first = rude.say_kept("rude");
    rude.say_kept("sorry");
    watcher.see("sorry");
    let removal = json!({ "userId": "7", "danmaku": first.to_string() });
    done(&server, "POST", "moderation/removals", &removal);
    let removed = |event: &Event| if let Event::Removal(removal) = event { Some(removal.clone()) } else { None };
    assert_eq!(watcher.wait("a removal", removed).danmaku, [first.into()]);
    assert_eq!(history(&server), ["sorry"]);
    for format in ["xml", "jsonl"] {
        assert!(!get(&server, &format!("export?format={format}")).body.contains("rude"));
    }
    assert!(!get(&server, "history?fromMs=0").body.contains("rude"), "replay");
    server.kill9();
    server.restart().unwrap();
    assert_eq!(history(&server), ["sorry"]);
    done(&server, "POST", "moderation/removals", &json!({ "userId": "7" }));
    assert_eq!(history(&server), [""; 0]);
    let mut rude = Person::enter(&server, 7, "viewer");
    rude.say_kept("new leaf");
    history_becomes(&server, &["new leaf"]);
    let ranking = server.api().ranking("demo", 1, 0).unwrap();
    assert_eq!(ranking[0].score, 3, "scores stay");
    let ledger: Value = serde_json::from_str(&server.api().get("/v1/rooms/demo").unwrap().body).unwrap();
    assert_eq!(ledger["ledger"]["logged"], "3");
}

#[test]
fn who_is_banned_is_sent_away_and_cannot_come_back() {
    let server = server(WIDE);
    let mut banned = Person::enter(&server, 7, "viewer");
    banned.say_kept("hello");
    done(&server, "POST", "moderation/bans", &json!({ "userId": "7", "seconds": 3600 }));
    let left = |person: &mut Person| {
        let deadline = std::time::Instant::now() + super::scene::PATIENCE;
        while person.client.collect(Duration::from_millis(20)).is_ok() {
            assert!(std::time::Instant::now() < deadline, "still there");
        }
    };
    left(&mut banned);
    let mut again = Person::enter(&server, 7, "viewer");
    left(&mut again);
    let sanctions: Value =
        serde_json::from_str(&moderator(&server).get("/v1/rooms/demo/moderation/sanctions").unwrap().body).unwrap();
    assert_eq!(
        (&sanctions["sanctions"][0]["kind"], &sanctions["sanctions"][0]["userId"]),
        (&json!("banned"), &json!("7"))
    );
    done(&server, "DELETE", "moderation/bans/7", &Value::Null);
    Person::enter(&server, 7, "viewer").say_kept("back");
}

#[test]
fn settings_change_for_everybody_at_once_and_moderators_are_exempt() {
    let mut server = server("{rateLimit: {messagesPerSecond: 100, burst: 100}, moderation: {blockedWords: [spoiler]}}");
    let mut viewer = Person::enter(&server, 1, "viewer");
    let mut helper = Person::enter(&server, 2, "moderator");
    viewer.say_refused("a S.P.O.I.L.E.R!", pb::Reason::BlockedWord);
    done(&server, "PATCH", "settings", &json!({ "slowModeSeconds": 600, "blockWords": ["坏话"] }));
    let slow = |event: &Event| if let Event::Settings(settings) = event { Some(settings.slow_mode_s) } else { None };
    assert_eq!(viewer.wait("settings", slow), 600);
    viewer.say_refused("坏\u{200b}话", pb::Reason::BlockedWord);
    viewer.say_kept("once");
    let Outcome::Refused(pb::Reason::SlowMode, wait_ms) = viewer.say("twice") else { panic!("not slow") };
    assert!((500_000..=600_000).contains(&wait_ms), "{wait_ms}");
    helper.say_kept("moderators");
    helper.say_kept("may, even a spoiler");
    server.kill9();
    server.restart().unwrap();
    let mut viewer = Person::enter(&server, 3, "viewer");
    assert_eq!(viewer.wait("settings at join", slow), 600);
    viewer.say_refused("坏话", pb::Reason::BlockedWord);
    done(
        &server,
        "PATCH",
        "settings",
        &json!({ "slowModeSeconds": 0, "moderatorsOnly": true, "allowWords": ["坏话"] }),
    );
    viewer.say_refused("hello", pb::Reason::ModeratorsOnly);
    done(&server, "PATCH", "settings", &json!({ "moderatorsOnly": false }));
    viewer.say_kept("坏话");
    let audit: Value =
        serde_json::from_str(&moderator(&server).get("/v1/rooms/demo/moderation/audit").unwrap().body).unwrap();
    let acts: Vec<_> = audit["acts"].as_array().unwrap().iter().map(|act| (&act["act"], &act["actorId"])).collect();
    assert_eq!(acts, [(&json!("settings"), &json!("900")); 3]);
}

#[test]
fn a_pin_is_on_every_screen_until_it_is_taken_away() {
    let server = server(WIDE);
    let mut viewer = Person::enter(&server, 1, "viewer");
    let said = viewer.say_kept("pin me");
    viewer.see("pin me");
    let pin =
        |event: &Event| if let Event::Highlights(highlights) = event { Some(highlights.pin.clone()) } else { None };
    done(&server, "PUT", "moderation/pin", &json!({ "danmaku": said.to_string(), "userId": "1" }));
    let pinned = viewer.wait("the pin", pin).unwrap();
    assert_eq!((&*pinned.content, pinned.user, pinned.danmaku), ("pin me", 1, Some(said.into())));
    done(&server, "PUT", "moderation/pin", &json!({ "content": "Be kind" }));
    assert_eq!(viewer.wait("another pin", pin).unwrap().content, "Be kind");
    let mut late = Person::enter(&server, 2, "viewer");
    assert_eq!(late.wait("the pin at join", pin).unwrap().content, "Be kind");
    done(&server, "DELETE", "moderation/pin", &Value::Null);
    assert_eq!(viewer.wait("no pin", pin), None);
}
