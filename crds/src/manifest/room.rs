//! From one checked document to its [`LiveRoom`]: the schema of the whole document, of which the CRD has
//! only `spec`, and the rules that an API server keeps outside of schemas.

use std::collections::HashMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrBool,
};
use kube::{CustomResourceExt, Resource};
use serde_json::Value;

use super::document::{Node, Position};
use super::faults::{Faults, quote_text};
use super::schema::{self, Finding};
use crate::LiveRoom;
use crate::live_room::ROOM_ID_PATTERN;

/// Fields of `metadata` that an author sets, and that a room keeps without a cluster too.
const AUTHOR_METADATA: [&str; 4] = ["annotations", "labels", "name", "namespace"];

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
const NAME_CHARS_MAX: i64 = 253;
const NAMESPACE_PATTERN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const NAMESPACE_CHARS_MAX: i64 = 63;

/// The schema of a whole manifest: the CRD's own, and what every Kubernetes object has.
pub(super) fn schema() -> JSONSchemaProps {
    let mut versions = LiveRoom::crd().spec.versions.into_iter();
    let mut schema = versions.find_map(|version| version.schema?.open_api_v3_schema).unwrap_or_default();
    schema.properties.get_or_insert_default().extend(named([
        ("apiVersion", exactly(&LiveRoom::api_version(&()))),
        ("kind", exactly(&LiveRoom::kind(&()))),
        ("metadata", metadata()),
        ("status", JSONSchemaProps::default()),
    ]));
    let required = ["apiVersion", "kind", "metadata"].map(str::to_owned);
    schema.required.get_or_insert_default().extend(required);
    schema
}

fn metadata() -> JSONSchemaProps {
    let strings = object(JSONSchemaProps {
        additional_properties: Some(JSONSchemaPropsOrBool::Schema(Box::new(string(None)))),
        ..JSONSchemaProps::default()
    });
    let name = JSONSchemaProps { max_length: Some(NAME_CHARS_MAX), ..string(Some(NAME_PATTERN)) };
    let namespace = JSONSchemaProps { max_length: Some(NAMESPACE_CHARS_MAX), ..string(Some(NAMESPACE_PATTERN)) };
    let by_author = AUTHOR_METADATA.into_iter().zip([strings.clone(), strings, name, namespace]);
    let by_cluster = CLUSTER_METADATA.map(|name| (name, JSONSchemaProps::default()));
    object(JSONSchemaProps {
        properties: Some(named(by_author.chain(by_cluster)).collect()),
        required: Some(vec!["name".to_owned()]),
        ..JSONSchemaProps::default()
    })
}

fn exactly(value: &str) -> JSONSchemaProps {
    JSONSchemaProps { enum_: Some(vec![JSON(value.into())]), ..string(None) }
}

fn string(pattern: Option<&str>) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some("string".to_owned()),
        pattern: pattern.map(str::to_owned),
        ..JSONSchemaProps::default()
    }
}

fn object(with: JSONSchemaProps) -> JSONSchemaProps {
    JSONSchemaProps { type_: Some("object".to_owned()), ..with }
}

fn named<'n>(
    schemas: impl IntoIterator<Item = (&'n str, JSONSchemaProps)>,
) -> impl Iterator<Item = (String, JSONSchemaProps)> {
    let owned = |(name, schema): (&str, _)| (name.to_owned(), schema);
    schemas.into_iter().map(owned)
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
pub(super) fn room(document: &Node, value: Value, faults: &mut Faults) -> Option<LiveRoom> {
    let at = room_id_position(document);
    let room = match serde_json::from_value::<LiveRoom>(without_cluster_fields(value)) {
        Ok(room) => room,
        Err(error) => {
            let what = format!("fits the schema, but not this program: {error}");
            faults.add(document.at, "", what);
            return None;
        }
    };
    // The same rule stands in the CRD as CEL, which is not evaluated here.
    let id = room.room_id();
    if room.spec.room_id.is_none() && schema::text_fault(&id, &string(Some(ROOM_ID_PATTERN))).is_some() {
        let what = format!(
            "{} is also the room ID, as spec.roomId is not set, and cannot be one \
             (allowed: spec.roomId set, or a name that matches {ROOM_ID_PATTERN})",
            quote_text(&id),
        );
        faults.add(at, "metadata.name", what);
        return None;
    }
    Some(room)
}

/// What a cluster wrote speaks of the cluster's object, not of a room without a cluster.
fn without_cluster_fields(mut document: Value) -> Value {
    if let Some(object) = document.as_object_mut() {
        object.remove("status");
    }
    if let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, _| AUTHOR_METADATA.contains(&name.as_str()));
    }
    document
}

/// A room ID names one room: the pool's keys and URLs have nothing else to tell two apart.
pub(super) fn refuse_doubles(rooms: &[(&Node, LiveRoom)], faults: &mut Faults) {
    let mut line_of = HashMap::new();
    for (document, room) in rooms {
        let at = room_id_position(document);
        let id = room.room_id();
        if let Some(line) = line_of.get(&id) {
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
