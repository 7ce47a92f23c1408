//! Finds misspelled and misplaced fields, and known fields that hold a value of another type.
//!
//! A field that isn't known is a problem only if a known one is probably meant: one with nearly the same name, or one of
//! the same name in another place. So fields that a later version of Kubernetes adds are no problems.

use std::fmt;

use everynode_proto::facts::{field_path, raw_struct::Item, words};
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor},
};

use super::shapes::Shape;
use crate::{
    decide::suggestion::{closest, same_letters},
    model::{Problem, Quantity},
};

/// The maximum number of an object's unknown fields that are compared with known ones. A comparison takes time.
const MAX_UNKNOWN: usize = 100;
/// The maximum length, in bytes, of the name of an unknown field that is compared. No known field has a longer name.
const MAX_NAME_BYTES: usize = 60;
/// The maximum number of an object's values of a wrong type that are reported.
const MAX_VALUES: usize = 50;

/// A kind of object with its known fields.
#[derive(Debug)]
pub(super) struct Kind {
    /// The fields of the object itself.
    pub(super) root: &'static Level,
    /// Fields that occur in one place only, by name. If a field occurs in several places, the one that is nearest to
    /// where the field was found is meant.
    pub(super) places: &'static [(&'static str, &'static str)],
    /// Fields of other kinds that people use here by mistake: the path of the enclosing object, the name, and a hint. `*`
    /// stands for every name that resembles no known field.
    pub(super) mistaken: &'static [(&'static str, &'static str, &'static str)],
}

/// The known fields of an object, or of an object within it.
#[derive(Debug)]
pub(super) struct Level {
    /// The fields that hold no objects, or objects whose fields aren't checked. Sorted.
    pub(super) leaves: &'static [&'static str],
    /// The fields that hold objects, or lists of objects, which are checked too.
    pub(super) inner: &'static [(&'static str, &'static Self)],
}

impl Level {
    fn find(&'static self, name: &str) -> Option<Known> {
        if let Some((name, level)) = self.inner.iter().find(|(known, _)| *known == name) {
            return Some((name, Some(level)));
        }
        let index = self.leaves.binary_search(&name).ok()?;
        self.leaves.get(index).map(|name| (*name, None))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        let inner = self.inner.iter().map(|(name, _)| *name);
        self.leaves.iter().copied().chain(inner)
    }
}

/// A known field, and the fields of the objects in it, if they are checked.
type Known = (&'static str, Option<&'static Level>);

/// Returns the problems of unknown fields for which a known one is probably meant, and of known fields that hold a value
/// of another type.
pub(super) fn field_problems(object: &Item, kind: &Kind) -> Vec<Problem> {
    let mut found = Found {
        kind,
        examined: 0,
        values: 0,
        problems: Vec::new(),
    };
    let walk = Walk {
        shape: None,
        level: Some(kind.root),
        path: &Path::Root,
        found: &mut found,
    };
    // An object that can't be read has a problem anyway.
    let _ = object.inspect(walk);
    found.problems
}

struct Found<'k> {
    kind: &'k Kind,
    /// Number of unknown fields so far.
    examined: usize,
    /// Number of values of a wrong type so far.
    values: usize,
    problems: Vec<Problem>,
}

impl Found<'_> {
    /// Reports the value at a path.
    fn report_value(&mut self, path: &Path<'_>, message: impl FnOnce() -> String) {
        if self.values < MAX_VALUES {
            self.values += 1;
            self.problems.push(Problem::invalid(path.text(), message()));
        }
    }

    /// Reports the unknown fields of one object. `present` are the known fields that it has.
    fn report(&mut self, level: &Level, path: &Path<'_>, unknown: &[Box<str>], present: &[&str]) {
        for name in unknown {
            if let Some(hint) = self.hint(level, path, name, present) {
                let field = path.with(name);
                let message = format!("there is no such field here, so it is ignored; {hint}");
                self.problems.push(Problem::invalid(field, message));
            }
        }
    }

    /// Returns what is probably meant by an unknown field. `None` if nothing is similar.
    fn hint(&self, level: &Level, path: &Path<'_>, name: &str, present: &[&str]) -> Option<String> {
        let mean = |known: &str| format!("did you mean {known}?");
        if let Some(known) = level.names().find(|known| same_letters(known, name)) {
            return Some(mean(known));
        }
        let here = path.without_indices();
        let mut mistaken = self.kind.mistaken.iter();
        if let Some((_, _, hint)) = mistaken.find(|(place, other, _)| *place == here && *other == name) {
            return Some((*hint).to_owned());
        }
        if let Some((known, place)) = self.place(&here, name) {
            // A place within this object is named with its indices.
            let place = match place.strip_prefix(&format!("{here}.")) {
                Some(rest) => format!("{}.{rest}", path.text()),
                None => place.to_owned(),
            };
            return Some(format!("{known} belongs in {place}"));
        }
        // If both fields are there, neither is a misspelling of the other.
        let absent = level.names().filter(|known| !present.contains(known));
        if let Some(known) = closest(name, absent) {
            return Some(mean(known));
        }
        let mut mistaken = self.kind.mistaken.iter();
        let any = mistaken.find(|(place, other, _)| *place == here && *other == "*");
        any.map(|(_, _, hint)| (*hint).to_owned())
    }

    /// Returns the known field of this name in another place, and that place. If there are several, it is the place
    /// that shares the longest part of its path with `here`.
    fn place(&self, here: &str, name: &str) -> Option<(&'static str, &'static str)> {
        let places = self.kind.places.iter();
        let places = places.filter(|(known, place)| *place != here && same_letters(known, name));
        let shared = |place: &str| {
            let parts = here.split('.').zip(place.split('.'));
            parts.take_while(|(one, other)| one == other).count()
        };
        // `max_by_key` returns the last of several maxima. The first one in the list counts.
        let nearest = places.rev().max_by_key(|(_, place)| shared(place))?;
        Some(*nearest)
    }
}

/// The path of an object in the object that holds it.
enum Path<'p> {
    Root,
    Field(&'p Self, &'static str),
    Key(&'p Self, &'p str),
    Index(&'p Self, usize),
}

impl Path<'_> {
    fn text(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Field(parent, name) => parent.with(name),
            Self::Key(parent, key) => parent.with(key),
            Self::Index(parent, index) => format!("{}[{index}]", parent.text()),
        }
    }

    /// The path of a field in the object.
    fn with(&self, name: &str) -> String {
        field_path::with_key(&self.text(), name)
    }

    /// The path with `[]` instead of each index.
    fn without_indices(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Field(Self::Root, name) => (*name).to_owned(),
            Self::Field(parent, name) => format!("{}.{name}", parent.without_indices()),
            Self::Key(parent, key) => format!("{}.{key}", parent.without_indices()),
            Self::Index(parent, _) => format!("{}[]", parent.without_indices()),
        }
    }
}

/// Walks through a value: an object and its fields, a list and its elements, or anything else.
struct Walk<'w, 'k> {
    /// What the value must be. `None` if that isn't checked.
    shape: Option<Shape>,
    /// The known fields of the object, or of the objects in the list. `None` if these aren't checked.
    level: Option<&'static Level>,
    path: &'w Path<'w>,
    found: &'w mut Found<'k>,
}

impl Walk<'_, '_> {
    /// Reports a value that doesn't have one of the shapes.
    fn require(self, shapes: &[Shape], value: Unexpected<'_>) {
        if let Some(shape) = self.shape.filter(|shape| !shapes.contains(shape)) {
            self.found
                .report_value(self.path, || words::mismatch(value, &shape.expected()));
        }
    }

    /// Reports a text or a number that must be a quantity and isn't one.
    fn require_quantity(self, written: &str) {
        let message = match written.parse::<Quantity>() {
            Ok(amount) if amount.is_negative() => format!("must not be negative, found {written}"),
            Ok(_) => return,
            Err(error) => error.to_string(),
        };
        self.found.report_value(self.path, || message);
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let shape = match self.shape {
            None | Some(Shape::Object) => None,
            Some(shape @ (Shape::Texts | Shape::Quantities | Shape::Requests)) => Some(shape),
            Some(_) => {
                self.require(&[], Unexpected::Map);
                return Ok(());
            }
        };
        let Self {
            level, path, found, ..
        } = self;
        if let Some(shape) = shape {
            while let Some(key) = map.next_key::<&str>()? {
                let path = &Path::Key(path, key);
                if let Some(message) = shape.key_error(key) {
                    found.report_value(path, || message);
                }
                map.next_value_seed(Walk {
                    shape: shape.inner(),
                    level: None,
                    path,
                    found: &mut *found,
                })?;
            }
            return Ok(());
        }
        let Some(level) = level else { return Ok(()) };
        let (mut unknown, mut present) = (Vec::new(), Vec::new());
        while let Some(key) = map.next_key_seed(KeyOf(level))? {
            match key {
                Key::Known((name, level)) => {
                    present.push(name);
                    // The nodeSelector of a pod holds labels, and that of a stage is an object with fields.
                    let shape = match Shape::of(name) {
                        Some(Shape::Texts) if level.is_some() => Some(Shape::Object),
                        shape => shape,
                    };
                    map.next_value_seed(Walk {
                        shape,
                        level,
                        path: &Path::Field(path, name),
                        found: &mut *found,
                    })?;
                }
                Key::Unknown(name) => {
                    map.next_value::<IgnoredAny>()?;
                    if found.examined < MAX_UNKNOWN && name.len() <= MAX_NAME_BYTES {
                        found.examined += 1;
                        unknown.push(name);
                    }
                }
            }
        }
        found.report(level, path, &unknown, &present);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if !matches!(self.shape, None | Some(Shape::List | Shape::TextList)) {
            self.require(&[], Unexpected::Seq);
            return Ok(());
        }
        let Self {
            shape,
            level,
            path,
            found,
        } = self;
        // Lists of objects that aren't checked may be long, such as the images of a node.
        if level.is_none() && shape != Some(Shape::TextList) {
            return Ok(());
        }
        for index in 0.. {
            let item = Walk {
                shape: shape.and_then(Shape::inner),
                level,
                path: &Path::Index(path, index),
                found: &mut *found,
            };
            if list.next_element_seed(item)?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.require(&[Shape::Bool], Unexpected::Bool(value));
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        match self.shape {
            Some(Shape::Quantity) => self.require_quantity(&number.to_string()),
            Some(Shape::Port) if (0..=65_535).contains(&number) => {}
            _ => self.require(&[Shape::Number], Unexpected::Signed(number)),
        }
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        match self.shape {
            Some(Shape::Quantity) => self.require_quantity(&number.to_string()),
            _ => self.require(&[], Unexpected::Float(number)),
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.shape {
            Some(Shape::Quantity) => self.require_quantity(text),
            Some(shape @ Shape::Word(_)) => {
                if let Some(message) = shape.text_error(text) {
                    self.found.report_value(self.path, || message);
                }
            }
            _ => self.require(&[Shape::Text], Unexpected::Str(text)),
        }
        Ok(())
    }
}

enum Key {
    Known(Known),
    Unknown(Box<str>),
}

/// Looks up a field's name.
struct KeyOf(&'static Level);

impl<'de> DeserializeSeed<'de> for KeyOf {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyOf {
    type Value = Key;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a field's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Key, E> {
        let known = self.0.find(name).map(Key::Known);
        Ok(known.unwrap_or_else(|| Key::Unknown(name.into())))
    }
}

#[cfg(test)]
mod tests;
