//! JSON lines: `{"t_ms": 919, "user": 242, "text": "…"}`, or what `GET …/export` gives:
//! `{"receivedMs": 1696118400012, "userId": "242", "content": "…"}`. Further fields are ignored.

use serde::Deserialize;

use super::{BadLine, Recorded, Recording, user_of_name};

#[derive(Deserialize)]
struct Line {
    #[serde(alias = "receivedMs")]
    t_ms: u64,
    #[serde(alias = "userId")]
    user: User,
    #[serde(alias = "content")]
    text: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum User {
    Id(u64),
    Name(String),
}

/// Parses all lines.
pub(super) fn parse(text: &str) -> Recording {
    let mut recording = Recording::default();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(line) => recording.danmaku.push(recorded(line)),
            Err(error) => recording.bad.push(BadLine { line: index + 1, problem: error.to_string() }),
        }
    }
    recording
}

fn recorded(line: Line) -> Recorded {
    let user = match line.user {
        User::Id(0) => user_of_name("0"),
        User::Id(id) => id,
        User::Name(name) => name.parse().ok().filter(|&id| id != 0).unwrap_or_else(|| user_of_name(&name)),
    };
    Recorded { at_ms: line.t_ms, user, content: line.text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers_or_names_and_never_anonymous() {
        let text = "{\"t_ms\": 919, \"mode\": 1, \"user\": 242, \"text\": \"来了！\"}\n\n\
                    {\"t_ms\": 1, \"user\": 0, \"text\": \"x\"}\n{\"t_ms\": 1, \"user\": \"ada\", \"text\": \"x\"}";
        let lines = parse(text).danmaku;
        assert_eq!(lines[0], Recorded { at_ms: 919, user: 242, content: "来了！".to_owned() });
        assert!(lines[1].user != 0 && lines[2].user != 0 && lines[1].user != lines[2].user);
    }

    #[test]
    fn a_bad_line_is_named_by_number() {
        let recording = parse("{\"t_ms\": 1, \"user\": 1, \"text\": \"x\"}\n{\"t_ms\": 1}\n\n{\"t_ms\": 2, \"us");
        let lines: Vec<_> = recording.bad.iter().map(|bad| bad.line).collect();
        assert_eq!((recording.danmaku.len(), lines), (1, vec![2, 4]));
        assert!(recording.bad[0].problem.contains("missing field `user`"), "{:?}", recording.bad);
    }
}
