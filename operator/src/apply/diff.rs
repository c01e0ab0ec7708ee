//! Whether an object is as it should be. An API server adds defaults and writes amounts in its own way, so it is asked
//! whether all that is wanted is there. Pure.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

/// Whether `live` has everything that is wanted.
pub(super) fn holds(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().all(|(name, wanted)| match live.get(name) {
            Some(live) => holds(live, wanted),
            // What is empty is left out by the API server.
            None => is_empty(wanted),
        }),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| holds(live, wanted))
        }
        (Value::String(live), Value::String(wanted)) => live == wanted || is_same_amount(live, wanted),
        (live, wanted) => live == wanted,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// `1000m` is stored as `1`.
fn is_same_amount(a: &str, b: &str) -> bool {
    amount(a).zip(amount(b)).is_some_and(|(a, b)| (a - b).abs() < f64::EPSILON * a.abs().max(1.0))
}

fn amount(text: &str) -> Option<f64> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let factor = match unit {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

/// The same for the same object, whatever the order of its fields, in every build of this version of Rust; another one
/// costs one write of each object.
pub(super) fn fingerprint(value: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    feed(value, &mut hasher);
    format!("{:016x}", hasher.finish())
}

fn feed(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            sorted.len().hash(hasher);
            for (name, value) in sorted {
                name.hash(hasher);
                feed(value, hasher);
            }
        }
        Value::Array(items) => {
            items.len().hash(hasher);
            items.iter().for_each(|item| feed(item, hasher));
        }
        scalar => scalar.to_string().hash(hasher),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_api_server_adds_does_not_matter_and_what_differs_does() {
        let live = json!({"a": 1, "b": {"c": "1", "d": 0}, "e": [{"f": 1, "g": 2}], "defaulted": true});
        assert!(holds(&live, &json!({"a": 1, "b": {"c": "1000m"}, "e": [{"f": 1}], "none": {}, "null": null})));
        assert!(!holds(&live, &json!({"b": {"c": "999m"}})));
        assert!(!holds(&live, &json!({"e": [{"f": 1}, {"f": 2}]})));
        assert!(!holds(&live, &json!({"missing": 1})));
        assert!(holds(&json!("1Gi"), &json!("1024Mi")) && !holds(&json!("1G"), &json!("1Gi")));
        assert!(!holds(&json!("a"), &json!("b")));
    }

    #[test]
    fn a_fingerprint_is_of_the_content() {
        let (a, b) = (json!({"x": 1, "y": [1, 2]}), json!({"y": [1, 2], "x": 1}));
        assert_eq!(fingerprint(&a), fingerprint(&b));
        assert_ne!(fingerprint(&a), fingerprint(&json!({"x": 1, "y": [2, 1]})));
    }
}
