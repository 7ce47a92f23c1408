//! The budgets of a rollout, of its stages and of its domains; the order of domains; and the cap on ignored nodes.

use super::{View, ensure};
use crate::{
    fleet::tests::random_rollouts::world::admits,
    model::{
        Action, Budget, Node, Pod, Strategy, Text,
        rollout::{Order, State},
    },
};

/// Checks that what the plan replaces stays within the budgets.
pub(super) fn check(view: &View<'_>) -> Result<(), String> {
    let (Some(memory), Some(spec), None) = (view.rollout(), view.spec(), view.hold()) else {
        return Ok(());
    };
    if !matches!(memory.state, State::Progressing | State::GoingBack) {
        return Ok(());
    }
    let changed: Vec<&Node> = changed(view);
    let has_stages = memory.state == State::Progressing;
    if has_stages {
        check_ignored(view, &changed)?;
    }
    check_budget(view, "the rollout", total_budget(view), &changed, |_| true)?;
    for (position, stage) in spec.stages.iter().enumerate().filter(|_| has_stages) {
        if let Some(budget) = stage.max_unavailable {
            let what = format!("stage {}", stage.name);
            check_budget(view, &what, budget, &changed, |node| {
                view.stage_of(node) == Some(position)
            })?;
        }
    }
    let Some(order) = &spec.order else { return Ok(()) };
    if let Some(budget) = order.max_unavailable {
        for node in &changed {
            let domain = domain(order, node);
            let what = format!("the domain {domain:?}");
            check_budget(view, &what, budget, &changed, |other| {
                self::domain(order, other) == domain
            })?;
        }
    }
    if has_stages {
        check_order(view, order, &changed)
    } else {
        Ok(())
    }
}

/// The nodes whose available pod the plan replaces. Under surge, those that get a pod beside the old one.
fn changed<'w>(view: &View<'w>) -> Vec<&'w Node> {
    if view.is_surge() {
        return view
            .surged()
            .filter(|(node, pod)| pod.ready_since.is_some() && !view.is_ignored(&node.name))
            .map(|(node, _)| node)
            .collect();
    }
    view.replaced()
        .filter(|(_, pod)| pod.ready_since.is_some())
        .map(|(node, _)| node)
        .collect()
}

fn total_budget(view: &View<'_>) -> Budget {
    let of_policy = view.spec().and_then(|spec| spec.max_unavailable);
    of_policy.unwrap_or(match view.set.daemon_set.strategy {
        Strategy::OnDelete => Budget::Count(1),
        Strategy::RollingUpdate { max_surge, .. } if view.is_surge() => max_surge,
        Strategy::RollingUpdate { max_unavailable, .. } => max_unavailable,
    })
}

/// The value of a node's label, or whether it has none. The nodes without it come last.
fn domain<'n>(order: &Order, node: &'n Node) -> (bool, Option<&'n Text>) {
    let value = node.labels.get(&order.topology_key);
    (value.is_none(), value)
}

fn check_budget(
    view: &View<'_>,
    what: &str,
    budget: Budget,
    changed: &[&Node],
    counts: impl Fn(&Node) -> bool,
) -> Result<(), String> {
    if !changed.iter().any(|node| counts(node)) {
        return Ok(());
    }
    let nodes: Vec<_> = view.world.nodes.values().filter(|node| counts(node)).collect();
    let desired = nodes.iter().filter(|node| admits(view.update(), node)).count();
    let limit = budget.of(desired).max(1);
    let is_taken = |node: &Node| {
        if view.is_surge() {
            is_surging(view, node)
        } else {
            is_unavailable(view, node)
        }
    };
    let taken = nodes.iter().filter(|node| is_taken(node)).count();
    ensure(taken <= limit, || {
        format!("{what} takes {taken} nodes of {limit}")
    })
}

/// Whether the node runs under both revisions, and has no available pod after the plan. Leaves out nodes that the rollout
/// doesn't answer for.
fn is_unavailable(view: &View<'_>, node: &Node) -> bool {
    let Some(memory) = view.rollout() else {
        return false;
    };
    let runs = admits(view.update(), node) && admits(&memory.current, node);
    let is_available = view
        .staying(&node.name)
        .any(|pod| pod.ready_since.is_some() && !is_deleted(view, &pod.uid));
    runs && !is_available && !view.is_ignored(&node.name)
}

/// Whether the plan deletes this pod.
fn is_deleted(view: &View<'_>, uid: &Text) -> bool {
    let mut actions = view.plan.actions.iter();
    actions.any(|(_, action)| matches!(action, Action::Delete { uid: deleted, .. } if deleted == uid))
}

/// Whether the node has an available old pod and a new one beside it that isn't available, or gets one.
fn is_surging(view: &View<'_>, node: &Node) -> bool {
    let Some(memory) = view.rollout() else {
        return false;
    };
    let target = match memory.state {
        State::GoingBack => &memory.current,
        _ => view.update(),
    };
    let creates = |action: &Action| matches!(action, Action::Create { node: on, .. } if *on == node.name);
    let is_old =
        |pod: &Pod| pod.revision != *target && pod.ready_since.is_some() && !is_deleted(view, &pod.uid);
    let has_old = view.staying(&node.name).any(is_old);
    let has_new = view.staying(&node.name).any(|pod| pod.revision == *target)
        || view.set.pending.values().any(creates)
        || view.plan.actions.iter().any(|(_, action)| creates(action));
    let is_available = view.has_available(&node.name, target);
    has_old && has_new && !is_available && !view.is_ignored(&node.name)
}

/// Nothing is replaced if more than 30 % of the nodes were unavailable before the rollout.
fn check_ignored(view: &View<'_>, changed: &[&Node]) -> Result<(), String> {
    let nodes = view.world.nodes.values();
    let nodes: Vec<_> = nodes.filter(|node| admits(view.update(), node)).collect();
    let desired = nodes.len();
    let current = view.rollout().map(|memory| &memory.current);
    let ignored = nodes
        .iter()
        .filter(|node| current.is_some_and(|current| admits(current, node)))
        .filter(|node| view.is_ignored(&node.name))
        .count();
    let most = Budget::Percent(30).of(desired).max(1);
    ensure(changed.is_empty() || ignored <= most, || {
        format!("pods are replaced although {ignored} of {desired} nodes were unavailable before")
    })
}

/// Within a stage, a domain begins only when the domains before it have no old pod left that can be replaced.
fn check_order(view: &View<'_>, order: &Order, changed: &[&Node]) -> Result<(), String> {
    for node in changed {
        let stage = view.stage_of(node);
        let waits = |other: &&Node| {
            let mut old = view.staying(&other.name);
            stage.is_some()
                && view.stage_of(other) == stage
                && domain(order, other) < domain(order, node)
                && admits(view.update(), other)
                && view.is_released(other)
                && !view.is_held(other)
                && view.pods_on(&other.name).count() == 1
                && old.any(|pod| pod.revision != *view.update())
                && !view
                    .set
                    .pending
                    .values()
                    .any(|action| matches!(action, Action::Create { node: on, .. } if *on == other.name))
                && !changed.iter().any(|changed| changed.name == other.name)
        };
        if let Some(other) = view.world.nodes.values().find(waits) {
            return Err(format!("{} is replaced before {}", node.name, other.name));
        }
    }
    Ok(())
}
