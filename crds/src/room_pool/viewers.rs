//! How viewers come in.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The way from viewers to the gateways.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ViewersSpec {
    /// The Service before the gateways.
    pub service: ServiceSpec,
    /// An Ingress before the Service. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "IngressSpec")]
    pub ingress: Option<IngressSpec>,
    /// Other sites whose pages may connect, like `https://example.org`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(regex(pattern = r"^https?://[-._:a-z0-9\[\]]+$")))]
    pub allowed_origins: Vec<String>,
    /// Seconds over which viewers are told to come back when their gateway stops.
    #[schemars(range(min = 0, max = 600), extend("format" = "int32"))]
    pub reconnect_spread_seconds: u32,
}

impl Default for ViewersSpec {
    fn default() -> Self {
        Self {
            service: ServiceSpec::default(),
            ingress: None,
            allowed_origins: Vec::new(),
            reconnect_spread_seconds: 5,
        }
    }
}

/// The Service before the gateways.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// How it is reached.
    #[serde(rename = "type")]
    pub kind: ServiceType,
    /// Host name that viewers use, as in the certificate. Absent: what the load balancer says of itself, or the Service's
    /// name in the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 253))]
    pub host: Option<String>,
    /// Secret of type `kubernetes.io/tls`. With it, gateways serve HTTPS and WebSocket on TCP port 443 and WebTransport on
    /// UDP port 443, and take up a new certificate without a restart; a load balancer then has no port for plain text
    /// unless there is an Ingress. Absent: plain text on port 80.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 253))]
    pub tls_secret: Option<String>,
    /// Annotations, for whoever provides load balancers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// How a Service is reached.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ServiceType {
    /// From inside the cluster.
    #[default]
    ClusterIP,
    /// At a port of every node.
    NodePort,
    /// By a load balancer of the cluster's provider.
    LoadBalancer,
}

impl ServiceType {
    /// As Kubernetes writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// An Ingress before the gateways.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressSpec {
    /// Host name that viewers use.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// Which controller serves it. Absent: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1))]
    pub class_name: Option<String>,
    /// Secret of type `kubernetes.io/tls` with the certificate for the host. Absent: plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 253))]
    pub tls_secret: Option<String>,
    /// Annotations, for the controller: WebSockets live long, so let it wait an hour for the next byte.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}
