//! From one checked document to its [`RoomManifest`]: the schema of the whole document, of which the CRD has
//! only `spec`, and the rules that an API server keeps outside of schemas.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::document::{Node, Position};
use super::faults::{Faults, quote_text};
use super::schema::{self, Finding};
use super::yaml;
use crate::RoomManifest;
use crate::live_room::ROOM_ID_PATTERN;
use crate::room_manifest::{API_VERSION, KIND};

/// The very CRD that an API server has; a test holds it to the types.
const CRD: &str = include_str!("../../yaml/liverooms.barrage.live.yaml");

/// Fields of `metadata` that a cluster fills in. They are let through unread.
const CLUSTER_METADATA: [&str; 10] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Names of objects as Kubernetes has them (RFC 1123 subdomains), and names of namespaces (RFC 1123 labels).
const NAME_PATTERN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const NAMESPACE_PATTERN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// The schema of a whole manifest: the CRD's own, and what every Kubernetes object has. `None` would be a CRD that is
/// none.
pub(super) fn schema() -> Option<Value> {
    let crd = yaml::read(CRD).ok()?.first()?.json();
    let mut schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema")?.clone();
    schema.get_mut("required")?.as_array_mut()?.extend(["apiVersion", "kind", "metadata"].map(Value::from));
    schema.get_mut("properties")?.as_object_mut()?.extend([
        ("apiVersion".to_owned(), json!({"type": "string", "enum": [API_VERSION]})),
        ("kind".to_owned(), json!({"type": "string", "enum": [KIND]})),
        ("metadata".to_owned(), metadata()),
        ("status".to_owned(), json!({})),
    ]);
    Some(schema)
}

fn metadata() -> Value {
    let strings = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let mut properties = json!({
        "annotations": strings,
        "labels": strings,
        "name": {"type": "string", "maxLength": 253, "pattern": NAME_PATTERN},
        "namespace": {"type": "string", "maxLength": 63, "pattern": NAMESPACE_PATTERN},
    });
    for name in CLUSTER_METADATA {
        properties[name] = json!({});
    }
    json!({"type": "object", "required": ["name"], "properties": properties})
}

/// A document of another kind or version breaks every rule of this one: then only that is worth telling.
pub(super) fn telling(mut findings: Vec<Finding>) -> Vec<Finding> {
    let about_kind = |f: &Finding| f.field == "apiVersion" || f.field == "kind";
    if findings.iter().any(about_kind) {
        findings.retain(about_kind);
    }
    findings
}

/// The room of a document whose JSON fits [`schema()`], unless its name is a fault.
pub(super) fn room(document: &Node, mut value: Value, faults: &mut Faults) -> Option<RoomManifest> {
    let at = room_id_position(document);
    // It speaks of the cluster's object, not of a room without a cluster.
    value["metadata"].as_object_mut().map(|metadata| metadata.remove("uid"));
    let room = match serde_json::from_value::<RoomManifest>(value) {
        Ok(room) => room,
        Err(error) => {
            let what = format!("fits the schema, but not this program: {error}");
            faults.add(document.at, "", what);
            return None;
        }
    };
    // The same rule stands in the CRD as CEL, which is not evaluated here.
    let id = room.room_id();
    if !schema::matches(id, ROOM_ID_PATTERN) {
        let what = format!(
            "{} is also the room ID, as spec.roomId is not set, and cannot be one \
             (allowed: spec.roomId set, or a name that matches {ROOM_ID_PATTERN})",
            quote_text(id),
        );
        faults.add(at, "metadata.name", what);
        return None;
    }
    Some(room)
}

/// A room ID names one room: the pool's keys and URLs have nothing else to tell two apart.
pub(super) fn refuse_doubles(rooms: &[(&Node, RoomManifest)], faults: &mut Faults) {
    let mut line_of = HashMap::new();
    for (document, room) in rooms {
        let at = room_id_position(document);
        let id = room.room_id();
        if let Some(line) = line_of.get(id) {
            let declared = room.spec.room_id.is_some();
            let field = if declared { "spec.roomId" } else { "metadata.name" };
            let what = format!("the room ID {id:?} is taken in line {line} (allowed: one LiveRoom for one room ID)");
            faults.add(at, field, what);
        } else {
            line_of.insert(id, at.line);
        }
    }
}

/// Where the document says what its room ID is.
fn room_id_position(document: &Node) -> Position {
    let field = |object: &str, name: &str| document.field(object)?.value.field(name);
    field("spec", "roomId").or_else(|| field("metadata", "name")).map_or(document.at, |field| field.value.at)
}
