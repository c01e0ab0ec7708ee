//! A document as a tree of nodes that know where they stand in their file.

use saphyr_parser::Marker;
use serde_json::Value;

/// What a node costs beside its text, in bytes.
const NODE_COST: usize = 64;

/// A value and where it stands. A copy by an alias stands where its anchor stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Never an array or an object.
    Scalar(Value),
    Sequence(Vec<Node>),
    /// In the order of the file; no name occurs twice.
    Mapping(Vec<Field>),
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) at: Position,
    pub(super) value: Node,
}

impl Node {
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        match &self.content {
            Content::Mapping(fields) => fields.iter().find(|field| field.name == name),
            _ => None,
        }
    }

    /// The node as JSON, unchecked.
    pub(super) fn json(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::Sequence(items) => Value::Array(items.iter().map(Self::json).collect()),
            Content::Mapping(fields) => {
                Value::Object(fields.iter().map(|field| (field.name.clone(), field.value.json())).collect())
            }
        }
    }

    /// What a copy of this tree costs, in bytes, and how many levels it has.
    pub(super) fn measure(&self) -> (usize, usize) {
        let over = |(cost, depth): (usize, usize), (c, d): (usize, usize)| (cost + c, depth.max(d));
        let (cost, depth) = match &self.content {
            Content::Scalar(Value::String(text)) => (text.len(), 0),
            Content::Scalar(_) => (0, 0),
            Content::Sequence(items) => items.iter().map(Self::measure).fold((0, 0), over),
            Content::Mapping(fields) => fields
                .iter()
                .map(|field| {
                    let (cost, depth) = field.value.measure();
                    (cost + NODE_COST + field.name.len(), depth)
                })
                .fold((0, 0), over),
        };
        (cost + NODE_COST, depth + 1)
    }
}

/// Where something stands in its file, both counted from 1; columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Position {
    pub(super) const START: Self = Self { line: 1, column: 1 };

    /// Where the character after `text` stands. A lone carriage return ends a line in YAML, too.
    pub(super) fn end_of(text: &str) -> Self {
        let mut end = Self::START;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if c == '\n' || c == '\r' && chars.peek() != Some(&'\n') {
                end.line += 1;
                end.column = 1;
            } else {
                end.column += 1;
            }
        }
        end
    }
}

impl From<Marker> for Position {
    fn from(marker: Marker) -> Self {
        Self { line: marker.line(), column: marker.col() + 1 }
    }
}
