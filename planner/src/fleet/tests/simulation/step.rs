//! The things that can happen in a simulation.

use proptest::prelude::*;

use super::{DAEMON_SETS, NODES, outside};

/// One thing that happens. Numbers pick among what is there, modulo its count.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A node joins or changes to one of a few shapes.
    SetNode(usize, usize),
    /// A node leaves.
    DropNode(usize),
    /// A `DaemonSet` is created or gets one of a few templates, each with a revision of its own.
    SetTemplate(usize, usize),
    /// A `DaemonSet` is created or gets one of a few strategies.
    SetStrategy(usize, usize),
    /// A `DaemonSet` is created or gets another minReadySeconds.
    SetMinReady(usize, i64),
    /// A `DaemonSet` is deleted, and its pods with it.
    DropDaemonSet(usize),
    /// A pod that somebody else has made comes to a `DaemonSet`, bound to a node, of one of a few revisions.
    Adopt(usize, usize, usize),
    /// A pod goes its way: bound, ready, unready, failed, succeeded, terminating, gone.
    MovePod(usize, usize),
    /// The executor carries out an action, in one of a few ways.
    Execute(usize, usize),
    /// The executor says an outcome again that it has said before.
    Repeat(usize),
    /// Some watch events arrive.
    Deliver(usize, usize),
    /// Time passes, and the planner is asked.
    Plan(i64),
    /// Time passes, and in one round nothing is late and everything goes well.
    Calm(i64),
    /// Another planner takes over, which knows nothing but what it is told.
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
        6 => (0..40_i64).prop_map(Step::Calm),
        1 => Just(Step::Restart),
    ]
}
