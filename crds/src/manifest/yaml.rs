//! From YAML text to documents. A document costs a bounded amount of memory and of stack, whatever the text
//! says: nesting is limited, and what anchors and aliases copy is paid from one budget.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr::Scalar;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};
use serde_json::{Number, Value};

use super::document::{Content, Field, Node, Position};
use super::faults::quote_text;

/// Levels of nesting. A `LiveRoom` needs four.
const DEPTH_MAX: usize = 32;

/// What the anchors and aliases of one file may copy, in bytes by [`Node::measure`]: eight times what a file
/// may be long. Everything else is in the file once, so that the file's own limit bounds it.
const COST_MAX: usize = 8 * super::FILE_BYTES_MAX;

/// Why a text is not YAML, or not YAML that is read here.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) at: Position,
    pub(super) what: String,
}

impl SyntaxError {
    fn new(at: impl Into<Position>, what: impl Into<String>) -> Self {
        Self { at: at.into(), what: what.into() }
    }
}

impl From<ScanError> for SyntaxError {
    fn from(error: ScanError) -> Self {
        Self::new(*error.marker(), format!("not YAML: {}", error.info()))
    }
}

/// The documents of `text` that hold anything.
pub(super) fn read(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let mut reader = Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), cost_left: COST_MAX };
    let mut documents = Vec::new();
    loop {
        let (event, marker) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(documents),
            Event::DocumentStart(_) => {
                reader.anchors.clear();
                let (event, marker) = reader.next()?;
                let node = reader.node(event, marker, 0)?;
                if !matches!(node.content, Content::Scalar(Value::Null)) {
                    documents.push(node);
                }
            }
            Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
            _ => {
                return Err(SyntaxError::new(marker, "not YAML: content outside a document"));
            }
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    /// What stands behind each anchor of this document, by the parser's number for it.
    anchors: HashMap<usize, Node>,
    cost_left: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Marker), SyntaxError> {
        match self.parser.next_event() {
            Some(event) => Ok(event.map(|(event, span)| (event, span.start))?),
            None => Ok((Event::StreamEnd, Marker::default())),
        }
    }

    /// The node that `event` opens, at `depth` levels below its document.
    fn node(&mut self, event: Event<'t>, at: Marker, depth: usize) -> Result<Node, SyntaxError> {
        if depth >= DEPTH_MAX {
            return Err(SyntaxError::new(at, too_deep()));
        }
        let (anchor, content) = match event {
            Event::Alias(anchor) => return self.alias(anchor, at, depth),
            Event::Scalar(text, style, anchor, tag) => (anchor, scalar(text, style, tag, at)?),
            Event::SequenceStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "seq", at)?;
                (anchor, Content::Sequence(self.items(depth)?))
            }
            Event::MappingStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "map", at)?;
                (anchor, Content::Mapping(self.fields(depth)?))
            }
            _ => return Err(SyntaxError::new(at, "not YAML: a value is missing here")),
        };
        let node = Node { at: at.into(), content };
        // The parser's anchors count from 1; 0 is none.
        if anchor > 0 {
            self.pay(node.measure().0, at)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, SyntaxError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, at) => items.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    fn fields(&mut self, depth: usize) -> Result<Vec<Field>, SyntaxError> {
        let mut fields = Vec::new();
        let mut line_of = HashMap::new();
        loop {
            let (event, at) = self.next()?;
            let name = match event {
                Event::MappingEnd => return Ok(fields),
                Event::Scalar(name, ..) => name.into_owned(),
                _ => return Err(SyntaxError::new(at, "a field's name must be plain text")),
            };
            if let Some(line) = line_of.insert(name.clone(), at.line()) {
                let name = quote_text(&name);
                let what = format!("the field {name} is here a second time, first in line {line}");
                return Err(SyntaxError::new(at, what));
            }
            let (event, value_at) = self.next()?;
            fields.push(Field { name, at: at.into(), value: self.node(event, value_at, depth + 1)? });
        }
    }

    fn alias(&mut self, anchor: usize, at: Marker, depth: usize) -> Result<Node, SyntaxError> {
        let Some(target) = self.anchors.get(&anchor) else {
            let what = "this alias stands inside what it refers to, or refers to another document";
            return Err(SyntaxError::new(at, what));
        };
        let (cost, levels) = target.measure();
        if depth + levels > DEPTH_MAX {
            return Err(SyntaxError::new(at, too_deep()));
        }
        let copy = target.clone();
        self.pay(cost, at)?;
        Ok(copy)
    }

    fn pay(&mut self, cost: usize, at: Marker) -> Result<(), SyntaxError> {
        let left = self.cost_left.checked_sub(cost).ok_or_else(|| {
            let what = format!("anchors and aliases make more than {COST_MAX} bytes of this file");
            SyntaxError::new(at, what)
        })?;
        self.cost_left = left;
        Ok(())
    }
}

fn too_deep() -> String {
    format!("nested more than {DEPTH_MAX} levels deep")
}

/// Types of plain scalars are those of YAML's core schema: `yes` and `on` are text.
fn scalar<'t>(
    text: Cow<'t, str>,
    style: ScalarStyle,
    tag: Option<Cow<'t, Tag>>,
    at: Marker,
) -> Result<Content, SyntaxError> {
    let tag = tag.as_ref();
    let known = tag.is_none_or(|tag| tag.is_yaml_core_schema());
    let parsed = Scalar::parse_from_cow_and_metadata(text, style, tag).filter(|_| known);
    let value = match parsed {
        Some(Scalar::Null) => Value::Null,
        Some(Scalar::Boolean(value)) => Value::Bool(value),
        Some(Scalar::Integer(value)) => Value::Number(value.into()),
        // JSON has no word for infinity and NaN: they stay text, which fits no number's field.
        Some(Scalar::FloatingPoint(value)) => {
            Number::from_f64(value.into_inner()).map_or_else(|| Value::String(value.to_string()), Value::Number)
        }
        Some(Scalar::String(value)) => Value::String(value.into_owned()),
        None => {
            return Err(SyntaxError::new(at, "the tag does not fit the value: remove it"));
        }
    };
    Ok(Content::Scalar(value))
}

fn collection_tag(tag: Option<&Tag>, fitting: &str, at: Marker) -> Result<(), SyntaxError> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == fitting) => {
            let what = "the tag does not fit the value: remove it";
            Err(SyntaxError::new(at, what))
        }
        _ => Ok(()),
    }
}
