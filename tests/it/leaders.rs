//! Several executors at once: one leads, the others stand by.

use std::path::Path;
use std::time::{Duration, Instant};

use everynode_tests::audit::{AuditLog, Request};
use everynode_tests::control_plane::{ControlPlane, Options};
use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use everynode_tests::monitor::Monitor;
use everynode_tests::nodes::{self, NodeBuilder};
use everynode_tests::programs::{Profile, Programs};
use everynode_tests::service::{Executor, Planner, ServiceOptions};
use everynode_tests::shared::fresh_namespace;
use everynode_tests::wait::eventually;
use k8s_openapi::api::apps::v1::DaemonSetStatus;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use rustix::process::Signal;
use serde_json::json;

use crate::world::{DEADLINE, World};

/// Default lease duration. Another executor takes over when the leader hasn't renewed the lease for this long.
const LEASE_DURATION: Duration = Duration::from_secs(15);

/// Flags for an executor in an election that only this test uses.
pub(crate) fn election_options(namespace: &str, identity: &str) -> ServiceOptions {
    let flags = [
        "--leader-elect=true".to_owned(),
        format!("--leader-elect-resource-namespace={namespace}"),
        format!("--identity={identity}"),
    ];
    ServiceOptions {
        flags: flags.to_vec(),
        ..ServiceOptions::default()
    }
}

/// Starts an executor that takes part in the election, and waits until it is ready.
async fn start_candidate(world: &mut World, identity: &str) -> Executor {
    let options = election_options(&world.namespace, identity);
    let kubeconfig = world.claim.control_plane().kubeconfig();
    let started = Executor::start(&world.programs, &world.planner.url(), kubeconfig, options).await;
    started.unwrap()
}

async fn is_leading(executor: &Executor) -> bool {
    executor.metric("everynode_executor_leader", "").await.unwrap() > 0.5
}

/// Waits until an executor leads.
pub(crate) async fn wait_leading(executor: &Executor) {
    let leading = eventually(DEADLINE, "the executor to lead", async || {
        anyhow::ensure!(is_leading(executor).await, "the executor doesn't lead");
        Ok(())
    });
    leading.await.unwrap();
}

async fn lease(world: &World) -> Lease {
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), &world.namespace);
    leases.get("everynode-executor").await.unwrap()
}

/// A world with `nodes` nodes, whose only executors are a leader and a standby, named `first` and `second`.
async fn with_standby(nodes: usize) -> (World, Executor) {
    let mut world = World::new(nodes).await;
    world.executor.stop().await.unwrap();
    world.executor = start_candidate(&mut world, "first").await;
    wait_leading(&world.executor).await;
    let standby = start_candidate(&mut world, "second").await;
    assert!(!is_leading(&standby).await);
    (world, standby)
}

#[tokio::test]
async fn standby_acts_within_lease_duration_plus_one_second_after_leader_is_killed() {
    let (mut world, standby) = with_standby(3).await;
    let agent = DaemonSetBuilder::new("agent");
    world.create(agent).await;
    let before = world.wait_placed("agent").await;
    let mut monitor = Monitor::start(&world.client, &world.namespace, "agent")
        .await
        .unwrap();

    world.executor.kill9().await.unwrap();
    let killed = Instant::now();
    nodes::create_ready(&world.client, vec![NodeBuilder::new("node-04")])
        .await
        .unwrap();
    world.nodes.push("node-04".to_owned());
    assert!(
        monitor.wait_events(1, DEADLINE).await,
        "no pod was created\n{}",
        standby.log_tail(30)
    );
    let waited = killed.elapsed();
    assert!(
        waited <= LEASE_DURATION + Duration::from_secs(1),
        "the successor acted after {waited:?}\n{}",
        standby.log_tail(30)
    );
    let after = world.wait_placed("agent").await;
    assert!(
        before
            .iter()
            .all(|pod| after.iter().any(|now| now.metadata.uid == pod.metadata.uid))
    );
    monitor.check_one_pod_per_node().unwrap();
    let spec = lease(&world).await.spec.unwrap();
    assert!(spec.holder_identity.unwrap().starts_with("second_"));
    assert_eq!(
        (spec.lease_duration_seconds, spec.lease_transitions),
        (Some(15), Some(1))
    );
    drop(standby);
}

#[tokio::test]
async fn standby_takes_over_before_the_lease_expires_when_leader_stops_during_a_rollout() {
    let (mut world, standby) = with_standby(6).await;
    world.create(DaemonSetBuilder::new("agent")).await;
    world.wait_placed("agent").await;
    let mut monitor = Monitor::start(&world.client, &world.namespace, "agent")
        .await
        .unwrap();
    world.set_image("example/daemon:2").await;
    assert!(monitor.wait_events(4, DEADLINE).await);
    let renewed = lease(&world).await.spec.unwrap().renew_time.unwrap();
    world.executor.stop().await.unwrap();
    wait_leading(&standby).await;
    let acquired = lease(&world).await.spec.unwrap().acquire_time.unwrap();
    // If the leader hadn't released the lease, the standby would have waited for the lease duration since a renewal.
    let waited = acquired.0.duration_since(renewed.0).unsigned_abs();
    assert!(waited < LEASE_DURATION, "the standby waited for {waited:?}");
    world.wait_rolled_out().await;
    monitor.check_one_pod_per_node().unwrap();
    drop(standby);
}

/// Audits every request of the user `contender`, whose kubeconfig only the frozen executor uses.
const POLICY: &str = r"apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: [contender]
- level: None
";

#[tokio::test]
async fn frozen_leader_writes_nothing_after_it_resumes() {
    let log = AuditLog::new(POLICY).unwrap();
    let options = Options {
        flags: log.flags(),
        ..Options::default()
    };
    let control_plane = ControlPlane::start(options).await.unwrap();
    let client = control_plane.client().await.unwrap();
    let namespace = fresh_namespace(&client).await.unwrap();
    let nodes: Vec<_> = (1..=8).map(|number| format!("node-{number:02}")).collect();
    let builders = nodes.iter().map(|name| NodeBuilder::new(name)).collect();
    nodes::create_ready(&client, builders).await.unwrap();
    let programs = Programs::built(Profile::Dev).await.unwrap();
    let planner = Planner::start(&programs, ServiceOptions::default())
        .await
        .unwrap();
    let start = async |kubeconfig: &Path, identity: &str| {
        let options = election_options(&namespace, identity);
        let started = Executor::start(&programs, &planner.url(), kubeconfig, options).await;
        started.unwrap()
    };
    let own = control_plane
        .contender_kubeconfig(&control_plane.server())
        .unwrap();
    let mut frozen = start(&own, "frozen").await;
    wait_leading(&frozen).await;
    let standby = start(control_plane.kubeconfig(), "standby").await;

    DaemonSetBuilder::new("agent")
        .create(&client, &namespace)
        .await
        .unwrap();
    let placed = async || daemonsets::wait_placed(&client, &namespace, "agent", &nodes, DEADLINE).await;
    placed().await.unwrap();
    let rolled_out = async |image: &str| {
        let containers = json!([{"name": "main", "image": image}]);
        let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        daemonsets::patch(&client, &namespace, "agent", &patch)
            .await
            .unwrap();
        let updated = |status: &DaemonSetStatus| {
            status.updated_number_scheduled == Some(8) && status.number_available == Some(8)
        };
        let wanted = daemonsets::wait_status(&client, &namespace, "agent", DEADLINE, image, updated);
        wanted.await.unwrap();
    };
    let mut monitor = Monitor::start(&client, &namespace, "agent").await.unwrap();

    // The leader freezes in the middle of a rollout, with calls in flight.
    let containers = json!([{"name": "main", "image": "example/daemon:2"}]);
    let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    daemonsets::patch(&client, &namespace, "agent", &patch)
        .await
        .unwrap();
    assert!(monitor.wait_events(3, DEADLINE).await);
    frozen.signal(Signal::STOP);
    wait_leading(&standby).await;
    rolled_out("example/daemon:2").await;
    let mut audit = log.read();
    assert!(
        audit.read().unwrap().iter().any(is_write),
        "the frozen executor wrote nothing while it was leading"
    );

    frozen.signal(Signal::CONT);
    eventually(DEADLINE, "the frozen executor to stand by", async || {
        anyhow::ensure!(
            !is_leading(&frozen).await,
            "the executor still reports that it leads"
        );
        Ok(())
    })
    .await
    .unwrap();
    // There is work again. Only the new leader may do it.
    rolled_out("example/daemon:3").await;
    placed().await.unwrap();
    let writes: Vec<_> = audit.read().unwrap().into_iter().filter(is_write).collect();
    assert!(writes.is_empty(), "{writes:?}\n{}", frozen.log_tail(30));
    monitor.check_one_pod_per_node().unwrap();
}

fn is_write(request: &Request) -> bool {
    !["get", "list", "watch"].contains(&request.verb.as_str())
}
