//! Selects `DaemonSet`s and nodes from the input, as the flags say.

use everynode_serving::program::glob;
use serde_json::Value;

use super::{
    args::filter::FilterArgs,
    error::Error,
    kind::Kind,
    objects::{Object, Objects},
};

/// The names that kubectl accepts for the kind.
const DAEMON_SET_NAMES: [&str; 3] = ["ds", "daemonset", "daemonsets"];

/// Keeps the selected `DaemonSet`s.
///
/// # Errors
/// A chosen `DaemonSet` isn't in the input, a name isn't unique, or nothing is selected.
pub(crate) fn daemon_sets(objects: &mut Objects, filter: &FilterArgs) -> Result<(), Error> {
    let all = || objects.of_any_version(Kind::DaemonSet);
    let group = all().filter(|object| is_in_group(object, filter));
    let keys: Vec<_> = group.map(Object::key).collect();
    if keys.is_empty() && all().next().is_some() {
        return Err(Error::NothingSelected(filter.describe_group()));
    }
    let chosen = filter
        .daemon_sets
        .iter()
        .map(|name| choose(&keys, name))
        .collect::<Result<Vec<_>, _>>()?;
    let is_chosen = |object: &Object| chosen.is_empty() || chosen.contains(&object.key());
    objects.retain(Kind::DaemonSet, |object| {
        is_in_group(object, filter) && is_chosen(object)
    });
    Ok(())
}

/// Keeps the selected nodes.
///
/// # Errors
/// A chosen node isn't in the input.
pub(crate) fn nodes(objects: &mut Objects, filter: &FilterArgs) -> Result<(), Error> {
    check_nodes(objects, filter)?;
    objects.retain(Kind::Node, |node| is_selected_node(node.name(), filter));
    Ok(())
}

/// Checks that each chosen node is in the input.
///
/// # Errors
/// A chosen node isn't in the input.
pub(crate) fn check_nodes(objects: &Objects, filter: &FilterArgs) -> Result<(), Error> {
    let names: Vec<_> = objects.of_any_version(Kind::Node).map(Object::name).collect();
    let is_missing = |pattern: &&String| !names.iter().any(|name| glob::matches(pattern, name));
    match filter.nodes.iter().find(is_missing) {
        // The command itself reports that there is no node at all.
        Some(pattern) if !names.is_empty() => Err(Error::UnknownNode {
            name: pattern.clone(),
            found: names.into_iter().map(str::to_owned).collect(),
        }),
        _ => Ok(()),
    }
}

/// Whether the flags select a node with this name. Without flags, they select every node.
pub(crate) fn is_selected_node(name: &str, filter: &FilterArgs) -> bool {
    filter.nodes.is_empty() || filter.nodes.iter().any(|pattern| glob::matches(pattern, name))
}

/// Whether the namespace and the labels of a `DaemonSet` are those that the flags select.
fn is_in_group(object: &Object, filter: &FilterArgs) -> bool {
    let labels = object
        .get("metadata")
        .and_then(|metadata| metadata.get("labels"))
        .and_then(Value::as_object);
    let value_of = |key: &str| match labels?.get(key)? {
        Value::String(value) => Some(value.as_str()),
        // The API server reads null as the empty string.
        Value::Null => Some(""),
        _ => None,
    };
    filter
        .namespace
        .as_ref()
        .is_none_or(|wanted| wanted == object.namespace())
        && filter
            .selector
            .as_ref()
            .is_none_or(|selector| selector.matches(value_of))
}

/// Returns the key of the only `DaemonSet` called `requested` (NAME or NAMESPACE/NAME, also with ds/ before it).
fn choose(keys: &[String], requested: &str) -> Result<String, Error> {
    let named = |requested: &str| -> Vec<_> {
        let matches = |key: &&String| {
            let name = key.split_once('/').map_or(key.as_str(), |(_, name)| name);
            key.as_str() == requested || name == requested
        };
        keys.iter().filter(matches).cloned().collect()
    };
    let mut found = named(requested);
    if found.is_empty()
        && let Some((kind, name)) = requested.split_once('/')
        && DAEMON_SET_NAMES.contains(&kind)
    {
        found = named(name);
    }
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [chosen] => Ok(chosen.clone()),
        [] => Err(Error::UnknownDaemonSet {
            name: requested.to_owned(),
            found: keys.to_vec(),
        }),
        _ => Err(Error::Ambiguous {
            name: requested.to_owned(),
            candidates: found,
        }),
    }
}

#[cfg(test)]
mod tests;
