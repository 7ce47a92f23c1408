//! Differential tests: Everynode and kube-controller-manager's own `DaemonSet` controller run the same steps on two
//! control planes, and the tests compare the settled states.
//!
//! Where the two differ on purpose, a scenario calls one of these methods:
//! - `ignore_node_order`, for R6. kube-controller-manager processes nodes in the random order of a Go map.
//! - `trigger_reconcile`, mostly for N7. kube-controller-manager doesn't reconcile a `DaemonSet` by itself when a node
//!   is deleted, or when a node with a pod gets a taint that the pod may stay with. `r5_min_ready` calls it for S3, and
//!   `h1_duplicate` because kube-controller-manager doesn't reconcile when somebody adds a revision.

mod history;
mod nodes;
mod ownership;
mod placement;
mod pods;
mod rollout;
mod steps;
mod surge;

use anyhow::Result;
use everynode_tests::control_plane::{ControlPlane, Options};
use everynode_tests::daemonsets::DaemonSetBuilder;
use everynode_tests::differential::{Lockstep, side::ClusterClients};
use everynode_tests::programs::{Profile, Programs};
use everynode_tests::service::start_both;
use everynode_tests::shared::ControlPlaneClaim;
use futures::future::LocalBoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};

/// Number of scenarios that run at a time. A scenario spends most of its time waiting.
const CONCURRENT_SCENARIOS: usize = 10;
/// If this environment variable is set, only the scenarios whose names contain its value run, such as `r4-image`.
const SCENARIO_FILTER: &str = "EVERYNODE_SCENARIO";

type Run = for<'l> fn(&'l mut Lockstep) -> LocalBoxFuture<'l, Result<()>>;

macro_rules! scenarios {
    ($($module:ident: $($name:ident)*;)*) => {
        [$($((stringify!($name), (|lockstep| $module::$name(lockstep).boxed_local()) as Run),)*)*]
    };
}

fn scenarios() -> impl Iterator<Item = (String, Run)> {
    let all = scenarios! {
        placement: p1_host_network p1_explicit_default_tolerations p2_node_name p3_node_selector
            p3_node_affinity p3_gt_and_lt p4_no_schedule p4_no_execute p5_cordoned;
        nodes: n1_node_joins n2_node_no_longer_selected n6_unbound_pods n7_node_deleted;
        pods: n1_pod_deleted n1_pod_terminating n3_pod_failed n3_pod_succeeded n3_pod_always_fails
            n4_extra_pod c2_finalizers c4_rich_template c5_quota c5_host_port s3_min_ready;
        rollout: r1_restart r2_on_delete r2_on_delete_to_rolling r2_rolling_to_on_delete r3_percent
            r3_all_at_once r4_image r4_unready_pods r4_failed_pod r4_third_template r4_node_joins
            r4_node_leaves r4_selector_changes r4_min_ready;
        surge: r5_one r5_percent r5_min_ready r5_undo r5_surge_enabled r5_surge_disabled r5_unready_old_pods
            r5_node_excluded;
        history: h1_collision h1_duplicate h1_annotations_and_labels h3_limit h3_limit_zero h3_in_use h4_undo
            h4_rollout_history;
        ownership: a1_adoption a2_release a3_foreign_pod a4_foreground_deletion a4_finalizer
            a4_two_daemon_sets;
    };
    let only = std::env::var(SCENARIO_FILTER).unwrap_or_default();
    all.into_iter()
        .map(|(name, run)| (name.replace('_', "-"), run))
        .filter(move |(name, _)| name.contains(&only))
}

fn agent() -> DaemonSetBuilder {
    DaemonSetBuilder::new("agent")
}

#[tokio::test]
async fn everynode_leaves_same_state_as_kube_controller_manager() {
    let mut claim = ControlPlaneClaim::new().await.unwrap();
    let options = Options {
        daemonset_controller: true,
        ..Options::default()
    };
    let reference = ControlPlane::start(options).await.unwrap();
    let programs = Programs::built(Profile::Dev).await.unwrap();
    let kubeconfig = claim.control_plane().kubeconfig();
    let (_planner, executor) = start_both(&programs, kubeconfig).await.unwrap();
    let control = async |control_plane: &ControlPlane| ClusterClients {
        client: control_plane.client().await.unwrap(),
        kubectl: control_plane.kubectl().unwrap(),
    };
    let reference_control = control(&reference).await;
    let everynode_control = control(claim.control_plane()).await;

    let outcomes: Vec<_> = stream::iter(scenarios())
        .map(|(name, run)| {
            let (reference, everynode) = (&reference_control, &everynode_control);
            async move {
                let mut lockstep = Lockstep::new(&name, reference, everynode).await?;
                run(&mut lockstep).await?;
                anyhow::Ok(lockstep)
            }
        })
        .buffer_unordered(CONCURRENT_SCENARIOS)
        .collect()
        .await;
    let mut differences = Vec::new();
    for outcome in outcomes {
        // The state of a scenario that settled early may have changed since then.
        let outcome = match outcome {
            Ok(lockstep) => lockstep.check().await,
            Err(error) => Err(error),
        };
        differences.extend(outcome.err().map(|error| format!("{error:#}")));
    }
    assert!(
        differences.is_empty(),
        "{} scenarios differ:\n\n{}\n\nthe executor's log:\n{}",
        differences.len(),
        differences.join("\n\n"),
        executor.log_tail(40)
    );
}
