//! Checks a document against the schema that an API server would check it against, and says of each fault
//! where it is and what would be allowed instead. The walk knows the keywords that our schemas use; a test
//! fails when a schema comes to use another.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use regex::Regex;
use serde_json::{Map, Value};

use super::document::{Content, Field, Node, Position};
use super::faults::{QUOTED_CHARS_MAX, quote_text};

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
pub(super) fn check(document: &Node, schema: &JSONSchemaProps) -> (Value, Vec<Finding>) {
    let mut walk = Walk::default();
    let value = walk.value(document, schema, "");
    (value, walk.findings)
}

#[derive(Default)]
struct Walk {
    findings: Vec<Finding>,
}

impl Walk {
    fn value(&mut self, node: &Node, schema: &JSONSchemaProps, path: &str) -> Value {
        match (&node.content, schema.type_.as_deref()) {
            (Content::Mapping(fields), Some("object")) => self.object(node, fields, schema, path),
            (Content::Scalar(value), Some(_)) => match scalar_fault(value, schema) {
                Some(fault) => {
                    let what = format!("{} {fault} (allowed: {})", quote(value), allowed(schema));
                    self.add(node.at, path, what)
                }
                None => whole(value),
            },
            (_, None) => plain(node),
            (Content::Sequence(items), Some("array")) => self.array(node, items, schema, path),
            (Content::Mapping(_), _) => self.misshapen(node, "an object", schema, path),
            (Content::Sequence(_), _) => self.misshapen(node, "a list", schema, path),
        }
    }

    fn object(&mut self, node: &Node, fields: &[Field], schema: &JSONSchemaProps, path: &str) -> Value {
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
        for name in schema.required.iter().flatten() {
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

    fn array(&mut self, node: &Node, items: &[Node], schema: &JSONSchemaProps, path: &str) -> Value {
        let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
        if schema.max_items.is_some_and(|max| count > max) {
            let what = format!("has {count} items (allowed: {})", allowed(schema));
            return self.add(node.at, path, what);
        }
        let Some(of_item) = item_schema(schema) else { return plain(node) };
        let item = |(index, item)| self.value(item, of_item, &format!("{path}[{index}]"));
        Value::Array(items.iter().enumerate().map(item).collect())
    }

    fn misshapen(&mut self, node: &Node, shape: &str, rule: &JSONSchemaProps, path: &str) -> Value {
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
fn scalar_fault(value: &Value, schema: &JSONSchemaProps) -> Option<String> {
    let among = |options: &Vec<JSON>| options.iter().any(|option| option.0 == *value);
    if schema.enum_.as_ref().is_some_and(|options| !among(options)) {
        return Some("is not one of the values".to_owned());
    }
    match (schema.type_.as_deref(), value) {
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
pub(super) fn text_fault(text: &str, schema: &JSONSchemaProps) -> Option<String> {
    let chars = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let too_short = schema.min_length.is_some_and(|min| chars < min);
    if too_short || schema.max_length.is_some_and(|max| chars > max) {
        return Some(format!("has {chars} characters"));
    }
    let matches = |pattern: &String| Regex::new(pattern).is_ok_and(|regex| regex.is_match(text));
    let mismatch = schema.pattern.as_ref().is_some_and(|p| !matches(p));
    mismatch.then(|| "does not match the pattern".to_owned())
}

fn number_fault(number: f64, schema: &JSONSchemaProps) -> Option<String> {
    if schema.type_.as_deref() == Some("integer") && number.fract() != 0.0 {
        return Some("is not a whole number".to_owned());
    }
    match (schema.minimum, schema.maximum) {
        (Some(min), _) if number < min => Some(format!("is less than the minimum of {min}")),
        (_, Some(max)) if number > max => Some(format!("is more than the maximum of {max}")),
        _ => None,
    }
}

/// What a field may hold, in words.
fn allowed(schema: &JSONSchemaProps) -> String {
    if let Some(options) = &schema.enum_ {
        let options: Vec<_> = options.iter().map(|option| quote(&option.0)).collect();
        return options.join(" or ");
    }
    let kind = schema.type_.as_deref().unwrap_or("anything");
    let detail = match (kind, schema.minimum, schema.maximum) {
        ("boolean", ..) => return "true or false".to_owned(),
        ("object", ..) => return format!("object with {}", field_names(schema)),
        ("array", ..) => {
            let most = schema.max_items.map_or_else(String::new, |max| format!("at most {max} "));
            return format!("list of {most}{}", item_schema(schema).map_or_else(|| "anything".to_owned(), allowed));
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

fn item_schema(array: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match &array.items {
        Some(JSONSchemaPropsOrArray::Schema(schema)) => Some(schema),
        _ => None,
    }
}

fn field_schema<'s>(object: &'s JSONSchemaProps, name: &str) -> Option<&'s JSONSchemaProps> {
    let declared = object.properties.as_ref().and_then(|p| p.get(name));
    declared.or(match &object.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(schema)) => Some(schema),
        _ => None,
    })
}

fn field_names(schema: &JSONSchemaProps) -> String {
    match &schema.properties {
        Some(properties) => Vec::from_iter(properties.keys().map(String::as_str)).join(", "),
        None => "any names".to_owned(),
    }
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

/// The node as JSON, unchecked.
fn plain(node: &Node) -> Value {
    match &node.content {
        Content::Scalar(value) => value.clone(),
        Content::Sequence(items) => Value::Array(items.iter().map(plain).collect()),
        Content::Mapping(fields) => Value::Object(fields.iter().map(|f| (f.name.clone(), plain(&f.value))).collect()),
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
