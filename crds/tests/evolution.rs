//! Both kinds only grow: whatever the schemas in `published/` let through, those in `yaml/` let through as well, and keep
//! all of it. `published/` holds what the last release published; a release copies `yaml/` there.

use std::{collections::BTreeSet, path::Path};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::{Map, Value, json};

#[test]
fn what_was_published_is_still_taken() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compared = 0;
    for entry in std::fs::read_dir(folder.join("published")).unwrap() {
        let published = entry.unwrap().path();
        let current = folder.join("yaml").join(published.file_name().unwrap());
        let broken = broken(&schema(&published), &schema(&current));
        assert!(broken.is_empty(), "{}:\n{}", current.display(), broken.join("\n"));
        compared += 1;
    }
    assert_eq!(compared, 2);
}

fn schema(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let document = json(&Yaml::load_from_str(&text).unwrap()[0]);
    // What is no CRD is nothing to compare with.
    serde_json::from_value::<CustomResourceDefinition>(document.clone()).unwrap();
    document["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

fn json(yaml: &Yaml<'_>) -> Value {
    if let Some(fields) = yaml.as_mapping() {
        let fields = fields.iter().map(|(name, value)| (name.as_str().unwrap().to_owned(), json(value)));
        return Value::Object(fields.collect::<Map<_, _>>());
    }
    if let Some(items) = yaml.as_sequence() {
        return Value::Array(items.iter().map(json).collect());
    }
    let number = yaml.as_integer().map(Value::from).or_else(|| yaml.as_floating_point().map(Value::from));
    let scalar = number.or_else(|| yaml.as_bool().map(Value::from)).or_else(|| yaml.as_str().map(Value::from));
    scalar.unwrap_or(Value::Null)
}

/// What `old` lets through and `new` does not, one line each.
fn broken(old: &Value, new: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare(old, new, "", &mut lines);
    lines
}

fn compare(old: &Value, new: &Value, path: &str, lines: &mut Vec<String>) {
    for keyword in ["type", "format", "pattern", "default", "x-kubernetes-list-type", "additionalProperties"] {
        let (before, now) = (&old[keyword], &new[keyword]);
        // A pattern or a format that goes lets more through.
        let relaxed = now.is_null() && ["pattern", "format"].contains(&keyword);
        if before != now && !relaxed && !(keyword == "default" && before.is_null()) {
            lines.push(format!("{path}: {keyword} was {before} and is {now}"));
        }
    }
    for (keyword, tighter) in [("minimum", 1.0), ("minLength", 1.0), ("minItems", 1.0)] {
        bound(old, new, keyword, tighter, path, lines);
    }
    for (keyword, tighter) in [("maximum", -1.0), ("maxLength", -1.0), ("maxItems", -1.0)] {
        bound(old, new, keyword, tighter, path, lines);
    }
    let names = |schema: &Value, keyword: &str| -> BTreeSet<String> {
        schema[keyword].as_array().into_iter().flatten().map(ToString::to_string).collect()
    };
    lines.extend(names(new, "required").difference(&names(old, "required")).map(|n| format!("{path}: requires {n}")));
    if new["enum"].is_array() {
        let gone = names(old, "enum");
        lines.extend(gone.difference(&names(new, "enum")).map(|option| format!("{path}: no longer takes {option}")));
        if !old["enum"].is_array() {
            lines.push(format!("{path}: takes only some values"));
        }
    }
    for (name, field) in old["properties"].as_object().into_iter().flatten() {
        match new["properties"].get(name) {
            Some(now) => compare(field, now, &format!("{path}.{name}"), lines),
            None => lines.push(format!("{path}.{name}: is gone")),
        }
    }
    if old["items"].is_object() {
        compare(&old["items"], &new["items"], &format!("{path}[]"), lines);
    }
}

/// A bound that was not there, or that came closer; `tighter` is the sign of that.
fn bound(old: &Value, new: &Value, keyword: &str, tighter: f64, path: &str, lines: &mut Vec<String>) {
    let (before, now) = (old[keyword].as_f64(), new[keyword].as_f64());
    if now.is_some_and(|now| before.is_none_or(|before| (now - before) * tighter > 0.0)) {
        lines.push(format!("{path}: {keyword} was {} and is {}", old[keyword], new[keyword]));
    }
}

#[test]
fn what_would_break_somebody_is_found() {
    let old = json!({"type": "object", "properties": {
        "a": {"type": "integer", "minimum": 1, "maximum": 5, "default": 3},
        "b": {"type": "string", "enum": ["x", "y"]},
        "c": {"type": "array", "items": {"type": "string"}},
    }});
    let changed = |at: &str, value: Value| {
        let mut new = old.clone();
        *new.pointer_mut(at).unwrap() = value;
        broken(&old, &new)
    };
    assert_eq!(broken(&old, &old), [""; 0]);
    assert_eq!(changed("/properties/a/maximum", json!(4)), [".a: maximum was 5 and is 4"]);
    assert_eq!(changed("/properties/a/minimum", json!(2)), [".a: minimum was 1 and is 2"]);
    assert_eq!(changed("/properties/a/default", json!(2)), [".a: default was 3 and is 2"]);
    assert_eq!(changed("/properties/a/type", json!("string")), [".a: type was \"integer\" and is \"string\""]);
    assert_eq!(changed("/properties/b/enum", json!(["x"])), [".b: no longer takes \"y\""]);
    assert_eq!(changed("/properties/c/items/type", json!("integer")), [".c[]: type was \"string\" and is \"integer\""]);
    let mut new = old.clone();
    new["required"] = json!(["a"]);
    new["properties"].as_object_mut().unwrap().remove("c");
    assert_eq!(broken(&old, &new), [": requires \"a\"", ".c: is gone"]);
    let mut new = old.clone();
    new["properties"]["d"] = json!({"type": "string"});
    new["properties"]["a"]["maximum"] = json!(9);
    new["properties"]["b"]["enum"] = json!(["x", "y", "z"]);
    assert_eq!(broken(&old, &new), [""; 0]);
}
