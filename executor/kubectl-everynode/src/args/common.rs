//! Flags of this plugin that several commands have.

use clap::{Args, builder::NonEmptyStringValueParser};

/// Flags that select DaemonSets, besides -n and -A.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DaemonSetFilterArgs {
    /// Only this DaemonSet, in the forms of the argument. Can be repeated.
    #[arg(long = "daemon-set", value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), help_heading = "Filters")]
    pub(crate) daemon_sets: Vec<String>,

    /// Only DaemonSets whose own labels (metadata.labels, not those of the pod template) match this selector, as with
    /// `kubectl get daemonsets -l`. kubectl looks them up when the command starts, also with --server.
    #[arg(short = 'l', long, value_name = "SELECTOR", help_heading = "Filters")]
    pub(crate) selector: Option<String>,
}
