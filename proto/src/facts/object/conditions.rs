//! Deserializes a pod's conditions.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, de};

use super::{Condition, null_as_default};

/// Deserializes the Ready condition, and drops the others without parsing their times.
pub(super) fn ready_only<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Condition>, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct RawCondition<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
        #[serde(borrow)]
        status: Cow<'a, str>,
        #[serde(borrow)]
        last_transition_time: Option<Cow<'a, str>>,
    }

    let conditions: Vec<RawCondition<'de>> = null_as_default(deserializer)?;
    let ready = conditions
        .into_iter()
        .filter(|condition| condition.r#type == "Ready");
    let convert = |condition: RawCondition<'de>| {
        let time = condition.last_transition_time.map(|time| time.parse());
        Ok(Condition {
            r#type: condition.r#type.into_owned(),
            status: condition.status.into_owned(),
            last_transition_time: time.transpose().map_err(de::Error::custom)?,
        })
    };
    ready.map(convert).collect()
}
