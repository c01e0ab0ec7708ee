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
