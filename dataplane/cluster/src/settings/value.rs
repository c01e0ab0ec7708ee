//! A value as somebody wrote it. Reading one never fails: so every value that is wrong can be named, not only the first.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use toml::Value as Toml;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Toml")]
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

impl From<Toml> for Value {
    fn from(value: Toml) -> Self {
        let text = |value: Toml| match Self::from(value) {
            Self::Text(text) => Some(text),
            Self::List(_) | Self::Strange => None,
        };
        match value {
            Toml::String(text) => Self::Text(text),
            Toml::Array(items) => items.into_iter().map(text).collect::<Option<_>>().map_or(Self::Strange, Self::List),
            Toml::Table(_) => Self::Strange,
            scalar => Self::Text(scalar.to_string()),
        }
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
