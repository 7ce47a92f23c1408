//! Handles `GetNodeOverhead`: the share of a node that `DaemonSet`s use. Each request reads the node from the API
//! server, because node capacity isn't watched.

use std::collections::BTreeSet;

use everynode_proto::{
    executor::v1::{GetNodeOverheadRequest, GetNodeOverheadResponse},
    facts::RawStruct,
    planner::v1::{NodeSimulation, SimulateNodesRequest},
};
use tonic::Status;

use super::{
    Executor,
    callers::{Caller, access::AccessRequest},
    explain, objects, request, sorted, status,
};
use crate::apiserver::names::is_name;

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
    let mut runtime_classes = BTreeSet::new();
    let mut daemon_sets = Vec::new();
    for object in sorted(&overview) {
        let template = objects::template(object);
        runtime_classes.extend(objects::runtime_class(&template).map(str::to_owned));
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
    let request = SimulateNodesRequest {
        daemon_sets,
        node_templates: Vec::new(),
        nodes: vec![objects::simulated(&node, &allocatable)],
        runtime_classes: read_runtime_classes(executor, runtime_classes).await?,
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

/// Reads the `RuntimeClass`es with these names. It skips those that don't exist or that this executor may not read; the
/// planner reports their overhead as unknown.
async fn read_runtime_classes(
    executor: &Executor,
    names: BTreeSet<String>,
) -> Result<Vec<RawStruct>, Status> {
    let mut found = Vec::new();
    for name in names.iter().filter(|name| is_name(name)) {
        match executor.api.get_runtime_class(name).await {
            Ok(object) => found.push(RawStruct::from(&object)),
            Err(error) if error.is_final() => {}
            Err(error) => return Err(status::api(&format!("the RuntimeClass {name}"), &error)),
        }
    }
    Ok(found)
}
