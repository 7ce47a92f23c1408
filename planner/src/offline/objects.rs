//! Splits documents into objects and sorts the objects by kind. The order of the objects, and the lists around them,
//! don't matter.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    documents::{self, Document},
    error::Error,
    kind::Kind,
    place::Place,
};

/// A Kubernetes object.
pub(crate) type Object = Map<String, Value>;

/// Objects by kind. The objects of a kind are in input order.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    known: BTreeMap<Kind, Vec<Object>>,
    /// The number of objects of each other kind.
    others: BTreeMap<String, usize>,
}

impl Objects {
    /// Reads files.
    ///
    /// # Errors
    /// A file doesn't exist, can't be read, or holds something that isn't an object.
    pub(crate) fn read(files: &[String]) -> Result<Self, Error> {
        let mut objects = Self::default();
        for file in files {
            objects.add_all(documents::read(file)?)?;
        }
        Ok(objects)
    }

    pub(super) fn add_all(&mut self, documents: Vec<Document>) -> Result<(), Error> {
        documents
            .into_iter()
            .try_for_each(|document| self.add(document.value, &document.place, "", None))
    }

    /// Returns the objects of a kind.
    pub(crate) fn of(&self, kind: Kind) -> &[Object] {
        self.known.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// Lists the kinds in the input that aren't in `kinds`, with the number of their objects, such as
    /// `ConfigMap (2), Pod (1)`. Returns `None` when there are none.
    pub(crate) fn count_others(&self, kinds: &[Kind]) -> Option<String> {
        let known = self.known.iter().filter(|(kind, _)| !kinds.contains(kind));
        let mut counts = self.others.clone();
        counts.extend(known.map(|(kind, objects)| (kind.to_string(), objects.len())));
        let kinds: Vec<_> = counts
            .iter()
            .map(|(kind, count)| format!("{kind} ({count})"))
            .collect();
        (!kinds.is_empty()).then(|| kinds.join(", "))
    }

    /// Adds an object, or the items of a list. In a list of one kind, as the API server returns it, the items don't
    /// name their own kind.
    fn add(&mut self, value: Value, place: &Place, path: &str, list: Option<&ListType>) -> Result<(), Error> {
        let invalid = |message: &str| {
            let separator = if path.is_empty() { "" } else { ": " };
            Error::InvalidObject {
                place: place.clone(),
                message: format!("{path}{separator}{message}"),
            }
        };
        let Value::Object(mut object) = value else {
            return Err(invalid("isn't a Kubernetes object"));
        };
        let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
        let kind = text("kind").or_else(|| list.map(|list| list.kind.clone()));
        let api_version = text("apiVersion").or_else(|| list.and_then(|list| list.api_version.clone()));
        let list_of = kind.as_deref().map_or(Some(""), |kind| kind.strip_suffix("List"));
        if let Some(item_kind) = list_of
            && let Some(Value::Array(_)) = object.get("items")
            && let Some(Value::Array(items)) = object.remove("items")
        {
            let list = (!item_kind.is_empty()).then(|| ListType {
                kind: item_kind.to_owned(),
                api_version,
            });
            return items.into_iter().enumerate().try_for_each(|(index, item)| {
                let path = if path.is_empty() {
                    format!("items[{index}]")
                } else {
                    format!("{path}.items[{index}]")
                };
                self.add(item, place, &path, list.as_ref())
            });
        }
        let kind = kind.ok_or_else(|| invalid("has no kind"))?;
        if let Some(known) = Kind::of(&kind, api_version.as_deref()) {
            self.known.entry(known).or_default().push(object);
        } else {
            let group = api_version.filter(|version| version.contains('/'));
            let name = group.map_or_else(|| kind.clone(), |version| format!("{kind} of {version}"));
            *self.others.entry(name).or_default() += 1;
        }
        Ok(())
    }
}

/// The kind and API version of a list's items.
struct ListType {
    kind: String,
    api_version: Option<String>,
}

#[cfg(test)]
mod tests;
