//! Handles `GetNodeOverhead`: the share of a node that `DaemonSet`s use. Each request reads the node from the API
//! server, because node capacity isn't watched.

use std::collections::BTreeSet;

use everynode_proto::{
    executor::v1::{GetNodeOverheadRequest, GetNodeOverheadResponse},
    planner::v1::{NodeSimulation, SimulateNodesRequest},
};
use tonic::Status;

use super::{
    Executor,
    callers::{Caller, access::AccessRequest},
    explain, objects, request, runtime_classes, sorted, status,
};

pub(super) async fn node_overhead(
    executor: &Executor,
    caller: &Caller,
    request: GetNodeOverheadRequest,
) -> Result<GetNodeOverheadResponse, Status> {
    let name = request::node(request.node)?;
    let access = AccessRequest::daemon_sets("", "");
    executor.authorize(caller, &access).await?;
    let access = AccessRequest::nodes(Some(&name));
    executor.authorize(caller, &access).await?;
    let overview = executor.overview().await?;
    let node = match executor.api.get_node(&name).await {
        Ok(node) => node,
        Err(error) if error.is_not_found() => {
            let nodes = executor
                .query_client
                .nodes()
                .await
                .map_err(status::loop_unavailable)?;
            return Err(explain::node_not_found(executor, caller, &name, &nodes).await);
        }
        Err(error) => return Err(status::api(&format!("the node {name}"), &error)),
    };
    let allocatable = objects::allocatable(&node);
    let mut class_names = BTreeSet::new();
    let mut daemon_sets = Vec::new();
    for object in sorted(&overview) {
        let template = objects::template(object);
        class_names.extend(objects::runtime_class(&template).map(str::to_owned));
        daemon_sets.push(objects::daemon_set(object, &template));
    }
    if daemon_sets.is_empty() {
        let empty = NodeSimulation {
            node_template: name,
            left: allocatable.clone(),
            ..NodeSimulation::default()
        };
        return Ok(GetNodeOverheadResponse {
            node: Some(empty),
            allocatable,
            ..GetNodeOverheadResponse::default()
        });
    }
    let classes = runtime_classes::read(executor, class_names).await;
    if let Some((name, error)) = classes.failure {
        return Err(status::api(&format!("the RuntimeClass {name}"), &error));
    }
    let request = SimulateNodesRequest {
        daemon_sets,
        nodes: vec![objects::simulated(&node, &allocatable)],
        runtime_classes: classes.found,
        ..SimulateNodesRequest::default()
    };
    let answer = executor.planner.simulate(request).await?;
    let node = answer.nodes.into_iter().next();
    let runs = |key: &String| node.as_ref().is_some_and(|node| node.daemon_sets.contains(key));
    let demands = answer.daemon_sets.into_iter();
    let daemon_sets = demands.filter(|demand| runs(&demand.daemon_set)).collect();
    Ok(GetNodeOverheadResponse {
        node,
        daemon_sets,
        problems: answer.problems,
        allocatable,
    })
}
