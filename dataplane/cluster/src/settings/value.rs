//! A value as somebody wrote it. Reading one never fails: so every value that is wrong can be named, not only the first.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// What stands behind a setting's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Text, a number or a truth value; the environment and flags know only text.
    Text(String),
    /// A list in a file.
    List(Vec<String>),
    /// Something that no setting is: a table, a list of lists.
    Strange,
}

impl Value {
    /// Of a setting that is one value.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::List(_) | Self::Strange => None,
        }
    }

    /// Of a setting that is a list; in text, commas part its items.
    pub(super) fn items(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) if text.is_empty() => Some(Vec::new()),
            Self::Text(text) => Some(text.split(',').map(str::trim).collect()),
            Self::List(items) => Some(items.iter().map(String::as_str).collect()),
            Self::Strange => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(items) => write!(f, "{items:?}"),
            Self::Strange => f.write_str("a table"),
        }
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

impl Serialize for Value {
    /// Numbers and truth values as such, whichever source they came from.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => match (text.parse::<bool>(), text.parse::<i64>()) {
                (Ok(truth), _) => truth.serialize(serializer),
                (_, Ok(number)) if number.to_string() == *text => number.serialize(serializer),
                _ => text.serialize(serializer),
            },
            Self::List(items) => items.serialize(serializer),
            Self::Strange => serializer.serialize_str(""),
        }
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Text(truth.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Text(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Text(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Text(number.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Some(Vec::new());
        while let Some(item) = seq.next_element::<Value>()? {
            items = match (items, item) {
                (Some(mut items), Value::Text(text)) => {
                    items.push(text);
                    Some(items)
                }
                _ => None,
            };
        }
        Ok(items.map_or(Value::Strange, Value::List))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Strange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_file_holds_is_taken_as_it_stands() {
        let table: toml::Table =
            "a = 'x'\nb = 7\nc = true\nd = ['p', 8]\ne = {f = 1}\ng = [[1]]\nh = 1979-05-27\ni = 1.5".parse().unwrap();
        let value = |key: &str| Value::deserialize(table[key].clone()).unwrap();
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!([value("a"), value("b"), value("c"), value("i")], [text("x"), text("7"), text("true"), text("1.5")]);
        assert_eq!(value("d"), Value::List(vec!["p".to_owned(), "8".to_owned()]));
        assert_eq!([value("e"), value("g"), value("h")], [Value::Strange, Value::Strange, text("1979-05-27")]);
    }

    #[test]
    fn commas_make_a_list_of_text_and_only_of_text() {
        assert_eq!(Value::Text("a, b".to_owned()).items(), Some(vec!["a", "b"]));
        assert_eq!(Value::Text(String::new()).items(), Some(vec![]));
        assert_eq!(Value::List(vec!["a,b".to_owned()]).items(), Some(vec!["a,b"]));
        assert_eq!(Value::List(vec!["a".to_owned()]).text(), None);
    }
}
