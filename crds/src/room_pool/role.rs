//! What can be said of the pods of each role.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Amounts as Kubernetes stores them.
const QUANTITY_PATTERN: &str = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$";

/// The pods of one role.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RoleSpec {
    /// How many there are, unless somebody else scales them.
    #[schemars(range(min = 1, max = 1_000), extend("format" = "int32"))]
    pub replicas: u32,
    /// Who decides how many there are.
    pub autoscaling: AutoscalingSpec,
    /// What each of them may use.
    pub resources: ResourcesSpec,
    /// Where they run, and what is written on them.
    pub pod: PodSpec,
    /// How many of them may be away at once for maintenance.
    pub disruption_budget: DisruptionBudgetSpec,
    /// How they are spread over nodes and zones.
    pub topology_spread: TopologySpread,
}

impl Default for RoleSpec {
    fn default() -> Self {
        Self {
            replicas: 2,
            autoscaling: AutoscalingSpec::default(),
            resources: ResourcesSpec::default(),
            pod: PodSpec::default(),
            disruption_budget: DisruptionBudgetSpec::default(),
            topology_spread: TopologySpread::default(),
        }
    }
}

/// Who scales.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AutoscalingSpec {
    /// `None`: there are as many as `replicas` says. `External`: the operator leaves the number alone, so that a
    /// HorizontalPodAutoscaler or KEDA owns it.
    pub engine: Engine,
}

/// Who scales.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Engine {
    /// Nobody.
    #[default]
    None,
    /// Something else than the operator.
    External,
}

/// Requests and limits of a pod.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourcesSpec {
    /// What is set aside for it.
    #[schemars(schema_with = "quantities")]
    pub requests: BTreeMap<String, String>,
    /// What it cannot go over.
    #[schemars(schema_with = "quantities")]
    pub limits: BTreeMap<String, String>,
}

impl Default for ResourcesSpec {
    fn default() -> Self {
        let of = |amounts: &[(&str, &str)]| amounts.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        // 15,000 viewers take about 100 MB of a gateway; the limit leaves room for as many again and a flash crowd.
        Self { requests: of(&[("cpu", "100m"), ("memory", "128Mi")]), limits: of(&[("memory", "512Mi")]) }
    }
}

/// Amounts by resource. Numbers have to be written as text, as the API server stores them.
fn quantities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": {"type": "string", "pattern": QUANTITY_PATTERN},
    })
}

/// Where pods run, and what is written on them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Labels beside the operator's own, which win.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels that a node has to have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that do not matter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<TolerationSpec>,
    /// Name of a PriorityClass.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    pub priority_class_name: Option<String>,
}

/// A taint that does not matter.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TolerationSpec {
    /// Key of the taint. Absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub key: Option<String>,
    /// `Equal` or `Exists`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", regex(pattern = "^(Equal|Exists)$"))]
    pub operator: Option<String>,
    /// Value of the taint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub value: Option<String>,
    /// Effect of the taint. Absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub effect: Option<String>,
}

/// How many pods may be away at once for maintenance.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DisruptionBudgetSpec {
    /// Pods.
    #[schemars(range(min = 0, max = 1_000), extend("format" = "int32"))]
    pub max_unavailable: u32,
}

impl Default for DisruptionBudgetSpec {
    fn default() -> Self {
        Self { max_unavailable: 1 }
    }
}

/// How pods are spread over nodes and zones.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum TopologySpread {
    /// As far as there is room.
    #[default]
    Prefer,
    /// Evenly over nodes, or they wait.
    Require,
    /// As the scheduler likes.
    Off,
}
