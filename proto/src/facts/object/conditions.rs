//! Deserializes the conditions of pods and nodes that are read.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    Condition, NodeCondition,
    fields::{TIME, borrowed_string, list},
};
use crate::facts::words::quoted;

/// Deserializes the Ready condition, and drops the others without parsing their times.
pub(super) fn ready_only<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Condition>, D::Error> {
    let conditions: Vec<IfReady> = list(deserializer)?;
    Ok(conditions
        .into_iter()
        .filter_map(|IfReady(ready)| ready)
        .collect())
}

/// Deserializes the conditions of a node that facts read, and drops the others. The times don't matter.
pub(super) fn of_node<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NodeCondition>, D::Error> {
    let conditions: Vec<IfOfNode> = list(deserializer)?;
    Ok(conditions
        .into_iter()
        .filter_map(|IfOfNode(condition)| condition)
        .collect())
}

/// A condition of a node, or nothing if it isn't read.
#[derive(Default)]
struct IfOfNode(Option<NodeCondition>);

impl<'de> Deserialize<'de> for IfOfNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawCondition::deserialize(deserializer)?;
        let kind = raw.r#type.filter(|kind| NodeCondition::is_read(kind));
        Ok(Self(kind.map(|kind| NodeCondition {
            r#type: kind.into_owned(),
            status: raw.status.unwrap_or_default().into_owned(),
        })))
    }
}

/// A condition, or nothing if its type isn't Ready.
#[derive(Default)]
struct IfReady(Option<Condition>);

impl<'de> Deserialize<'de> for IfReady {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawCondition::deserialize(deserializer)?;
        let Some(kind) = raw.r#type.filter(|kind| kind == "Ready") else {
            return Ok(Self(None));
        };
        let parse = |text: Cow<'_, str>| {
            text.parse::<Timestamp>().map_err(|_| {
                D::Error::custom(format!(
                    "lastTransitionTime must be {TIME}, found {}",
                    quoted(&text)
                ))
            })
        };
        Ok(Self(Some(Condition {
            r#type: kind.into_owned(),
            status: raw.status.unwrap_or_default().into_owned(),
            last_transition_time: raw.last_transition_time.map(parse).transpose()?,
        })))
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawCondition<'a> {
    #[serde(borrow, deserialize_with = "borrowed_string")]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "borrowed_string")]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "borrowed_string")]
    last_transition_time: Option<Cow<'a, str>>,
}
