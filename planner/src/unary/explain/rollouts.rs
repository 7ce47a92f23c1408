//! Where nodes are in the rollouts of `DaemonSet`s. The rules are those of plans: a fleet holds the nodes and the pods of the
//! request.

use everynode_proto::{
    facts::{object::policy::Rollout, raw_struct::Item},
    planner::v1 as wire,
};
use everynode_serving::serve::Work;
use hashbrown::{HashMap, HashSet};
use tonic::Status;

use super::super::{
    plan::{own_pods, set_update_revision},
    policies::{CLUSTER_POLICY, POLICY, policy_name},
    reader::{DEFAULT_NAMESPACE, ReadDaemonSet, Reader, expand, object_name},
};
use crate::{
    convert::{self, FieldError},
    decide::{
        placement::Placement,
        rollout::position::{Position, Totals},
    },
    fleet::{Fleet, Governance, policies::Policies},
    limits::{self, MAX_DAEMON_SETS, MAX_NODES, MAX_PODS, MAX_REVISIONS},
    model::{
        DaemonSet, Millis, Node, Phase, Pod, Text, Verdict,
        rollout::{Knowledge, Memory, Verbs},
    },
};

const ROLLOUT: &str = "DaemonSetRollout";
/// The revision of a template that has no `ControllerRevision` yet, as in `Plan`.
const UPDATE: &str = "(new template)";
/// The revision of all pods before a rollout of which nothing is remembered.
const CURRENT: &str = "(current template)";
/// A rollout that begins is remembered in a few steps.
const MAX_STEPS: usize = 8;

/// What a request says of rollouts.
pub(super) struct Rollouts {
    policies: Policies,
    /// The names of policies for people, by uid.
    names: HashMap<Text, String>,
    /// The namespaces whose labels are known.
    namespaces: HashSet<Text>,
    /// The `DaemonSetRollout`s, by namespace and name.
    objects: HashMap<String, Rollout>,
    /// What an executor knows, by the `DaemonSet`'s namespace and name.
    known: HashMap<String, wire::KnownRollout>,
    pods: Vec<Item>,
    revisions: Vec<Item>,
    now: Option<Millis>,
    /// Whether the problems of pods have been reported.
    has_reported_pods: bool,
    work: Work,
}

/// The positions of nodes in one rollout.
#[derive(Default)]
pub(super) struct Positions {
    policy: String,
    by_node: HashMap<Text, Position>,
}

impl Positions {
    /// The position of a node.
    pub(super) fn of(&self, node: &str) -> Option<wire::NodeRollout> {
        let position = self.by_node.get(node)?.clone();
        Some(convert::node_rollout(position, &self.policy))
    }
}

/// The rollout of a `DaemonSet`, and the pods that show how far it is.
struct Explained {
    daemon_set: DaemonSet,
    governance: Governance,
    verbs: Verbs,
    memory: Option<Memory>,
    pods: Vec<Pod>,
    /// The counts of all nodes, if the request doesn't have all of them.
    totals: Option<Totals>,
    /// Whether nothing is remembered because the rollout hasn't begun, so that it begins in the answer.
    begins: bool,
    now: Millis,
}

impl Rollouts {
    /// Reads the policies and the rollouts. Those that can't be read are problems of the answer.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when there are too many objects or there is no memory for them, `CANCELLED` when the caller no
    /// longer waits for the answer.
    pub(super) fn read(
        request: wire::ExplainRequest,
        reader: &mut Reader,
        work: &Work,
    ) -> Result<Self, Status> {
        let policies = expand("policies", request.policies, MAX_DAEMON_SETS, work)?;
        let of_cluster = expand(
            "cluster_policies",
            request.cluster_policies,
            MAX_DAEMON_SETS,
            work,
        )?;
        let namespaces = expand("namespaces", request.namespaces, MAX_NODES, work)?;
        let objects = expand("rollouts", request.rollouts, MAX_DAEMON_SETS, work)?;
        let known = request.known_rollouts;
        limits::check("known_rollouts", known.len(), MAX_DAEMON_SETS, work)?;
        let mut rollouts = Self {
            policies: Policies::default(),
            names: HashMap::new(),
            namespaces: HashSet::new(),
            objects: HashMap::new(),
            known: known
                .into_iter()
                .map(|known| (known.daemon_set.clone(), known))
                .collect(),
            pods: expand("pods", request.pods, MAX_PODS, work)?,
            revisions: expand(
                "controller_revisions",
                request.controller_revisions,
                MAX_REVISIONS,
                work,
            )?,
            now: request.now.map(convert::millis),
            has_reported_pods: false,
            work: work.clone(),
        };
        rollouts.policies.set_knowledge(Knowledge::Known);
        for (kind, objects) in [(POLICY, &policies), (CLUSTER_POLICY, &of_cluster)] {
            let mut index = 0;
            let read = reader.read_each(kind, objects, |reader, object| {
                index += 1;
                reader.policy(kind, object, index - 1)
            })?;
            for policy in read {
                rollouts.names.insert(policy.uid.clone(), policy_name(&policy));
                rollouts.policies.set(policy);
            }
        }
        for (name, labels) in reader.namespaces(&namespaces, [])? {
            rollouts.namespaces.insert(name.clone());
            rollouts.policies.set_namespace(name, Some(labels));
        }
        let mut index = 0;
        let read = reader.read_each(ROLLOUT, &objects, |reader, object| {
            index += 1;
            reader.rollout(object, index - 1)
        })?;
        let by_key = read.into_iter().map(|object| (key_of(&object), object));
        rollouts.objects.extend(by_key);
        Ok(rollouts)
    }

    /// Returns where nodes are in the rollout of a `DaemonSet`. Without a policy and a rollout, they are nowhere.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when a known rollout can't be read, otherwise as [`Rollouts::read`].
    pub(super) fn positions(
        &mut self,
        reader: &mut Reader,
        read: ReadDaemonSet,
        object: &Item,
        placement: &Placement,
        nodes: &[Box<Node>],
    ) -> Result<Positions, Status> {
        if read.daemon_set.deleting || read.daemon_set.selects_everything {
            return Ok(Positions::default());
        }
        let explained = match self.known.remove(&read.daemon_set.key()) {
            Some(known) => self
                .known(reader, read, &known)
                .map(Some)
                .map_err(|error| limits::invalid(&error.within("known_rollouts")))?,
            None => self.own(reader, read, object, placement, nodes)?,
        };
        match explained {
            Some(explained) => self.explain(explained, nodes),
            None => Ok(Positions::default()),
        }
    }

    /// Reads what an executor knows of the rollout of a `DaemonSet`.
    fn known(
        &mut self,
        reader: &mut Reader,
        read: ReadDaemonSet,
        known: &wire::KnownRollout,
    ) -> Result<Explained, FieldError> {
        let strings = &mut reader.strings;
        let governance = match (convert::rollout::knowledge(known.knowledge()), &known.policy) {
            (Knowledge::Unknown, Some(policy)) => {
                let policy = convert::rollout::policy(policy, strings)?;
                Governance::Unknown {
                    uid: policy.uid,
                    spec: policy.spec.ok(),
                }
            }
            (Knowledge::Unknown, None) => Governance::Unknown {
                uid: Text::default(),
                spec: None,
            },
            (Knowledge::Known, Some(policy)) => {
                let policy = convert::rollout::policy(policy, strings)?;
                self.names.insert(policy.uid.clone(), policy_name(&policy));
                Governance::Policy {
                    uid: policy.uid,
                    spec: policy.spec,
                }
            }
            (Knowledge::Known, None) | (Knowledge::Absent, _) => Governance::None,
        };
        let (verbs, memory) = match &known.rollout {
            Some(facts) => {
                let (_, verbs, memory) = convert::rollout::rollout(facts, strings)?;
                (verbs, memory)
            }
            None => (Verbs::default(), None),
        };
        let mut daemon_set = read.daemon_set;
        let revision = convert::check_length("update_revision", &known.update_revision)?;
        daemon_set.update_revision = strings.text(revision);
        let pods = known.pods.iter().map(|facts| {
            let (_, pod) = convert::pod(facts, strings).map_err(|error| error.within("pods"))?;
            Ok(pod)
        });
        let pods: Vec<_> = pods.collect::<Result<_, FieldError>>()?;
        let report = known.report.as_ref();
        Ok(Explained {
            now: self
                .now
                .unwrap_or_else(|| latest(&pods, memory.as_ref(), read.created)),
            totals: report.map(|report| convert::totals(report, known.status.as_ref())),
            begins: false,
            daemon_set,
            governance,
            verbs,
            memory,
            pods,
        })
    }

    /// Finds the policy, the rollout and the pods of a `DaemonSet` among the objects of the request. `None` if no policy
    /// applies and no rollout is under way.
    fn own(
        &mut self,
        reader: &mut Reader,
        mut read: ReadDaemonSet,
        object: &Item,
        placement: &Placement,
        nodes: &[Box<Node>],
    ) -> Result<Option<Explained>, Status> {
        let namespace = &read.daemon_set.namespace;
        if self.namespaces.insert(namespace.clone()) {
            for (name, labels) in reader.namespaces(&[], [namespace])? {
                self.policies.set_namespace(name, Some(labels));
            }
        }
        let (governance, _, _) = self.policies.of(&read.daemon_set);
        let (verbs, memory) = match self.objects.get(&read.daemon_set.key()) {
            Some(object) => {
                let uid = read.has_uid.then_some(&*read.daemon_set.uid);
                convert::rollout_object(object, uid, &mut reader.strings)
                    .map_err(|error| limits::invalid(&error.within("rollouts")))?
            }
            None => (Verbs::default(), None),
        };
        if governance == Governance::None && memory.is_none() {
            return Ok(None);
        }
        set_update_revision(reader, &mut read, object, &self.revisions)?;
        let own = own_pods(&read, &self.pods, &self.work)?;
        if !std::mem::replace(&mut self.has_reported_pods, true) {
            reader.extend(own.problems);
        }
        let created = read.created.max(own.latest);
        let (mut daemon_set, mut pods) = (read.daemon_set, own.pods);
        match &memory {
            Some(memory) if daemon_set.update_revision.is_empty() => {
                daemon_set.update_revision = memory.update.clone();
            }
            Some(_) => {}
            None => {
                daemon_set.update_revision = UPDATE.into();
                daemon_set.template_generation = None;
                if pods.is_empty() {
                    let running = nodes.iter().map(|node| &**node);
                    let running = running.filter(|node| placement.verdict(node) == Verdict::Run);
                    pods = running.map(old_pod).collect();
                }
            }
        }
        let mentioned = latest(&pods, memory.as_ref(), created);
        let of_nodes = nodes.iter().map(|node| node.created).max();
        Ok(Some(Explained {
            now: self.now.unwrap_or(mentioned.max(of_nodes.unwrap_or_default())),
            totals: None,
            begins: memory.is_none(),
            daemon_set,
            governance,
            verbs,
            memory,
            pods,
        }))
    }

    fn explain(&self, explained: Explained, nodes: &[Box<Node>]) -> Result<Positions, Status> {
        let Explained {
            daemon_set,
            governance,
            verbs,
            memory,
            pods,
            totals,
            begins,
            now,
        } = explained;
        let uid = daemon_set.uid.clone();
        let mut fleet = Fleet::with_capacity(nodes.len(), pods.len());
        fleet.daemon_set_changed(daemon_set);
        for node in nodes {
            self.work.check()?;
            fleet.node_changed(node.clone());
        }
        for pod in pods {
            self.work.check()?;
            fleet.pod_changed(&uid, pod);
        }
        let policy = match &governance {
            Governance::Policy { uid, .. } => self.names.get(uid).cloned().unwrap_or_default(),
            Governance::None | Governance::Unknown { .. } => String::new(),
        };
        if begins {
            begin(&mut fleet, &uid, &governance, &verbs, now);
        } else {
            fleet.govern(&uid, governance, verbs, memory);
        }
        Ok(Positions {
            policy,
            by_node: fleet.positions(&uid, now, totals.as_ref(), &self.names),
        })
    }
}

impl Reader {
    /// Reads a `DaemonSetRollout`, and reports the fields that it can't have.
    fn rollout(&mut self, object: &Item, index: usize) -> Result<Rollout, FieldError> {
        let rollout: Rollout = self.read(object, ROLLOUT)?;
        let name = object_name(ROLLOUT, object.name().as_deref(), index);
        self.check_rollout(&name, object);
        // A mistake is a problem of the object, whichever DaemonSet it belongs to.
        convert::rollout_object(&rollout, None, &mut self.strings)?;
        Ok(rollout)
    }
}

/// The namespace and the name of a `DaemonSetRollout` and of its `DaemonSet`.
fn key_of(object: &Rollout) -> String {
    let metadata = &object.metadata;
    let namespace = match metadata.namespace.as_str() {
        "" => DEFAULT_NAMESPACE,
        namespace => namespace,
    };
    format!("{namespace}/{}", metadata.name)
}

/// The latest time that the objects mention.
fn latest(pods: &[Pod], memory: Option<&Memory>, created: Millis) -> Millis {
    let of_pods = pods
        .iter()
        .flat_map(|pod| [Some(pod.created), pod.ready_since, pod.unready_since]);
    let started = memory.map(|memory| memory.started_at);
    let stages = memory.into_iter().flat_map(|memory| &memory.stages);
    let of_stages = stages.flat_map(|stage| [Some(stage.opened_at), stage.updated_at, stage.done_at]);
    let all = of_pods.chain([started]).chain(of_stages).flatten();
    all.max().unwrap_or_default().max(created)
}

/// An available pod of the revision before the rollout.
fn old_pod(node: &Node) -> Pod {
    Pod {
        uid: node.name.to_string().into(),
        name: node.name.to_string().into(),
        node: node.name.clone(),
        bound: true,
        phase: Phase::Active,
        ready_since: Some(Millis::default()),
        unready_since: None,
        created: Millis::default(),
        deleting: false,
        revision: CURRENT.into(),
        template_generation: Text::default(),
    }
}

/// Lets a rollout begin of which nothing is remembered: what the plan proposes counts as remembered.
fn begin(fleet: &mut Fleet, uid: &str, governance: &Governance, verbs: &Verbs, now: Millis) {
    let mut memory = Memory {
        current: CURRENT.into(),
        update: CURRENT.into(),
        ..Memory::default()
    };
    for _ in 0..MAX_STEPS {
        fleet.govern(uid, governance.clone(), verbs.clone(), Some(memory.clone()));
        let report = fleet.decide(uid, now).and_then(|decision| decision.rollout);
        match report {
            Some(report) if report.memory != memory => memory = report.memory,
            _ => return,
        }
    }
}
