//! Builds a value from the events of a YAML document. Mirrors the decoder of go-yaml 2.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use granit_parser::{Event, ScalarStyle, Tag};
use serde_json::{Map, Value};

use super::{
    super::super::lines::{Lines, ValuePath},
    Duplicate,
    scalar::{self, Scalar},
};

/// The bytes that a document may repeat through aliases.
const MAX_ALIAS_BYTES: u64 = 64 << 20;
/// The values that anchors within anchors may hold in addition to those of the document.
const MAX_NESTED_ANCHORS: u64 = 1 << 20;
const TOO_MANY_ALIASES: &str = "the document repeats too much through aliases";

/// A complete value.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Scalar(Scalar),
    Collection(Value),
}

impl Node {
    /// The node as a JSON value.
    ///
    /// # Errors
    /// JSON can't express it.
    pub(super) fn into_value(self) -> Result<Value, String> {
        match self {
            Self::Scalar(scalar) => scalar.into_value(),
            Self::Collection(value) => Ok(value),
        }
    }
}

/// A number of values and the bytes of their texts.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    nodes: u64,
    bytes: u64,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.nodes += other.nodes;
        self.bytes += other.bytes;
    }
}

/// A collection whose end hasn't come yet.
#[derive(Debug)]
struct Open {
    collection: Collection,
    path: ValuePath,
    anchor: usize,
    /// The line on which it begins.
    line: u64,
    /// The size of the document before it.
    before: Size,
}

impl Open {
    /// The path of the next value in the collection.
    fn next_path(&self) -> ValuePath {
        match &self.collection {
            Collection::Sequence(values) => self.path.item(values.len()),
            Collection::Mapping {
                key: Some((Key::Text(key), _)),
                ..
            } => self.path.key(key),
            // A key, or a mapping that is merged. Neither is a value of the mapping.
            Collection::Mapping { .. } => self.path.key("<<"),
        }
    }
}

#[derive(Debug)]
enum Collection {
    Sequence(Vec<Value>),
    Mapping {
        map: Map<String, Value>,
        /// The key whose value is next, and its line.
        key: Option<(Key, u64)>,
        /// Keys that came from a merge. A key of the mapping itself may replace them.
        merged: HashSet<String>,
    },
}

#[derive(Debug)]
enum Key {
    Text(String),
    /// `<<`: the value's entries become entries of the mapping.
    Merge,
}

/// Builds a value from the events of a document.
#[derive(Debug, Default)]
pub(super) struct Composer {
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, Size)>,
    duplicates: Vec<Duplicate>,
    lines: Lines,
    size: Size,
    /// The part of `size` that comes from aliases.
    aliased: Size,
    /// The size of `anchors`.
    anchored: Size,
}

impl Composer {
    /// Takes an event that begins on a line. Returns the document's content, with the line on which it begins, once it is
    /// complete.
    ///
    /// # Errors
    /// Describes why the event can't be used.
    pub(super) fn add(&mut self, event: Event<'_>, line: u64) -> Result<Option<(Node, u64)>, String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let before = self.size;
                self.size.nodes += 1;
                self.size.bytes += text.len() as u64;
                let is_merge = is_merge(&text, style, tag.as_deref());
                let scalar = scalar::resolve(text, style, tag.as_deref())?;
                self.complete(Node::Scalar(scalar), is_merge, anchor, before, line)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(Collection::Sequence(Vec::new()), anchor, line);
                Ok(None)
            }
            Event::MappingStart(_, anchor, _) => {
                let (map, key, merged) = Default::default();
                self.begin(Collection::Mapping { map, key, merged }, anchor, line);
                Ok(None)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(None);
                };
                let value = match open.collection {
                    Collection::Sequence(values) => Value::Array(values),
                    Collection::Mapping { map, .. } => Value::Object(map),
                };
                self.complete(
                    Node::Collection(value),
                    false,
                    open.anchor,
                    open.before,
                    open.line,
                )
            }
            Event::Alias(anchor) => {
                let before = self.size;
                let node = self.expand(anchor)?;
                self.complete(node, false, 0, before, line)
            }
            _ => Ok(None),
        }
    }

    /// The keys that occurred again in the same mapping, and the lines of the values.
    pub(super) fn into_findings(self) -> (Vec<Duplicate>, Lines) {
        (self.duplicates, self.lines)
    }

    fn begin(&mut self, collection: Collection, anchor: usize, line: u64) {
        let before = self.size;
        self.size.nodes += 1;
        let path = self.open.last().map(Open::next_path).unwrap_or_default();
        self.open.push(Open {
            collection,
            path,
            anchor,
            line,
            before,
        });
    }

    /// Returns a copy of an earlier value.
    fn expand(&mut self, anchor: usize) -> Result<Node, String> {
        let Some((node, size)) = self.anchors.get(&anchor) else {
            return Err("an anchor's value contains an alias of itself".to_owned());
        };
        self.size.nodes += 1;
        self.size.add(*size);
        self.aliased.add(*size);
        if self.repeats_too_much() {
            return Err(TOO_MANY_ALIASES.to_owned());
        }
        Ok(node.clone())
    }

    /// Mirrors go-yaml's limit for aliases, with a limit for their bytes.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share needs no more than a few digits"
    )]
    fn repeats_too_much(&self) -> bool {
        const FEW: f64 = 400_000.0;
        const MANY: f64 = 4_000_000.0;
        let (nodes, aliased) = (self.size.nodes as f64, self.aliased.nodes as f64);
        let allowed = 0.99 - 0.89 * ((nodes - FEW) / (MANY - FEW)).clamp(0.0, 1.0);
        let is_large = self.aliased.nodes > 100 && self.size.nodes > 1_000;
        self.aliased.bytes > MAX_ALIAS_BYTES || is_large && aliased / nodes > allowed
    }

    /// Keeps a copy of a value for aliases. Anchors within anchors are copied again with each of them, so their size is
    /// limited.
    ///
    /// # Errors
    /// The anchors hold too much.
    fn keep(&mut self, anchor: usize, node: &Node, before: Size) -> Result<(), String> {
        let size = Size {
            nodes: self.size.nodes - before.nodes,
            bytes: self.size.bytes - before.bytes,
        };
        self.anchored.add(size);
        let is_too_large = self.anchored.nodes > self.size.nodes + MAX_NESTED_ANCHORS
            || self.anchored.bytes > self.size.bytes + MAX_ALIAS_BYTES;
        if is_too_large {
            return Err(TOO_MANY_ALIASES.to_owned());
        }
        self.anchors.insert(anchor, (node.clone(), size));
        Ok(())
    }

    fn complete(
        &mut self,
        node: Node,
        is_merge: bool,
        anchor: usize,
        before: Size,
        line: u64,
    ) -> Result<Option<(Node, u64)>, String> {
        if anchor != 0 {
            self.keep(anchor, &node, before)?;
        }
        let Some(parent) = self.open.last_mut() else {
            return Ok(Some((node, line)));
        };
        let path = parent.next_path();
        match &mut parent.collection {
            Collection::Sequence(values) => {
                self.lines.record(path, line);
                values.push(node.into_value()?);
            }
            Collection::Mapping { map, key, merged } => match key.take() {
                None => *key = Some((key_of(node, is_merge)?, line)),
                Some((Key::Merge, _)) => merge(map, merged, node.into_value()?)?,
                Some((Key::Text(key), line)) => {
                    self.lines.record(path, line);
                    if map.contains_key(&key) && !merged.remove(&key) {
                        let key = key.clone();
                        self.duplicates.push(Duplicate { key, line });
                    }
                    map.insert(key, node.into_value()?);
                }
            },
        }
        Ok(None)
    }
}

fn key_of(node: Node, is_merge: bool) -> Result<Key, String> {
    match node {
        Node::Scalar(_) if is_merge => Ok(Key::Merge),
        Node::Scalar(scalar) => scalar.into_key().map(Key::Text),
        Node::Collection(_) => Err("a list or a mapping can't be a key".to_owned()),
    }
}

fn is_merge(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> bool {
    let is_plain = style == ScalarStyle::Plain && tag.is_none();
    text == "<<" && (is_plain || tag.is_some_and(|tag| scalar::core_tag(tag) == Some(Cow::Borrowed("merge"))))
}

/// Adds the entries of a mapping, or of the mappings in a list, where earlier ones take precedence. Like in go-yaml, the
/// entries replace those that the mapping already has.
fn merge(map: &mut Map<String, Value>, merged: &mut HashSet<String>, value: Value) -> Result<(), String> {
    let sources = match value {
        Value::Array(values) => values,
        value => vec![value],
    };
    for source in sources.into_iter().rev() {
        let Value::Object(source) = source else {
            return Err("only a mapping, or a list of mappings, can be merged with <<".to_owned());
        };
        merged.extend(source.keys().cloned());
        map.extend(source);
    }
    Ok(())
}
