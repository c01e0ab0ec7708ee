//! Who asked the API server for what, by its own audit log.

use std::{fs, path::PathBuf};

use serde_json::Value;

use super::{Kubernetes, KubernetesError};

/// One request of a service account that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRequest {
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, …
    pub verb: String,
    /// `leases`, `liverooms/status`, …
    pub resource: String,
    /// The object's name; empty where the API server gives it one.
    pub name: String,
    /// The HTTP status.
    pub code: u64,
}

impl ApiRequest {
    /// Whether it may have changed something.
    #[must_use]
    pub fn writes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

impl Kubernetes {
    /// What a service account asked since a mark of [`Self::audit_mark`].
    ///
    /// # Errors
    /// [`KubernetesError::System`].
    pub fn requests_since(&self, mark: usize, user: &str) -> Result<Vec<ApiRequest>, KubernetesError> {
        let text = self.audit_log()?;
        let requests = text[mark.min(text.len())..].lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(requests.map(|request| read(&request)).filter(|request| request.user == user).collect())
    }

    /// The present end of the audit log, for [`Self::requests_since`].
    ///
    /// # Errors
    /// [`KubernetesError::System`].
    pub fn audit_mark(&self) -> Result<usize, KubernetesError> {
        Ok(self.audit_log()?.len())
    }

    fn audit_log(&self) -> Result<String, KubernetesError> {
        let path: PathBuf = self.state().join("log/audit.log");
        fs::read_to_string(&path).map_err(KubernetesError::system(format!("reading {}", path.display())))
    }
}

fn read(request: &Value) -> ApiRequest {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &request["objectRef"];
    let resource = [text(&object["resource"]), text(&object["subresource"])].join("/");
    ApiRequest {
        user: text(&request["user"]["username"]),
        verb: text(&request["verb"]),
        resource: resource.trim_end_matches('/').to_owned(),
        name: text(&object["name"]),
        code: request["responseStatus"]["code"].as_u64().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_read_and_only_some_write() {
        let request = |verb: &str| {
            read(&json!({"verb": verb, "user": {"username": "system:serviceaccount:a:b"},
                "responseStatus": {"code": 200},
                "objectRef": {"resource": "liverooms", "subresource": "status", "name": "demo"}}))
        };
        assert!(!request("watch").writes());
        let patch = request("patch");
        assert!(patch.writes() && patch.user == "system:serviceaccount:a:b");
        assert_eq!((patch.resource.as_str(), patch.name.as_str(), patch.code), ("liverooms/status", "demo", 200));
    }
}
