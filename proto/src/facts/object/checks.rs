//! The parts of a `DaemonSet` that show whether the API server would accept it.
//!
//! Verdicts don't depend on these parts, so a `DaemonSet` gets verdicts even if they can't be read.

use serde::{Deserialize, de::IgnoredAny};

use super::{
    LabelSelector, StringMap, UpdateStrategy,
    fields::{list, null_as_default, string_map},
};

/// The checked parts of a `DaemonSet`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CheckedDaemonSet {
    /// spec.
    #[serde(deserialize_with = "null_as_default")]
    pub spec: CheckedSpec,
}

/// The checked parts of a `DaemonSet`'s spec.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckedSpec {
    /// spec.selector. `None` if it is missing, which messages distinguish from an empty selector.
    pub selector: Option<LabelSelector>,
    /// spec.template.
    #[serde(deserialize_with = "null_as_default")]
    pub template: CheckedTemplate,
    /// spec.updateStrategy.
    #[serde(deserialize_with = "null_as_default")]
    pub update_strategy: UpdateStrategy,
    /// spec.revisionHistoryLimit.
    pub revision_history_limit: Option<i32>,
}

/// The checked parts of a pod template.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CheckedTemplate {
    /// template.metadata.
    #[serde(deserialize_with = "null_as_default")]
    pub metadata: CheckedMeta,
    /// template.spec.
    #[serde(deserialize_with = "null_as_default")]
    pub spec: CheckedPodSpec,
}

/// The checked parts of a template's metadata.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CheckedMeta {
    /// metadata.labels.
    #[serde(deserialize_with = "string_map")]
    pub labels: StringMap,
}

/// The checked parts of a template's spec.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckedPodSpec {
    /// spec.containers. Only their number is checked.
    #[serde(deserialize_with = "list")]
    pub containers: Vec<IgnoredAny>,
    /// spec.tolerations.
    #[serde(deserialize_with = "list")]
    pub tolerations: Vec<CheckedToleration>,
    /// spec.restartPolicy.
    #[serde(deserialize_with = "null_as_default")]
    pub restart_policy: String,
    /// spec.activeDeadlineSeconds.
    pub active_deadline_seconds: Option<IgnoredAny>,
    /// spec.runtimeClassName.
    #[serde(deserialize_with = "null_as_default")]
    pub runtime_class_name: String,
}

/// The checked parts of a toleration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckedToleration {
    /// effect.
    #[serde(deserialize_with = "null_as_default")]
    pub effect: String,
    /// tolerationSeconds.
    pub toleration_seconds: Option<i64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nulls_mean_what_they_mean_to_the_api_server() {
        let template = json!({
            "metadata": {"labels": {"a": null, "b": "1"}},
            "spec": {"tolerations": [null, {"tolerationSeconds": null, "effect": null}]},
        });
        let object = json!({"spec": {"selector": null, "template": template}});
        let checked: CheckedDaemonSet = serde_json::from_value(object).unwrap();
        assert_eq!(checked.spec.selector, None);
        let template = checked.spec.template;
        let labels: Vec<_> = template.metadata.labels.iter().collect();
        assert_eq!(
            labels,
            [
                (&"a".to_owned(), &String::new()),
                (&"b".to_owned(), &"1".to_owned())
            ]
        );
        let tolerations = &template.spec.tolerations;
        assert_eq!(tolerations.len(), 2);
        assert!(
            tolerations
                .iter()
                .all(|toleration| toleration.toleration_seconds.is_none())
        );
        let empty: CheckedDaemonSet = serde_json::from_value(json!({"spec": null})).unwrap();
        assert_eq!(empty.spec.selector, None);
    }
}
