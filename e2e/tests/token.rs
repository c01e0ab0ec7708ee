//! Tokens as clients get and give them: the command prints one and nothing else, and each way to give it opens a room.

use std::{process::Command, time::Duration};

use barrage_e2e::{
    client::{ClientV1, Connection, Join},
    server::{Options, Server, binary},
};

fn print_token(data: &std::path::Path) -> std::process::Output {
    let mut command = Command::new(binary().unwrap());
    command.args(["token", "--room", "demo", "--user", "123456", "--role", "viewer", "--data"]).arg(data);
    command.output().unwrap()
}

#[test]
fn the_command_prints_one_token_and_nothing_else_and_it_opens_the_room_in_each_place() {
    let server = Server::start(Options::default()).unwrap();
    let printed = String::from_utf8(print_token(&server.data()).stdout).unwrap();
    let token = printed.strip_suffix('\n').unwrap();
    assert!(token.split('.').count() == 3 && !token.contains(char::is_whitespace), "{printed:?}");

    let header = Join::new(&server.ws_url(), "demo", token);
    let query = Join { token: None, query: format!("token={token}"), ..header.clone() };
    for join in [&header, &query] {
        let mut client = ClientV1::join(join, 123_456).unwrap();
        client.say("hello").unwrap();
        assert_eq!(client.next(Duration::from_secs(10)).unwrap().content, "hello");
    }
    let protocols = Some(format!("barrage.v2, bearer.{token}"));
    let browser = Connection::open(&Join { token: None, protocols, ..header.clone() }).unwrap();
    assert_eq!(browser.protocol(), Some("barrage.v2"), "the token is not echoed");
    let forged = Some(format!("barrage.v2, bearer.{token}x"));
    assert!(Connection::open(&Join { token: None, protocols: forged, ..header }).is_err());
    assert_eq!(server.api().get("/livez").unwrap().status, 200);
}

#[test]
fn without_a_key_the_command_says_where_to_get_one() {
    let empty = tempfile::tempdir().unwrap();
    let output = print_token(empty.path());
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains("barrage dev"));
}
