//! Facts that have yet to be sent to the planner.
//!
//! The outbox keeps only the names of changed objects. It reads the facts from the caches when it builds a request. So
//! a slow planner costs little memory, and receives only the last of several changes to an object.
//!
//! Requests are limited by their number of facts and by their bytes. An object that is too large for any request is
//! skipped, and all others are still sent: one tenant's object must not block the others'.

mod size;

use std::{collections::HashSet, time::SystemTime};

use everynode_proto::planner::v1::{
    ActionDone, ActionOutcome, DaemonSetFacts, DaemonSetGone, NodeGone, PodGone, SessionRequest,
    fact::Fact as Kind,
};
use indexmap::IndexSet;

use self::size::RequestBuilder;
pub(crate) use self::size::{RequestLimits, TooLarge};
use crate::cluster::{Cluster, SharedStr, Touched};

/// The facts that are due.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    nodes: IndexSet<SharedStr>,
    pods: IndexSet<SharedStr>,
    daemon_sets: IndexSet<SharedStr>,
    done: Vec<ActionDone>,
    sync: Sync,
    is_time_due: bool,
    sequence: u64,
    /// Objects that are too large to be sent.
    too_large: HashSet<Object>,
}

/// An object of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Object {
    /// The node with this name.
    Node(SharedStr),
    /// The pod with this uid.
    Pod(SharedStr),
    /// The `DaemonSet` with this uid.
    DaemonSet(SharedStr),
}

/// The next request, and the objects that were skipped.
#[derive(Debug, Default)]
pub(crate) struct NextRequest {
    /// The next request; `None` when there is nothing to send.
    pub(crate) request: Option<SessionRequest>,
    /// Objects that were skipped because they fit into no request.
    pub(crate) too_large: Vec<TooLarge>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Sync {
    #[default]
    NotDue,
    Due,
    Sent,
}

/// What the outbox can send about a `DaemonSet`.
#[derive(Debug)]
pub(crate) enum Announcement {
    /// Its facts.
    Facts(Box<DaemonSetFacts>),
    /// Nothing, because upkeep isn't finished yet. Until then, the facts that were sent before stay valid.
    NotYet,
    /// That it is gone, because it doesn't exist or is being deleted.
    Gone,
}

impl Outbox {
    /// Starts over for a new session whose first request had this sequence: everything has to be sent again.
    pub(crate) fn restart(&mut self, sequence: u64) {
        *self = Self {
            sequence,
            sync: Sync::Due,
            ..Self::default()
        };
    }

    /// Queues what has changed.
    pub(crate) fn add(&mut self, touched: &mut Touched) {
        self.nodes.append(&mut touched.nodes);
        self.pods.append(&mut touched.pods);
        self.daemon_sets.append(&mut touched.daemon_sets);
    }

    /// Queues a `DaemonSet` that can be sent, for the first time or again.
    pub(crate) fn add_daemon_set(&mut self, uid: SharedStr) {
        self.daemon_sets.insert(uid);
    }

    /// Whether a `DaemonSet` is due.
    pub(crate) fn has_daemon_set(&self, uid: &SharedStr) -> bool {
        self.daemon_sets.contains(uid)
    }

    /// Queues the outcome of an action.
    pub(crate) fn add_outcome(&mut self, action_id: u64, outcome: ActionOutcome) {
        self.done.push(ActionDone {
            action_id,
            outcome: outcome.into(),
        });
    }

    /// Makes a request due even without facts. Every request carries the current time, which the planner needs when it
    /// waits for a time to pass.
    pub(crate) fn add_time_update(&mut self) {
        self.is_time_due = true;
    }

    /// Number of outcomes of actions that have yet to be sent.
    pub(crate) fn pending_outcomes(&self) -> usize {
        self.done.len()
    }

    /// Number of facts that are due.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len() + self.pods.len() + self.daemon_sets.len() + self.done.len()
    }

    /// Whether no fact is due.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether everything has been sent to the planner at least once.
    pub(crate) fn is_synced(&self) -> bool {
        self.sync == Sync::Sent
    }

    /// Whether there is something to send.
    pub(crate) fn is_due(&self, may_complete: bool) -> bool {
        !self.is_empty() || self.is_time_due || (self.sync == Sync::Due && may_complete)
    }

    /// Number of existing objects that are too large to be sent: nodes, pods and `DaemonSet`s.
    pub(crate) fn count_too_large(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        let [nodes, pods, daemon_sets] = &mut counts;
        for object in &self.too_large {
            match object {
                Object::Node(_) => *nodes += 1,
                Object::Pod(_) => *pods += 1,
                Object::DaemonSet(_) => *daemon_sets += 1,
            }
        }
        counts
    }

    /// Builds the next request within these limits. A full sync completes only when `may_complete`.
    ///
    /// Pods go before `DaemonSet`s, so that the planner never decides on a `DaemonSet` without knowing all of its pods.
    /// The outcomes of actions go last, after the objects that the actions changed. A pod that no known `DaemonSet`
    /// controls is reported as gone if the planner was sent the pod before, and is otherwise left out.
    pub(crate) fn next_request(
        &mut self,
        cluster: &mut Cluster,
        announce: impl Fn(&Cluster, &SharedStr) -> Announcement,
        limits: RequestLimits,
        may_complete: bool,
    ) -> NextRequest {
        let mut builder = RequestBuilder::new(limits, &mut self.too_large);
        builder.take(&mut self.nodes, Object::Node, |name| {
            Some(match cluster.node(name) {
                Some(node) => Kind::NodeChanged(node.clone()),
                None => Kind::NodeGone(NodeGone {
                    name: name.to_string(),
                }),
            })
        });
        let known = &*cluster;
        let pods = builder.take(&mut self.pods, Object::Pod, |uid| match known.pod_facts(uid) {
            Some(pod) => Some(Kind::PodChanged(pod)),
            None if known.pods().get(uid).is_some() && !known.pods().is_announced(uid) => None,
            None => Some(Kind::PodGone(PodGone { uid: uid.to_string() })),
        });
        builder.take(&mut self.daemon_sets, Object::DaemonSet, |uid| {
            match announce(known, uid) {
                Announcement::Facts(daemon_set) => Some(Kind::DaemonSetChanged(*daemon_set)),
                Announcement::Gone => Some(Kind::DaemonSetGone(DaemonSetGone { uid: uid.to_string() })),
                Announcement::NotYet => None,
            }
        });
        builder.take_outcomes(&mut self.done);
        if self.sync == Sync::Due && may_complete && builder.complete() {
            self.sync = Sync::Sent;
        }
        let RequestBuilder { facts, too_large, .. } = builder;
        for uid in &pods {
            let is_known = cluster.pod_facts(uid).is_some();
            cluster.pods_mut().set_announced(uid, is_known);
        }
        if facts.is_empty() && !std::mem::take(&mut self.is_time_due) {
            return NextRequest {
                request: None,
                too_large,
            };
        }
        self.is_time_due = false;
        self.sequence += 1;
        let request = SessionRequest {
            sequence: self.sequence,
            now: Some(SystemTime::now().into()),
            hello: None,
            facts,
        };
        NextRequest {
            request: Some(request),
            too_large,
        }
    }
}

#[cfg(test)]
mod tests;
