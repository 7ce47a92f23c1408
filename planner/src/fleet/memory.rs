//! About how much memory a fleet takes.
//!
//! Whoever tells a session of a cluster decides how large the fleet becomes. These are estimates that follow what grows:
//! the texts of each object, and what is kept for each node, `DaemonSet`, pod, cell and action. Strings that many
//! objects share are counted for each of them.

use super::Fleet;
use crate::{
    decide::cell::PodRecord,
    model::{DaemonSet, Node, PodTemplate, Requirement, Text},
};

/// A shared string beside its text: its header, and its places in the interner and in what holds it.
const TEXT: usize = 48;
/// A node's place, also of one that only pods refer to.
const NODE: usize = 320;
/// A row, also of a `DaemonSet` that only pods refer to.
const ROW: usize = 1024;
/// A pod with its uid, beside its name.
const POD: usize = 256;
/// What tells of the template of pods: two texts of the longest that are taken.
const STAMP: usize = 640;
/// A pair of a `DaemonSet` and a node.
const CELL: usize = 16;
/// An action in flight.
const ACTION: usize = 192;
/// What a cell remembers of the pods that were there.
const MEMORY: usize = 96;
/// A toleration, in the template and in what is made of it.
const TOLERATION: usize = 256;
/// A term or a requirement of a node affinity, likewise.
const REQUIREMENT: usize = 256;
/// A label of a nodeSelector, likewise.
const LABEL: usize = 96;

fn text(text: &Text) -> usize {
    TEXT + text.len()
}

/// About how many bytes a node takes.
pub(super) fn of_node(node: &Node) -> usize {
    let labels = node.labels.iter().map(|(key, value)| text(key) + text(value));
    let taints = node
        .taints
        .iter()
        .map(|taint| text(&taint.key) + text(&taint.value) + text(&taint.effect));
    text(&node.name) + labels.chain(taints).sum::<usize>()
}

/// About how many bytes a `DaemonSet` takes beside its row.
pub(super) fn of_daemon_set(daemon_set: &DaemonSet) -> usize {
    let names = [
        &daemon_set.namespace,
        &daemon_set.name,
        &daemon_set.update_revision,
    ];
    names.into_iter().map(text).sum::<usize>() + of_template(&daemon_set.template)
}

fn of_template(template: &PodTemplate) -> usize {
    let requirement = |requirement: &Requirement| {
        let values = requirement.values.iter().map(text).sum::<usize>();
        REQUIREMENT + text(&requirement.key) + text(&requirement.operator) + values
    };
    let terms = template.required_terms.iter().flatten();
    let terms = terms.map(|term| {
        let requirements = term.expressions.iter().chain(&term.fields);
        REQUIREMENT + requirements.map(requirement).sum::<usize>()
    });
    let selector = template.node_selector.iter();
    let selector = selector.map(|(key, value)| LABEL + text(key) + text(value));
    let tolerations = template.tolerations.iter().map(|toleration| {
        let texts = [
            &toleration.key,
            &toleration.operator,
            &toleration.value,
            &toleration.effect,
        ];
        TOLERATION + texts.into_iter().map(|text| text.len()).sum::<usize>()
    });
    let node_name = template.node_name.as_ref().map_or(0, text);
    node_name + terms.chain(selector).chain(tolerations).sum::<usize>()
}

/// About how many bytes a pod takes.
pub(super) fn of_pod(pod: &PodRecord) -> usize {
    POD + pod.name.len()
}

impl Fleet {
    /// About how many bytes the fleet takes. Cheap enough to be asked after each fact.
    pub fn bytes(&self) -> usize {
        let (nodes, rows) = (self.nodes.capacity(), self.rows.count());
        let counted = [
            (nodes, NODE),
            (rows, ROW),
            (nodes.saturating_mul(rows), CELL),
            (self.stamps.len(), STAMP),
            (self.in_flight.len(), ACTION),
            (self.remembered, MEMORY),
        ];
        let of = |(count, bytes): (usize, usize)| count.saturating_mul(bytes);
        let counted = counted.into_iter().map(of).fold(0, usize::saturating_add);
        self.told_bytes.saturating_add(counted)
    }

    /// Counts what cells remember of pods that were there.
    pub(super) fn count_remembered(&mut self) {
        self.remembered = self.rows.iter_mut().map(|(_, row)| row.remembered()).sum();
    }
}
