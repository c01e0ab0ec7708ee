//! History by time: what was said from a moment on, and until another.

use serde_json::Value;

use super::scene::{Person, WIDE, get, history_becomes, server};

fn page(server: &barrage_e2e::server::Server, query: &str) -> (Vec<String>, Vec<i64>) {
    let page: Value = serde_json::from_str(&get(server, &format!("history?{query}")).body).unwrap();
    let danmaku = page["danmaku"].as_array().unwrap_or_else(|| panic!("{page}"));
    let texts = danmaku.iter().map(|one| one["content"].as_str().unwrap().to_owned());
    (texts.collect(), danmaku.iter().map(|one| one["receivedMs"].as_i64().unwrap()).collect())
}

#[test]
fn history_begins_and_ends_where_it_is_asked_to() {
    let server = server(WIDE);
    let mut people: Vec<_> = (1..=5).map(|user| Person::enter(&server, user, "viewer")).collect();
    let mut said = Vec::new();
    for round in 0..6 {
        for person in &mut people {
            let text = format!("{round} of {}", person.user);
            person.say_kept(&text);
            said.push(text);
            // Receipt times are ms: no two are the same.
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
    history_becomes(&server, &said.iter().map(String::as_str).collect::<Vec<_>>());
    let (_, times) = page(&server, "limit=1000");
    for at in [0, 1, 12, 17, 29] {
        let first = times.iter().position(|&ms| ms >= times[at]).unwrap();
        assert_eq!(page(&server, &format!("fromMs={}", times[at])).0, said[first..], "from {at}");
    }
    let (from, to) = (times[10], times[20]);
    let expected: Vec<_> =
        said.iter().zip(&times).filter(|(_, ms)| (from..to).contains(ms)).map(|(text, _)| text.clone()).collect();
    assert_eq!(page(&server, &format!("fromMs={from}&toMs={to}")).0, expected);
    let export = get(&server, &format!("export?fromMs={from}&toMs={to}")).body;
    assert_eq!(export.lines().count(), expected.len());
    assert_eq!(page(&server, "fromMs=99999999999999").0, [""; 0]);
    assert_eq!(get(&server, "history?fromMs=1&after=").status, 400);
}

#[test]
fn heat_says_how_much_was_said_when() {
    let server = server(WIDE);
    let mut person = Person::enter(&server, 1, "viewer");
    for n in 0..7 {
        person.say_kept(&n.to_string());
    }
    history_becomes(&server, &["0", "1", "2", "3", "4", "5", "6"]);
    let heat = |query: &str| -> Value { serde_json::from_str(&get(&server, &format!("heat{query}")).body).unwrap() };
    let counted =
        |heat: &Value| heat["points"].as_array().unwrap().iter().map(|at| at["danmaku"].as_u64().unwrap()).sum::<u64>();
    let whole = heat("");
    assert_eq!((counted(&whole), &whole["stepMs"]), (7, &10_000.into()));
    let first = whole["points"][0]["atMs"].as_i64().unwrap();
    assert_eq!(first % 10_000, 0);
    assert_eq!(counted(&heat(&format!("?fromMs={}", first + 9_999))), 7, "the step that has it");
    assert_eq!(counted(&heat(&format!("?toMs={first}"))), 0);
    assert_eq!(get(&server, "heat?fromMs=soon").status, 400);
}

#[test]
fn a_pin_is_told_by_the_room() {
    let server = server(WIDE);
    let said = Person::enter(&server, 1, "viewer").say_kept("read this");
    history_becomes(&server, &["read this"]);
    super::scene::done(
        &server,
        "PUT",
        "moderation/pin",
        &serde_json::json!({ "danmaku": said.to_string(), "userId": "1" }),
    );
    let room: Value = serde_json::from_str(&get(&server, "").body).unwrap();
    assert_eq!(room["pin"]["content"], "read this", "{room}");
    assert_eq!((&room["pin"]["userId"], &room["pin"]["danmaku"]), (&"1".into(), &said.to_string().into()));
}
