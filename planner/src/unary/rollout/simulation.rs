//! Runs a rollout forward on a simulated clock. The fleet is the one of sessions, and an executor that carries out its plans
//! at once reports back what the rollout is to remember.
//!
//! The clock jumps to the next event, so the cost depends on the number of pods and not on the time that a rollout takes.

mod pods;

use std::{collections::BTreeMap, sync::Arc};

use everynode_serving::serve::Work;
use hashbrown::{HashMap, HashSet};
use tonic::Status;

use super::{
    course::{Course, Outcome, Step, StepKind},
    observer::Observer,
};
use crate::{
    decide::rollout::report::{Phase, Report},
    fleet::Fleet,
    model::{
        DaemonSet, LabelKey, Labels, Millis, Node, Pod, Text, Verdict,
        rollout::{Knowledge, Memory, Policy, PolicySpec, StageSize, State, Verbs},
    },
};

/// The revision that every pod has at first.
pub(super) const CURRENT: &str = "current";
/// The revision that the rollout brings.
pub(super) const UPDATE: &str = "update";
/// The label of a node's domain, unless the policy's order names another.
const ZONE: &str = "topology.kubernetes.io/zone";
/// The most plans without a change of the clock. A rollout needs a few.
const MAX_PLANS_AT_ONCE: usize = 1_000;
/// The most jumps of the clock are this many, and [`MAX_JUMPS_PER_NODE`] for each node. A rollout needs a few per node.
const MAX_JUMPS: usize = 10_000;
const MAX_JUMPS_PER_NODE: usize = 20;

/// A cluster before the rollout.
#[derive(Debug)]
pub(super) struct Scene {
    /// The `DaemonSet`, of revision [`UPDATE`], with both revisions.
    pub(super) daemon_set: DaemonSet,
    pub(super) policies: Vec<Policy>,
    /// The labels of the namespaces.
    pub(super) namespaces: Vec<(Text, Labels)>,
    #[expect(
        clippy::vec_box,
        reason = "a fleet keeps nodes boxed, and takes them as they are"
    )]
    pub(super) nodes: Vec<Box<Node>>,
    /// The pods, of revision [`CURRENT`]. If there are none, every node that should run a pod has an available one.
    pub(super) pods: Vec<Pod>,
    /// When the template changes.
    pub(super) start: Millis,
}

/// What a simulation assumes, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assumptions {
    /// From the creation of a pod until it is ready.
    pub(super) ready_after: i64,
    /// From the deletion of a pod until it is gone.
    pub(super) terminated_after: i64,
    /// Until somebody promotes a stage that waits for it.
    pub(super) promoted_after: i64,
    /// The nodes on which pods of the update revision never become ready.
    pub(super) failing: HashSet<Text>,
    /// Whether a pod stays pending while another one is on its node, because both have the same host port.
    pub(super) has_host_port: bool,
}

/// Why there is nothing to simulate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Impossible {
    /// No policy applies to the `DaemonSet`.
    NoPolicy,
    /// No node should run a pod.
    NoNode,
}

#[derive(Debug)]
enum Event {
    /// The pod with this uid becomes ready.
    Ready(Text),
    /// It has been ready for minReadySeconds.
    Available(Text),
    /// It has terminated.
    Gone(Text),
    /// Somebody promotes the stage.
    Promotion(Text),
}

#[derive(Debug)]
struct SimulatedPod {
    pod: Pod,
    is_available: bool,
}

/// A rollout under way.
struct Simulation<'w> {
    fleet: Fleet,
    daemon_set: DaemonSet,
    assumptions: Assumptions,
    work: &'w Work,
    start: Millis,
    now: Millis,
    verbs: Verbs,
    memory: Memory,
    /// The state of the rollout.
    report: Report,
    spec: Arc<PolicySpec>,
    reconsider_at: Option<Millis>,
    pods: HashMap<Text, SimulatedPod>,
    /// The number of pods on each node.
    pods_on: HashMap<Text, usize>,
    created: u64,
    /// By time, and at the same time in the order in which they were scheduled.
    events: BTreeMap<(Millis, u64), Event>,
    scheduled: u64,
    observer: Observer,
    steps: Vec<Step>,
    stage_nodes: HashMap<Text, usize>,
    /// The stage whose promotion is on its way, or has come.
    promoted: Option<Text>,
}

/// Simulates the rollout of a new template.
///
/// # Errors
/// `CANCELLED` when the caller no longer waits for the answer.
pub(super) fn simulate(
    scene: Scene,
    assumptions: Assumptions,
    work: &Work,
) -> Result<Result<Course, Impossible>, Status> {
    let mut fleet = Fleet::with_capacity(scene.nodes.len(), scene.nodes.len().max(scene.pods.len()));
    let memory = Memory {
        current: CURRENT.into(),
        update: CURRENT.into(),
        ..Memory::default()
    };
    let Some((report, spec)) = apply_policies(&mut fleet, &scene, &memory) else {
        return Ok(Err(Impossible::NoPolicy));
    };
    let desired: Vec<_> = match fleet.daemon_set(&scene.daemon_set.uid) {
        Some(prepared) => {
            let nodes = scene.nodes.iter().map(|node| &**node);
            let runs = |node: &&Node| prepared.placement.verdict(node) == Verdict::Run;
            nodes.filter(runs).collect()
        }
        None => Vec::new(),
    };
    if desired.is_empty() {
        return Ok(Err(Impossible::NoNode));
    }
    let key = match &spec.order {
        Some(order) => order.topology_key.clone(),
        None => LabelKey::new(ZONE.into()),
    };
    let observer = Observer::new(desired.iter().copied(), &key);
    let selected = spec.stages.iter().map(|stage| {
        let selects = |node: &&&Node| stage.node_selector.selects(&node.labels);
        (stage.name.clone(), desired.iter().filter(selects).count())
    });
    let selected = selected.collect();
    let desired: Vec<_> = desired.iter().map(|node| node.name.clone()).collect();
    let mut simulation = Simulation {
        fleet,
        daemon_set: scene.daemon_set,
        assumptions,
        work,
        start: scene.start,
        now: scene.start,
        verbs: Verbs::default(),
        memory,
        report,
        spec,
        reconsider_at: None,
        pods: HashMap::with_capacity(desired.len()),
        pods_on: HashMap::new(),
        created: 0,
        events: BTreeMap::new(),
        scheduled: 0,
        observer,
        steps: Vec::new(),
        stage_nodes: HashMap::new(),
        promoted: None,
    };
    for node in scene.nodes {
        work.check()?;
        simulation.fleet.node_changed(node);
    }
    if scene.pods.is_empty() {
        for node in &desired {
            simulation.add_available(node);
        }
    }
    for pod in scene.pods {
        work.check()?;
        simulation.add(pod);
    }
    simulation.observer.restart();
    let outcome = simulation.run()?;
    Ok(Ok(simulation.finish(outcome, selected, key.text().clone())))
}

/// Adds the policies and the `DaemonSet` to a fleet, and plans once before there are nodes. Returns the rollout's
/// state, with the policy that the engine applies. `None` if none does.
fn apply_policies(fleet: &mut Fleet, scene: &Scene, memory: &Memory) -> Option<(Report, Arc<PolicySpec>)> {
    let policies = fleet.policies_mut();
    policies.set_knowledge(Knowledge::Known);
    for (name, labels) in &scene.namespaces {
        policies.set_namespace(name.clone(), Some(labels.clone()));
    }
    for policy in &scene.policies {
        policies.set(policy.clone());
    }
    let uid = &scene.daemon_set.uid;
    policies.set_rollout(uid, Verbs::default(), Some(memory.clone()));
    fleet.daemon_set_changed(scene.daemon_set.clone());
    let mut plans = fleet.plan(scene.start).into_iter();
    let report = plans.find_map(|plan| plan.report.rollout)?;
    let applying = scene.policies.iter().find(|policy| policy.uid == report.policy)?;
    let spec = applying.spec.as_ref().ok()?.clone();
    Some((report, spec))
}

impl Simulation<'_> {
    /// Runs until the rollout ends.
    fn run(&mut self) -> Result<Outcome, Status> {
        let most_jumps = MAX_JUMPS.saturating_add(MAX_JUMPS_PER_NODE.saturating_mul(self.observer.len()));
        for _ in 0..most_jumps {
            self.work.check()?;
            self.settle()?;
            if self.memory.state == State::Completed && *self.memory.update == *UPDATE {
                self.add_step(Text::default(), StepKind::Completed);
                return Ok(Outcome::Completed);
            }
            if self.report.phase == Phase::Waiting
                && let Some(stage) = self.active_stage()
            {
                if self.is_partition(&stage) {
                    return Ok(Outcome::Partition);
                }
                self.expect_promotion(stage);
            }
            let Some(at) = self.next_time() else { break };
            self.now = at;
            self.pass_events();
        }
        Ok(Outcome::Stuck(self.report.message.clone()))
    }

    /// Plans until nothing is left to do at this time.
    fn settle(&mut self) -> Result<(), Status> {
        for _ in 0..MAX_PLANS_AT_ONCE {
            let mut is_settled = true;
            for plan in self.fleet.plan(self.now) {
                self.reconsider_at = plan.report.reconsider_at;
                for (id, action) in plan.actions {
                    self.work.check()?;
                    is_settled = false;
                    self.carry_out(&action);
                    self.fleet.action_done(id);
                }
                if let Some(report) = plan.report.rollout {
                    is_settled &= !self.remember(report);
                }
            }
            if is_settled {
                break;
            }
        }
        Ok(())
    }

    /// Applies the state of the rollout, and writes what it is to remember. Returns whether that is new.
    fn remember(&mut self, report: Report) -> bool {
        let open = report.stages.iter().filter(|stage| stage.is_open);
        self.stage_nodes
            .extend(open.map(|stage| (stage.name.clone(), stage.seen.desired)));
        let before = std::mem::replace(&mut self.memory, report.memory.clone());
        self.report = report;
        if before == self.memory {
            return false;
        }
        self.add_steps(&before);
        self.write();
        true
    }

    fn write(&mut self) {
        self.fleet.policies_mut().set_rollout(
            &self.daemon_set.uid,
            self.verbs.clone(),
            Some(self.memory.clone()),
        );
    }

    /// Adds a step for each change of the stages' memory. The last stage has no end of its own.
    fn add_steps(&mut self, before: &Memory) {
        let mut steps = Vec::new();
        for stage in &self.memory.stages {
            let before = before.stages.iter().find(|earlier| earlier.name == stage.name);
            if before.is_none() {
                steps.push((stage.name.clone(), StepKind::Opened));
            }
            if stage.name.is_empty() {
                continue;
            }
            if stage.updated_at.is_some() && before.is_none_or(|before| before.updated_at.is_none()) {
                steps.push((stage.name.clone(), StepKind::Updated));
            }
            if stage.done_at.is_some() && before.is_none_or(|before| before.done_at.is_none()) {
                steps.push((stage.name.clone(), StepKind::Done));
            }
        }
        // A stage ends before the next one opens.
        steps.sort_by_key(|(_, kind)| *kind == StepKind::Opened);
        for (stage, kind) in steps {
            self.add_step(stage, kind);
        }
    }

    fn add_step(&mut self, stage: Text, kind: StepKind) {
        let step = Step {
            at: self.now.since(self.start),
            stage,
            kind,
            nodes: 0,
            updated: self.report.updated_available,
            unavailable: self.observer.total().now,
            most_unavailable: self.observer.take_most(),
        };
        self.steps.push(step);
    }

    /// The first stage that isn't done.
    fn active_stage(&self) -> Option<Text> {
        let mut stages = self.report.stages.iter();
        Some(stages.find(|stage| !stage.is_done)?.name.clone())
    }

    /// Whether the nodes after the stage keep the current revision, as the policy's partition says.
    fn is_partition(&self, name: &Text) -> bool {
        let mut stages = self.spec.stages.iter();
        stages.any(|stage| stage.name == *name && matches!(stage.size, StageSize::AllBut(_)))
    }

    /// Lets somebody promote a stage that waits for it.
    fn expect_promotion(&mut self, stage: Text) {
        if self.promoted.as_ref() == Some(&stage) {
            return;
        }
        self.add_step(stage.clone(), StepKind::PromotionNeeded);
        self.promoted = Some(stage.clone());
        self.schedule(self.assumptions.promoted_after, Event::Promotion(stage));
    }

    /// The time of the next event, or when the engine decides again.
    fn next_time(&self) -> Option<Millis> {
        let event = self.events.first_key_value().map(|((at, _), _)| *at);
        let due = self.reconsider_at.filter(|at| *at > self.now);
        event.into_iter().chain(due).min()
    }

    fn schedule(&mut self, after: i64, event: Event) {
        self.scheduled += 1;
        self.events.insert((self.now.plus(after), self.scheduled), event);
    }

    /// Lets everything happen that is due.
    fn pass_events(&mut self) {
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > self.now {
                return;
            }
            let event = entry.remove();
            match event {
                Event::Ready(uid) => self.make_ready(&uid),
                Event::Available(uid) => self.make_available(&uid),
                Event::Gone(uid) => self.remove(&uid),
                Event::Promotion(stage) => {
                    self.verbs.promote = Some((self.memory.rollout, stage));
                    self.write();
                }
            }
        }
    }

    fn finish(self, outcome: Outcome, selected: HashMap<Text, usize>, topology_key: Text) -> Course {
        let mut steps = self.steps;
        for step in &mut steps {
            // How many nodes a stage has is known once it has opened.
            step.nodes = match step.kind {
                StepKind::Completed => self.observer.len(),
                _ => self.stage_nodes.get(&step.stage).copied().unwrap_or_default(),
            };
        }
        // If the stages have taken all nodes, the last one has nothing to do.
        steps.retain(|step| !step.stage.is_empty() || step.nodes > 0);
        Course {
            duration: self.now.since(self.start),
            outcome,
            steps,
            updated: self.report.updated_available,
            policy: self.report.policy,
            spec: self.spec,
            selected,
            stage_nodes: self.stage_nodes,
            topology_key,
            observer: self.observer,
        }
    }
}
