//! Who wrote what to the API server, by its own audit log.

use std::{fs, path::PathBuf};

use serde_json::Value;

use super::{Kubernetes, KubernetesError};

/// One request of a service account that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    /// `create`, `update`, `patch`, `delete`, …
    pub verb: String,
    /// `leases`, `liverooms/status`, …
    pub resource: String,
    /// The object's name; empty where the API server gives it one.
    pub name: String,
    /// The HTTP status.
    pub code: u64,
}

impl Kubernetes {
    /// What service accounts wrote since a mark of [`Self::audit_mark`].
    ///
    /// # Errors
    /// [`KubernetesError::System`].
    pub fn writes_since(&self, mark: usize) -> Result<Vec<Write>, KubernetesError> {
        let text = self.audit_log()?;
        let requests = text[mark.min(text.len())..].lines().filter_map(|line| serde_json::from_str(line).ok());
        Ok(requests.filter_map(|request: Value| write(&request)).collect())
    }

    /// The present end of the audit log, for [`Self::writes_since`].
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

/// None for a request that only reads.
fn write(request: &Value) -> Option<Write> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let verb = text(&request["verb"]);
    if matches!(verb.as_str(), "get" | "list" | "watch") {
        return None;
    }
    let object = &request["objectRef"];
    let resource = [text(&object["resource"]), text(&object["subresource"])].join("/");
    Some(Write {
        user: text(&request["user"]["username"]),
        verb,
        resource: resource.trim_end_matches('/').to_owned(),
        name: text(&object["name"]),
        code: request["responseStatus"]["code"].as_u64().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_writes_count() {
        let request = |verb: &str| {
            json!({"verb": verb, "user": {"username": "system:serviceaccount:a:b"}, "responseStatus": {"code": 200},
                "objectRef": {"resource": "liverooms", "subresource": "status", "name": "demo"}})
        };
        assert_eq!(write(&request("watch")), None);
        let patch = write(&request("patch")).unwrap();
        assert_eq!((patch.resource.as_str(), patch.name.as_str(), patch.code), ("liverooms/status", "demo", 200));
    }
}
