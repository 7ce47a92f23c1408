//! Drives a session with encoded requests, and encodes its responses, as on the wire.

#![allow(dead_code, reason = "each benchmark uses its part of it")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark that goes wrong is to stop at once"
)]

use std::{
    collections::{HashMap, VecDeque},
    hint::black_box,
    time::{Duration, Instant},
};

use everynode_planner::session::Session;
use everynode_proto::planner::v1::{
    self as wire, ActionDone, ActionOutcome, PodGone, SessionRequest, SessionResponse, action::Action,
    fact::Fact as Kind, session_response::Message,
};
use prost::Message as _;

use crate::scene::{FIRST_REVISION, Scene, request};

/// A session, and a minimal executor that drives it.
#[derive(Debug)]
pub(crate) struct Driver {
    session: Session,
    scene: Scene,
    sequence: u64,
    /// Facts to send next, one request per entry.
    due: VecDeque<Vec<Kind>>,
    random: u64,
    life: u64,
    nodes: HashMap<String, usize>,
    daemon_sets: HashMap<String, usize>,
    generation: i64,
    revision: String,
    /// The number of `DaemonSet`s whose rollout is complete.
    finished: usize,
    /// What is remembered of each rollout under a policy, by the `DaemonSet`'s uid.
    remembered: HashMap<String, wire::RolloutMemory>,
}

/// Feeds encoded requests to a new session. Returns the session with its last responses.
pub(crate) fn sync(requests: &[Vec<u8>]) -> (Session, Vec<SessionResponse>) {
    let mut session = Session::default();
    let mut last = Vec::new();
    for bytes in requests {
        let request = SessionRequest::decode(bytes.as_slice()).unwrap();
        last = session.take(request).unwrap().responses;
    }
    (session, last)
}

impl Driver {
    /// A session that has received a scene in which every node has its pods.
    pub(crate) fn new(scene: Scene) -> Self {
        let mut session = Session::default();
        let mut sequence = 0;
        for request in scene.sync() {
            sequence = request.sequence;
            session.take(request).unwrap();
        }
        Self {
            session,
            scene,
            sequence,
            due: VecDeque::new(),
            random: 7,
            life: 1,
            nodes: (0..scene.nodes)
                .map(|node| (Scene::node_name(node), node))
                .collect(),
            daemon_sets: (0..scene.daemon_sets)
                .map(|set| (Scene::daemon_set_uid(set), set))
                .collect(),
            generation: 1,
            revision: FIRST_REVISION.to_owned(),
            finished: 0,
            remembered: HashMap::new(),
        }
    }

    /// A number below `end`, from a fixed sequence.
    pub(crate) fn pick(&mut self, end: usize) -> usize {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.random >> 33).unwrap() % end
    }

    /// Sends facts. Returns the plans, and the time from the request's bytes to the responses' bytes.
    pub(crate) fn send(&mut self, facts: Vec<Kind>) -> (Duration, Vec<wire::Plan>) {
        self.sequence += 1;
        let bytes = request(self.sequence, facts).encode_to_vec();
        let begin = Instant::now();
        let request = SessionRequest::decode(bytes.as_slice()).unwrap();
        let outcome = self.session.take(request).unwrap();
        for response in &outcome.responses {
            black_box(response.encode_to_vec());
        }
        let took = begin.elapsed();
        let plans = outcome
            .responses
            .into_iter()
            .filter_map(|response| match response.message {
                Some(Message::Plan(plan)) => Some(plan),
                _ => None,
            });
        (took, plans.collect())
    }

    /// Makes a pod unready, then ready again. Returns both durations.
    pub(crate) fn flip_pod(&mut self) -> [Duration; 2] {
        let (node, daemon_set) = (self.pick(self.scene.nodes), self.pick(self.scene.daemon_sets));
        [false, true].map(|ready| {
            let pod = Scene::pod(node, daemon_set, 0, FIRST_REVISION, ready);
            let (took, plans) = self.send(vec![Kind::PodChanged(pod)]);
            assert_eq!(plans.len(), 1);
            took
        })
    }

    /// Changes a node, then changes it back. Returns both durations.
    fn flip_node(&mut self, other: fn(usize) -> wire::NodeFacts) -> [Duration; 2] {
        let node = self.pick(self.scene.nodes);
        let (there, plans) = self.send(vec![Kind::NodeChanged(other(node))]);
        assert_eq!(plans.len(), self.scene.daemon_sets);
        // The results report the requested deletions as skipped, so that the pods remain.
        let given_up = plans.iter().flat_map(|plan| &plan.actions).map(|action| {
            Kind::ActionDone(ActionDone {
                action_id: action.id,
                outcome: ActionOutcome::Skipped.into(),
            })
        });
        let given_up = given_up.collect::<Vec<_>>();
        let (back, plans) = self.send(vec![Kind::NodeChanged(Scene::node(node))]);
        assert_eq!(plans.len(), self.scene.daemon_sets);
        if !given_up.is_empty() {
            self.send(given_up);
        }
        [there, back]
    }

    /// Removes the label that every `DaemonSet` selects by from a node, then adds it again.
    pub(crate) fn flip_label(&mut self) -> [Duration; 2] {
        self.flip_node(Scene::unwanted_node)
    }

    /// Adds a taint that nothing tolerates to a node, then removes it.
    pub(crate) fn flip_taint(&mut self) -> [Duration; 2] {
        self.flip_node(Scene::tainted_node)
    }

    fn begin_rollout(&mut self) {
        self.generation += 1;
        self.finished = 0;
        self.revision = format!("{:08x}bb", self.generation);
        for daemon_set in 0..self.scene.daemon_sets {
            let facts = self.scene.daemon_set(daemon_set, self.generation, &self.revision);
            let (_, plans) = self.send(vec![Kind::DaemonSetChanged(facts)]);
            self.queue_effects(plans);
        }
    }

    /// Sends the next pod event of a rolling update of all `DaemonSet`s: pods disappear, then their successors appear
    /// and become ready. Returns the time from the event to the plan.
    pub(crate) fn advance_rollout(&mut self) -> Duration {
        if self.due.is_empty() {
            self.begin_rollout();
        }
        let facts = self.due.pop_front().unwrap();
        let (took, plans) = self.send(facts);
        self.queue_effects(plans);
        took
    }

    /// Queues the effects of the plans' actions behind everything that is already due.
    fn queue_effects(&mut self, plans: Vec<wire::Plan>) {
        for plan in plans {
            let daemon_set = self.daemon_sets[&plan.daemon_set_uid];
            let memory = plan.rollout.and_then(|rollout| rollout.memory);
            if let Some(memory) = memory
                && self.remembered.get(&plan.daemon_set_uid) != Some(&memory)
            {
                self.remembered
                    .insert(plan.daemon_set_uid.clone(), memory.clone());
                self.due.push_back(vec![Scene::remembered(memory)]);
            }
            for action in plan.actions {
                let done = Kind::ActionDone(ActionDone {
                    action_id: action.id,
                    outcome: ActionOutcome::Done.into(),
                });
                match action.action.unwrap() {
                    Action::Delete(delete) => {
                        let gone = Kind::PodGone(PodGone { uid: delete.uid });
                        self.due.push_back(vec![gone, done]);
                    }
                    Action::Create(create) => {
                        self.life += 1;
                        let node = self.nodes[&create.node];
                        let pod = |ready| Scene::pod(node, daemon_set, self.life, &create.revision, ready);
                        self.due.push_back(vec![Kind::PodChanged(pod(false)), done]);
                        self.due.push_back(vec![Kind::PodChanged(pod(true))]);
                    }
                }
            }
        }
    }

    /// Whether at least so many pods have been replaced.
    pub(crate) fn has_replaced(&self, pods: usize) -> bool {
        usize::try_from(self.life).unwrap() > pods
    }

    /// Drops everything but the session, so that only the session's own memory is left.
    pub(crate) fn into_session(self) -> Session {
        self.session
    }
}
