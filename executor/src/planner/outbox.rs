//! Facts that have yet to be sent to the planner.
//!
//! The outbox keeps only the names of changed objects. It reads the facts from the caches when it builds a request. So
//! a slow planner costs little memory, and receives only the last of several changes to an object.
//!
//! Requests are limited by their number of facts and by their bytes. An object that is too large for any request is
//! skipped, and all others are still sent: one tenant's object must not block the others'.

mod size;

use std::collections::{HashMap, HashSet};

use everynode_proto::{
    facts::wire::timestamp,
    planner::v1::{
        ActionDone, ActionOutcome, DaemonSetFacts, DaemonSetGone, NamespaceGone, NodeGone, PodGone,
        RolloutFacts, RolloutPolicyGone, SessionRequest, fact::Fact as Kind,
    },
};
use indexmap::IndexSet;

use self::size::RequestBuilder;
pub(crate) use self::size::{RequestLimits, TooLarge};
use crate::{
    apiserver::clock::Clock,
    cluster::{Cluster, SharedStr, Touched},
};

/// The facts that are due.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    clock: Clock,
    nodes: IndexSet<SharedStr>,
    pods: IndexSet<SharedStr>,
    daemon_sets: IndexSet<SharedStr>,
    policies: IndexSet<SharedStr>,
    namespaces: IndexSet<SharedStr>,
    rollouts: IndexSet<SharedStr>,
    is_knowledge_due: bool,
    /// Whether the planner knows rollout policies. To other planners, nothing about them is sent.
    knows_rollouts: bool,
    /// The facts about rollouts that the planner has, by the `DaemonSet`s' uids, and the requests that carried them.
    sent_rollouts: HashMap<SharedStr, (RolloutFacts, u64)>,
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
    /// The rollout policy with this uid.
    Policy(SharedStr),
    /// The namespace with this name.
    Namespace(SharedStr),
    /// The rollout of the `DaemonSet` with this uid.
    Rollout(SharedStr),
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
    /// Creates an outbox whose requests carry the time of this clock.
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            ..Self::default()
        }
    }

    /// Starts over for a new session whose first request had this sequence: everything has to be sent again.
    /// `knows_rollouts` says whether the planner knows rollout policies.
    pub(crate) fn restart(&mut self, sequence: u64, knows_rollouts: bool) {
        *self = Self {
            clock: std::mem::take(&mut self.clock),
            sequence,
            knows_rollouts,
            sync: Sync::Due,
            ..Self::default()
        };
    }

    /// Queues what has changed.
    pub(crate) fn add(&mut self, touched: &mut Touched) {
        self.nodes.append(&mut touched.nodes);
        self.pods.append(&mut touched.pods);
        self.daemon_sets.append(&mut touched.daemon_sets);
        let is_knowledge_due = std::mem::take(&mut touched.knowledge);
        if self.knows_rollouts {
            self.policies.append(&mut touched.policies);
            self.namespaces.append(&mut touched.namespaces);
            self.rollouts.append(&mut touched.rollouts);
            self.is_knowledge_due |= is_knowledge_due;
        } else {
            touched.policies.clear();
            touched.namespaces.clear();
            touched.rollouts.clear();
        }
    }

    /// Whether a plan based on the request with this sequence takes the current facts about a rollout into account. What
    /// such a plan says may be written (T13).
    pub(crate) fn is_rollout_based_on(&self, cluster: &Cluster, uid: &str, sequence: u64) -> bool {
        let Some(facts) = cluster.rollout_facts(uid) else {
            return false;
        };
        match self.sent_rollouts.get(uid) {
            Some((sent, by)) => *sent == facts && sequence >= *by,
            None => is_empty(&facts),
        }
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
        let rollouts = self.policies.len() + self.namespaces.len() + self.rollouts.len();
        let knowledge = usize::from(self.is_knowledge_due);
        self.nodes.len() + self.pods.len() + self.daemon_sets.len() + self.done.len() + rollouts + knowledge
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
                // A policy or a rollout that passes an API server is never too large.
                Object::Policy(_) | Object::Namespace(_) | Object::Rollout(_) => {}
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
        let daemon_sets = builder.take(&mut self.daemon_sets, Object::DaemonSet, |uid| {
            match announce(known, uid) {
                Announcement::Facts(daemon_set) => Some(Kind::DaemonSetChanged(*daemon_set)),
                Announcement::Gone => Some(Kind::DaemonSetGone(DaemonSetGone { uid: uid.to_string() })),
                Announcement::NotYet => None,
            }
        });
        builder.take(&mut self.namespaces, Object::Namespace, |name| {
            Some(match known.namespace_facts(name) {
                Some(namespace) => Kind::NamespaceChanged(namespace),
                None => Kind::NamespaceGone(NamespaceGone {
                    name: name.to_string(),
                }),
            })
        });
        builder.take(&mut self.policies, Object::Policy, |uid| {
            Some(match known.policy(uid) {
                Some(policy) => Kind::RolloutPolicyChanged(policy.facts.clone()),
                None => Kind::RolloutPolicyGone(RolloutPolicyGone { uid: uid.to_string() }),
            })
        });
        let sent = &self.sent_rollouts;
        let rollouts = builder.take(&mut self.rollouts, Object::Rollout, |uid| {
            new_rollout_facts(known, sent, uid).map(Kind::RolloutChanged)
        });
        if self.is_knowledge_due {
            let knowledge = Kind::RolloutPolicyKnowledge(known.rollout_knowledge().into());
            self.is_knowledge_due = !builder.push_if_room(knowledge);
        }
        builder.take_outcomes(&mut self.done);
        if self.sync == Sync::Due && may_complete && builder.complete() {
            self.sync = Sync::Sent;
        }
        let RequestBuilder { facts, too_large, .. } = builder;
        for uid in &rollouts {
            if let Some(facts) = new_rollout_facts(cluster, &self.sent_rollouts, uid) {
                self.sent_rollouts.insert(uid.clone(), (facts, self.sequence + 1));
            }
        }
        for uid in daemon_sets.iter().filter(|uid| cluster.daemon_set(uid).is_none()) {
            self.sent_rollouts.remove(uid);
        }
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
            now: Some(timestamp(self.clock.now())),
            hello: None,
            facts,
        };
        NextRequest {
            request: Some(request),
            too_large,
        }
    }
}

/// Whether there is no rollout, or nothing is asked of it and nothing remembered.
fn is_empty(facts: &RolloutFacts) -> bool {
    facts.verbs.is_none() && facts.memory.is_none()
}

/// The facts about a rollout, if the planner doesn't have them.
fn new_rollout_facts(
    cluster: &Cluster,
    sent: &HashMap<SharedStr, (RolloutFacts, u64)>,
    uid: &SharedStr,
) -> Option<RolloutFacts> {
    let facts = cluster.rollout_facts(uid)?;
    let is_sent = match sent.get(uid) {
        Some((sent, _)) => *sent == facts,
        None => is_empty(&facts),
    };
    (!is_sent).then_some(facts)
}

#[cfg(test)]
mod tests;
