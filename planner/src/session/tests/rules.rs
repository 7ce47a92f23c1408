//! Checks that decisions change only with [`RULES_VERSION`]: replayed sessions must get the decisions that were
//! recorded.
//!
//! The recording is `tests/data/rules.txt`. It has one line for each request (`>`, encoded, in hexadecimal) and one for
//! each plan (`<`, in words). When rules change on purpose, raise [`RULES_VERSION`] and run this test with
//! `EVERYNODE_BLESS=1`: it records new sessions under the new version. It never overwrites a recording of the same
//! version.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use everynode_proto::planner::v1::{
    CreatePod, DaemonSetStatus, DeletePod, NodeGone, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
    PodGone, Toleration,
};
use prost::Message as _;

use super::*;

/// How many sessions are recorded, and how many rounds of events each has.
const SESSIONS: u64 = 4;
const ROUNDS: u64 = 20;

fn recording_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/rules.txt")
}

/// A sequence of numbers that depends on the seed alone (`SplitMix64`).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn is_one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// A small cluster that changes at random and carries out plans. Some actions fail.
struct Cluster {
    numbers: Numbers,
    now: i64,
    next_pod: u64,
    daemon_sets: Vec<DaemonSetFacts>,
    pods: BTreeMap<String, PodFacts>,
    facts: Vec<Fact>,
}

impl Cluster {
    fn new(seed: u64) -> Self {
        let mut cluster = Self {
            numbers: Numbers(seed),
            now: BEGIN,
            next_pod: 0,
            daemon_sets: Vec::new(),
            pods: BTreeMap::new(),
            facts: Vec::new(),
        };
        for number in 0..6 {
            cluster.change_node(number);
        }
        cluster.daemon_sets = (0..4).map(Self::new_daemon_set).collect();
        let daemon_sets = cluster.daemon_sets.iter().cloned();
        cluster.facts.extend(daemon_sets.map(Fact::DaemonSetChanged));
        cluster.facts.push(synced());
        cluster
    }

    fn change_node(&mut self, number: u64) {
        let disk = ["ssd", "hdd"][usize::from(self.numbers.is_one_in(3))];
        let taint = |key: &str, effect: &str| Taint {
            key: key.to_owned(),
            value: String::new(),
            effect: effect.to_owned(),
        };
        let mut taints = Vec::new();
        if self.numbers.is_one_in(4) {
            taints.push(taint("dedicated", "NoSchedule"));
        }
        if self.numbers.is_one_in(8) {
            taints.push(taint("drained", "NoExecute"));
        }
        if self.numbers.is_one_in(6) {
            taints.push(taint("node.kubernetes.io/not-ready", "NoExecute"));
        }
        self.facts.push(Fact::NodeChanged(NodeFacts {
            name: format!("n{number}"),
            labels: [("disk".to_owned(), disk.to_owned())].into(),
            taints,
            ..NodeFacts::default()
        }));
    }

    fn new_daemon_set(number: u64) -> DaemonSetFacts {
        let count = |count| IntOrPercent {
            value: Some(int_or_percent::Value::Count(count)),
        };
        let percent = |percent| IntOrPercent {
            value: Some(int_or_percent::Value::Percent(percent)),
        };
        let (max_unavailable, max_surge) = match number {
            0 => (Some(count(1)), None),
            1 => (Some(count(0)), Some(percent(34))),
            _ => (Some(percent(50)), Some(count(0))),
        };
        let strategy = if number == 3 {
            update_strategy::Strategy::OnDelete(update_strategy::OnDelete::default())
        } else {
            update_strategy::Strategy::RollingUpdate(update_strategy::RollingUpdate {
                max_unavailable,
                max_surge,
            })
        };
        let on_ssd = NodeSelector {
            terms: vec![NodeSelectorTerm {
                match_expressions: vec![NodeSelectorRequirement {
                    key: "disk".to_owned(),
                    operator: "NotIn".to_owned(),
                    values: vec!["hdd".to_owned()],
                }],
                match_fields: Vec::new(),
            }],
        };
        let tolerations = vec![Toleration {
            key: "dedicated".to_owned(),
            operator: "Exists".to_owned(),
            ..Toleration::default()
        }];
        DaemonSetFacts {
            name: format!("agent-{number}"),
            uid: format!("uid-{number}"),
            generation: 1,
            template: Some(PodTemplateFacts {
                required_node_affinity: (number == 2).then_some(on_ssd),
                tolerations: if number == 1 { tolerations } else { Vec::new() },
                host_network: number == 0,
                ..PodTemplateFacts::default()
            }),
            update_strategy: Some(UpdateStrategy {
                strategy: Some(strategy),
            }),
            min_ready_seconds: i32::try_from(number).unwrap() * 10,
            update_revision: "r1".to_owned(),
            ..daemon_set_facts()
        }
    }

    /// One round of events: what happens to nodes, templates and pods.
    fn change(&mut self) {
        self.now += i64::try_from(self.numbers.below(15)).unwrap();
        for number in 0..8 {
            if self.numbers.is_one_in(12) {
                self.change_node(number);
            } else if self.numbers.is_one_in(40) {
                let name = format!("n{number}");
                self.facts.push(Fact::NodeGone(NodeGone { name }));
            }
        }
        for index in 0..self.daemon_sets.len() {
            if self.numbers.is_one_in(15) {
                let revision = format!("r{}", self.numbers.below(3) + 1);
                let daemon_set = &mut self.daemon_sets[index];
                daemon_set.update_revision = revision;
                daemon_set.generation += 1;
                self.facts.push(Fact::DaemonSetChanged(daemon_set.clone()));
            }
        }
        let uids: Vec<_> = self.pods.keys().cloned().collect();
        for uid in uids {
            self.change_pod(&uid);
        }
        if self.numbers.is_one_in(4) {
            self.adopt_pod();
        }
    }

    /// Adds a pod that no plan has requested, on a node that may have one already.
    fn adopt_pod(&mut self) {
        let create = CreatePod {
            node: format!("n{}", self.numbers.below(6)),
            revision: "r1".to_owned(),
            succeeds_uid: String::new(),
        };
        let owner = format!("uid-{}", self.numbers.below(4));
        self.create(&owner, &create);
    }

    fn change_pod(&mut self, uid: &str) {
        let event = self.numbers.below(20);
        let now = self.now;
        let Some(pod) = self.pods.get_mut(uid) else { return };
        match event {
            _ if pod.deleting && event < 12 => {
                self.pods.remove(uid);
                self.facts.push(Fact::PodGone(PodGone { uid: uid.to_owned() }));
                return;
            }
            0 => pod.phase = PodPhase::Failed.into(),
            1 => pod.ready_since = None,
            2 => pod.deleting = true,
            3..10 if pod.ready_since.is_none() && pod.phase() != PodPhase::Failed => {
                pod.bound = true;
                pod.phase = PodPhase::Running.into();
                pod.ready_since = Some(at(now));
            }
            _ => return,
        }
        if pod.phase() == PodPhase::Failed {
            pod.ready_since = None;
        }
        let pod = pod.clone();
        self.facts.push(Fact::PodChanged(pod));
    }

    fn carry_out(&mut self, plan: &Plan) {
        for action in &plan.actions {
            let outcome = match action.action.as_ref().unwrap() {
                _ if self.numbers.is_one_in(10) => ActionOutcome::Failed,
                Action::Create(create) => self.create(&plan.daemon_set_uid, create),
                Action::Delete(delete) => self.delete(delete),
            };
            self.facts.push(done(action.id, outcome));
        }
    }

    fn create(&mut self, owner: &str, create: &CreatePod) -> ActionOutcome {
        self.next_pod += 1;
        let pod = PodFacts {
            uid: format!("pod-{:04}", self.next_pod),
            name: format!("{owner}-{}", self.next_pod),
            daemon_set_uid: owner.to_owned(),
            node: create.node.clone(),
            phase: PodPhase::Pending.into(),
            created: Some(at(self.now)),
            revision: create.revision.clone(),
            ..PodFacts::default()
        };
        self.pods.insert(pod.uid.clone(), pod.clone());
        self.facts.push(Fact::PodChanged(pod));
        ActionOutcome::Done
    }

    fn delete(&mut self, delete: &DeletePod) -> ActionOutcome {
        let Some(pod) = self.pods.get_mut(&delete.uid) else {
            return ActionOutcome::Skipped;
        };
        pod.deleting = true;
        self.facts.push(Fact::PodChanged(pod.clone()));
        ActionOutcome::Done
    }

    fn next_request(&mut self, sequence: u64) -> SessionRequest {
        SessionRequest {
            now: Some(at(self.now)),
            ..request(sequence, std::mem::take(&mut self.facts))
        }
    }
}

/// The decisions of a plan, in words. New wire fields don't change this text.
fn decisions(plan: &Plan) -> String {
    let mut text = format!("{}:", plan.daemon_set);
    for action in &plan.actions {
        let described = match action.action.as_ref().unwrap() {
            Action::Create(CreatePod {
                node,
                revision,
                succeeds_uid,
            }) => format!("create {node} {revision} after {succeeds_uid:?}"),
            Action::Delete(delete) => format!("delete {} {:?}", delete.uid, delete.reason()),
        };
        write!(text, " [{}] {described};", action.id).unwrap();
    }
    if let Some(DaemonSetStatus {
        observed_generation,
        desired_number_scheduled,
        current_number_scheduled,
        number_misscheduled,
        number_ready,
        updated_number_scheduled,
        number_available,
        number_unavailable,
    }) = plan.status
    {
        write!(
            text,
            " generation {observed_generation}, desired {desired_number_scheduled}, current {current_number_scheduled}, \
             misscheduled {number_misscheduled}, ready {number_ready}, updated {updated_number_scheduled}, available \
             {number_available}, unavailable {number_unavailable};"
        )
        .unwrap();
    }
    for condition in &plan.conditions {
        write!(
            text,
            " {}={} {};",
            condition.r#type, condition.status, condition.reason
        )
        .unwrap();
    }
    for problem in &plan.problems {
        write!(text, " problem {:?} {};", problem.code(), problem.field).unwrap();
    }
    for toleration in &plan.added_tolerations {
        write!(text, " tolerate {}:{};", toleration.key, toleration.effect).unwrap();
    }
    if let Some(after) = &plan.reconsider_after {
        write!(text, " reconsider after {}.{:09} s;", after.seconds, after.nanos).unwrap();
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let pairs = digits.map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// Records sessions with the rules as they are now.
fn record() -> String {
    let mut text = format!("rules {RULES_VERSION}\n");
    for seed in 0..SESSIONS {
        writeln!(text, "session {seed}").unwrap();
        let mut session = Session::default();
        let mut cluster = Cluster::new(seed);
        for sequence in 1..=ROUNDS {
            let request = cluster.next_request(sequence);
            writeln!(text, "> {}", hex(&request.encode_to_vec())).unwrap();
            let outcome = session.take(request).unwrap();
            for plan in plans(&outcome) {
                writeln!(text, "< {}", decisions(plan)).unwrap();
                cluster.carry_out(plan);
            }
            cluster.change();
        }
    }
    text
}

/// Replays the requests of a recording, and returns the recording with the decisions of the current rules.
fn replay(recording: &str) -> String {
    let mut text = String::new();
    let mut session = Session::default();
    for line in recording.lines() {
        if line.starts_with("session ") {
            session = Session::default();
        }
        if line.starts_with("< ") {
            continue;
        }
        writeln!(text, "{line}").unwrap();
        if let Some(request) = line.strip_prefix("> ") {
            let request = SessionRequest::decode(bytes(request).as_slice()).unwrap();
            let outcome = session.take(request).unwrap();
            for plan in plans(&outcome) {
                writeln!(text, "< {}", decisions(plan)).unwrap();
            }
        }
    }
    text
}

#[test]
fn recorded_sessions_get_same_decisions_until_rules_version_rises() {
    let recording = fs::read_to_string(recording_path()).unwrap_or_default();
    let version = recording
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("rules "));
    if version != Some(RULES_VERSION) && std::env::var_os("EVERYNODE_BLESS").is_some() {
        fs::write(recording_path(), record()).unwrap();
        return;
    }
    assert_eq!(
        version,
        Some(RULES_VERSION),
        "the rules have a new version: record their decisions with EVERYNODE_BLESS=1"
    );
    let replayed = replay(&recording);
    let differing = recording
        .lines()
        .zip(replayed.lines())
        .find(|(old, new)| old != new);
    assert!(
        replayed == recording,
        "the same facts lead to other decisions: if that is intended, raise RULES_VERSION, say why in its history, and \
         record again; the first difference (recorded, now): {differing:#?}"
    );
}

/// The recording has no pod that succeeded, no problem, and no rollout that waits for deletions.
#[test]
fn recording_exercises_the_most_common_kinds_of_decisions() {
    let recording = fs::read_to_string(recording_path()).unwrap();
    for kind in [
        "create ",
        "after \"pod-",
        " Excluded",
        " Failed",
        " Excess",
        " Update",
        " NodeGone",
        "tolerate ",
        "reconsider after",
        "Progressing=true",
        "Available=false",
        "Available=true",
    ] {
        assert!(recording.contains(kind), "no decision has {kind:?}");
    }
}
