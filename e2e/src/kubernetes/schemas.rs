//! JSON schemas of all kinds, made of what the API server publishes of them, for checks of manifests that are stricter
//! than the API server: it drops what it does not know.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Map, Value, json};

use super::{Kubernetes, KubernetesError};

const REFERENCE: &str = "#/definitions/";

impl Kubernetes {
    /// Checks manifests against the schemas of this API server, those of custom resources among them.
    ///
    /// # Errors
    /// [`KubernetesError::Refused`] with what does not fit.
    pub fn validate(&self, manifests: &str) -> Result<String, KubernetesError> {
        let folder = self.state().join("schemas");
        self.write_schemas(&folder)?;
        let location = format!("{}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", folder.display());
        self.tools.check("kubeconform", &["-strict", "-summary", "-schema-location", &location, "-"], manifests)
    }

    fn write_schemas(&self, folder: &Path) -> Result<(), KubernetesError> {
        let doing = || KubernetesError::system(format!("writing schemas to {}", folder.display()));
        fs::create_dir_all(folder).map_err(doing())?;
        for (name, schema) in schemas(&self.raw("/openapi/v2")?) {
            fs::write(folder.join(name), schema.to_string()).map_err(doing())?;
        }
        Ok(())
    }
}

/// File names, as kubeconform looks for them, and schemas that stand by themselves.
fn schemas(openapi: &Value) -> BTreeMap<String, Value> {
    let empty = Map::new();
    let definitions = openapi["definitions"].as_object().unwrap_or(&empty);
    let strict: Map<String, Value> = definitions.iter().map(|(name, schema)| (name.clone(), strict(schema))).collect();
    let mut schemas = BTreeMap::new();
    for (name, schema) in definitions {
        for kind in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
            let mut needed = Map::new();
            collect(name, &strict, &mut needed);
            let whole = json!({"$ref": format!("{REFERENCE}{name}"), "definitions": needed});
            schemas.insert(file_name(kind), whole);
        }
    }
    schemas
}

/// `deployment-apps-v1.json`, `pod-v1.json`.
fn file_name(kind: &Value) -> String {
    let text = |field: &str| kind[field].as_str().unwrap_or_default().to_lowercase();
    let group = text("group");
    let group = group.split('.').next().unwrap_or_default();
    let middle = if group.is_empty() { String::new() } else { format!("{group}-") };
    format!("{}-{middle}{}.json", text("kind"), text("version"))
}

/// What a definition refers to, and what that does.
fn collect(name: &str, all: &Map<String, Value>, needed: &mut Map<String, Value>) {
    if needed.contains_key(name) {
        return;
    }
    let Some(schema) = all.get(name) else { return };
    needed.insert(name.to_owned(), schema.clone());
    let mut references = Vec::new();
    visit(schema, &mut |value| {
        references.extend(value["$ref"].as_str().and_then(|to| to.strip_prefix(REFERENCE)).map(ToOwned::to_owned));
    });
    references.iter().for_each(|name| collect(name, all, needed));
}

fn visit(value: &Value, look: &mut impl FnMut(&Value)) {
    look(value);
    match value {
        Value::Object(fields) => fields.values().for_each(|field| visit(field, look)),
        Value::Array(items) => items.iter().for_each(|item| visit(item, look)),
        _ => {}
    }
}

/// The same with nothing allowed that is not named, and numbers where Kubernetes takes them for text.
fn strict(schema: &Value) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(strict).collect(),
        Value::Object(fields) => {
            let mut fields: Map<_, _> = fields.iter().map(|(name, field)| (name.clone(), strict(field))).collect();
            if fields.get("format") == Some(&json!("int-or-string")) {
                fields.insert("type".to_owned(), json!(["string", "integer"]));
            }
            let open =
                ["additionalProperties", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"];
            let is_object = fields.get("type") == Some(&json!("object")) && fields.contains_key("properties");
            if is_object && !open.iter().any(|word| fields.contains_key(*word)) {
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
            Value::Object(fields)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_brings_along_what_it_refers_to() {
        let openapi = json!({"definitions": {
            "a.Pod": {"type": "object", "properties": {"spec": {"$ref": "#/definitions/a.Spec"}},
                "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Pod"}]},
            "a.Spec": {"type": "object", "properties": {"port": {"type": "string", "format": "int-or-string"}}},
            "a.Other": {"type": "object"},
        }});
        let schemas = schemas(&openapi);
        assert_eq!(schemas.keys().collect::<Vec<_>>(), ["pod-v1.json"]);
        let definitions = schemas["pod-v1.json"]["definitions"].as_object().unwrap();
        assert_eq!(definitions.keys().collect::<Vec<_>>(), ["a.Pod", "a.Spec"]);
        assert_eq!(definitions["a.Spec"]["additionalProperties"], json!(false));
        assert_eq!(definitions["a.Spec"]["properties"]["port"]["type"], json!(["string", "integer"]));
    }

    #[test]
    fn files_are_named_as_they_are_looked_for() {
        let kind = json!({"group": "networking.k8s.io", "version": "v1", "kind": "NetworkPolicy"});
        assert_eq!(file_name(&kind), "networkpolicy-networking-v1.json");
    }
}
