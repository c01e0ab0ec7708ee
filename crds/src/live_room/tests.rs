//! A room means the same with and without an API server.

use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use super::*;

#[test]
fn what_is_left_out_has_its_default() {
    let spec: LiveRoomSpec = serde_json::from_value(json!({})).unwrap();
    assert_eq!(spec, LiveRoomSpec::default());
    let spec: LiveRoomSpec = serde_json::from_value(json!({"rateLimit": {"burst": 3}})).unwrap();
    assert_eq!(spec.rate_limit.burst, 3);
    assert_eq!(spec.rate_limit.messages_per_second, 10);
}

#[test]
fn an_api_server_fills_in_the_same_defaults_as_serde() {
    let crd = serde_json::to_value(LiveRoom::crd()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let spec = &schema["properties"]["spec"];
    let ours = serde_json::to_value(LiveRoomSpec::default()).unwrap();
    assert_eq!(filled_in(spec), ours);
    // Each object's own default, and the one for when it is there but empty, are the same too.
    for (name, field) in spec["properties"].as_object().unwrap() {
        if field["type"] == "object" && field.get("default").is_some() {
            assert_eq!(field["default"], filled_in(field), "{name}");
        }
    }
}

/// What an API server makes of `{}` by `schema`.
fn filled_in(schema: &Value) -> Value {
    let fields = schema["properties"].as_object().unwrap().iter();
    let with_default = fields.filter_map(|(name, f)| Some((name.clone(), f.get("default")?)));
    Value::Object(with_default.map(|(n, v)| (n, v.clone())).collect::<Map<_, _>>())
}

#[test]
fn the_room_id_is_the_declared_one_else_the_name() {
    let mut room = LiveRoom::new("demo", LiveRoomSpec::default());
    assert_eq!(room.room_id(), "demo");
    room.spec.room_id = Some("show".to_owned());
    assert_eq!(room.room_id(), "show");
}
