//! Builders for tests: a healthy `DaemonSet`, healthy nodes and pods, and variants of them.

use std::fmt;

use crate::{
    decide::{
        self, Rules,
        availability::Availability,
        cell::{Cell, CellIndex, Cells, PodRecord, by_age},
        ledger::{Ledger, Recomputed},
        rolling_update,
    },
    model::{
        Action, Budget, DaemonSet, Labels, Millis, Node, Phase, Pod, PodTemplate, Requirement, Resources,
        Status, Strategy, Taint, TemplateId, Term, Text, Toleration, Uid, Verdict,
    },
};

/// The time at which tests begin, in seconds. It is long after pods were created and became ready.
pub(crate) const NOW: i64 = 1_000_000;

pub(crate) fn seconds(seconds: i64) -> Millis {
    Millis(seconds * 1_000)
}

/// The `DaemonSet` default/agent of revision `new`, which may have one unavailable node at a time.
pub(crate) fn daemon_set() -> DaemonSet {
    DaemonSet {
        namespace: "default".into(),
        name: "agent".into(),
        uid: "agent-uid".into(),
        generation: 1,
        selects_everything: false,
        lacks_selector: false,
        deleting: false,
        template: PodTemplate::default(),
        strategy: max_unavailable(1),
        on_delete_max_unavailable: None,
        min_ready_millis: 0,
        update_revision: "new".into(),
        template_generation: None,
        equal_revisions: Vec::new(),
        labels: Labels::default(),
        revisions: Vec::new(),
        managed_by: Text::default(),
        is_rollout_held: false,
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

/// A node with labels and taints. A label is `key=value`; a taint is `key=value:Effect` or `key:Effect`.
pub(crate) fn node(name: &str, labels: &[&str], taints: &[&str]) -> Node {
    let label = |text: &&str| {
        let (key, value) = text.split_once('=').unwrap();
        (key.into(), value.into())
    };
    Node {
        name: name.into(),
        labels: labels.iter().map(label).collect(),
        taints: taints.iter().map(|text| taint(text)).collect(),
        created: seconds(0),
        is_ready: Some(true),
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

/// Parses amounts such as `cpu=100m memory=1Gi`.
pub(crate) fn resources(text: &str) -> Resources {
    let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    pairs
        .map(|(name, amount)| (name.into(), amount.parse().unwrap()))
        .collect()
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

/// A bound pod of revision `new` that has been ready for a long time. Its uid is its name followed by `-uid`.
pub(crate) fn pod(name: &str, node: &str) -> Pod {
    Pod {
        uid: format!("{name}-uid").into(),
        name: name.into(),
        node: node.into(),
        bound: true,
        phase: Phase::Active,
        ready_since: Some(seconds(1)),
        unready_since: None,
        created: seconds(0),
        deleting: false,
        revision: "new".into(),
        template_generation: Text::default(),
    }
}

/// Makes variants of a pod.
pub(crate) trait PodVariants: Sized {
    fn old(self) -> Self;
    fn unready(self) -> Self;
    fn failed(self) -> Self;
    fn succeeded(self) -> Self;
    fn deleting(self) -> Self;
    fn unbound(self) -> Self;
    fn created_at(self, at_seconds: i64) -> Self;
    fn ready_since(self, at_seconds: i64) -> Self;
}

impl PodVariants for Pod {
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

/// A cell that owns its contents.
#[derive(Debug, Clone)]
pub(crate) struct TestCell {
    pub(crate) node: Text,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) pods: Vec<Pod>,
    /// Names of pods whose deletion is in flight.
    pub(crate) delete_in_flight: Vec<&'static str>,
    pub(crate) create_in_flight: bool,
    /// The creation time in seconds and the uid of the youngest known pod that was there and is gone.
    pub(crate) youngest_gone: Option<(i64, Text)>,
    pub(crate) backoff_until: Option<Millis>,
}

/// A node that should run a pod, with its current pods.
pub(crate) fn run(node: &str, pods: impl IntoIterator<Item = Pod>) -> TestCell {
    TestCell {
        node: node.into(),
        verdict: Some(Verdict::Run),
        pods: pods.into_iter().collect(),
        delete_in_flight: Vec::new(),
        create_in_flight: false,
        youngest_gone: None,
        backoff_until: None,
    }
}

/// A node that keeps its pods but gets no new one.
pub(crate) fn keep(node: &str, pods: impl IntoIterator<Item = Pod>) -> TestCell {
    TestCell {
        verdict: Some(Verdict::Keep),
        ..run(node, pods)
    }
}

/// A node that should run no pod.
pub(crate) fn exclude(node: &str, pods: impl IntoIterator<Item = Pod>) -> TestCell {
    TestCell {
        verdict: Some(Verdict::Exclude),
        ..run(node, pods)
    }
}

/// A node that isn't in the cluster.
pub(crate) fn gone(node: &str, pods: impl IntoIterator<Item = Pod>) -> TestCell {
    TestCell {
        verdict: None,
        ..run(node, pods)
    }
}

/// A pod as a cell stores it.
pub(crate) fn record(pod: &Pod) -> PodRecord {
    let template_id = TemplateId {
        revision: pod.revision.clone(),
        template_generation: pod.template_generation.clone(),
    };
    PodRecord::new(pod.clone(), Uid::new(&pod.uid), template_id.into(), false)
}

/// Gives decisions access to test cells, in the order of the slice.
struct TestCells<'s> {
    order: Vec<CellIndex>,
    cells: &'s [TestCell],
    pods: Vec<Vec<PodRecord>>,
    youngest_gone: Vec<Option<(Millis, Uid)>>,
}

impl<'s> TestCells<'s> {
    fn new(cells: &'s [TestCell]) -> Self {
        let pods = cells.iter().map(|cell| {
            let mut pods: Vec<_> = cell.pods.iter().map(record).collect();
            for pod in &mut pods {
                pod.delete_in_flight = cell.delete_in_flight.contains(&pod.name.as_ref());
            }
            pods.sort_by(by_age);
            pods
        });
        let youngest_gone = cells.iter().map(|cell| cell.youngest_gone.as_ref());
        Self {
            order: (0..u32::try_from(cells.len()).unwrap()).collect(),
            cells,
            pods: pods.collect(),
            youngest_gone: youngest_gone
                .map(|last| last.map(|(at, uid)| (seconds(*at), Uid::new(uid))))
                .collect(),
        }
    }
}

impl Cells for TestCells<'_> {
    fn capacity(&self) -> usize {
        self.cells.len()
    }

    fn in_order(&self) -> &[CellIndex] {
        &self.order
    }

    fn cell<'c, 'a>(&'a self, index: CellIndex, pods: &'c mut Vec<&'a PodRecord>) -> Option<Cell<'c, 'a>> {
        let index = index as usize;
        let cell = self.cells.get(index)?;
        pods.clear();
        pods.extend(&self.pods[index]);
        Some(Cell {
            node: &cell.node,
            verdict: cell.verdict,
            pods,
            create_in_flight: cell.create_in_flight,
            youngest_gone: self.youngest_gone[index].as_ref(),
            backoff_until: cell.backoff_until,
            rollout: None,
        })
    }
}

/// The result of a decision.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Decision {
    pub(crate) actions: Vec<Action>,
    pub(crate) status: Option<Status>,
    pub(crate) reconsider_at: Option<Millis>,
}

/// Decides for a `DaemonSet`. The time is in seconds.
pub(crate) fn decide(daemon_set: &DaemonSet, at_seconds: i64, cells: &[TestCell]) -> Decision {
    let rules = Rules::new(daemon_set, seconds(at_seconds));
    let decision = decide::decide(&rules, &mut Ledger::default(), None, &TestCells::new(cells));
    Decision {
        actions: decision.actions.into_iter().map(|(_, action)| action).collect(),
        status: decision.status,
        reconsider_at: decision.reconsider_at,
    }
}

/// Updates the pods that wait for minReadySeconds from some of the cells, or from all of them. Returns the changes, as
/// the pods' uids with the times at which they become available. Times are in seconds.
pub(crate) fn availability(
    kept: &mut Availability,
    daemon_set: &DaemonSet,
    at_seconds: i64,
    cells: &[TestCell],
    touched: Option<&[CellIndex]>,
) -> Vec<(String, Option<i64>)> {
    let rules = Rules::new(daemon_set, seconds(at_seconds));
    let recomputed = touched.map_or(Recomputed::All, |touched| Recomputed::Some(touched.to_vec()));
    let changes = kept
        .update(&rules, &TestCells::new(cells), recomputed)
        .into_iter();
    changes
        .map(|change| {
            let at = change.available_at.map(|Millis(millis)| millis / 1_000);
            (change.pod.text().to_string(), at)
        })
        .collect()
}

/// Formats an action in short: `create NODE` or `delete POD: Reason`.
pub(crate) fn brief(action: &Action) -> String {
    match action {
        Action::Create { node, .. } => format!("create {node}"),
        Action::Delete { pod, reason, .. } => format!("delete {pod}: {reason:?}"),
    }
}

/// Asserts that a decision has the expected actions, in the form of [`brief`].
#[track_caller]
pub(crate) fn check(daemon_set: &DaemonSet, cells: &[TestCell], expected: &[&str], what: impl fmt::Display) {
    let decision = decide(daemon_set, NOW, cells);
    let actions: Vec<_> = decision.actions.iter().map(brief).collect();
    assert_eq!(actions, expected, "{what}");
}
