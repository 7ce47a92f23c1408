//! The steps that can happen in a simulation.

use proptest::prelude::*;

use super::{DAEMON_SETS, NODES, outside};

/// One step. `MovePod`, `Execute` and `Repeat` pick from what exists, with their first number modulo the count.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A node joins, or changes to one of a few shapes.
    SetNode(usize, usize),
    /// A node leaves.
    DropNode(usize),
    /// A `DaemonSet` is created, or gets one of a few templates. Each template has a revision of its own.
    SetTemplate(usize, usize),
    /// A `DaemonSet` is created, or gets one of a few strategies.
    SetStrategy(usize, usize),
    /// A `DaemonSet` is created, or gets another minReadySeconds.
    SetMinReady(usize, i64),
    /// A `DaemonSet` is deleted, and its pods with it.
    DropDaemonSet(usize),
    /// A `DaemonSet` gains a pod that somebody else created. The pod is bound to a node and has one of a few
    /// revisions.
    Adopt(usize, usize, usize),
    /// A pod changes its state: bound, ready, unready, failed, succeeded, terminating, gone.
    MovePod(usize, usize),
    /// The executor carries out an action, in one of a few ways.
    Execute(usize, usize),
    /// The executor reports an outcome again that it has already reported.
    Repeat(usize),
    /// Some watch events arrive.
    Deliver(usize, usize),
    /// Time passes, and the planner plans.
    Plan(i64),
    /// Time passes, and one round runs in which nothing is late and everything succeeds.
    QuietRound(i64),
    /// Another planner takes over. It starts with a full sync.
    Restart,
}

pub(crate) fn any_step() -> impl Strategy<Value = Step> {
    let sets = || 0..DAEMON_SETS;
    prop_oneof![
        4 => (0..NODES, 0..outside::SHAPES).prop_map(|(node, shape)| Step::SetNode(node, shape)),
        2 => (0..NODES).prop_map(Step::DropNode),
        3 => (sets(), 0..outside::TEMPLATES).prop_map(|(set, template)| Step::SetTemplate(set, template)),
        3 => (sets(), 0..outside::STRATEGIES.len())
            .prop_map(|(set, strategy)| Step::SetStrategy(set, strategy)),
        1 => (sets(), prop_oneof![Just(0), Just(20)])
            .prop_map(|(set, seconds)| Step::SetMinReady(set, seconds)),
        1 => (0..DAEMON_SETS * 8).prop_map(Step::DropDaemonSet),
        1 => (sets(), 0..NODES, 0..outside::TEMPLATES)
            .prop_map(|(set, node, template)| Step::Adopt(set, node, template)),
        16 => (any::<usize>(), 0..11_usize).prop_map(|(pod, fate)| Step::MovePod(pod, fate)),
        16 => (any::<usize>(), 0..8_usize).prop_map(|(action, how)| Step::Execute(action, how)),
        2 => any::<usize>().prop_map(Step::Repeat),
        12 => (0..3_usize, 1..6_usize).prop_map(|(kind, count)| Step::Deliver(kind, count)),
        12 => (0..40_i64).prop_map(Step::Plan),
        6 => (0..40_i64).prop_map(Step::QuietRound),
        1 => Just(Step::Restart),
    ]
}
