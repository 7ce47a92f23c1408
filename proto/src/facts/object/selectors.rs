//! Node selectors and label selectors.

use serde::Deserialize;

use super::{
    StringMap,
    fields::{list, null_as_default, string_map},
};

/// A node selector. A node matches when at least one term matches.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelector {
    /// nodeSelectorTerms.
    #[serde(deserialize_with = "list")]
    pub node_selector_terms: Vec<NodeSelectorTerm>,
}

/// A node selector term. All of its requirements must be met.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelectorTerm {
    /// Requirements on labels.
    #[serde(deserialize_with = "list")]
    pub match_expressions: Vec<Requirement>,
    /// Requirements on fields.
    #[serde(deserialize_with = "list")]
    pub match_fields: Vec<Requirement>,
}

/// A requirement of a node selector term or of a label selector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Requirement {
    /// The label's or field's key.
    #[serde(deserialize_with = "null_as_default")]
    pub key: String,
    /// In, `NotIn`, Exists, `DoesNotExist`, Gt or Lt.
    #[serde(deserialize_with = "null_as_default")]
    pub operator: String,
    /// The operator's values.
    #[serde(deserialize_with = "list")]
    pub values: Vec<String>,
}

/// A label selector. All labels and all expressions must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// matchLabels.
    #[serde(deserialize_with = "string_map")]
    pub match_labels: StringMap,
    /// matchExpressions.
    #[serde(deserialize_with = "list")]
    pub match_expressions: Vec<Requirement>,
}

impl LabelSelector {
    /// Whether the selector is `{}`.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }
}
