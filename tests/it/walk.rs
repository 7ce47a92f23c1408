//! The walk that `cargo demo` shows, as a test.

use everynode_tests::programs::{Profile, Programs};
use everynode_tests::service::start_both;
use everynode_tests::shared::ControlPlaneClaim;
use everynode_tests::terminal::Terminal;
use everynode_tests::walkthrough::Walkthrough;

#[tokio::test]
async fn every_demo_step_has_its_expected_outcome() {
    let mut claim = ControlPlaneClaim::with_rollout_policies().await.unwrap();
    let namespace = claim.namespace().to_owned();
    let client = claim.client().await.unwrap();
    Walkthrough::create_nodes(&client).await.unwrap();
    let programs = Programs::built(Profile::Dev).await.unwrap();
    let kubeconfig = claim.control_plane().kubeconfig();
    let (planner, executor) = start_both(&programs, kubeconfig).await.unwrap();
    let mut terminal = Terminal::plain(std::io::sink());
    let walk = Walkthrough::new(claim.control_plane(), &namespace, &mut terminal)
        .await
        .unwrap();
    if let Err(error) = walk.run().await {
        let kinds = "nodes,pods,daemonsetrolloutpolicies,daemonsetrollouts";
        let objects = claim.kubectl().unwrap().run(["get", kinds, "-Aowide"]).await;
        panic!(
            "{error:#}\nnodes, pods and rollouts: {}\nthe executor's log:\n{}\nthe planner's log:\n{}",
            objects.unwrap_or_else(|error| format!("{error:#}")),
            executor.log_tail(30),
            planner.log_tail(30)
        );
    }
}
