//! The executor's live view of `DaemonSet`s during rollouts, over a real port.

use everynode_proto::executor::v1::executor_service_client::ExecutorServiceClient;
use everynode_proto::executor::v1::watch_plans_response::Event;
use everynode_proto::executor::v1::{
    DaemonSet, ExplainRequest, GetInfoRequest, ListDaemonSetsRequest, Placement, RolloutState, Wait,
    WaitCode, WatchPlansRequest, WatchPlansResponse,
};
use everynode_proto::planner::v1::action::Action;
use everynode_proto::planner::v1::{ActionOutcome, Verdict};
use everynode_tests::daemonsets::{DaemonSetBuilder, target_node};
use everynode_tests::nodes::{self, taint};
use everynode_tests::wait::eventually;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::tools::grpcurl;
use crate::world::{DEADLINE, World};

const SERVICE: &str = "everynode.executor.v1.ExecutorService";

struct LiveViewClient(ExecutorServiceClient<Channel>);

impl LiveViewClient {
    async fn connect(world: &World) -> Self {
        Self(
            ExecutorServiceClient::connect(world.executor.url())
                .await
                .unwrap(),
        )
    }

    /// The listed state of `agent`.
    async fn listed(&mut self, world: &World) -> anyhow::Result<DaemonSet> {
        let request = ListDaemonSetsRequest {
            namespace: world.namespace.clone(),
            name: "agent".to_owned(),
        };
        let answer = self.0.list_daemon_sets(request).await?.into_inner();
        anyhow::ensure!(
            answer.ask_leader.is_empty(),
            "the executor doesn't lead: {answer:?}"
        );
        let [daemon_set] = answer.daemon_sets.as_slice() else {
            anyhow::bail!("{answer:?}")
        };
        Ok(daemon_set.clone())
    }

    /// Waits until `agent` is listed with this rollout state and a wait with this code; `None` expects no waits at all.
    async fn shows(&mut self, world: &World, state: RolloutState, wait: Option<WaitCode>) -> DaemonSet {
        let shown = eventually(DEADLINE, format!("{state:?} with {wait:?}"), async || {
            let listed = self.listed(world).await?;
            let found = listed
                .rollout
                .as_ref()
                .is_some_and(|rollout| rollout.state() == state);
            let codes: Vec<_> = listed.waits.iter().map(Wait::code).collect();
            let waits = wait.map_or(codes.is_empty(), |wait| codes.contains(&wait));
            anyhow::ensure!(found && waits, "{listed:#?}");
            Ok(listed)
        });
        shown
            .await
            .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()))
    }

    async fn explain(&mut self, world: &World, node: &str) -> Result<Placement, Status> {
        let request = ExplainRequest {
            daemon_set: format!("{}/agent", world.namespace),
            node: node.to_owned(),
        };
        let answer = self.0.explain(request).await?.into_inner();
        assert_eq!(answer.placements.len(), 1, "{answer:?}");
        Ok(answer.placements[0].clone())
    }

    /// Waits until the node has this verdict and this number of pods.
    async fn explains(&mut self, world: &World, node: &str, wanted: Verdict, pods: usize) -> Placement {
        let explained = eventually(DEADLINE, format!("{wanted:?} on {node}"), async || {
            let placement = self.explain(world, node).await?;
            let verdict = placement.verdict.clone().unwrap_or_default();
            anyhow::ensure!(
                verdict.verdict() == wanted && placement.pods.len() == pods,
                "{placement:#?}"
            );
            Ok(placement)
        });
        explained
            .await
            .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()))
    }

    async fn watch(&mut self, world: &World) -> Streaming<WatchPlansResponse> {
        let request = WatchPlansRequest {
            namespace: world.namespace.clone(),
            name: String::new(),
        };
        self.0.watch_plans(request).await.unwrap().into_inner()
    }
}

async fn next(watch: &mut Streaming<WatchPlansResponse>) -> Result<Event, Status> {
    let message = timeout(DEADLINE, watch.message())
        .await
        .expect("an event arrives before the deadline");
    message.map(|message| message.unwrap().event.unwrap())
}

/// The message of the first wait with this code.
#[track_caller]
fn message(daemon_set: &DaemonSet, code: WaitCode) -> &str {
    let wait = daemon_set.waits.iter().find(|wait| wait.code() == code);
    &wait.unwrap_or_else(|| panic!("{daemon_set:#?}")).message
}

#[tokio::test]
async fn stuck_rollout_is_listed_with_the_pod_that_it_waits_for() {
    let (world, _) = World::with_agent(3).await;
    let mut view = LiveViewClient::connect(&world).await;
    let complete = view.shows(&world, RolloutState::Complete, None).await;
    let words = "all 3 pods are of the current template and available";
    assert_eq!(complete.rollout.unwrap().message, words);

    world.set_image("example/non-existent:2").await;
    let stuck = view
        .shows(&world, RolloutState::Progressing, Some(WaitCode::Readiness))
        .await;
    let words = message(&stuck, WaitCode::Readiness);
    assert!(
        words.starts_with("1 pod isn't ready: agent-") && words.ends_with(" (Pending)"),
        "{words}"
    );
    let counted = eventually(DEADLINE, "the counters to follow", async || {
        let rollout = view.listed(&world).await?.rollout.unwrap_or_default();
        let words = "1 of 3 pods are of the current template, 2 available";
        anyhow::ensure!(rollout.message == words, "{rollout:?}");
        Ok(rollout)
    });
    assert!(!counted.await.unwrap().update_revision.is_empty());

    world.set_image("example/daemon:3").await;
    view.shows(&world, RolloutState::Complete, None).await;
}

#[tokio::test]
async fn exceeded_quota_is_listed_with_the_servers_message_and_explains_missing_pods() {
    let world = World::new(3).await;
    world.create_quota(2).await;
    world.create(DaemonSetBuilder::new("agent")).await;
    let mut view = LiveViewClient::connect(&world).await;
    let blocked = view
        .shows(&world, RolloutState::Blocked, Some(WaitCode::Refused))
        .await;
    let words = message(&blocked, WaitCode::Refused);
    assert!(
        words.starts_with("pods can't be created: the API server refuses: "),
        "{words}"
    );
    assert!(words.contains("exceeded quota: few"), "{words}");

    let bound = eventually(DEADLINE, "two ready pods", async || {
        let listed = view.listed(&world).await?;
        let ready = listed.status.map_or(0, |status| status.number_ready);
        anyhow::ensure!(ready == 2, "{listed:?}");
        Ok(())
    });
    bound.await.unwrap();
    let mut without = Vec::new();
    for node in &world.nodes {
        let placement = view.explain(&world, node).await.unwrap();
        assert_eq!(placement.verdict.as_ref().unwrap().verdict(), Verdict::Run);
        match placement.pods.as_slice() {
            [pod] => assert!(
                pod.is_bound && pod.is_ready && placement.waits.is_empty(),
                "{placement:?}"
            ),
            pods => {
                assert!(pods.is_empty(), "{pods:?}");
                without.push(placement.waits[0].clone());
            }
        }
    }
    let [wait] = without.as_slice() else {
        panic!("{without:?}")
    };
    assert_eq!(wait.code(), WaitCode::Refused);
    let words = &wait.message;
    assert!(
        words.starts_with("there is no pod, because the API server refuses: "),
        "{words}"
    );
    assert!(words.contains("exceeded quota: few"), "{words}");
}

#[tokio::test]
async fn explain_reports_kept_pods_and_excluded_nodes() {
    let (world, pods) = World::with_agent(2).await;
    let mut view = LiveViewClient::connect(&world).await;
    let set = async |node: &str, effect: &str| {
        let taints = [taint("dedicated", "db", effect)];
        nodes::set_taints(&world.client, node, &taints).await.unwrap();
    };
    set("node-01", "NoSchedule").await;
    let kept = view.explains(&world, "node-01", Verdict::Keep, 1).await;
    let pod = pods
        .iter()
        .find(|pod| target_node(pod) == Some("node-01"))
        .unwrap();
    assert_eq!(kept.pods[0].name, pod.name_any());
    assert_eq!(kept.waits, []);
    set("node-02", "NoExecute").await;
    let excluded = view.explains(&world, "node-02", Verdict::Exclude, 0).await;
    assert_eq!(excluded.waits, []);
    let reasons = &excluded.verdict.unwrap().reasons;
    assert!(reasons[0].message.contains("dedicated"), "{reasons:?}");

    let refusal = view.explain(&world, "node-03").await.unwrap_err();
    assert_eq!(refusal.code(), Code::NotFound);
    let words = "there is no node node-03; did you mean node-01 or node-02?";
    assert_eq!(refusal.message(), words);
}

#[tokio::test]
async fn watch_reports_plan_and_outcome_of_a_creation_and_ends_with_the_executor() {
    let mut world = World::new(1).await;
    let mut view = LiveViewClient::connect(&world).await;
    let mut watch = view.watch(&world).await;
    let Event::Began(began) = next(&mut watch).await.unwrap() else {
        panic!("the first event must be Began")
    };
    assert!(began.planner.unwrap().is_synced);

    world.create(DaemonSetBuilder::new("agent")).await;
    let key = format!("{}/agent", world.namespace);
    let action = loop {
        if let Event::Plan(plan) = next(&mut watch).await.unwrap() {
            assert_eq!(plan.daemon_set, key);
            if let Some(action) = plan.actions.into_iter().next() {
                break action;
            }
        }
    };
    let Some(Action::Create(create)) = action.action else {
        panic!("{action:?}")
    };
    assert_eq!(create.node, "node-01");
    let ended = loop {
        if let Event::ActionEnded(ended) = next(&mut watch).await.unwrap() {
            break ended;
        }
    };
    let outcome = (ended.daemon_set.as_str(), ended.action_id, ended.outcome());
    assert_eq!(outcome, (key.as_str(), action.id, ActionOutcome::Done));
    let pods = world.wait_placed("agent").await;
    let words = format!("Created pod: {} on node node-01", pods[0].name_any());
    assert_eq!(ended.message, words);

    view.shows(&world, RolloutState::Complete, None).await;
    world.planner.kill9().await.unwrap();
    let lost = loop {
        if let Event::PlannerChanged(changed) = next(&mut watch).await.unwrap() {
            break changed;
        }
    };
    assert_eq!(lost.planner, None);
    let blocked = view
        .shows(&world, RolloutState::Complete, Some(WaitCode::Planner))
        .await;
    let words = "there is no planner, so nothing is created or deleted";
    assert_eq!(message(&blocked, WaitCode::Planner), words);
    let refusal = view.explain(&world, "node-01").await.unwrap_err();
    assert_eq!(refusal.code(), Code::Unavailable, "{refusal}");
    assert!(refusal.message().starts_with("no planner answers"), "{refusal}");

    world.executor.stop().await.unwrap();
    let end = loop {
        if let Err(end) = next(&mut watch).await {
            break end;
        }
    };
    assert_eq!(
        (end.code(), end.message()),
        (Code::Unavailable, "the executor is shutting down")
    );
}

#[tokio::test]
async fn executor_answers_grpcurl_by_reflection() {
    let (mut world, _) = World::with_agent(1).await;
    let executor = world.executor.address();
    let services = grpcurl(&mut world, &executor, &["list"], None).await;
    for service in [SERVICE, "grpc.health.v1.Health"] {
        assert!(services.contains(service), "{services}");
    }
    let health = json!({"service": SERVICE});
    let answer = grpcurl(
        &mut world,
        &executor,
        &["grpc.health.v1.Health/Check"],
        Some(health),
    )
    .await;
    assert!(
        answer.contains("SERVING") && !answer.contains("NOT_SERVING"),
        "{answer}"
    );

    let call = format!("{SERVICE}/Explain");
    let explain = json!({"daemon_set": format!("{}/agent", world.namespace)});
    let answer = grpcurl(&mut world, &executor, &[&call], Some(explain)).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["placements"][0]["verdict"]["verdict"], "VERDICT_RUN");
    assert_eq!(answer["placements"][0]["pods"][0]["isReady"], true);

    let mut view = LiveViewClient::connect(&world).await;
    let info = view.0.get_info(GetInfoRequest {}).await.unwrap().into_inner();
    assert!(info.cluster_is_listed && info.planner.is_some_and(|planner| planner.is_synced));
    assert_eq!(info.leader, info.identity);
}
