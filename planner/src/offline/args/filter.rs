//! The flags that select `DaemonSet`s and nodes from the input.

use clap::{
    Args,
    builder::{NonEmptyStringValueParser, TypedValueParser},
};

use crate::offline::selector::Selector;

/// The flags that select DaemonSets and nodes.
#[derive(Debug, Clone, Default, Args)]
pub struct FilterArgs {
    /// Only DaemonSets in this namespace. A DaemonSet without a namespace counts as one in the namespace default.
    #[arg(short, long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), help_heading = "Filters")]
    pub namespace: Option<String>,

    /// DaemonSets of all namespaces, which is the default.
    #[arg(short = 'A', long, conflicts_with = "namespace", help_heading = "Filters")]
    pub all_namespaces: bool,

    /// Only this DaemonSet, as NAME or NAMESPACE/NAME. Can be repeated. A name without a namespace must be unique among
    /// the DaemonSets of the input, or of the namespace that --namespace sets.
    #[arg(long = "daemon-set", value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), help_heading = "Filters")]
    pub daemon_sets: Vec<String>,

    /// Only this node. A * stands for any text, as in 'ip-10-0-1-*'. Can be repeated.
    #[arg(long = "node", value_name = "NAME", value_parser = node_name(), help_heading = "Filters")]
    pub nodes: Vec<String>,

    /// Only DaemonSets whose own labels (metadata.labels, not those of the pod template) match this selector, as with
    /// `kubectl get daemonsets -l`. Supports =, ==, !=, in, notin, KEY, !KEY, > and <, such as
    /// 'app=agent,tier notin (test,dev)'.
    #[arg(short = 'l', long, value_name = "SELECTOR", help_heading = "Filters")]
    pub selector: Option<Selector>,
}

/// Accepts node/NAME as kubectl does. The name of a node has no slash.
fn node_name() -> impl TypedValueParser<Value = String> {
    NonEmptyStringValueParser::new().map(|name| match name.split_once('/') {
        Some(("node" | "nodes" | "no", name)) => name.to_owned(),
        _ => name,
    })
}

impl FilterArgs {
    /// The flags that select `DaemonSet`s by their namespace and labels, as on the command line.
    pub(crate) fn describe_group(&self) -> String {
        let namespace = self.namespace.as_ref().map(|name| format!("--namespace {name}"));
        let selector = self
            .selector
            .as_ref()
            .map(|selector| format!("--selector {selector}"));
        let flags: Vec<_> = namespace.into_iter().chain(selector).collect();
        flags.join(" ")
    }
}
