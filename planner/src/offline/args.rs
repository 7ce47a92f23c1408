//! The flags of the offline commands.

#![expect(clippy::doc_markdown, reason = "the comments are what --help prints")]

pub mod filter;
pub mod rollout;

use clap::Args;
use everynode_serving::program::answer::{ExplainViewArgs, ResultArgs, SortArgs, VerdictArgs};
use jiff::Timestamp;

use self::filter::FilterArgs;
use crate::decide::labels;

/// The flags for input and output.
#[derive(Debug, Clone, Args)]
pub struct InputOutputArgs {
    /// File or folder with Kubernetes objects in JSON or YAML, or - for standard input. Can be repeated.
    ///
    /// A file can contain several documents, lists, and lists of lists, in any order. In a folder, the command reads the
    /// files *.json, *.yaml and *.yml. If the input has an object twice, the last one counts. Objects that the command
    /// doesn't use are ignored. Notes on standard error say so. JSON is read many times faster than YAML.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true, value_parser = file_name)]
    pub files: Vec<String>,

    /// Read the subfolders of each folder too.
    #[arg(short = 'R', long)]
    pub recursive: bool,

    /// The flags for the answer and the exit code.
    #[command(flatten)]
    pub result: ResultArgs,
}

/// Refuses names that can't be those of files, with a hint.
fn file_name(name: &str) -> Result<String, String> {
    let is_url = ["http://", "https://"].iter().any(|scheme| {
        name.get(..scheme.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    });
    if is_url {
        return Err(format!(
            "URLs aren't read; pipe the output of `curl -fsSL {name}` to this command, and use -f - to read it"
        ));
    }
    if name.is_empty() {
        return Err("must not be empty; use -f - to read standard input".to_owned());
    }
    Ok(name.to_owned())
}

/// Refuses texts that can't be the key of a label.
fn label_key(key: &str) -> Result<String, String> {
    if let Some((key, _)) = key.split_once('=') {
        return Err(format!(
            "must be only the key of the label, without its value: {key}"
        ));
    }
    labels::invalid_key(key).map_or_else(|| Ok(key.to_owned()), Err)
}

/// Refuses texts that can't be the value of the label controller-revision-hash.
fn revision(hash: &str) -> Result<String, String> {
    if hash.is_empty() {
        return Err("must not be empty".to_owned());
    }
    labels::invalid_value(hash).map_or_else(|| Ok(hash.to_owned()), Err)
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "must be a time such as 2026-01-31T12:00:00Z".to_owned())
}

/// Flags of `explain`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXPLAIN_HELP)]
pub struct ExplainArgs {
    /// The flags for input and output.
    #[command(flatten)]
    pub io: InputOutputArgs,

    /// The flags that select DaemonSets and nodes.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// The flags that select what is printed.
    #[command(flatten)]
    pub view: ExplainViewArgs,
}

const EXPLAIN_HELP: &str = "\
Verdicts:
  RUN       a pod should run on the node
  KEEP      no pod is created on the node; an existing one stays
  EXCLUDE   no pod is created on the node; an existing one is deleted

The table lists up to 20 pairs of DaemonSet and node with a line for each reason, and a summary of several nodes \
below. It groups more pairs by condition, and shows nodes that are alike and DaemonSets that are alike in one line. \
Nodes are alike if every DaemonSet has the same verdict on them for the same reasons. --all lists every pair.

JSON, YAML and CSV contain every pair that --verdict selects, or with --summary only the summary. The exit code always \
covers every pair.

A RuntimeClass in the input changes no verdict. If it keeps a pod pending on a node, the reasons say so, and the pair \
doesn't count as running.

With a DaemonSetRolloutPolicy or a ClusterDaemonSetRolloutPolicy in the input, the reasons also say in which stage of the \
rollout each node is, and why it isn't its turn. The input must then hold every node of the cluster. A DaemonSetRollout, \
pods and ControllerRevisions in the input say how far the rollout is. Without a DaemonSetRollout, the answer is about a \
rollout that has just begun.

Examples:
  # Why does worker-3 have no pod of agent?
  kubectl get ds agent -o json > ds.json
  kubectl get node worker-3 -o json \\
    | everynode-planner explain -f ds.json -f -

  # On which nodes would this DaemonSet run, before it is created?
  kubectl get nodes -o json | everynode-planner explain -f ds.yaml -f -

  # Which nodes will be in which stage of a rollout?
  kubectl get nodes -o json | everynode-planner explain -f ds.yaml -f policy.yaml --all -f -

  # Which nodes do the DaemonSets in a folder of manifests not run on?
  kubectl get nodes -o json \\
    | everynode-planner explain -R -f manifests/ -f - --verdict keep --verdict exclude

  # All DaemonSets of kube-system on the nodes of one pool, as a spreadsheet
  kubectl get ds,nodes -A -o json \\
    | everynode-planner explain -n kube-system --node 'pool-a-*' -o csv -f -

Exit codes:
  0   success: every pair runs
  1   differences found: a pair doesn't run or stays pending, or an object has a problem (on stderr)
  2   with --detailed-exit-code: an object has a problem; the answer is complete
  3   with --detailed-exit-code: an object can't be read; the answer lacks it
  64  usage: a flag is invalid
  65  the input is unreadable or invalid, or a name isn't unique in it
  66  a file, a DaemonSet or a node doesn't exist
  70  internal error";

/// Flags of `plan`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = PLAN_HELP)]
pub struct PlanArgs {
    /// The flags for input and output.
    #[command(flatten)]
    pub io: InputOutputArgs,

    /// The flags that select DaemonSets and nodes.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// Value of the label controller-revision-hash for the current template. A pod with another value is old.
    ///
    /// Without this flag, the ControllerRevisions in the input tell the current revision: it is the newest one of the
    /// DaemonSet that contains its template. If none contains it, the template is new and every pod is old. If the input
    /// has no ControllerRevisions of the DaemonSet, its annotation deprecated.daemonset.template.generation tells which
    /// pods are old. Without the annotation, every pod is current.
    #[arg(long, value_name = "HASH", value_parser = revision)]
    pub update_revision: Option<String>,

    /// Time to plan for, in RFC 3339, such as 2026-01-31T12:00:00Z; by default the latest time in the objects.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub now: Option<Timestamp>,

    /// The flag that selects verdicts.
    #[command(flatten)]
    pub verdict: VerdictArgs,
}

const PLAN_HELP: &str = "\
Shows which pods of a DaemonSet would be created and deleted now, what its status would be, and when to plan again. \
The command changes nothing.

The pods of a DaemonSet are those whose controller reference names it. If the DaemonSet has no uid, as in a manifest, \
the uid in the reference doesn't matter, and a note gives the number of these pods. The plan adopts pods without a \
controller that the selector matches, and releases pods that it no longer matches. Pods with another owner are ignored.

ControllerRevisions in the input tell the current revision, unless --update-revision sets it. Without them, a changed \
template may not be recognized.

If the input has several DaemonSets, each is planned by itself, and the plans are printed one after another. DaemonSets \
with nothing to do share a table at the end. JSON is then a stream of documents, and YAML has several documents; CSV has \
one header line and a line for each action.

--node and --verdict select the actions and the verdicts that are printed, and the exit code covers only these. The \
status and the summary still cover all nodes.

Examples:
  # Which pods of agent would be created and deleted now?
  kubectl get ds agent -o json > ds.json
  kubectl get nodes,pods,controllerrevisions -A -o json \\
    | everynode-planner plan -f ds.json -f -

  # What would happen if this manifest were applied?
  kubectl get nodes,pods,controllerrevisions -A -o json \\
    | everynode-planner plan -f ds.yaml -f -

  # From all objects of the cluster
  kubectl get ds,nodes,pods,controllerrevisions -A -o json \\
    | everynode-planner plan --daemon-set kube-system/agent -f -

Exit codes:
  0   success: there is nothing to do
  1   differences found: there is something to do, or an object has a problem (on stderr)
  2   with --detailed-exit-code: an object has a problem; the answer is complete
  3   with --detailed-exit-code: an object can't be read; the answer lacks it
  64  usage: a flag is invalid
  65  the input is unreadable or invalid, or a name isn't unique in it
  66  a file, a DaemonSet or a node doesn't exist
  70  internal error";

/// Flags of `simulate`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = SIMULATE_HELP)]
pub struct SimulateArgs {
    /// The flags for input and output.
    #[command(flatten)]
    pub io: InputOutputArgs,

    /// The flags that select DaemonSets and nodes.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// Key of a label whose value isn't known yet, such as topology.kubernetes.io/zone. Can be repeated. The values
    /// in the Nodes of the input are ignored.
    #[arg(long = "unknown-label", value_name = "KEY", value_parser = label_key)]
    pub unknown_labels: Vec<String>,

    /// Keep the taints of conditions, startup and removal, and the host name, of Nodes of a cluster. By default, they
    /// are set aside.
    #[arg(long)]
    pub keep_transient: bool,

    /// The flag for the order of nodes.
    #[command(flatten)]
    pub sort: SortArgs,
}

const SIMULATE_HELP: &str = "\
Each Node in the input is a template for a node, which doesn't have to exist. Its labels and taints decide which pods \
run there, and its status.allocatable (or status.capacity) how much is left. A RuntimeClass in the input adds its \
overhead to the pods that name it. Where it keeps them pending, they aren't counted.

A single template has a line for each DaemonSet, with exact amounts, and below them their sum, also in percent of the \
capacity. Several templates share a table with a line for \
each kind of node, with rounded amounts: CPU in millicores, memory with up to three digits, and the requested share of \
the capacity in percent. A few different templates have their own tables as well, and -o wide shows the table of each. \
JSON has exact amounts, and CSV has cores and bytes.

If a Node comes from a cluster (it has a uid, for example), taints that a new node of the same kind doesn't have are set \
aside, such as node.kubernetes.io/not-ready and node.cilium.io/agent-not-ready, and so is the value of the label \
kubernetes.io/hostname. A note names them.

If the input has pods of a DaemonSet, the resources of its newest pod count instead of those in its template, because \
LimitRanges, webhooks and the VerticalPodAutoscaler change the next pod in the same way. A note names the DaemonSets. \
If requests in a manifest are new, add the ControllerRevisions, so that the old pods don't count.

Examples:
  # What do DaemonSets request on a node like worker-3, in a zone that isn't known yet?
  kubectl get ds,runtimeclasses -A -o json > cluster.json
  kubectl get node worker-3 -o json \\
    | everynode-planner simulate -f cluster.json -f - \\
        --unknown-label topology.kubernetes.io/zone

  # How much of each node do the DaemonSets of a cluster request, largest share of memory first?
  kubectl get ds,pods,nodes,runtimeclasses -A -o json \\
    | everynode-planner simulate --sort memory -f -

  # What would they request on a kind of node that doesn't exist yet?
  everynode-planner simulate -f cluster.json -f - <<END
  kind: Node
  metadata: {name: gpu-large, labels: {accelerator: nvidia}}
  spec: {taints: [{key: nvidia.com/gpu, effect: NoSchedule}]}
  status: {allocatable: {cpu: 7910m, memory: 28Gi, pods: 58}}
  END

Exit codes:
  0   success: everything fits, can be bound, and is decided
  1   differences found: something doesn't fit, stays pending, is undecided, or has a problem (on stderr)
  2   with --detailed-exit-code: an object has a problem; the answer is complete
  3   with --detailed-exit-code: an object can't be read; the answer lacks it
  64  usage: a flag is invalid
  65  the input is unreadable or invalid, or a name isn't unique in it
  66  a file, a DaemonSet or a node doesn't exist
  70  internal error";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_can_match_nothing_are_refused() {
        assert_eq!(
            label_key("zone=a").unwrap_err(),
            "must be only the key of the label, without its value: zone"
        );
        for key in ["", "a/b/c", "a b"] {
            assert!(label_key(key).is_err(), "{key}");
        }
        assert_eq!(
            label_key("topology.kubernetes.io/zone").as_deref(),
            Ok("topology.kubernetes.io/zone")
        );
        for hash in ["", "a b"] {
            assert!(revision(hash).is_err(), "{hash}");
        }
        assert_eq!(revision("7f9c").as_deref(), Ok("7f9c"));
        assert_eq!(
            time("yesterday").unwrap_err(),
            "must be a time such as 2026-01-31T12:00:00Z"
        );
        assert!(time("2026-01-31T12:00:00Z").is_ok());
    }

    #[test]
    fn empty_names_and_urls_are_refused_with_a_hint() {
        assert_eq!(
            file_name("").unwrap_err(),
            "must not be empty; use -f - to read standard input"
        );
        for url in ["https://example.com/ds.yaml", "HTTP://example.com"] {
            let message = file_name(url).unwrap_err();
            assert!(message.contains("curl"), "{message}");
        }
        for file in ["-", "a.yaml", "https:/a", "żółw.yaml"] {
            assert_eq!(file_name(file).as_deref(), Ok(file));
        }
    }
}
