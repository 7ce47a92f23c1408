//! Many large calls at once: a real planner stays within its memory bound and keeps serving.

mod messages;
mod slow_clients;

use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use everynode_proto::facts::RawStruct;
use everynode_proto::planner::v1::fact::Fact;
use everynode_proto::planner::v1::planner_service_client::PlannerServiceClient;
use everynode_proto::planner::v1::session_response::Message;
use everynode_proto::planner::v1::{
    DaemonSetFacts, ExplainRequest, ExplainResponse, Fact as Facts, Hello, NodeFacts, PlanRequest,
    PlanResponse, PodTemplateFacts, SessionRequest, SyncComplete,
};
use everynode_tests::programs::{Profile, Programs};
use everynode_tests::service::{Planner, ServiceOptions};
use everynode_tests::wait::eventually;
use futures::StreamExt as _;
use futures::channel::mpsc;
use procfs::process::Process;
use serde_json::{Value, json};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::world::DEADLINE;

/// Bound on the planner's memory, in MiB. It covers the requests that the planner holds at the same time (256 MiB), the
/// working memory of the requests that it processes (one for each processor), and responses in flight.
const BOUND_MIB: u64 = 768;
/// Number of connections, and of callers on each. Together the callers send more requests than fit into the bound.
const CONNECTIONS: usize = 8;
const CALLERS: usize = 6;
/// How often each caller calls.
const ROUNDS: usize = 3;
const NODES: usize = 1_000;
/// Annotations make up most of a node, as in a real cluster, and no decision depends on them.
const ANNOTATION_BYTES: usize = 24 * 1024;

fn raw_struct(object: Value) -> RawStruct {
    let Value::Object(object) = object else {
        panic!("not an object")
    };
    RawStruct::from(&object)
}

fn node(index: usize) -> RawStruct {
    let taints = json!([{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]);
    raw_struct(json!({
        "kind": "Node",
        "metadata": {
            "name": format!("node-{index:04}"),
            "labels": {"zone": format!("zone-{}", index % 3)},
            "annotations": {"padding": "x".repeat(ANNOTATION_BYTES)},
        },
        "spec": if index.is_multiple_of(2) { json!({}) } else { json!({"taints": taints}) },
    }))
}

fn daemon_set(index: usize) -> RawStruct {
    let zone = json!({"zone": format!("zone-{}", index % 3)});
    let labels = json!({"app": "agent"});
    raw_struct(json!({
        "kind": "DaemonSet",
        "metadata": {"name": format!("agent-{index:02}"), "namespace": "default", "uid": format!("uid-{index}")},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"nodeSelector": zone, "containers": []}},
        },
    }))
}

/// The requests that callers send, and the correct responses.
struct SampleCalls {
    explain: ExplainRequest,
    explained: ExplainResponse,
    plan: PlanRequest,
    planned: PlanResponse,
}

type Client = PlannerServiceClient<Channel>;

async fn connect(url: &str) -> Client {
    let channel = Channel::from_shared(url.to_owned()).unwrap().connect().await;
    Client::new(channel.unwrap()).max_decoding_message_size(usize::MAX)
}

impl SampleCalls {
    /// Records the correct responses while there is no other caller.
    async fn new(client: &mut Client) -> Self {
        let nodes: Vec<_> = (0..NODES).map(node).collect();
        let explain = ExplainRequest {
            daemon_sets: (0..30).map(daemon_set).collect(),
            nodes: nodes.clone(),
            ..ExplainRequest::default()
        };
        let plan = PlanRequest {
            daemon_set: Some(daemon_set(0)),
            nodes,
            ..PlanRequest::default()
        };
        let explained = client.explain(explain.clone()).await.unwrap().into_inner();
        let planned = client.plan(plan.clone()).await.unwrap().into_inner();
        assert_eq!(explained.verdicts.len(), 30 * NODES);
        assert!(!planned.actions.is_empty());
        Self {
            explain,
            explained,
            plan,
            planned,
        }
    }

    /// Makes a call and checks the response or the refusal. Returns whether the planner answered the call.
    async fn call(&self, client: &mut Client, explain: bool) -> bool {
        let refused = if explain {
            let answer = client.explain(self.explain.clone()).await;
            answer.map(|answer| {
                assert!(
                    answer.into_inner() == self.explained,
                    "not the same answer as without load"
                );
            })
        } else {
            let answer = client.plan(self.plan.clone()).await;
            answer.map(|answer| {
                assert!(
                    answer.into_inner() == self.planned,
                    "not the same plan as without load"
                );
            })
        };
        let Err(status) = refused else { return true };
        assert_refusal(&status);
        false
    }
}

#[track_caller]
fn assert_refusal(status: &Status) {
    let expected = [Code::ResourceExhausted, Code::DeadlineExceeded].contains(&status.code());
    assert!(expected, "{status}");
    assert!(status.message().contains("try again in 1 s"), "{status}");
    assert!(
        status.details().windows(9).any(|window| window == b"RetryInfo"),
        "the refusal has no RetryInfo: {status}"
    );
}

/// Adds nodes in a session, one at a time, until `until` is set. Each node must get a plan before the next is added.
/// Returns the number of nodes.
async fn session(mut client: Client, until: Arc<AtomicBool>) -> usize {
    let (requests, outgoing) = mpsc::unbounded();
    let send = |sequence, hello, facts: Vec<Fact>| {
        let facts = facts.into_iter().map(|fact| Facts { fact: Some(fact) });
        let request = SessionRequest {
            sequence,
            hello,
            now: Some(prost_types::Timestamp {
                seconds: 1_000_000,
                nanos: 0,
            }),
            facts: facts.collect(),
        };
        requests.unbounded_send(request).unwrap();
    };
    let hello = Hello {
        cluster: "flooded".to_owned(),
        identity: "executor".to_owned(),
        epoch: 1,
        protocol: 1,
        ..Hello::default()
    };
    let daemon_set = DaemonSetFacts {
        namespace: "default".to_owned(),
        name: "agent".to_owned(),
        uid: "uid".to_owned(),
        template: Some(PodTemplateFacts::default()),
        ..DaemonSetFacts::default()
    };
    let facts = vec![
        Fact::DaemonSetChanged(daemon_set),
        Fact::SyncComplete(SyncComplete {}),
    ];
    send(1, Some(hello), facts);
    let mut responses = client.session(outgoing).await.unwrap().into_inner();
    let mut served = 0;
    while !until.load(Ordering::Relaxed) {
        let name = format!("node-{served}");
        let node = NodeFacts {
            name: name.clone(),
            ..NodeFacts::default()
        };
        send(2 + served as u64, None, vec![Fact::NodeChanged(node)]);
        let planned = async {
            loop {
                let response = responses.next().await.expect("the session stays open").unwrap();
                if let Some(Message::Plan(plan)) = response.message
                    && plan
                        .actions
                        .iter()
                        .any(|action| format!("{action:?}").contains(&name))
                {
                    break;
                }
            }
        };
        timeout(DEADLINE, planned)
            .await
            .expect("the session gets its plan before the deadline");
        served += 1;
    }
    served
}

#[tokio::test(flavor = "multi_thread")]
async fn flood_of_large_calls_stays_within_memory_and_blocks_no_session() {
    let programs = Programs::built(Profile::Dev).await.unwrap();
    let planner = Planner::start(&programs, ServiceOptions::default())
        .await
        .unwrap();
    let process = Process::new(planner.pid().unwrap()).unwrap();
    let peak_mib = || process.status().unwrap().vmhwm.unwrap() / 1024;
    let mut client = connect(&planner.url()).await;
    let samples = Arc::new(SampleCalls::new(&mut client).await);
    println!("calls in sequence take {} MiB", peak_mib());

    let finished = Arc::new(AtomicBool::new(false));
    let session = tokio::spawn(session(connect(&planner.url()).await, finished.clone()));
    let (answers, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut callers = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = connect(&planner.url()).await;
        for caller in 0..CALLERS {
            let (mut client, samples) = (client.clone(), samples.clone());
            let (answers, refused) = (answers.clone(), refused.clone());
            callers.push(tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let answered = samples.call(&mut client, (caller + round) % 2 == 0).await;
                    let count = if answered { &answers } else { &refused };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
    }
    for caller in callers {
        caller
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", planner.log_tail(20)));
    }
    finished.store(true, Ordering::Relaxed);
    let served = session.await.unwrap();
    let (answers, refused) = (answers.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
    let peak = peak_mib();
    println!("{answers} answers, {refused} refusals, {served} plans in the session, {peak} MiB");
    assert!(
        answers > 0 && refused > 0,
        "{answers} answers, {refused} refusals"
    );
    assert!(served > 10, "{served} plans in the session");
    assert!(peak < BOUND_MIB, "the planner took {peak} MiB");

    assert!(samples.call(&mut client, true).await && samples.call(&mut client, false).await);
    let counted = planner.metric("everynode_planner_refused_calls_total", "").await;
    assert!(counted.unwrap() >= f64::from(u32::try_from(refused).unwrap()));
    eventually(DEADLINE, "all calls to have ended", async || {
        let open = planner.metric("everynode_planner_calls_in_progress", "").await?;
        anyhow::ensure!(open.abs() < 0.5, "{open} are in progress");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn open_health_watch_does_not_delay_planner_shutdown() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    let programs = Programs::built(Profile::Dev).await.unwrap();
    let mut planner = Planner::start(&programs, ServiceOptions::default())
        .await
        .unwrap();
    let channel = Channel::from_shared(planner.url())
        .unwrap()
        .connect()
        .await
        .unwrap();
    let watch = HealthClient::new(channel)
        .watch(HealthCheckRequest::default())
        .await;
    let mut watch = watch.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());
    let began = std::time::Instant::now();
    planner.stop().await.unwrap();
    let took = began.elapsed();
    // A planner that shuts down cuts off open calls after ten seconds.
    assert!(took < Duration::from_secs(8), "it took {took:?}");
    assert!(
        !planner.log_tail(20).contains("drain deadline passed"),
        "{}",
        planner.log_tail(20)
    );
}
