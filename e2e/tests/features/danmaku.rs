//! Modes, colours, sizes, answers, gifts, super chats and likes.

use barrage_e2e::client::{ClientV1, Event, Join};
use barrage_proto::v2::pb;
use serde_json::{Value, json};

use super::scene::{Outcome, PATIENCE, Person, WIDE, get, server};

#[test]
fn a_styled_answer_is_shown_and_kept_as_it_was_sent() {
    let server = server(WIDE);
    let (mut asker, mut answerer) = (Person::enter(&server, 1, "viewer"), Person::enter(&server, 2, "viewer"));
    let question = asker.say_kept("which song?");
    answerer.see("which song?");
    let answer = pb::Send {
        content: "this one".into(),
        mode: pb::Mode::Top.into(),
        colour: 0xff_6600,
        size: pb::Size::Large.into(),
        reply_to: Some(question.into()),
        ..pb::Send::default()
    };
    let Outcome::Kept(position) = answerer.send(answer) else { panic!("refused") };
    let shown = asker.see("this one");
    assert_eq!((shown.mode, shown.colour, shown.size), (pb::Mode::Top, 0xff_6600, pb::Size::Large));
    assert_eq!((shown.id, shown.reply), (position, Some((question, 1))));
    super::scene::history_becomes(&server, &["which song?", "this one"]);
    let page: Value = serde_json::from_str(&get(&server, "history").body).unwrap();
    let kept = &page["danmaku"][1];
    assert_eq!((&kept["mode"], &kept["colour"], &kept["size"]), (&json!("top"), &json!("#ff6600"), &json!("large")));
    assert_eq!(kept["replyTo"], json!({ "id": question.to_string(), "userId": "1" }));
    let export = get(&server, "export?format=xml").body;
    assert!(export.contains(",5,36,16737792,"), "{export}");
    assert!(export.ends_with("</i>\n"), "{export}");
    let lines = get(&server, "export?format=jsonl").body;
    assert_eq!(
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["content"].clone()).collect::<Vec<_>>(),
        ["which song?", "this one"]
    );
}

#[test]
fn what_was_exported_can_be_said_again() {
    let server = server(WIDE);
    let people = [(10, "第一"), (u64::MAX >> 1, "<b>&amp;</b>"), (123_456, "third")];
    for (user, text) in people {
        Person::enter(&server, user, "viewer").say_kept(text);
        // Receipt times are ms: no two are the same.
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    super::scene::history_becomes(&server, &people.map(|(_, text)| text));
    let folder = tempfile::tempdir().unwrap();
    for format in ["xml", "jsonl"] {
        let file = folder.path().join(format);
        std::fs::write(&file, get(&server, &format!("export?format={format}")).body).unwrap();
        let recording = barrage_e2e::replay::read(&file).unwrap();
        assert_eq!(recording.bad, [], "{format}");
        let lines = recording.danmaku;
        assert_eq!(lines.iter().map(|line| (line.user, &*line.content)).collect::<Vec<_>>(), people, "{format}");
        assert_eq!(lines[0].at_ms, 0, "{format}");
        assert!(lines[2].at_ms < 60_000, "{format}");
    }
}

#[test]
fn gifts_count_in_the_ranking_and_version_1_reads_their_text() {
    let server = server(WIDE);
    let mut viewer = Person::enter(&server, 1, "viewer");
    let mut old = ClientV1::join(&Join::new(&server.ws_url(), "demo", &server.token("demo", 2).unwrap()), 2).unwrap();
    let mut service = Person::enter(&server, 500, "service");
    let order = pb::GiftOrder { user: 7, value: 3_000, name: "rocket".into(), count: 3, super_chat: false };
    let gift = pb::Send { content: "7 sent a rocket ×3".into(), gift: Some(order), ..pb::Send::default() };
    assert!(matches!(service.send(gift), Outcome::Kept(_)));
    let shown = viewer.see("7 sent a rocket ×3");
    assert_eq!((shown.user, shown.role, shown.gift), (7, pb::Role::Viewer, Some((3_000, "rocket".into(), 3, 0))));
    assert_eq!(old.next(PATIENCE).unwrap().content, "7 sent a rocket ×3");
    // One for the danmaku itself; the leaderboard follows the store within moments.
    viewer.wait("a score of 3001", |event| match event {
        Event::Snapshot(pb::RankingSnapshot { user, score }) | Event::Delta(pb::RankingDelta { user, score, .. }) => {
            user.iter().zip(score).any(|(&user, &score)| (user, score) == (7, 3_001)).then_some(())
        }
        _ => None,
    });
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let ranking = server.api().ranking("demo", 10, 0).unwrap();
        if ranking.iter().any(|place| place.user == 7 && place.score == 3_001) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{ranking:?}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn super_chats_stay_for_who_comes_later_also_after_a_kill() {
    let mut server = server(WIDE);
    let mut service = Person::enter(&server, 500, "service");
    let mut viewer = Person::enter(&server, 1, "viewer");
    let order = pb::GiftOrder { user: 7, value: 100, super_chat: true, ..pb::GiftOrder::default() };
    let chat = pb::Send { content: "Thank you!".into(), gift: Some(order), ..pb::Send::default() };
    assert!(matches!(service.send(chat), Outcome::Kept(_)));
    let texts = |event: &Event| match event {
        Event::Highlights(highlights) => {
            let texts = highlights.super_chats.iter().flat_map(|batch| batch.content.clone());
            Some(texts.collect::<Vec<_>>()).filter(|texts| !texts.is_empty())
        }
        _ => None,
    };
    assert_eq!(viewer.see("Thank you!").gift.map(|(_, _, _, stay_s)| stay_s), Some(300));
    assert_eq!(viewer.wait("highlights", texts), ["Thank you!"]);
    super::scene::history_becomes(&server, &["Thank you!"]);
    server.kill9();
    server.restart().unwrap();
    let mut late = Person::enter(&server, 3, "viewer");
    assert_eq!(late.wait("highlights at join", texts), ["Thank you!"]);
}

#[test]
fn likes_are_counted_for_everybody_and_kept() {
    let mut server = server(WIDE);
    let (mut one, mut other) = (Person::enter(&server, 1, "viewer"), Person::enter(&server, 2, "viewer"));
    one.client.send(&pb::Like { count: 17 }).unwrap();
    other.client.send(&pb::Like { count: 5 }).unwrap();
    // Over the limit of a second: 100 count.
    other.client.send(&pb::Like { count: u32::MAX }).unwrap();
    let likes = |wanted: u64| {
        move |event: &Event| match event {
            Event::State(state) => (state.likes == wanted).then_some(()),
            _ => None,
        }
    };
    one.wait("117 likes", likes(117));
    let deadline = std::time::Instant::now() + PATIENCE;
    while !get(&server, "").body.is_empty()
        && !server.api().get("/v1/rooms/demo").unwrap().body.contains("\"likes\":\"117\"")
    {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // Ledgers are saved within moments.
    server.terminate(PATIENCE).unwrap();
    server.restart().unwrap();
    let room: Value = serde_json::from_str(&server.api().get("/v1/rooms/demo").unwrap().body).unwrap();
    assert_eq!(room["likes"], "117");
    let mut late = Person::enter(&server, 3, "viewer");
    late.client.send(&pb::Like { count: 1 }).unwrap();
    late.wait("118 likes", likes(118));
}
