//! Checks a document against the schema that an API server would check it against, and says of each fault
//! where it is and what would be allowed instead. The walk knows the keywords that our schemas use; a test
//! fails when a schema comes to use another.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::document::{Content, Field, Node, Position};
use super::faults::{QUOTED_CHARS_MAX, quote_text};

/// What the walk knows of OpenAPI's schemas.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Schema {
    /// `None` is a value that nobody reads, so that it may be anything.
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "enum")]
    options: Option<Vec<Value>>,
    properties: BTreeMap<String, Schema>,
    required: Vec<String>,
    additional_properties: Option<Box<Schema>>,
    items: Option<Box<Schema>>,
    max_items: Option<usize>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    min_length: Option<usize>,
    max_length: Option<usize>,
    pattern: Option<String>,
}

/// One fault of a document.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) at: Position,
    /// Path of the field, such as `spec.rateLimit.burst`; empty for the document as a whole.
    pub(super) field: String,
    pub(super) what: String,
}

/// The document as JSON, without fields that are `null`: an API server takes them for absent as well, as no
/// schema of ours is `nullable`. The JSON fits the schema if nothing was found.
pub(super) fn check(document: &Node, schema: &Schema) -> (Value, Vec<Finding>) {
    let mut walk = Walk::default();
    let value = walk.value(document, schema, "");
    (value, walk.findings)
}

#[derive(Default)]
struct Walk {
    findings: Vec<Finding>,
}

impl Walk {
    fn value(&mut self, node: &Node, schema: &Schema, path: &str) -> Value {
        match (&node.content, schema.kind.as_deref()) {
            (Content::Mapping(fields), Some("object")) => self.object(node, fields, schema, path),
            (Content::Scalar(value), Some(_)) => match scalar_fault(value, schema) {
                Some(fault) => {
                    let what = format!("{} {fault} (allowed: {})", quote(value), allowed(schema));
                    self.add(node.at, path, what)
                }
                None => whole(value),
            },
            (_, None) => node.json(),
            (Content::Sequence(items), Some("array")) => self.array(node, items, schema, path),
            (Content::Mapping(_), _) => self.misshapen(node, "an object", schema, path),
            (Content::Sequence(_), _) => self.misshapen(node, "a list", schema, path),
        }
    }

    fn object(&mut self, node: &Node, fields: &[Field], schema: &Schema, path: &str) -> Value {
        let mut object = Map::new();
        for field in fields {
            let path = join(path, &field.name);
            let Some(schema) = field_schema(schema, &field.name) else {
                let what = format!("unknown field (allowed here: {})", field_names(schema));
                self.add(field.at, &path, what);
                continue;
            };
            if !matches!(field.value.content, Content::Scalar(Value::Null)) {
                let value = self.value(&field.value, schema, &path);
                object.insert(field.name.clone(), value);
            }
        }
        for name in &schema.required {
            // What is there, but wrong, has its finding already.
            if !object.contains_key(name) {
                let rule = field_schema(schema, name).map_or_else(String::new, allowed);
                let (at, is) = match node.field(name) {
                    Some(field) => (field.at, "has no value"),
                    None => (node.at, "missing"),
                };
                self.add(at, &join(path, name), format!("{is} (allowed: {rule})"));
            }
        }
        Value::Object(object)
    }

    fn array(&mut self, node: &Node, items: &[Node], schema: &Schema, path: &str) -> Value {
        let count = items.len();
        if schema.max_items.is_some_and(|max| count > max) {
            let what = format!("has {count} items (allowed: {})", allowed(schema));
            return self.add(node.at, path, what);
        }
        let Some(of_item) = &schema.items else { return node.json() };
        let item = |(index, item)| self.value(item, of_item, &format!("{path}[{index}]"));
        Value::Array(items.iter().enumerate().map(item).collect())
    }

    fn misshapen(&mut self, node: &Node, shape: &str, rule: &Schema, path: &str) -> Value {
        let what = format!("cannot be {shape} (allowed: {})", allowed(rule));
        self.add(node.at, path, what)
    }

    /// Returns what stands for the faulty value in a document that will not be used.
    fn add(&mut self, at: Position, path: &str, what: String) -> Value {
        self.findings.push(Finding { at, field: path.to_owned(), what });
        Value::Null
    }
}

/// What is wrong with a scalar, as the rest of a sentence that begins with its value.
fn scalar_fault(value: &Value, schema: &Schema) -> Option<String> {
    if schema.options.as_ref().is_some_and(|options| !options.contains(value)) {
        return Some("is not one of the values".to_owned());
    }
    match (schema.kind.as_deref(), value) {
        (Some("boolean"), Value::Bool(_)) => None,
        (Some("string"), Value::String(text)) => text_fault(text, schema),
        (Some("integer" | "number"), Value::Number(number)) => number_fault(number.as_f64()?, schema),
        (_, Value::Null) => Some("is no value".to_owned()),
        (Some("string"), _) => Some("is no string: put it in quotes".to_owned()),
        (_, Value::Bool(_)) => Some("is a boolean".to_owned()),
        (_, Value::Number(_)) => Some("is a number".to_owned()),
        (_, _) => Some("is a string".to_owned()),
    }
}

/// What is wrong with a string, as the rest of a sentence that begins with it.
fn text_fault(text: &str, schema: &Schema) -> Option<String> {
    let chars = text.chars().count();
    let too_short = schema.min_length.is_some_and(|min| chars < min);
    if too_short || schema.max_length.is_some_and(|max| chars > max) {
        return Some(format!("has {chars} characters"));
    }
    let mismatch = schema.pattern.as_ref().is_some_and(|pattern| !matches(text, pattern));
    mismatch.then(|| "does not match the pattern".to_owned())
}

pub(super) fn matches(text: &str, pattern: &str) -> bool {
    Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
}

fn number_fault(number: f64, schema: &Schema) -> Option<String> {
    if schema.kind.as_deref() == Some("integer") && number.fract() != 0.0 {
        return Some("is not a whole number".to_owned());
    }
    match (schema.minimum, schema.maximum) {
        (Some(min), _) if number < min => Some(format!("is less than the minimum of {min}")),
        (_, Some(max)) if number > max => Some(format!("is more than the maximum of {max}")),
        _ => None,
    }
}

/// What a field may hold, in words.
fn allowed(schema: &Schema) -> String {
    if let Some(options) = &schema.options {
        return options.iter().map(quote).collect::<Vec<_>>().join(" or ");
    }
    let kind = schema.kind.as_deref().unwrap_or("anything");
    let detail = match (kind, schema.minimum, schema.maximum) {
        ("boolean", ..) => return "true or false".to_owned(),
        ("object", ..) => return format!("object with {}", field_names(schema)),
        ("array", ..) => {
            let most = schema.max_items.map_or_else(String::new, |max| format!("at most {max} "));
            let items = schema.items.as_deref().map_or_else(|| "anything".to_owned(), allowed);
            return format!("list of {most}{items}");
        }
        (_, Some(min), Some(max)) => format!(", {min} to {max}"),
        (_, Some(min), None) => format!(", {min} or more"),
        (_, None, Some(max)) => format!(", {max} or less"),
        _ => String::new(),
    };
    let length = match (schema.min_length, schema.max_length) {
        (Some(min), Some(max)) => format!(", {min} to {max} characters"),
        (Some(min), None) => format!(", at least {min} characters"),
        (None, Some(max)) => format!(", at most {max} characters"),
        (None, None) => String::new(),
    };
    let pattern = schema.pattern.as_ref();
    let pattern = pattern.map_or_else(String::new, |pattern| format!(" that matches {pattern}"));
    format!("{kind}{detail}{length}{pattern}")
}

fn field_schema<'s>(object: &'s Schema, name: &str) -> Option<&'s Schema> {
    object.properties.get(name).or(object.additional_properties.as_deref())
}

fn field_names(schema: &Schema) -> String {
    if schema.properties.is_empty() {
        return "any names".to_owned();
    }
    schema.properties.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// An API server reads `10.0` as the integer 10, and so do we.
fn whole(value: &Value) -> Value {
    match value.as_f64().filter(|_| value.is_f64()) {
        Some(number) if number.fract() == 0.0 => {
            format!("{number:.0}").parse::<i64>().map_or_else(|_| value.clone(), Value::from)
        }
        _ => value.clone(),
    }
}

fn join(path: &str, name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > QUOTED_CHARS_MAX || !name.chars().all(bare) {
        return format!("{path}[{}]", quote_text(name));
    }
    let dot = if path.is_empty() { "" } else { "." };
    format!("{path}{dot}{name}")
}

fn quote(value: &Value) -> String {
    match value {
        Value::String(text) => quote_text(text),
        other => other.to_string(),
    }
}
