//! Good manifests give their rooms, and every kind of bad one its exact message.

mod bounds;

use super::parse;
use crate::{LiveRoomSpec, RateLimitSpec, RoomManifest};

/// Four lines; what a test adds to it begins in line 5.
const HEAD: &str = "apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata:\n  name: demo\n";

const SPEC_FIELDS: &str = "anonymousViewing, deletionPolicy, expectedPeakViewers, history, moderation, paused, placement, poolRef, \
                            priority, ranking, rateLimit, roomId, viewerBudget";

const ROOM_ID: &str = "string that matches ^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";

fn read(text: &str) -> Vec<RoomManifest> {
    parse("room.yaml", text).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn refused(text: &str, message: &str) {
    match parse("room.yaml", text) {
        Ok(rooms) => panic!("{} rooms read from {text:?}", rooms.len()),
        Err(error) => assert_eq!(error.to_string(), message),
    }
}

#[track_caller]
fn refused_after_head(rest: &str, message: &str) {
    refused(&format!("{HEAD}{rest}"), message);
}

#[test]
fn a_room_with_all_defaults() {
    assert_eq!(read(&format!("{HEAD}spec: {{}}\n")), [RoomManifest::demo()]);
}

#[test]
fn a_room_with_fields_set() {
    let rooms =
        read(&format!("{HEAD}spec:\n  roomId: show-1\n  rateLimit: {{burst: 20}}\n  history: null\n  priority: 5.0\n"));
    let spec = LiveRoomSpec {
        room_id: Some("show-1".to_owned()),
        rate_limit: RateLimitSpec { burst: 20, ..RateLimitSpec::default() },
        priority: 5,
        ..LiveRoomSpec::default()
    };
    assert_eq!(rooms, [RoomManifest::new("demo", spec)]);
}

#[test]
fn several_rooms_json_byte_order_mark_and_aliases() {
    let text = format!(
        "\u{feff}{HEAD}spec: &s {{rateLimit: &r {{burst: 2}}, roomId: a}}\n---\n# nothing here\n---\n\
         {{\"apiVersion\": \"barrage.live/v1alpha1\", \"kind\": \"LiveRoom\", \"metadata\": {{\"name\": \"b\"}}, \"spec\": {{}}}}\n"
    );
    let rooms = read(&text);
    let ids: Vec<_> = rooms.iter().map(RoomManifest::room_id).collect();
    assert_eq!(ids, ["a", "b"]);
    let text =
        "apiVersion: barrage.live/v1alpha1\nkind: LiveRoom\nmetadata: {name: &n show, labels: {team: *n}}\nspec: {}\n";
    let labels = read(text)[0].metadata.labels.clone().unwrap();
    assert_eq!(labels["team"], "show");
}

#[test]
fn what_a_cluster_wrote_is_let_through_and_dropped() {
    let text = format!(
        "{HEAD}  uid: 4f9c\n  generation: 3\n  creationTimestamp: not read\n  managedFields: [{{manager: kubectl}}]\nspec: {{}}\nstatus: {{conditions: []}}\n"
    );
    assert_eq!(read(&text), [RoomManifest::demo()]);
}

#[test]
fn text_that_is_not_yaml() {
    refused("a: b: c", "room.yaml:1:5: not YAML: mapping values are not allowed in this context");
    refused_after_head(
        "spec:\n  roomId: \"open\n",
        "room.yaml:6:11: not YAML: while scanning a quoted scalar, found unexpected end of stream",
    );
    refused_after_head("spec: {", "room.yaml:5:8: not YAML: while parsing a node, did not find expected node content");
    refused_after_head(
        "spec: {}\nspec: {}\n",
        "room.yaml:6:1: the field \"spec\" is here a second time, first in line 5",
    );
    refused("? [a]\n: b", "room.yaml:1:3: a field's name must be plain text");
    refused_after_head("spec: {roomId: !secret x}\n", "room.yaml:5:16: the tag does not fit the value: remove it");
    refused("a: *b", "room.yaml:1:4: not YAML: while parsing node, found unknown anchor");
}

#[test]
fn nothing_in_it() {
    for text in ["", "# no room yet\n", "---\n---\n"] {
        let message = "room.yaml:1:1: empty (allowed: one or more documents of kind LiveRoom)";
        refused(text, message);
    }
}

#[test]
fn a_document_of_another_kind() {
    refused(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: []}\n",
        "room.yaml:1:13: apiVersion: \"v1\" is not one of the values (allowed: \"barrage.live/v1alpha1\")\n\
         room.yaml:2:7: kind: \"Pod\" is not one of the values (allowed: \"LiveRoom\")",
    );
    refused(
        "metadata: {name: x}\n",
        "room.yaml:1:1: apiVersion: missing (allowed: \"barrage.live/v1alpha1\")\n\
         room.yaml:1:1: kind: missing (allowed: \"LiveRoom\")",
    );
    refused("- a\n", "room.yaml:1:1: cannot be a list (allowed: object with apiVersion, kind, metadata, spec, status)");
}

#[test]
fn missing_and_empty_fields() {
    refused_after_head("", &format!("room.yaml:1:1: spec: missing (allowed: object with {SPEC_FIELDS})"));
    refused_after_head("spec:\n", &format!("room.yaml:5:1: spec: has no value (allowed: object with {SPEC_FIELDS})"));
    refused(
        &HEAD.replace("  name: demo\n", "  labels: {}\nspec: {}\n"),
        "room.yaml:4:3: metadata.name: missing (allowed: string, at most 253 characters that matches \
         ^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$)",
    );
}

#[test]
fn unknown_fields_name_the_known_ones() {
    refused_after_head(
        "spec:\n  rateLimt: {}\n",
        &format!("room.yaml:6:3: spec.rateLimt: unknown field (allowed here: {SPEC_FIELDS})"),
    );
    refused_after_head(
        "spec:\n  rateLimit: {perSecond: 1}\n",
        "room.yaml:6:15: spec.rateLimit.perSecond: unknown field (allowed here: burst, messagesPerSecond)",
    );
    refused_after_head(
        "spec: {\"\\e[31mred\": 1}\n",
        &format!("room.yaml:5:8: spec[\"\\u{{1b}}[31mred\"]: unknown field (allowed here: {SPEC_FIELDS})"),
    );
}

#[test]
fn values_of_another_type() {
    let cases = [
        ("spec: 5", "5:7: spec: 5 is a number", format!("object with {SPEC_FIELDS}")),
        ("spec: []", "5:7: spec: cannot be a list", format!("object with {SPEC_FIELDS}")),
        ("spec: {priority: high}", "5:18: spec.priority: \"high\" is a string", "integer, -1000 to 1000".to_owned()),
        ("spec: {priority: {}}", "5:18: spec.priority: cannot be an object", "integer, -1000 to 1000".to_owned()),
        ("spec: {priority: true}", "5:18: spec.priority: true is a boolean", "integer, -1000 to 1000".to_owned()),
        (
            "spec: {anonymousViewing: yes}",
            "5:26: spec.anonymousViewing: \"yes\" is a string",
            "true or false".to_owned(),
        ),
        (
            "spec: {moderation: {blockedWords: [a, '']}}",
            "5:39: spec.moderation.blockedWords[1]: \"\" has 0 characters",
            "string, 1 to 64 characters".to_owned(),
        ),
        (
            "spec: {moderation: {blockedWords: a}}",
            "5:35: spec.moderation.blockedWords: \"a\" is a string",
            "list of at most 1000 string, 1 to 64 characters".to_owned(),
        ),
        ("spec: {roomId: 5}", "5:16: spec.roomId: 5 is no string: put it in quotes", ROOM_ID.to_owned()),
    ];
    for (spec, fault, allowed) in cases {
        refused_after_head(spec, &format!("room.yaml:{fault} (allowed: {allowed})"));
    }
}

#[test]
fn faults_in_the_metadata() {
    let with = |line: &str| format!("{HEAD}  {line}\nspec: {{}}\n");
    refused(
        &with("labels: {team: live, floor: 5}"),
        "room.yaml:5:31: metadata.labels.floor: 5 is no string: put it in quotes (allowed: string)",
    );
    refused(
        &with("annotations: text"),
        "room.yaml:5:16: metadata.annotations: \"text\" is a string (allowed: object with any names)",
    );
    refused(
        &with(&format!("namespace: {}", "n".repeat(64))),
        &format!(
            "room.yaml:5:14: metadata.namespace: \"{}\"… has 64 characters (allowed: string, at most 63 \
             characters that matches ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$)",
            "n".repeat(60),
        ),
    );
}

#[test]
fn values_out_of_range() {
    refused_after_head(
        "spec:\n  rateLimit:\n    burst: -3\n",
        "room.yaml:7:12: spec.rateLimit.burst: -3 is less than the minimum of 1 (allowed: integer, 1 to 1000)",
    );
    refused_after_head(
        "spec: {ranking: {top: 10001}}\n",
        "room.yaml:5:23: spec.ranking.top: 10001 is more than the maximum of 10000 (allowed: integer, 1 to 10000)",
    );
    refused_after_head(
        "spec: {history: {length: 99999999999999999999}}\n",
        "room.yaml:5:26: spec.history.length: 1e+20 is more than the maximum of 10000000 (allowed: integer, 0 to 10000000)",
    );
    refused_after_head(
        "spec: {viewerBudget: {danmakuPerSecond: 0.5}}\n",
        "room.yaml:5:41: spec.viewerBudget.danmakuPerSecond: 0.5 is not a whole number (allowed: integer, 1 to 10000)",
    );
}

#[test]
fn values_at_the_edges_of_their_range() {
    for (top, length, priority) in [(1, 0, -1000), (10_000, 10_000_000, 1000)] {
        let spec = format!("spec: {{ranking: {{top: {top}}}, history: {{length: {length}}}, priority: {priority}}}");
        let spec = read(&format!("{HEAD}{spec}"))[0].spec.clone();
        assert_eq!((spec.ranking.top, spec.history.length, spec.priority), (top, length, priority));
    }
}

#[test]
fn room_ids_and_names() {
    for id in ["-a", "a-", "A", "a.b", "''", "a_b", &"a".repeat(64)] {
        let bare = id.trim_matches('\'');
        let shown = if id.len() > 60 { format!("{:?}…", &id[..60]) } else { format!("{bare:?}") };
        refused_after_head(
            &format!("spec: {{roomId: {id}}}"),
            &format!("room.yaml:5:16: spec.roomId: {shown} does not match the pattern (allowed: {ROOM_ID})"),
        );
    }
    let longest = "a".repeat(63);
    let rooms = read(&format!("{HEAD}spec: {{roomId: {longest}}}"));
    assert_eq!(rooms[0].room_id(), longest);

    let dotted = HEAD.replace("demo", "show.eu");
    refused(
        &format!("{dotted}spec: {{}}\n"),
        "room.yaml:4:9: metadata.name: \"show.eu\" is also the room ID, as spec.roomId is not set, and cannot be one \
         (allowed: spec.roomId set, or a name that matches ^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$)",
    );
    assert_eq!(read(&format!("{dotted}spec: {{roomId: show}}\n"))[0].room_id(), "show");
}

#[test]
fn one_room_id_twice() {
    let second = HEAD.replace("demo", "other");
    refused(
        &format!("{HEAD}spec: {{}}\n---\n{second}spec:\n  roomId: demo\n"),
        "room.yaml:12:11: spec.roomId: the room ID \"demo\" is taken in line 4 (allowed: one LiveRoom for one room ID)",
    );
}

#[test]
fn all_faults_in_the_order_of_the_file_and_long_lists_cut() {
    refused_after_head(
        "spec: {ranking: {top: 0}, anonymousViewing: 1}\n",
        "room.yaml:5:23: spec.ranking.top: 0 is less than the minimum of 1 (allowed: integer, 1 to 10000)\n\
         room.yaml:5:45: spec.anonymousViewing: 1 is a number (allowed: true or false)",
    );
    let unknown: String = (0..50).map(|i| format!("  x{i}: 1\n")).collect();
    let error = parse("room.yaml", &format!("{HEAD}spec:\n{unknown}")).unwrap_err();
    let message = error.to_string();
    assert_eq!(message.lines().count(), 21);
    assert!(message.ends_with("\nand 30 more"), "{message}");
}
