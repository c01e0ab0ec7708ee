//! What cannot be is refused with a reason, and disturbs nobody.

use barrage_e2e::client::Event;
use barrage_proto::v2::pb;
use serde_json::{Value, json};

use super::scene::{Outcome, Person, WIDE, moderator, server};

fn refused(person: &mut Person, send: pb::Send, reason: pb::Reason) {
    let send = pb::Send { content: "x".into(), ..send };
    let outcome = person.send(send.clone());
    assert!(matches!(outcome, Outcome::Refused(of, _) if of == reason), "{send:?}: {outcome:?}");
}

#[test]
fn forged_impossible_and_huge_gifts_are_refused() {
    let server = server(WIDE);
    let order = pb::GiftOrder { user: 7, value: 5, name: "rocket".into(), count: 1, super_chat: false };
    let gift = |change: fn(&mut pb::GiftOrder)| {
        let mut order = order.clone();
        change(&mut order);
        pb::Send { gift: Some(order), ..pb::Send::default() }
    };
    for role in ["viewer", "moderator", "host"] {
        refused(&mut Person::enter(&server, 1, role), gift(|_| {}), pb::Reason::GiftNotAllowed);
    }
    let mut service = Person::enter(&server, 500, "service");
    let impossible: [fn(&mut pb::GiftOrder); 5] = [
        |order| order.user = 0,
        |order| order.value = 0,
        // What a negative number is on the wire.
        |order| order.value = (-5_i64).cast_unsigned(),
        |order| order.value = 1_000_000_001,
        |order| order.name = "x".repeat(65),
    ];
    for change in impossible {
        refused(&mut service, gift(change), pb::Reason::BadGift);
    }
    service.say_kept("still here");
    assert!(server.api().ranking("demo", 10, 0).unwrap().iter().all(|place| place.user != 7));
}

#[test]
fn styles_and_answers_that_are_none_are_refused() {
    let server = server(WIDE);
    let mut viewer = Person::enter(&server, 1, "viewer");
    for (mode, colour, size) in [(4, 0, 0), (0, 0x100_0000, 0), (0, 0, 3), (-1, 0, 0)] {
        refused(&mut viewer, pb::Send { mode, colour, size, ..pb::Send::default() }, pb::Reason::BadStyle);
    }
    for offset in [0, 999_999, u64::MAX] {
        let reply_to = Some(pb::DanmakuId { partition: 3, offset, index: 0 });
        refused(&mut viewer, pb::Send { reply_to, ..pb::Send::default() }, pb::Reason::UnknownReply);
    }
    viewer.say_kept("still here");
}

#[test]
fn floods_of_marks_directions_and_controls_are_refused_and_markup_is_text() {
    let server = server(WIDE);
    let mut viewer = Person::enter(&server, 1, "viewer");
    let marks = "e".to_owned() + &"\u{301}".repeat(400);
    for text in [&*marks, &"\u{202e}".repeat(50), &"\u{200b}".repeat(300), "nul\0", "\u{1b}[2J", "\u{85}"] {
        viewer.say_refused(text, pb::Reason::ContentUnreadable);
    }
    // More than a frame of a client may have: the server does not look for its number.
    let content = "e".to_owned() + &"\u{301}".repeat(10_000);
    viewer.client.send(&pb::Send { seq: 99, content, ..pb::Send::default() }).unwrap();
    viewer.wait("a refused frame", |event| match event {
        Event::Error(error) => (error.reason() == pb::Reason::FrameTooLarge).then_some(()),
        _ => None,
    });
    viewer.say_kept("<script>alert(1)</script>&amp;");
    viewer.see("<script>alert(1)</script>&amp;");
}

#[test]
fn calls_that_cannot_be_say_why_and_who_may_not_is_refused() {
    let server = server(WIDE);
    let said = Person::enter(&server, 1, "viewer").say_kept("mine").to_string();
    let cases: &[(&str, &str, Value, u16)] = &[
        ("POST", "moderation/mutes", json!({ "userId": "7", "seconds": 0 }), 400),
        ("POST", "moderation/mutes", json!({ "userId": "7", "seconds": 31_536_001 }), 400),
        ("POST", "moderation/mutes", json!({ "userId": "7", "seconds": -1 }), 400),
        ("POST", "moderation/mutes", json!({ "userId": "0" }), 400),
        ("POST", "moderation/mutes", json!({ "userId": 7 }), 400),
        ("POST", "moderation/mutes", json!({ "userId": "+7" }), 400),
        ("POST", "moderation/mutes", json!({ "userId": "7", "reason": "x".repeat(257) }), 400),
        ("POST", "moderation/mutes", json!({ "userId": "7", "typo": 1 }), 400),
        ("POST", "moderation/mutes", json!([]), 400),
        ("POST", "moderation/removals", json!({ "userId": "1", "danmaku": "3-99999-0" }), 404),
        ("POST", "moderation/removals", json!({ "userId": "2", "danmaku": said }), 404),
        ("POST", "moderation/removals", json!({ "userId": "1", "danmaku": "x" }), 400),
        ("PUT", "moderation/pin", json!({}), 400),
        ("PUT", "moderation/pin", json!({ "content": "" }), 400),
        ("PUT", "moderation/pin", json!({ "content": "a", "danmaku": said, "userId": "1" }), 400),
        ("PATCH", "settings", json!({ "slowModeSeconds": 3601 }), 400),
        ("PATCH", "settings", json!({ "slowModeSeconds": -1 }), 400),
        ("PATCH", "settings", json!({ "blockWords": [""] }), 400),
        ("PATCH", "settings", json!({ "blockWords": ["x".repeat(65)] }), 400),
        ("PATCH", "settings", json!({ "moderatorsOnly": "yes" }), 400),
    ];
    for (method, path, body, status) in cases {
        let answer = moderator(&server).call(method, &format!("/v1/rooms/demo/{path}"), body).unwrap();
        assert_eq!((answer.status, &*answer.content_type), (*status, "application/problem+json"), "{path} {body}");
    }
    let body = json!({ "userId": "7" });
    for (api, status) in [
        (server.api(), 401),
        (server.api().with_token("x.y.z".into()), 401),
        (server.api().with_token(server.token_of("other", 1, "host").unwrap()), 401),
        (server.api().with_token(server.token_of("demo", 1, "viewer").unwrap()), 403),
    ] {
        assert_eq!(api.call("POST", "/v1/rooms/demo/moderation/mutes", &body).unwrap().status, status);
    }
    let sanctions = moderator(&server).get("/v1/rooms/demo/moderation/sanctions").unwrap().body;
    assert_eq!(sanctions, r#"{"sanctions":[]}"#);
}
