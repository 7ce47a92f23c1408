//! Checks a cluster that should have converged.

use super::model::ClusterModel;
use super::objects::{SetView, Strategy};
use super::placement::Placement;

/// The differences between the cluster and its desired state; empty if it has converged.
pub(super) fn problems(model: &ClusterModel) -> Vec<String> {
    let sets = model.sets.iter();
    sets.flat_map(|(uid, set)| problems_of(model, uid, set)).collect()
}

fn problems_of(model: &ClusterModel, uid: &str, set: &SetView) -> Vec<String> {
    let mut problems = Vec::new();
    let mut report = |message: String| problems.push(format!("{}: {message}", set.name));
    if set.deleting {
        report("still being deleted".to_owned());
        return problems;
    }
    let mut counts = Counts::default();
    for (node, view) in &model.nodes {
        let pods = model
            .pods
            .values()
            .filter(|pod| pod.set == uid && pod.node == *node);
        let pods: Vec<_> = pods.collect();
        let placement = set.rules.placement_on(view);
        let is_count_right = match placement {
            Placement::Wanted => pods.len() == 1,
            Placement::Tolerated => pods.len() <= 1,
            Placement::Forbidden => pods.is_empty(),
        };
        if !is_count_right || pods.iter().any(|pod| !pod.is_available()) {
            report(format!("pods on {node}, where a pod is {placement:?}: {pods:?}"));
        }
        let current = pods.iter().filter(|pod| pod.version == set.version).count();
        if set.strategy != Strategy::OnDelete && current < pods.len() {
            report(format!("old pod on {node}: {pods:?}"));
        }
        if placement == Placement::Wanted {
            counts.desired += 1;
            counts.current += i32::from(!pods.is_empty());
            counts.ready += i32::from(pods.iter().any(|pod| pod.is_available()));
            counts.updated += i32::from(current > 0);
        } else {
            counts.misscheduled += i32::from(!pods.is_empty());
        }
    }
    // Ignore pods that are bound to a missing node, because the pod garbage collector deletes them later.
    let orphaned = model
        .pods
        .values()
        .filter(|pod| pod.set == uid && pod.is_orphaned(&model.nodes));
    for pod in orphaned {
        report(format!("pod for a node that doesn't exist: {pod:?}"));
    }
    let status = &set.status;
    let reported = Counts {
        desired: status.desired_number_scheduled,
        current: status.current_number_scheduled,
        misscheduled: status.number_misscheduled,
        ready: status.number_ready,
        updated: status.updated_number_scheduled.unwrap_or_default(),
    };
    if reported != counts || status.number_available.unwrap_or_default() != counts.ready {
        report(format!("the status has {reported:?}, expected {counts:?}"));
    }
    if status.observed_generation != Some(set.generation) {
        report(format!(
            "the status observed generation {:?}, the current one is {}",
            status.observed_generation, set.generation
        ));
    }
    problems
}

/// The counters of a status.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    desired: i32,
    current: i32,
    misscheduled: i32,
    ready: i32,
    updated: i32,
}
