//! Deserialization of a pod's conditions.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, de};

use super::{Condition, nullable};

/// Deserializes only Ready conditions and skips the others without storing their texts and times.
pub(super) fn ready_only<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Condition>, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Seen<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
        #[serde(borrow)]
        status: Cow<'a, str>,
        #[serde(borrow)]
        last_transition_time: Option<Cow<'a, str>>,
    }

    let seen: Vec<Seen<'de>> = nullable(deserializer)?;
    let ready = seen.into_iter().filter(|seen| seen.r#type == "Ready");
    let condition = |seen: Seen<'de>| {
        let time = seen.last_transition_time.map(|time| time.parse());
        Ok(Condition {
            r#type: seen.r#type.into_owned(),
            status: seen.status.into_owned(),
            last_transition_time: time.transpose().map_err(de::Error::custom)?,
        })
    };
    ready.map(condition).collect()
}
