//! Checks the state that a simulation reaches when nothing disturbs it anymore.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    super::*,
    simulation::{Cluster, Simulation},
};
use crate::{
    decide::placement::Placement,
    model::{Phase, Pod, Status, Strategy as Update, Verdict},
};

/// The maximum number of rounds until nothing is planned anymore. A round is a plan and everything that follows
/// from it. A node takes at most two rounds: one deletes its old pod, and the next creates the successor. Earlier
/// failures and actions in flight take a few more.
const MAX_ROUNDS: usize = 20;

/// Runs rounds until nothing is planned. All events arrive, every pod becomes ready and every action
/// succeeds. A round takes longer than any backoff.
pub(super) fn run_to_rest(simulation: &mut Simulation) {
    let kept = kept_pods(simulation);
    for _ in 0..MAX_ROUNDS {
        let planned = simulation.run_quiet_round();
        simulation.now += 1_000;
        if planned == 0 && simulation.plan() == 0 {
            let pods = &simulation.cluster.pods;
            assert!(
                kept.iter().all(|uid| pods.contains_key(uid)),
                "{kept:?} stay: {pods:#?}"
            );
            return;
        }
    }
    panic!("no rest: {simulation:#?}");
}

/// The current pods that must stay: active pods that aren't being deleted and are alone on nodes that may only
/// keep a pod and have no actions in flight.
fn kept_pods(simulation: &mut Simulation) -> Vec<Text> {
    simulation.deliver_all();
    let Cluster {
        nodes,
        daemon_sets,
        pods,
    } = &simulation.cluster;
    let busy: BTreeSet<_> = simulation
        .pending
        .values()
        .map(|(owner, action)| match action {
            Action::Create { node, .. } | Action::Delete { node, .. } => (owner, node),
        })
        .collect();
    let stays = |owner: &Text, pod: &Pod| {
        let (Some(daemon_set), Some(node)) = (daemon_sets.get(owner), nodes.get(&pod.node)) else {
            return false;
        };
        let there = pods.values();
        let there = there.filter(|(other, other_pod)| other == owner && other_pod.node == pod.node);
        Placement::new(daemon_set).verdict(node) == Verdict::Keep
            && pod.revision == daemon_set.update_revision
            && pod.phase == Phase::Active
            && !pod.deleting
            && !busy.contains(&(owner, &pod.node))
            && there.count() == 1
    };
    pods.values()
        .filter(|(owner, pod)| stays(owner, pod))
        .map(|(_, pod)| pod.uid.clone())
        .collect()
}

/// R1 to R5, N1 and N2: every node has the pods that it should, and the status (S1) agrees.
pub(super) fn check_at_rest(simulation: &Simulation) -> Result<(), TestCaseError> {
    let Cluster {
        nodes,
        daemon_sets,
        pods,
    } = &simulation.cluster;
    for (uid, daemon_set) in daemon_sets {
        let placement = Placement::new(daemon_set);
        let on_delete = daemon_set.strategy == Update::OnDelete;
        let verdicts = || nodes.values().map(|node| placement.verdict(node));
        let desired = verdicts().filter(|verdict| *verdict == Verdict::Run).count();
        let mut updated = 0;
        let mut misscheduled = 0;
        for (node, verdict) in nodes.values().zip(verdicts()) {
            let there: Vec<_> = pods
                .values()
                .filter(|(owner, pod)| owner == uid && pod.node == node.name)
                .map(|(_, pod)| pod)
                .collect();
            let current = there
                .iter()
                .filter(|pod| pod.revision == daemon_set.update_revision)
                .count();
            let live = there
                .iter()
                .all(|pod| pod.ready_since.is_some() && !pod.deleting && pod.phase == Phase::Active);
            let fits = match verdict {
                Verdict::Run => there.len() == 1,
                Verdict::Keep => there.len() <= 1,
                Verdict::Exclude => there.is_empty(),
            };
            // If no node should run a pod, the budget may be 0 forever, and an old pod stays.
            let rolled_out = on_delete || current == there.len() || desired == 0;
            prop_assert!(
                fits && live && rolled_out,
                "{daemon_set:?} on {node:?}: {there:#?}"
            );
            match verdict {
                Verdict::Run => updated += current,
                Verdict::Keep | Verdict::Exclude => misscheduled += there.len(),
            }
        }
        let unbound = pods
            .values()
            .find(|(_, pod)| !pod.bound && !nodes.contains_key(&pod.node));
        prop_assert_eq!(unbound, None, "nothing waits for a node that is gone");
        prop_assert!(on_delete || updated == desired);
        let number = |count: usize| i32::try_from(count).unwrap();
        let expected = Status {
            observed_generation: daemon_set.generation,
            desired_number_scheduled: number(desired),
            current_number_scheduled: number(desired),
            number_misscheduled: number(misscheduled),
            number_ready: number(desired),
            updated_number_scheduled: number(updated),
            number_available: number(desired),
            number_unavailable: 0,
        };
        prop_assert_eq!(simulation.reports[uid].status, Some(expected));
    }
    Ok(())
}
