//! Estimates how much memory a fleet takes.
//!
//! The facts that an executor sends decide how large the fleet becomes. The estimates follow what grows: the texts of
//! each object, and the data kept for each node, `DaemonSet`, pod, cell and action. A string that several objects share
//! is counted for each of them.

use super::Fleet;
use crate::{
    decide::cell::PodRecord,
    model::{DaemonSet, Node, PodTemplate, Requirement, Text},
};

/// Bytes of a shared string in addition to its text: its header, its slot in the interner, and the reference in its
/// holder.
const TEXT: usize = 48;
/// Bytes of a node's slot, which also exists for a node that only pods refer to.
const NODE: usize = 320;
/// Bytes of a row, which also exists for a `DaemonSet` that only pods refer to.
const ROW: usize = 1024;
/// Bytes of a pod with its uid, without its name.
const POD: usize = 256;
/// Bytes of a stamp, which identifies the template of pods: two texts of the maximum length.
const STAMP: usize = 640;
/// Bytes of a cell: a pair of a `DaemonSet` and a node.
const CELL: usize = 16;
/// Bytes of an action in flight.
const ACTION: usize = 192;
/// Bytes of an entry that a cell keeps about a pod that is gone or that waits for minReadySeconds.
const MEMORY: usize = 96;
/// Bytes of a toleration, in the template and in its parsed form.
const TOLERATION: usize = 256;
/// Bytes of a term or a requirement of a node affinity, in the template and in its parsed form.
const REQUIREMENT: usize = 256;
/// Bytes of a label of a nodeSelector, in the template and in its parsed form.
const LABEL: usize = 96;

fn text(text: &Text) -> usize {
    TEXT + text.len()
}

/// Estimates the bytes that a node takes.
pub(super) fn of_node(node: &Node) -> usize {
    let labels = node.labels.iter().map(|(key, value)| text(key) + text(value));
    let taints = node
        .taints
        .iter()
        .map(|taint| text(&taint.key) + text(&taint.value) + text(&taint.effect));
    text(&node.name) + labels.chain(taints).sum::<usize>()
}

/// Estimates the bytes that a `DaemonSet` takes, without its row.
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

/// Estimates the bytes that a pod takes.
pub(super) fn of_pod(pod: &PodRecord) -> usize {
    POD + pod.name.len()
}

impl Fleet {
    /// Estimates the bytes that the fleet takes. Cheap enough to call after each fact.
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

    /// Counts the entries that cells keep about pods that are gone or that wait for minReadySeconds.
    pub(super) fn count_remembered(&mut self) {
        self.remembered = self.rows.iter_mut().map(|(_, row)| row.remembered()).sum();
    }
}
