//! Finds probable mistakes in a policy, given a simulation. The warnings that need none are those of sessions too.

use super::{course::Course, simulation::Assumptions};
use crate::{
    decide::rollout::warnings::{Warning, WarningKind, of_spec},
    model::{
        Strategy, Text,
        rollout::{Stage, StageSize},
    },
};

/// The most domains that a warning names.
const MAX_NAMED: usize = 5;

/// Whether the strategy allows two pods on a node during a rollout.
pub(super) fn is_surge(strategy: Strategy) -> bool {
    matches!(strategy, Strategy::RollingUpdate { max_surge, .. } if max_surge.of(1) > 0)
}

/// Returns the warnings about a simulated rollout.
pub(super) fn warnings(course: &Course, strategy: Strategy, assumptions: &Assumptions) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if is_surge(strategy) && assumptions.has_host_port {
        warnings.push(Warning {
            kind: WarningKind::SurgeWithHostPort,
            stage: Text::default(),
            message: "the DaemonSet has a maxSurge and a host port, which the old and the new pod on a node can't share, \
                      so new pods stay pending; use maxUnavailable instead of maxSurge"
                .to_owned(),
        });
    }
    let of_spec = of_spec(&course.spec);
    for stage in &course.spec.stages {
        let known = of_spec.iter().filter(|warning| warning.stage == stage.name);
        let known: Vec<_> = known.cloned().collect();
        let overlaps = known
            .iter()
            .any(|warning| warning.kind == WarningKind::StagesOverlap);
        warnings.extend(known);
        if !overlaps && course.stage_nodes.get(&stage.name) == Some(&0) {
            warnings.extend(without_nodes(stage, course));
        }
    }
    if !is_surge(strategy) {
        warnings.extend(single_node_domains(course));
    }
    warnings
}

/// A stage that has opened without nodes.
fn without_nodes(stage: &Stage, course: &Course) -> Option<Warning> {
    // A partition of all nodes updates none, as it should.
    if matches!(stage.size, StageSize::AllBut(_)) {
        return None;
    }
    let name = &stage.name;
    let selected = course.selected.get(name).copied().unwrap_or_default();
    let (kind, message) = if selected == 0 {
        let message = format!(
            "stage {name} takes no node: its nodeSelector selects none of the {} nodes that should run a pod",
            course.observer.len()
        );
        (WarningKind::EmptyStage, message)
    } else {
        let message = format!(
            "stage {name} takes no node: earlier stages already have all nodes that it could take; remove it, or let \
             it take more"
        );
        (WarningKind::StagesOverlap, message)
    };
    Some(Warning {
        kind,
        stage: name.clone(),
        message,
    })
}

fn single_node_domains(course: &Course) -> Option<Warning> {
    let domains = course.observer.domains();
    let single = domains
        .iter()
        .filter(|domain| domain.nodes == 1 && !domain.name.is_empty());
    let names: Vec<_> = single.map(|domain| &*domain.name).collect();
    let listed = names
        .iter()
        .take(MAX_NAMED)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    let listed = match names.len().saturating_sub(MAX_NAMED) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    };
    let key = &course.topology_key;
    let message = match names.len() {
        0 => return None,
        // Without other domains, a single node is only a small cluster.
        _ if domains.len() < 2 => return None,
        1 => format!(
            "the domain {listed} of {key} has one node, so it has no available pod while that node is updated"
        ),
        _ => format!(
            "these domains of {key} have one node each, so they have no available pod while it is updated: {listed}"
        ),
    };
    Some(Warning {
        kind: WarningKind::SingleNodeDomain,
        stage: Text::default(),
        message,
    })
}
