//! Handles `Explain`: whether pods belong on nodes, and why they are there or not.

use std::{collections::HashMap, sync::Arc};

use everynode_proto::{
    executor::v1::{ExplainRequest, ExplainResponse},
    planner::v1::{NodeFacts, NodeVerdict, PodFacts},
};
use tonic::Status;

use super::{
    Executor,
    callers::{Caller, access::Access},
    objects,
    request::Pair,
    sorted, status,
};
use crate::{
    apiserver::objects::DaemonSet,
    live_view::questions::{Overview, Which},
    live_view::view::{Circumstances, Sketch, near, placement},
};

pub(super) async fn explain(
    executor: &Executor,
    caller: &Caller,
    request: ExplainRequest,
) -> Result<ExplainResponse, Status> {
    let pair = Pair::new(request.daemon_set, request.node)?;
    let key = pair.daemon_set.as_deref();
    let access = Access::daemon_set(key.unwrap_or_default());
    executor.authorize(caller, &access).await?;
    // Verdicts contain the names, labels and taints of nodes.
    let access = Access::nodes(pair.node.as_deref());
    executor.authorize(caller, &access).await?;
    let overview = executor.overview().await?;
    let daemon_sets = daemon_sets(executor, caller, &overview, key).await?;
    let nodes = nodes(executor, caller, pair.node.as_deref()).await?;
    let mut scenes = HashMap::new();
    let mut asked = Vec::new();
    for object in daemon_sets {
        let which = pair.node.clone().map_or(Which::All, Which::OnNode);
        // A `DaemonSet` that was deleted after the overview is left out.
        if let Some(sketch) = executor.sketch(object, which).await? {
            asked.push(objects::daemon_set(object, &objects::template(object)));
            scenes.insert(object.key(), sketch);
        }
    }
    if asked.is_empty() || nodes.is_empty() {
        return Ok(ExplainResponse::default());
    }
    let circumstances = executor.circumstances(&overview);
    let nodes = nodes.iter().map(|facts| objects::node(facts)).collect();
    let answer = executor.planner.explain(asked, nodes).await?;
    Ok(ExplainResponse {
        placements: placements(answer.verdicts, &scenes, &circumstances),
        summaries: answer.summaries,
        problems: answer.problems,
    })
}

fn placements(
    verdicts: Vec<NodeVerdict>,
    scenes: &HashMap<String, Sketch>,
    circumstances: &Circumstances,
) -> Vec<everynode_proto::executor::v1::Placement> {
    let mut pods: HashMap<(&str, &str), Vec<&PodFacts>> = HashMap::new();
    for (key, sketch) in scenes {
        for pod in &sketch.pods {
            pods.entry((key, &pod.node)).or_default().push(pod);
        }
    }
    for pods in pods.values_mut() {
        pods.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let joined = verdicts.into_iter().filter_map(|verdict| {
        let sketch = scenes.get(&verdict.daemon_set)?;
        let key = (verdict.daemon_set.as_str(), verdict.node.as_str());
        let pods = pods.get(&key).cloned().unwrap_or_default();
        Some(placement::of(verdict, &pods, sketch, circumstances))
    });
    joined.collect()
}

async fn daemon_sets<'o>(
    executor: &Executor,
    caller: &Caller,
    overview: &'o Overview,
    key: Option<&str>,
) -> Result<Vec<&'o DaemonSet>, Status> {
    let all = sorted(overview);
    let Some(key) = key else {
        return Ok(all);
    };
    if let Some(object) = all.iter().find(|object| object.key() == key) {
        return Ok(vec![object]);
    }
    let keys = listed(executor, caller, &all, key).await;
    let names = keys.iter().map(String::as_str);
    Err(Status::not_found(near::missing("DaemonSet", key, names)))
}

/// Returns the keys of the `DaemonSet`s that the caller may list: all of them, or those in the namespace that the
/// caller has asked about, or none.
async fn listed(executor: &Executor, caller: &Caller, all: &[&DaemonSet], asked: &str) -> Vec<String> {
    let (namespace, _) = asked.split_once('/').unwrap_or_default();
    let may_list = async |namespace| {
        let access = Access::daemon_sets(namespace, "");
        executor.may_see(caller, &access).await
    };
    let everywhere = may_list("").await;
    if !everywhere && !may_list(namespace).await {
        return Vec::new();
    }
    let objects = all.iter();
    let seen = objects.filter(|object| everywhere || object.metadata.namespace == namespace);
    seen.map(|object| object.key()).collect()
}

async fn nodes(
    executor: &Executor,
    caller: &Caller,
    name: Option<&str>,
) -> Result<Vec<Arc<NodeFacts>>, Status> {
    let all = executor.asker.nodes().await.map_err(status::silent)?;
    let Some(name) = name else {
        return Ok(all);
    };
    match all.iter().find(|node| node.name == name) {
        Some(node) => Ok(vec![node.clone()]),
        None => Err(no_node(executor, caller, name, &all).await),
    }
}

/// Builds the error for a missing node. It suggests other nodes only to callers who may list nodes.
pub(super) async fn no_node(
    executor: &Executor,
    caller: &Caller,
    name: &str,
    all: &[Arc<NodeFacts>],
) -> Status {
    let may_list = executor.may_see(caller, &Access::nodes(None)).await;
    let names = all.iter().filter(|_| may_list).map(|node| node.name.as_str());
    Status::not_found(near::missing("node", name, names))
}
