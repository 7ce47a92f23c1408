//! Estimates how much memory a fleet takes.
//!
//! The facts that an executor sends determine the fleet's size. The estimates cover what grows with them: the texts of
//! each object, and the data kept for each node, `DaemonSet`, pod, cell and action. A string that several objects share
//! is counted for each of them.

use super::{Fleet, row::Row};
use crate::{
    decide::cell::PodRecord,
    model::{DaemonSet, Labels, Node, PodTemplate, Requirement, Text},
};

/// Bytes of a shared string in addition to its text: its header, its slot in the interner, and the reference to it.
const TEXT_BYTES: usize = 48;
/// Bytes of a node's slot, which also exists for a node that only pods refer to.
const NODE_BYTES: usize = 320;
/// Bytes of a row, which also exists for a `DaemonSet` that only pods refer to.
const ROW_BYTES: usize = 1024;
/// Bytes of a pod with its uid, without its name.
const POD_BYTES: usize = 256;
/// Bytes of the id of a template: two texts of the maximum length.
const TEMPLATE_ID_BYTES: usize = 640;
/// Bytes of a cell: a pair of a `DaemonSet` and a node.
const CELL_BYTES: usize = 16;
/// Bytes of a cell of a rollout that is under way, in addition: what the rollout keeps of it, and its group.
const ROLLOUT_CELL_BYTES: usize = 32;
/// Bytes of a policy, with 16 stages.
pub(super) const POLICY_BYTES: usize = 16 * 1024;
/// Bytes of what is remembered of a rollout, without the names of nodes.
pub(super) const MEMORY_BYTES: usize = 4 * 1024;
/// Bytes of an action in flight.
const ACTION_BYTES: usize = 192;
/// Bytes of an entry that a cell keeps about a pod that is gone or that waits for minReadySeconds.
const HISTORY_ENTRY_BYTES: usize = 96;
/// Bytes of a toleration, in the template and in its parsed form.
const TOLERATION_BYTES: usize = 256;
/// Bytes of a term or a requirement of a node affinity, in the template and in its parsed form.
const REQUIREMENT_BYTES: usize = 256;
/// Bytes of a label of a nodeSelector, in the template and in its parsed form.
const LABEL_BYTES: usize = 96;

fn text(text: &Text) -> usize {
    TEXT_BYTES + text.len()
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
    let names = names.into_iter().chain(&daemon_set.equal_revisions);
    let labels = daemon_set.labels.iter();
    let labels = labels.map(|(key, value)| LABEL_BYTES + text(key) + text(value));
    let revisions = daemon_set.revisions.iter();
    let revisions = revisions.map(|revision| text(&revision.hash) + of_template(&revision.template));
    names.map(text).chain(labels).chain(revisions).sum::<usize>() + of_template(&daemon_set.template)
}

/// Estimates the bytes that labels take.
pub(super) fn of_labels(labels: &Labels) -> usize {
    labels.iter().map(|(key, value)| text(key) + text(value)).sum()
}

fn of_template(template: &PodTemplate) -> usize {
    let requirement = |requirement: &Requirement| {
        let values = requirement.values.iter().map(text).sum::<usize>();
        REQUIREMENT_BYTES + text(&requirement.key) + text(&requirement.operator) + values
    };
    let terms = template.required_terms.iter().flatten();
    let terms = terms.map(|term| {
        let requirements = term.expressions.iter().chain(&term.fields);
        REQUIREMENT_BYTES + requirements.map(requirement).sum::<usize>()
    });
    let selector = template.node_selector.iter();
    let selector = selector.map(|(key, value)| LABEL_BYTES + text(key) + text(value));
    let tolerations = template.tolerations.iter().map(|toleration| {
        let texts = [
            &toleration.key,
            &toleration.operator,
            &toleration.value,
            &toleration.effect,
        ];
        TOLERATION_BYTES + texts.into_iter().map(|text| text.len()).sum::<usize>()
    });
    let node_name = template.node_name.as_ref().map_or(0, text);
    node_name + terms.chain(selector).chain(tolerations).sum::<usize>()
}

/// Estimates the bytes that a pod takes.
pub(super) fn of_pod(pod: &PodRecord) -> usize {
    POD_BYTES + pod.name.len()
}

impl Fleet {
    /// Estimates the bytes that the fleet takes. Cheap enough to call after each fact.
    pub fn bytes(&self) -> usize {
        let (nodes, rows) = (self.nodes.capacity(), self.rows.count());
        let counted = [
            (nodes, NODE_BYTES),
            (rows, ROW_BYTES),
            (nodes.saturating_mul(rows), CELL_BYTES),
            (self.template_ids.len(), TEMPLATE_ID_BYTES),
            (self.in_flight.len(), ACTION_BYTES),
            (self.history_entries, HISTORY_ENTRY_BYTES),
            (self.rollout_cells, ROLLOUT_CELL_BYTES),
        ];
        let of = |(count, bytes): (usize, usize)| count.saturating_mul(bytes);
        let counted = counted.into_iter().map(of).fold(0, usize::saturating_add);
        self.fact_bytes
            .saturating_add(self.policies.bytes())
            .saturating_add(counted)
    }

    /// Counts the entries that cells keep about pods that are gone or that wait for minReadySeconds.
    pub(super) fn count_history_entries(&mut self) {
        self.history_entries = self.rows.iter().map(Row::history_entries).sum();
        self.rollout_cells = self.rows.iter().map(Row::rollout_cells).sum();
    }
}
