//! The stream that serves an executor: facts in, plans out.
//!
//! [`Session`] holds all of the logic and does no IO. A request goes in, responses come out, and the same requests
//! always lead to the same responses. [`Epochs`] lets sessions of the same cluster supersede each other.

mod epochs;
mod hello;
mod memory;

use everynode_proto::{
    codec::{self, MAX_FACTS, MAX_SESSION_REQUEST_BYTES},
    planner::v1::{
        self as wire, ProblemCode, SessionRequest, SessionResponse, fact::Fact, session_response::Message,
    },
};
use tonic::Status;

pub use self::{
    epochs::{Epochs, LeadershipClaim},
    hello::read_hello,
    memory::{MemoryReservation, SessionMemory},
};
use crate::{
    convert::{self, FieldError},
    decide::RULES_VERSION,
    fleet::{Fleet, Size},
    intern::Interner,
    limits::{self, MAX_NAME_BYTES},
    model::Millis,
};

/// The version of the session's protocol.
pub const PROTOCOL: u32 = 1;
/// Capabilities of this planner, in addition to the protocol's version.
const CAPABILITIES: [&str; 3] = ["sync_accepted", POD_AVAILABILITY, "rollout_policies"];

/// Capability of executors that keep to [`MAX_SESSION_REQUEST_BYTES`].
const MAX_REQUEST_BYTES: &str = "max_request_bytes";
/// Capability of executors that read [`wire::Plan::pod_availability`], and of planners that fill it.
const POD_AVAILABILITY: &str = "pod_availability";
/// The maximum number of facts per request for executors of earlier releases. They limit only the number of facts, and
/// a thousand nodes with hundreds of labels exceed the byte limit of a request.
const LEGACY_MAX_FACTS: usize = 100;
/// The longest `namespace/name` that a problem repeats, in bytes.
const MAX_KEY_BYTES: usize = 2 * MAX_NAME_BYTES + 1;

/// One executor's session.
#[derive(Debug, Default)]
pub struct Session {
    fleet: Fleet,
    strings: Interner,
    sequence: u64,
    is_synced: bool,
    last_plan: u64,
    memory: MemoryReservation,
}

/// The result of one request.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The responses to send, in this order.
    pub responses: Vec<SessionResponse>,
    /// Number of facts in the request.
    pub facts: usize,
    /// Number of pods to create.
    pub creates: usize,
    /// Number of pods to delete.
    pub deletes: usize,
    /// Number of plans made.
    pub plans: usize,
    /// Whether this request completed the first full sync.
    pub has_synced: bool,
    /// Size of the session's fleet after the request.
    pub size: Size,
}

impl Session {
    /// A session whose memory is limited by this reservation.
    pub fn new(memory: MemoryReservation) -> Self {
        Self {
            memory,
            ..Self::default()
        }
    }

    /// The same session of a planner that runs on this node.
    #[must_use]
    pub fn on_node(mut self, name: Option<&str>) -> Self {
        if let Some(name) = name {
            self.fleet.add_own_node(name.into());
        }
        self
    }

    /// Takes a request and returns its outcome.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the request as such can't be used. `RESOURCE_EXHAUSTED` when the request is too large,
    /// or when the session would take more memory than it may. Either error ends the session. An object in the request
    /// that can't be used is a problem among the responses instead.
    pub fn take(&mut self, request: SessionRequest) -> Result<Outcome, Status> {
        let now = self.check(&request)?;
        self.sequence = request.sequence;
        let mut outcome = Outcome {
            facts: request.facts.len(),
            ..Outcome::default()
        };
        if let Some(hello) = &request.hello {
            if has_capability(hello, POD_AVAILABILITY) {
                self.fleet.track_availability();
            }
            for name in hello::own_nodes(hello) {
                self.fleet.add_own_node(name.into());
            }
            outcome.responses.push(respond(Message::Welcome(welcome(hello))));
        }
        if request.facts.is_empty() {
            self.fleet.repeat_next_due();
        }
        let was_synced = self.is_synced;
        for (index, fact) in request.facts.into_iter().enumerate() {
            if let Err(problem) = self.apply_fact(fact.fact, index) {
                outcome.responses.push(respond(Message::Problem(problem)));
            }
            // A single fact can take much memory: a new row takes a cell for each node, and a new node takes one for
            // each row.
            self.memory.resize(self.fleet.bytes())?;
        }
        outcome.has_synced = self.is_synced && !was_synced;
        if outcome.has_synced {
            let sequence = self.sequence;
            let accepted = wire::SyncAccepted { sequence };
            outcome.responses.push(respond(Message::SyncAccepted(accepted)));
        }
        if self.is_synced {
            self.plan(now, &mut outcome)?;
        }
        outcome.size = self.fleet.size();
        Ok(outcome)
    }

    /// Checks that a request can be the next one of the session, whatever the content of its facts. Returns its time.
    ///
    /// # Errors
    /// As [`Session::take`].
    pub fn check(&self, request: &SessionRequest) -> Result<Millis, Status> {
        let invalid = |field: &str, message: String| limits::invalid(&FieldError::new(field, message));
        let expected = self.sequence + 1;
        if request.sequence != expected {
            return Err(invalid(
                "sequence",
                format!("must be {expected}, found {}", request.sequence),
            ));
        }
        if request.hello.is_some() != (expected == 1) {
            return Err(invalid(
                "hello",
                "must be in the first request of a session, and only there".to_owned(),
            ));
        }
        let Some(now) = request.now.map(convert::millis) else {
            return Err(invalid(
                "now",
                "must be set: decisions use no other clock".to_owned(),
            ));
        };
        codec::check_fact_count(request.facts.len())?;
        Ok(now)
    }

    fn apply_fact(&mut self, fact: Option<Fact>, index: usize) -> Result<(), wire::Problem> {
        let strings = &mut self.strings;
        let Some(fact) = fact else {
            let message = "must be set, to a kind of fact that this planner knows";
            return Err(malformed("fact", "", index, FieldError::new("fact", message)));
        };
        match fact {
            Fact::NodeChanged(facts) => {
                let node = convert::node(&facts, strings)
                    .map_err(|error| malformed("node", &facts.name, index, error))?;
                self.fleet.node_changed(node);
            }
            Fact::NodeGone(gone) => self.fleet.node_gone(&gone.name),
            Fact::DaemonSetChanged(facts) => {
                // The length is limited because each creation repeats the revision.
                let revision = convert::check_length("update_revision", &facts.update_revision);
                let read = revision.and_then(|_| convert::daemon_set(&facts, strings));
                let daemon_set = read.map_err(|error| {
                    let named = !facts.name.is_empty();
                    let key = if named {
                        format!("{}/{}", facts.namespace, facts.name)
                    } else {
                        String::new()
                    };
                    malformed("daemonset", &key, index, error)
                })?;
                self.fleet.daemon_set_changed(daemon_set);
            }
            Fact::DaemonSetGone(gone) => self.fleet.daemon_set_gone(&gone.uid),
            Fact::PodChanged(facts) => {
                let (daemon_set, pod) = convert::pod(&facts, strings)
                    .map_err(|error| malformed("pod", &facts.name, index, error))?;
                self.fleet.pod_changed(&daemon_set, pod);
            }
            Fact::PodGone(gone) => self.fleet.pod_gone(&gone.uid),
            Fact::ActionDone(done) => self.fleet.action_done(done.action_id),
            Fact::SyncComplete(_) => self.is_synced = true,
            Fact::RolloutPolicyChanged(facts) => {
                let policy = convert::rollout::policy(&facts, strings)
                    .map_err(|error| malformed("rollout policy", &facts.name, index, error))?;
                self.fleet.policies_mut().set(policy);
            }
            Fact::RolloutPolicyGone(gone) => self.fleet.policies_mut().remove(&gone.uid),
            Fact::NamespaceChanged(facts) => {
                let (name, labels) = convert::rollout::namespace(&facts, strings)
                    .map_err(|error| malformed("namespace", &facts.name, index, error))?;
                self.fleet.policies_mut().set_namespace(name, Some(labels));
            }
            Fact::NamespaceGone(gone) => {
                let name = strings.text(&gone.name);
                self.fleet.policies_mut().set_namespace(name, None);
            }
            Fact::RolloutChanged(facts) => {
                let (daemon_set, verbs, memory) = convert::rollout::rollout(&facts, strings)
                    .map_err(|error| malformed("rollout of", &facts.daemon_set_uid, index, error))?;
                self.fleet.policies_mut().set_rollout(&daemon_set, verbs, memory);
            }
            Fact::RolloutPolicyKnowledge(knowledge) => {
                let knowledge = wire::RolloutPolicyKnowledge::try_from(knowledge).unwrap_or_default();
                let knowledge = convert::rollout::knowledge(knowledge);
                self.fleet.policies_mut().set_knowledge(knowledge);
            }
        }
        Ok(())
    }

    fn plan(&mut self, now: Millis, outcome: &mut Outcome) -> Result<(), Status> {
        let (memory, mut held) = (&mut self.memory, Ok(()));
        let plans = self.fleet.plan_while(now, |bytes| {
            held = memory.resize(bytes);
            held.is_ok()
        });
        held?;
        for report in self.fleet.take_policy_reports() {
            let status = convert::rollout::policy_status_to_wire(&report);
            outcome
                .responses
                .push(respond(Message::RolloutPolicyStatus(status)));
        }
        for plan in plans {
            self.last_plan += 1;
            let plan = convert::plan(plan, self.last_plan, self.sequence, now);
            for action in plan.actions.iter().filter_map(|action| action.action.as_ref()) {
                match action {
                    wire::action::Action::Create(_) => outcome.creates += 1,
                    wire::action::Action::Delete(_) => outcome.deletes += 1,
                }
            }
            outcome.plans += 1;
            outcome.responses.push(respond(Message::Plan(plan)));
        }
        Ok(())
    }
}

fn respond(message: Message) -> SessionResponse {
    SessionResponse {
        message: Some(message),
    }
}

fn has_capability(hello: &wire::Hello, capability: &str) -> bool {
    hello.capabilities.iter().any(|name| name == capability)
}

fn welcome(hello: &wire::Hello) -> wire::Welcome {
    let keeps_to_bytes = has_capability(hello, MAX_REQUEST_BYTES);
    let max_facts = if keeps_to_bytes {
        MAX_FACTS
    } else {
        LEGACY_MAX_FACTS
    };
    wire::Welcome {
        planner_version: env!("CARGO_PKG_VERSION").to_owned(),
        rules_version: RULES_VERSION.to_owned(),
        max_facts_per_request: limits::number(max_facts),
        capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
        max_request_bytes: u64::try_from(MAX_SESSION_REQUEST_BYTES).unwrap_or(u64::MAX),
    }
}

fn malformed(kind: &str, name: &str, index: usize, error: FieldError) -> wire::Problem {
    let name = if name.is_empty() || name.len() > MAX_KEY_BYTES {
        format!("facts[{index}]")
    } else {
        name.to_owned()
    };
    wire::Problem {
        code: ProblemCode::Malformed.into(),
        object: format!("{kind} {name}"),
        field: error.field,
        message: error.message,
    }
}

#[cfg(test)]
mod tests;
