//! Splits documents into objects and sorts the objects by kind. The order of the objects, and the lists around them,
//! don't matter.

mod object;

use std::collections::{BTreeMap, HashMap};

use everynode_proto::planner::v1::{Problem, ProblemCode};
use serde_json::Value;

pub(crate) use self::object::{Fields, Object};
use super::{
    documents::{self, Contents},
    error::Error,
    files, hints,
    kind::{Kind, Recognized},
    listing::listed,
    place::Place,
};

/// The number of objects that a note names.
const MAX_NAMED: usize = 3;

/// Objects by kind. The objects of a kind are in input order.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    known: BTreeMap<Kind, Vec<Object>>,
    /// The index of each object that has a name.
    index: HashMap<(Kind, String), usize>,
    /// Objects that no command uses, because API servers refuse their kind or apiVersion.
    refused: BTreeMap<Kind, Vec<Object>>,
    /// The number of objects of each other kind.
    others: BTreeMap<String, usize>,
    repeated: Vec<String>,
    notes: Vec<String>,
    /// Whether Nodes are templates. Then a file may have several of one name.
    are_templates: bool,
}

impl Objects {
    /// No objects. With `are_templates`, Nodes are templates of nodes that needn't exist: one file may have different ones
    /// of the same name.
    pub(crate) fn new(are_templates: bool) -> Self {
        Self {
            are_templates,
            ..Self::default()
        }
    }

    /// Reads files and folders. For `are_templates`, see [`Objects::new`].
    ///
    /// # Errors
    /// A file doesn't exist, can't be read, or holds something that isn't an object.
    pub(crate) fn read(paths: &[String], is_recursive: bool, are_templates: bool) -> Result<Self, Error> {
        let mut objects = Self::new(are_templates);
        for file in files::expand(paths, is_recursive)? {
            objects.add_all(documents::read(&file)?)?;
        }
        Ok(objects)
    }

    /// Adds the objects of a file.
    ///
    /// # Errors
    /// A document holds something that isn't an object.
    pub(super) fn add_all(&mut self, contents: Contents) -> Result<(), Error> {
        self.notes.extend(contents.notes);
        contents
            .documents
            .into_iter()
            .try_for_each(|document| self.add(document.value, document.place, None))
    }

    /// Returns the objects of a kind.
    pub(crate) fn of(&self, kind: Kind) -> &[Object] {
        self.known.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// Returns the objects of a kind, and those that API servers refuse because of their kind or apiVersion.
    pub(crate) fn of_any_version(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        let refused = self.refused.get(&kind).into_iter().flatten();
        self.of(kind).iter().chain(refused)
    }

    /// Returns the problems of the kinds and API versions of objects, with the places of the objects.
    pub(crate) fn problems(&self, kinds: &[Kind]) -> impl Iterator<Item = (&Place, &Problem)> {
        let objects = kinds.iter().flat_map(move |kind| self.of_any_version(*kind));
        objects.filter_map(|object| Some((&object.place, object.problem.as_deref()?)))
    }

    /// Notes about content that has a meaning but is probably a mistake.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        if !self.repeated.is_empty() {
            let repeated = listed(&self.repeated, MAX_NAMED);
            notes.push(format!(
                "of objects that occur more than once, the last one counts: {repeated}"
            ));
        }
        notes
    }

    /// Returns the objects of a kind, to change them.
    pub(crate) fn of_mut(&mut self, kind: Kind) -> &mut [Object] {
        self.known.get_mut(&kind).map_or(&mut [], Vec::as_mut_slice)
    }

    /// Keeps the objects of a kind for which `is_kept` is true.
    pub(crate) fn retain(&mut self, kind: Kind, is_kept: impl Fn(&Object) -> bool) {
        for objects in [&mut self.known, &mut self.refused] {
            if let Some(objects) = objects.get_mut(&kind) {
                objects.retain(&is_kept);
            }
        }
    }

    /// Lists the kinds in the input that aren't in `kinds`, with the number of their objects, such as
    /// `ConfigMap (2), Pod (1)`. Returns `None` when there are none.
    pub(crate) fn count_others(&self, kinds: &[Kind]) -> Option<String> {
        let mut counts = self.others.clone();
        for kind in Kind::ALL.into_iter().filter(|kind| !kinds.contains(kind)) {
            let count = self.of_any_version(kind).count();
            if count > 0 {
                counts.insert(kind.to_string(), count);
            }
        }
        let kinds: Vec<_> = counts
            .iter()
            .map(|(kind, count)| format!("{kind} ({count})"))
            .collect();
        (!kinds.is_empty()).then(|| kinds.join(", "))
    }

    /// Adds an object, or the items of a list. In a list of one kind, as the API server returns it, the items don't
    /// name their own kind. A JSON array is a list too.
    fn add(&mut self, value: Value, place: Place, list: Option<&ListType>) -> Result<(), Error> {
        let mut object = match value {
            Value::Object(object) => object,
            Value::Array(items) => return self.add_items(items, &place, "", list),
            // Go's decoder reads an item that is null as an object without fields, and kubectl skips it.
            Value::Null if !place.path.is_empty() => return Ok(()),
            value => return Err(invalid(place, &hints::not_an_object(&value))),
        };
        let text = |key: &str| {
            let text = object.get(key).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let kind = text("kind").or_else(|| list.map(|list| list.kind.clone()));
        let api_version = text("apiVersion").or_else(|| list.and_then(|list| list.api_version.clone()));
        if kind.as_deref() == Some("List")
            && let Some(items) = object.get("items")
            && !matches!(items, Value::Array(_) | Value::Null)
        {
            return Err(invalid(place, "items must be a list"));
        }
        let list_of = kind.as_deref().map_or(Some(""), |kind| kind.strip_suffix("List"));
        if let Some(item_kind) = list_of
            && let Some(Value::Array(_) | Value::Null) = object.get("items")
        {
            let list = (!item_kind.is_empty()).then(|| ListType {
                kind: item_kind.to_owned(),
                api_version,
            });
            let Some(Value::Array(items)) = object.remove("items") else {
                return Ok(());
            };
            return self.add_items(items, &place, "items", list.as_ref());
        }
        let Some(kind) = kind else {
            return Err(invalid(place, &hints::without_kind(&object)));
        };
        let object = Object {
            fields: object,
            place,
            problem: None,
        };
        self.add_object(&kind, api_version, object);
        Ok(())
    }

    fn add_items(
        &mut self,
        items: Vec<Value>,
        place: &Place,
        name: &str,
        list: Option<&ListType>,
    ) -> Result<(), Error> {
        let mut items = items.into_iter().enumerate();
        items.try_for_each(|(index, item)| self.add(item, place.item(name, index), list))
    }

    fn add_object(&mut self, kind: &str, api_version: Option<String>, mut object: Object) {
        match Kind::recognize(kind, api_version.as_deref()) {
            Recognized::Known(kind) => self.insert(kind, object),
            Recognized::OtherVersion(kind) => {
                let name = object.name_in_problems(kind, self.of(kind).len());
                object.problem = Some(Box::new(Problem {
                    object: name,
                    ..not_served(kind, &api_version.unwrap_or_default())
                }));
                self.insert(kind, object);
            }
            Recognized::OtherGroup(kind) => {
                let problem = Problem {
                    code: ProblemCode::Malformed.into(),
                    ..not_served(kind, &api_version.unwrap_or_default())
                };
                self.refuse(kind, object, problem);
            }
            Recognized::OtherCase(known) => {
                let problem = Problem {
                    code: ProblemCode::Malformed.into(),
                    field: "kind".to_owned(),
                    message: format!("there is no kind {kind}; did you mean {known}?"),
                    ..Problem::default()
                };
                self.refuse(known, object, problem);
            }
            Recognized::Other => {
                let group = api_version.filter(|version| version.contains('/'));
                let name = group.map_or_else(|| kind.to_owned(), |version| format!("{kind} of {version}"));
                *self.others.entry(name).or_default() += 1;
            }
        }
    }

    /// Adds an object that no command uses.
    fn refuse(&mut self, kind: Kind, mut object: Object, problem: Problem) {
        let refused = self.refused.entry(kind).or_default();
        object.problem = Some(Box::new(Problem {
            object: object.name_in_problems(kind, refused.len()),
            ..problem
        }));
        refused.push(object);
    }

    /// Adds an object of a known kind. It replaces an earlier object of the same name, because a cluster has only one.
    fn insert(&mut self, kind: Kind, object: Object) {
        let objects = self.known.entry(kind).or_default();
        if object.name().is_empty() {
            objects.push(object);
            return;
        }
        let name = object.full_name(kind);
        let index = self.index.entry((kind, name.clone())).or_insert(objects.len());
        let are_templates = self.are_templates && kind == Kind::Node;
        match objects.get_mut(*index) {
            Some(earlier)
                if are_templates
                    && earlier.place.file == object.place.file
                    && earlier.fields != object.fields =>
            {
                objects.push(object);
            }
            Some(earlier) => {
                let places = format!("{kind} {name} ({} and {})", earlier.place, object.place);
                self.repeated.push(places);
                *earlier = object;
            }
            None => objects.push(object),
        }
    }
}

/// The kind and API version of a list's items.
struct ListType {
    kind: String,
    api_version: Option<String>,
}

fn invalid(place: Place, message: &str) -> Error {
    Error::InvalidObject {
        place,
        message: message.to_owned(),
    }
}

/// The problem of an object whose apiVersion API servers don't serve.
fn not_served(kind: Kind, api_version: &str) -> Problem {
    Problem {
        code: ProblemCode::Invalid.into(),
        field: "apiVersion".to_owned(),
        message: format!(
            "API servers don't serve the kind {kind} in {api_version}; change apiVersion to {}",
            kind.api_version()
        ),
        ..Problem::default()
    }
}

#[cfg(test)]
mod tests;
