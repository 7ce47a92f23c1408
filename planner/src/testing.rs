//! Small builders for tests: a `DaemonSet`, nodes and pods that nothing is wrong with, and ways to make them odd.

use std::fmt;

use crate::{
    decide::{self, Sweep, by_age, rolling_update},
    model::{
        Action, Budget, DaemonSet, Decision, Millis, Node, Phase, Pod, PodTemplate, Requirement, Strategy,
        Taint, Term, Text, Toleration, Verdict,
    },
};

/// The time that tests begin at, in seconds: long after pods were created and became ready.
pub(crate) const NOW: i64 = 1_000_000;

pub(crate) fn seconds(seconds: i64) -> Millis {
    Millis(seconds * 1_000)
}

/// The `DaemonSet` default/agent of revision `new`, one node unavailable at a time.
pub(crate) fn daemon_set() -> DaemonSet {
    DaemonSet {
        namespace: "default".into(),
        name: "agent".into(),
        uid: "agent-uid".into(),
        generation: 1,
        selects_everything: false,
        template: PodTemplate::default(),
        strategy: max_unavailable(1),
        min_ready_millis: 0,
        update_revision: "new".into(),
        template_generation: None,
    }
}

pub(crate) fn with_template(template: PodTemplate) -> DaemonSet {
    DaemonSet {
        template,
        ..daemon_set()
    }
}

pub(crate) fn with_strategy(strategy: Strategy) -> DaemonSet {
    DaemonSet {
        strategy,
        ..daemon_set()
    }
}

pub(crate) fn max_unavailable(count: i32) -> Strategy {
    rolling_update(Some(Budget::Count(count)), None)
}

pub(crate) fn max_surge(count: i32) -> Strategy {
    rolling_update(Some(Budget::Count(0)), Some(Budget::Count(count)))
}

/// A node with labels, each `key=value`, and taints, each `key=value:Effect` or `key:Effect`.
pub(crate) fn node(name: &str, labels: &[&str], taints: &[&str]) -> Node {
    let label = |text: &&str| {
        let (key, value) = text.split_once('=').unwrap();
        (key.into(), value.into())
    };
    Node {
        name: name.into(),
        labels: labels.iter().map(label).collect(),
        taints: taints.iter().map(|text| taint(text)).collect(),
    }
}

pub(crate) fn taint(text: &str) -> Taint {
    let (key, effect) = text.rsplit_once(':').unwrap();
    let (key, value) = key.split_once('=').unwrap_or((key, ""));
    Taint {
        key: key.into(),
        value: value.into(),
        effect: effect.into(),
    }
}

pub(crate) fn toleration([key, operator, value, effect]: [&str; 4]) -> Toleration {
    Toleration {
        key: key.into(),
        operator: operator.into(),
        value: value.into(),
        effect: effect.into(),
    }
}

pub(crate) fn requirement(key: &str, operator: &str, values: &[&str]) -> Requirement {
    Requirement {
        key: key.into(),
        operator: operator.into(),
        values: values.iter().copied().map(Text::from).collect(),
    }
}

/// A term over labels.
pub(crate) fn term(expressions: &[Requirement]) -> Term {
    Term {
        expressions: expressions.to_vec(),
        fields: Vec::new(),
    }
}

/// A bound pod of revision `new` that has long been ready. Its uid is its name and `-uid`.
pub(crate) fn pod(name: &str, node: &str) -> Pod {
    Pod {
        uid: format!("{name}-uid").into(),
        name: name.into(),
        node: node.into(),
        bound: true,
        phase: Phase::Active,
        ready_since: Some(seconds(1)),
        created: seconds(0),
        deleting: false,
        revision: "new".into(),
        template_generation: Text::default(),
    }
}

/// Ways for a pod to be another.
pub(crate) trait Tweak: Sized {
    fn old(self) -> Self;
    fn unready(self) -> Self;
    fn failed(self) -> Self;
    fn succeeded(self) -> Self;
    fn deleting(self) -> Self;
    fn unbound(self) -> Self;
    fn created_at(self, at_seconds: i64) -> Self;
    fn ready_since(self, at_seconds: i64) -> Self;
}

impl Tweak for Pod {
    fn old(self) -> Self {
        Self {
            revision: "old".into(),
            ..self
        }
    }

    fn unready(self) -> Self {
        Self {
            ready_since: None,
            ..self
        }
    }

    fn failed(self) -> Self {
        Self {
            phase: Phase::Failed,
            ready_since: None,
            ..self
        }
    }

    fn succeeded(self) -> Self {
        Self {
            phase: Phase::Succeeded,
            ready_since: None,
            ..self
        }
    }

    fn deleting(self) -> Self {
        Self {
            deleting: true,
            ..self
        }
    }

    fn unbound(self) -> Self {
        Self {
            bound: false,
            ready_since: None,
            ..self
        }
    }

    fn created_at(self, at_seconds: i64) -> Self {
        Self {
            created: seconds(at_seconds),
            ..self
        }
    }

    fn ready_since(self, at_seconds: i64) -> Self {
        Self {
            ready_since: Some(seconds(at_seconds)),
            ..self
        }
    }
}

/// A cell that owns what it holds.
#[derive(Debug, Clone)]
pub(crate) struct Square {
    pub(crate) node: Text,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) pods: Vec<Pod>,
    /// Names of pods whose deletion is in flight.
    pub(crate) delete_in_flight: Vec<&'static str>,
    pub(crate) creating: bool,
    /// When the youngest pod known was created, in seconds, and its uid.
    pub(crate) last: Option<(i64, Text)>,
    pub(crate) failed_until: Option<Millis>,
}

/// A node that should run a pod, with the pods that it has.
pub(crate) fn run(node: &str, pods: impl IntoIterator<Item = Pod>) -> Square {
    Square {
        node: node.into(),
        verdict: Some(Verdict::Run),
        pods: pods.into_iter().collect(),
        delete_in_flight: Vec::new(),
        creating: false,
        last: None,
        failed_until: None,
    }
}

/// A node that keeps what it has.
pub(crate) fn keep(node: &str, pods: impl IntoIterator<Item = Pod>) -> Square {
    Square {
        verdict: Some(Verdict::Keep),
        ..run(node, pods)
    }
}

/// A node that should run no pod.
pub(crate) fn exclude(node: &str, pods: impl IntoIterator<Item = Pod>) -> Square {
    Square {
        verdict: Some(Verdict::Exclude),
        ..run(node, pods)
    }
}

/// A node that isn't in the cluster.
pub(crate) fn gone(node: &str, pods: impl IntoIterator<Item = Pod>) -> Square {
    Square {
        verdict: None,
        ..run(node, pods)
    }
}

/// Decides for a `DaemonSet` at a time in seconds.
pub(crate) fn decide(daemon_set: &DaemonSet, at_seconds: i64, squares: &[Square]) -> Decision {
    let mut sweep = Sweep::new(daemon_set, seconds(at_seconds));
    for square in squares {
        let mut pods: Vec<_> = square
            .pods
            .iter()
            .map(|pod| decide::CellPod {
                pod,
                delete_in_flight: square.delete_in_flight.contains(&pod.name.as_ref()),
            })
            .collect();
        pods.sort_by(|a, b| by_age(a.pod, b.pod));
        sweep.visit(&decide::Cell {
            node: &square.node,
            verdict: square.verdict,
            pods: &pods,
            creating: square.creating,
            last: square.last.as_ref().map(|(at, uid)| (seconds(*at), uid)),
            failed_until: square.failed_until,
        });
    }
    sweep.finish()
}

/// An action in short: `create NODE` or `delete POD: Reason`.
pub(crate) fn brief(action: &Action) -> String {
    match action {
        Action::Create { node, .. } => format!("create {node}"),
        Action::Delete { pod, reason, .. } => format!("delete {pod}: {reason:?}"),
    }
}

/// Holds a decision's actions against a list of them in short.
#[track_caller]
pub(crate) fn check(daemon_set: &DaemonSet, squares: &[Square], expected: &[&str], what: impl fmt::Display) {
    let decision = decide(daemon_set, NOW, squares);
    let actions: Vec<_> = decision.actions.iter().map(brief).collect();
    assert_eq!(actions, expected, "{what}");
}
