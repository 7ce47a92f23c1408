//! Checks that the calls caused by random plans do no more than a rollout of the `DaemonSet` could.
//!
//! The checks derive the limits from the state of the fake API server, and share no code with the executor's own
//! limits. The plans are derived from a seed, which is shown when a run fails. `EVERYNODE_FUZZ_INPUTS` sets the number
//! of runs, and `EVERYNODE_FUZZ_SEED` sets the first seed.

mod checking_server;

use std::collections::BTreeMap;

use everynode_proto::planner::v1::{DaemonSetCondition, PodAvailability};
use fastrand::Rng;

use self::checking_server::{CheckingServer, Counts, FakePod};
use super::*;

/// Default number of runs.
const RUNS: u64 = 40;
/// Number of plans in a run.
const PLANS: usize = 40;
/// Maximum number of calls that are answered in a row, including calls left from earlier plans.
const MAX_CALLS: usize = 2_000;
const NODES: [&str; 3] = ["n1", "n2", "n3"];
const ODD: [&str; 8] = [
    "",
    "n9",
    "..",
    "../../secrets/s",
    "p1?gracePeriodSeconds=0",
    "p1/eviction",
    "p1%2Fstatus",
    "p1#x",
];

/// Returns one of these at random.
fn choose<'a>(random: &mut Rng, of: &[&'a str]) -> &'a str {
    random.choice(of).unwrap()
}

fn usual_or_odd(random: &mut Rng, usual: &str) -> String {
    if random.u8(..6) == 0 {
        choose(random, &ODD).to_owned()
    } else {
        usual.to_owned()
    }
}

fn any_action(random: &mut Rng, pods: &BTreeMap<String, FakePod>) -> Option<Action> {
    match random.u8(..10) {
        0 => None,
        1..=5 => {
            let node = choose(random, &NODES);
            Some(Action::Create(CreatePod {
                node: usual_or_odd(random, node),
                revision: usual_or_odd(random, "r1"),
                succeeds_uid: random.u8(..).to_string(),
            }))
        }
        _ => {
            let pods: Vec<_> = pods.values().collect();
            let (pod, other) = (random.choice(&pods)?, random.choice(&pods)?);
            let name = if random.u8(..8) == 0 { other } else { pod }.name();
            Some(Action::Delete(DeletePod {
                pod: usual_or_odd(random, name),
                uid: usual_or_odd(random, pod.uid()),
                reason: random.i32(0..9),
                node: usual_or_odd(random, "n1"),
            }))
        }
    }
}

fn any_plan(random: &mut Rng, pods: &BTreeMap<String, FakePod>, last_id: &mut u64) -> Plan {
    let count = match random.u8(..100) {
        0 => 5_000,
        _ => random.usize(..12),
    };
    let actions = (0..count)
        .map(|_| {
            *last_id += u64::from(random.u8(..100) > 0);
            PlannedAction {
                id: *last_id,
                action: any_action(random, pods),
            }
        })
        .collect();
    let text = |random: &mut Rng| "ä\u{0}".repeat(random.usize(..30) * random.usize(..1_000));
    let condition = |random: &mut Rng| DaemonSetCondition {
        r#type: choose(
            random,
            &["Available", "Progressing", "Degraded", "Ready", "x/y", ""],
        )
        .to_owned(),
        status: random.bool(),
        reason: choose(random, &["AllRight", "Not right", "", "x:", "A,b:c_d"]).to_owned(),
        message: text(random),
    };
    let toleration = |random: &mut Rng| Toleration {
        key: choose(
            random,
            &[
                "",
                "node.kubernetes.io/not-ready",
                "example.com/kept",
                "node.kubernetes.io/",
            ],
        )
        .to_owned(),
        operator: choose(random, &["Exists", "Equal", ""]).to_owned(),
        value: choose(random, &["", "x"]).to_owned(),
        effect: choose(random, &["", "NoSchedule", "NoExecute", "PreferNoSchedule"]).to_owned(),
    };
    let problem = |random: &mut Rng| Problem {
        code: random.i32(0..9),
        object: text(random),
        field: text(random),
        message: text(random),
    };
    let availability = |random: &mut Rng| PodAvailability {
        uid: text(random),
        available_at: random.bool().then(|| prost_types::Timestamp {
            seconds: random.i64(..),
            nanos: random.i32(..),
        }),
    };
    Plan {
        actions,
        status: random.bool().then(|| DaemonSetStatus {
            number_ready: random.i32(..),
            ..DaemonSetStatus::default()
        }),
        conditions: (0..random.usize(..5)).map(|_| condition(random)).collect(),
        added_tolerations: (0..random.usize(..4)).map(|_| toleration(random)).collect(),
        problems: (0..random.usize(..40)).map(|_| problem(random)).collect(),
        reconsider_after: random.bool().then(|| prost_types::Duration {
            seconds: random.i64(-10..100),
            nanos: 0,
        }),
        progress: random.i32(0..6),
        progress_message: text(random),
        pod_availability: (0..random.usize(..4)).map(|_| availability(random)).collect(),
        ..Plan::default()
    }
}

/// Checks every call and answers the calls until none is left. Unless `until_idle`, it may stop earlier, at random.
async fn answer_calls(
    rig: &mut Rig,
    planner: &mut FakePlannerSession,
    server: &mut CheckingServer<'_>,
    until_idle: bool,
) {
    for calls in 0.. {
        assert!(calls < MAX_CALLS, "the calls don't end");
        while let Ok(call) = tokio::time::timeout(Duration::from_millis(1), rig.api.any_call()).await {
            let call = call.unwrap();
            server.check(&call);
            server.open.push(call);
        }
        while planner.requests.try_recv().is_ok() {}
        if server.open.is_empty() || (!until_idle && server.random.u8(..8) == 0) {
            break;
        }
        if let Some(pod) = server.answer() {
            rig.report_pod(&pod).await;
        }
    }
    for event in rig.events().await {
        assert!(event.len() <= 1_100, "{event}");
    }
}

/// Makes a random change to the cluster that no plan has caused.
async fn change_cluster(rig: &Rig, server: &mut CheckingServer<'_>) {
    let ours = server.pods.values().filter(|pod| pod.is_ours && !pod.is_gone);
    let uids: Vec<_> = ours.map(|pod| pod.uid().to_owned()).collect();
    let Some(uid) = server.random.choice(&uids).cloned() else {
        return;
    };
    let version = server.next_version().to_string();
    let is_over = server.random.bool();
    let pod = server.pods.get_mut(&uid).unwrap();
    if pod.is_live && is_over {
        let failed = json!({"metadata": {"resourceVersion": version}, "status": {"phase": "Failed"}});
        pod.object = with(pod.object.take(), failed);
        pod.is_live = false;
        rig.report_pod(&pod.object).await;
    } else if !pod.is_live {
        let metadata = json!({"metadata": {"resourceVersion": version}});
        pod.object = with(pod.object.take(), metadata);
        pod.is_gone = true;
        rig.report_pod_gone(&pod.object).await;
    }
}

/// Pods that don't belong to the agent, although some look like it.
fn foreign_pods() -> [Value; 4] {
    let owned = |name: &str, uid: &str, owner: &str| {
        let owners = json!([{
            "apiVersion": "apps/v1", "kind": "DaemonSet", "name": owner, "uid": uid, "controller": true,
        }]);
        with(
            pod_json(name, 3),
            json!({"metadata": {"ownerReferences": owners}}),
        )
    };
    let unselected = json!({"metadata": {"labels": {"app": "else"}}});
    [
        owned("others", "ds-2", "other"),
        owned("forged", "ds-1", "other"),
        with(
            pod_json("tenants", 3),
            json!({"metadata": {"namespace": "tenant"}}),
        ),
        with(orphan_json("nobodys", 3), unselected),
    ]
}

async fn run(seed: u64, all: &mut Counts) {
    fastrand::seed(seed);
    let random = &mut Rng::with_seed(seed);
    let most_on_node = random.usize(1..=2);
    let surge = json!({"spec": {"updateStrategy": {"rollingUpdate": {"maxSurge": most_on_node - 1}}}});
    let agent = with(agent_json(), surge);
    let mut rig = rig_with(true);
    let mut server = CheckingServer {
        most_on_node,
        agent: agent.clone(),
        pods: BTreeMap::new(),
        open: Vec::new(),
        version: 100,
        counts: all,
        random,
    };
    server.add(pod_json("p1", 3), true);
    for pod in foreign_pods() {
        server.add(pod, false);
    }
    let pods: Vec<_> = server.pods.values().map(|pod| pod.object.clone()).collect();
    rig.list(read(&agent), &NODES, &pods, &[revision_json("r1", 1)])
        .await;
    let mut planner = rig.open(100).await;
    planner.until("sync").await;
    let mut last_id = 0;
    for _ in 0..PLANS {
        let plan = any_plan(server.random, &server.pods, &mut last_id);
        planner.send_plan(plan).await;
        answer_calls(&mut rig, &mut planner, &mut server, false).await;
        if server.random.bool() {
            change_cluster(&rig, &mut server).await;
            answer_calls(&mut rig, &mut planner, &mut server, false).await;
        }
        if server.random.bool() {
            let seconds = if server.random.u8(..4) == 0 { 40 } else { 3 };
            for _ in 0..seconds {
                // A call that the executor gives up on could still be carried out, so no call stays unanswered for
                // long.
                answer_calls(&mut rig, &mut planner, &mut server, true).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            answer_calls(&mut rig, &mut planner, &mut server, true).await;
        }
        if planner.end.is_cancelled() {
            server.counts.sessions_closed += 1;
            answer_calls(&mut rig, &mut planner, &mut server, true).await;
            rig.lose_planner(planner).await;
            planner = rig.open(100).await;
        }
    }
    answer_calls(&mut rig, &mut planner, &mut server, true).await;
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn random_plans_cause_no_more_calls_than_a_rollout_could() {
    let first = number("EVERYNODE_FUZZ_SEED").unwrap_or_default();
    let runs = number("EVERYNODE_FUZZ_INPUTS").unwrap_or(RUNS);
    let mut counts = Counts::default();
    for seed in (0..runs).map(|run| first.wrapping_add(run)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(run(seed, &mut counts));
        }));
        assert!(
            outcome.is_ok(),
            "to repeat this run alone, set EVERYNODE_FUZZ_INPUTS=1 EVERYNODE_FUZZ_SEED={seed}"
        );
    }
    // The test would show nothing if nothing were carried out.
    let Counts {
        creations,
        deletions,
        statuses,
        sessions_closed,
    } = counts;
    let least = usize::try_from(runs).unwrap() / 10;
    assert!(
        [creations, deletions, statuses, sessions_closed]
            .iter()
            .all(|count| *count >= least),
        "{counts:?}"
    );
}
