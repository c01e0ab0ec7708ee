//! A `LiveRoom` as it is written down: in a file that an author keeps, and in the route table of a pool. It is what the
//! data plane knows of a room, and needs no client of Kubernetes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::LiveRoomSpec;

pub(crate) const API_VERSION: &str = "barrage.live/v1alpha1";
pub(crate) const KIND: &str = "LiveRoom";

/// A room and what it is called. Its JSON is that of the `LiveRoom` object without a status, byte for byte: route
/// tables hold it, and the operator and `barrage rooms` compare it with what they would write.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomManifest {
    #[serde(skip_deserializing, default = "api_version")]
    api_version: &'static str,
    #[serde(skip_deserializing, default = "kind")]
    kind: &'static str,
    /// What it is called, and whose it is.
    pub metadata: ManifestMetadata,
    /// How it is served.
    pub spec: LiveRoomSpec,
}

/// What a manifest keeps of an object's metadata.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ManifestMetadata {
    /// For programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// To select rooms by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Name of the object.
    pub name: String,
    /// Namespace of the object, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Which object of that name it is: only the operator writes it, into route tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

impl RoomManifest {
    /// A room called `name`.
    #[must_use]
    pub fn new(name: &str, spec: LiveRoomSpec) -> Self {
        let metadata = ManifestMetadata { name: name.to_owned(), ..ManifestMetadata::default() };
        Self { api_version: API_VERSION, kind: KIND, metadata, spec }
    }

    /// The room `demo` with all defaults: what dev mode runs when it is given no manifest.
    #[must_use]
    pub fn demo() -> Self {
        Self::new("demo", LiveRoomSpec::default())
    }

    /// The ID by which viewers, tokens and keys name this room: `spec.roomId`, else `metadata.name`.
    #[must_use]
    pub fn room_id(&self) -> &str {
        self.spec.room_id(&self.metadata.name)
    }
}

const fn api_version() -> &'static str {
    API_VERSION
}

const fn kind() -> &'static str {
    KIND
}

#[cfg(all(test, feature = "kube"))]
mod tests {
    use super::*;
    use crate::LiveRoom;

    #[test]
    fn its_json_is_that_of_the_object_in_both_directions() {
        let map = |name: &str| Some(BTreeMap::from([(name.to_owned(), "x".to_owned())]));
        let spec = LiveRoomSpec { room_id: Some("show".to_owned()), ..LiveRoomSpec::default() };
        let mut object = LiveRoom::new("demo", spec.clone());
        object.metadata.annotations = map("a");
        object.metadata.labels = map("l");
        object.metadata.namespace = Some("live".to_owned());
        object.metadata.uid = Some("4f9c".to_owned());
        let mut manifest = RoomManifest::new("demo", spec);
        manifest.metadata = ManifestMetadata {
            annotations: map("a"),
            labels: map("l"),
            name: "demo".to_owned(),
            namespace: Some("live".to_owned()),
            uid: Some("4f9c".to_owned()),
        };
        for (object, manifest) in
            [(object, manifest), (LiveRoom::new("demo", LiveRoomSpec::default()), RoomManifest::demo())]
        {
            let json = serde_json::to_string(&object).unwrap();
            assert_eq!(serde_json::to_string(&manifest).unwrap(), json);
            assert_eq!(serde_json::from_str::<RoomManifest>(&json).unwrap(), manifest);
            assert_eq!(serde_json::from_str::<LiveRoom>(&json).unwrap(), object);
            assert_eq!(manifest.room_id(), object.room_id());
        }
    }

    #[test]
    fn what_only_a_cluster_keeps_is_passed_over() {
        let json = r#"{"apiVersion":"barrage.live/v2","kind":"LiveRoom","metadata":{"name":"demo","generation":3},"spec":{},"status":{"viewers":1}}"#;
        assert_eq!(serde_json::from_str::<RoomManifest>(json).unwrap(), RoomManifest::demo());
    }
}
