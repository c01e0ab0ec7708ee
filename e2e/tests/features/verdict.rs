//! An outside moderator that allows, hides and replaces; and one that is slow, away or talks nonsense, which is its own
//! room's trouble and nobody else's.

use std::time::Duration;

use barrage_e2e::{
    client::Event,
    moderator::{Moderator, Mood, Words},
    server::{Options, Server},
};
use barrage_proto::v2::pb;

use super::scene::{Outcome, Person, history_becomes, metric};

const WORDS: [(&str, &str); 2] = [("spoiler", "hidden"), ("idiot", "masked")];

fn moderator() -> (Moderator, String) {
    let moderator = Moderator::new(Words { hidden: vec![WORDS[0].0.into()], masked: vec![WORDS[1].0.into()] });
    let address = moderator.start().unwrap();
    (moderator, format!("http://{address}/verdict"))
}

fn manifest(name: &str, moderation: &str) -> String {
    format!(
        "apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata: {{name: {name}}}\nspec:\n  rateLimit: \
         {{messagesPerSecond: 1000, burst: 1000}}\n  moderation: {moderation}\n"
    )
}

/// A server whose room `demo` asks at `url`, and whose room `free` asks nobody.
fn server(url: &str, timeout_ms: u32, policy: &str) -> Server {
    let verdict = format!("{{url: \"{url}\", timeoutMilliseconds: {timeout_ms}, failurePolicy: {policy}}}");
    let rooms = [manifest("demo", &format!("{{verdict: {verdict}}}")), manifest("free", "{}")];
    let manifest = Some(rooms.join("---\n"));
    Server::start(Options { manifest, shards: Some(2), ..Options::default() }).unwrap()
}

fn verdicts(server: &Server, outcome: &str) -> f64 {
    metric(server, &format!("barrage_gateway_verdicts_total{{outcome=\"{outcome}\"}}"))
}

#[test]
fn it_allows_hides_and_replaces_and_is_asked_about_viewers_only() {
    let (service, url) = moderator();
    let server = server(&url, 2_000, "Refuse");
    let mut viewer = Person::enter(&server, 1, "viewer");
    let mut other = Person::enter(&server, 2, "viewer");
    viewer.say_kept("hello");
    other.see("hello");
    assert!(matches!(viewer.say("a spoiler"), Outcome::Refused(pb::Reason::Rejected, 0)));
    viewer.say_kept("you idiot!");
    assert_eq!(other.see("you *****!").user, 1);
    viewer.see("you *****!");
    assert_eq!(service.asked(), 3);
    let mut helper = Person::enter(&server, 3, "moderator");
    helper.say_kept("no spoiler please");
    assert_eq!(service.asked(), 3, "moderators are not judged");
    history_becomes(&server, &["hello", "you *****!", "no spoiler please"]);
    assert_eq!(["Allow", "Hide", "Replace"].map(|outcome| verdicts(&server, outcome)), [1.0; 3]);
}

#[test]
fn what_one_sender_says_keeps_its_order_and_what_is_hidden_holds_up_nothing() {
    let (service, url) = moderator();
    let server = server(&url, 2_000, "Refuse");
    service.set(Mood::Slow(Duration::from_millis(100)));
    let mut viewer = Person::enter(&server, 1, "viewer");
    let texts: Vec<_> =
        (1..=40_u64).map(|seq| if seq % 10 == 3 { format!("spoiler {seq}") } else { seq.to_string() }).collect();
    for (seq, content) in (1_u64..).zip(&texts) {
        viewer
            .client
            .send(&pb::Send { seq, oldest_pending: 1, content: content.clone(), ..pb::Send::default() })
            .unwrap();
    }
    let mut refused = Vec::new();
    let mut acknowledged = Vec::new();
    while refused.len() + acknowledged.len() < texts.len() {
        match viewer.wait("answers", |event| matches!(event, Event::Ack(_) | Event::Error(_)).then(|| event.clone())) {
            Event::Ack(ack) => acknowledged.extend(ack.seq),
            Event::Error(error) => {
                assert_eq!(error.reason(), pb::Reason::Rejected, "{error:?}");
                refused.push(error.seq);
            }
            _ => {}
        }
    }
    assert_eq!(refused, [3, 13, 23, 33]);
    let kept: Vec<_> = texts.iter().filter(|text| !text.contains("spoiler")).map(String::as_str).collect();
    history_becomes(&server, &kept);
    assert!(service.most_under_way() <= 32, "{}", service.most_under_way());
}

/// Ways to give no verdict, by the metric's name for them.
fn troubles() -> Vec<(&'static str, Mood)> {
    let says = |status: u16, body: &str| Mood::Says(status, body.to_owned());
    vec![
        ("Late", Mood::Slow(Duration::from_secs(30))),
        ("Failed", says(500, "{}")),
        ("Failed", says(302, "{}")),
        ("Malformed", says(200, "<html>")),
        ("Malformed", says(200, r#"{"verdict":"perhaps"}"#)),
        ("Malformed", says(200, r#"{"verdict":"replace","content":""}"#)),
        ("Malformed", says(200, &format!(r#"{{"verdict":"replace","content":"{}"}}"#, "x".repeat(2_000)))),
        ("Malformed", Mood::Endless),
    ]
}

#[test]
fn without_a_verdict_the_room_s_setting_holds() {
    for policy in ["Allow", "Refuse"] {
        let (service, url) = moderator();
        let server = server(&url, 300, policy);
        let mut viewer = Person::enter(&server, 1, "viewer");
        for (number, (outcome, mood)) in troubles().into_iter().enumerate() {
            let before = verdicts(&server, outcome);
            service.set(mood.clone());
            let text = format!("{number}");
            let said = viewer.say(&text);
            match policy {
                "Allow" => assert!(matches!(said, Outcome::Kept(_)), "{mood:?}: {said:?}"),
                _ => assert_eq!(said, Outcome::Refused(pb::Reason::Rejected, 5_000), "{mood:?}"),
            }
            assert_eq!(verdicts(&server, outcome), before + 1.0, "{mood:?}");
        }
        // It has failed for so long that one at a time tries; one that is answered ends that.
        service.set(Mood::Well);
        viewer.say_kept("well again");
        assert!(matches!(viewer.say("spoiler"), Outcome::Refused(pb::Reason::Rejected, 0)));
    }
}

#[test]
fn nobody_there_is_no_verdict_and_a_url_that_is_none_is_refused_at_start() {
    // Port 1 of the loopback: nothing listens there.
    let server = server("http://127.0.0.1:1/verdict", 2_000, "Allow");
    let mut viewer = Person::enter(&server, 1, "viewer");
    viewer.say_kept("alone");
    assert_eq!(verdicts(&server, "Failed"), 1.0);
    for wrong in ["ftp://host/", "http://", "http://user:secret@host/", "host/verdict"] {
        let verdict = manifest("demo", &format!("{{verdict: {{url: \"{wrong}\"}}}}"));
        let refused = Server::with_manifest(&verdict).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains("spec.moderation.verdict.url"), "{wrong}: {refused}");
    }
}

#[test]
fn other_rooms_and_other_senders_do_not_wait_for_a_service_that_is_stuck() {
    let (service, url) = moderator();
    let server = server(&url, 2_000, "Refuse");
    service.set(Mood::Slow(Duration::from_secs(30)));
    let mut stuck: Vec<_> = (1..=60).map(|user| Person::enter(&server, user, "viewer")).collect();
    for person in &mut stuck {
        let send = pb::Send { seq: 1, oldest_pending: 1, content: "stuck".into(), ..pb::Send::default() };
        person.client.send(&send).unwrap();
    }
    let mut free = Person::enter_room(&server, "free", 100, "viewer");
    let mut helper = Person::enter(&server, 200, "moderator");
    for round in 0..20 {
        free.say_kept(&round.to_string());
        free.see(&round.to_string());
    }
    helper.say_kept("a moderator waits for nobody");
    assert!(service.most_under_way() <= 32, "{}", service.most_under_way());
    for person in &mut stuck {
        let refused = person.wait("an answer", |event| match event {
            Event::Error(error) if error.seq == 1 => Some((error.reason(), error.retry_after_ms)),
            _ => None,
        });
        assert_eq!(refused, (pb::Reason::Rejected, 5_000));
    }
    assert_eq!(metric(&server, "barrage_gateway_verdicts_awaited"), 0.0);
}
