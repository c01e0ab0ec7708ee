//! Server-side apply for one manager: what it applied before and applies no more goes, what it applies is there.

use serde_json::{Map, Value};

/// `live` after `new` was applied in place of `old`. Lists are applied whole.
pub(super) fn apply(live: &mut Value, old: Option<&Value>, new: &Value) {
    if let Some(old) = old {
        remove(live, old, new);
    }
    merge(live, new);
}

fn remove(live: &mut Value, old: &Value, new: &Value) {
    let (Some(live), Some(old)) = (live.as_object_mut(), old.as_object()) else { return };
    for (name, old) in old {
        match (new.get(name), live.get_mut(name)) {
            (None, Some(_)) => _ = live.remove(name),
            (Some(new), Some(live)) => remove(live, old, new),
            _ => {}
        }
    }
}

fn merge(live: &mut Value, new: &Value) {
    match new {
        Value::Object(fields) => {
            if !live.is_object() {
                *live = Value::Object(Map::new());
            }
            for (name, value) in fields {
                merge(&mut live[name], value);
            }
        }
        other => *live = other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_applied_no_more_goes_and_what_others_set_stays() {
        let mut live = json!({"a": 1, "b": {"c": 2, "theirs": 3}});
        apply(&mut live, Some(&json!({"a": 1, "b": {"c": 2}})), &json!({"b": {"d": [4]}}));
        assert_eq!(live, json!({"b": {"theirs": 3, "d": [4]}}));
    }
}
