//! Whether pods belong on nodes, and why they are there or not.

use std::{collections::HashMap, sync::Arc};

use everynode_proto::{
    executor::v1::{ExplainRequest, ExplainResponse},
    planner::v1::{NodeFacts, NodeVerdict, PodFacts},
};
use tonic::Status;

use super::{Executor, objects, request::Pair, sorted, status};
use crate::{
    controller::questions::{Overview, Which},
    objects::DaemonSet,
    view::{Circumstances, Sketch, near, placement},
};

pub(super) async fn explain(executor: &Executor, request: ExplainRequest) -> Result<ExplainResponse, Status> {
    let pair = Pair::new(request.daemon_set, request.node)?;
    let overview = executor.overview().await?;
    let daemon_sets = daemon_sets(&overview, pair.daemon_set.as_deref())?;
    let nodes = nodes(executor, pair.node.as_deref()).await?;
    let mut scenes = HashMap::new();
    let mut asked = Vec::new();
    for object in daemon_sets {
        let which = pair.node.clone().map_or(Which::All, Which::OnNode);
        // One that has gone since isn't asked for.
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

fn daemon_sets<'o>(overview: &'o Overview, key: Option<&str>) -> Result<Vec<&'o DaemonSet>, Status> {
    let all = sorted(overview);
    let Some(key) = key else {
        return Ok(all);
    };
    if let Some(object) = all.iter().find(|object| object.key() == key) {
        return Ok(vec![object]);
    }
    let keys: Vec<_> = all.iter().map(|object| object.key()).collect();
    let names = keys.iter().map(String::as_str);
    Err(Status::not_found(near::missing("DaemonSet", key, names)))
}

async fn nodes(executor: &Executor, name: Option<&str>) -> Result<Vec<Arc<NodeFacts>>, Status> {
    let all = executor.asker.nodes().await.map_err(status::silent)?;
    let Some(name) = name else {
        return Ok(all);
    };
    match all.iter().find(|node| node.name == name) {
        Some(node) => Ok(vec![node.clone()]),
        None => Err(no_node(name, &all)),
    }
}

/// There is no such node.
pub(super) fn no_node(name: &str, all: &[Arc<NodeFacts>]) -> Status {
    let names = all.iter().map(|node| node.name.as_str());
    Status::not_found(near::missing("node", name, names))
}
