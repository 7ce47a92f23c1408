//! Handles `Explain`: the planner's verdicts, with the pods and waits on each node.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use everynode_proto::{
    executor::v1::{ExplainRequest, ExplainResponse},
    planner::v1::{KnownRollout, NodeFacts, NodeVerdict, PodFacts, Problem},
};
use everynode_render::ErrorChain;
use futures::FutureExt;
use tonic::Status;

use super::{
    Executor,
    callers::{Caller, access::AccessRequest},
    objects,
    planner::{Explained, Named},
    pod_reasons,
    request::ExplainTarget,
    runtime_classes, sorted, status,
};
use crate::{
    apiserver::objects::DaemonSet,
    live_view::{
        queries::{Overview, PodFilter},
        view::{Context, Snapshot, placement, suggestions},
    },
};

pub(super) async fn explain(
    executor: &Executor,
    caller: &Caller,
    request: ExplainRequest,
) -> Result<ExplainResponse, Status> {
    let target = ExplainTarget::new(request.daemon_set, request.node)?;
    let key = target.daemon_set.as_deref();
    let access = AccessRequest::daemon_set(key.unwrap_or_default());
    executor.authorize(caller, &access).await?;
    // Verdicts contain the names, labels and taints of nodes.
    let access = AccessRequest::nodes(target.node.as_deref());
    executor.authorize(caller, &access).await?;
    let overview = executor.overview().await?;
    let daemon_sets = daemon_sets(executor, caller, &overview, key).await?;
    let nodes = nodes(executor, caller, target.node.as_deref()).await?;
    let mut snapshots = HashMap::new();
    let mut requested = Vec::new();
    let mut known_rollouts = Vec::new();
    let mut class_names = BTreeSet::new();
    for object in daemon_sets {
        let filter = target.node.clone().map_or(PodFilter::All, PodFilter::OnNode);
        // A `DaemonSet` that was deleted after the overview is left out.
        if let Some(mut snapshot) = executor.snapshot(object, filter).await? {
            known_rollouts.extend(known_rollout(&mut snapshot));
            let template = objects::template(object);
            class_names.extend(objects::runtime_class(&template).map(str::to_owned));
            requested.push(Named {
                name: object.key(),
                object: objects::daemon_set(object, &template),
            });
            snapshots.insert(object.key(), snapshot);
        }
    }
    if requested.is_empty() || nodes.is_empty() {
        return Ok(ExplainResponse::default());
    }
    let context = executor.context(&overview);
    let named = |facts: &Arc<NodeFacts>| Named {
        name: facts.name.clone(),
        object: objects::node(facts),
    };
    let nodes = nodes.iter().map(named).collect();
    let verdicts = async {
        let classes = runtime_classes::read(executor, class_names).await;
        let request = Explained {
            daemon_sets: requested,
            nodes,
            runtime_classes: classes.found,
            known_rollouts,
            now: context.now,
        };
        let answer = executor.planner.explain(request).await?;
        Ok::<_, Status>((answer, classes.failure))
    };
    let reasons = pod_reasons::read(executor, caller, &mut snapshots).map(Ok);
    let ((answer, failure), ()) = tokio::try_join!(verdicts, reasons)?;
    let mut problems = answer.problems;
    // The verdicts don't depend on RuntimeClasses, so a failure to read them is only a problem in the answer.
    problems.extend(failure.map(|(name, error)| Problem {
        object: format!("runtimeclass {name}"),
        message: format!(
            "can't be read, so nodes that don't meet its conditions aren't named: {}",
            ErrorChain(&error)
        ),
        ..Problem::default()
    }));
    Ok(ExplainResponse {
        placements: placements(answer.verdicts, &snapshots, &context),
        summaries: answer.summaries,
        problems,
    })
}

/// Takes what is known of a rollout out of a snapshot, with the pods of the snapshot.
fn known_rollout(snapshot: &mut Snapshot) -> Option<KnownRollout> {
    let mut known = *snapshot.known_rollout.take()?;
    known.pods.clone_from(&snapshot.pods);
    Some(known)
}

fn placements(
    verdicts: Vec<NodeVerdict>,
    snapshots: &HashMap<String, Snapshot>,
    context: &Context,
) -> Vec<everynode_proto::executor::v1::Placement> {
    let mut pods: HashMap<(&str, &str), Vec<&PodFacts>> = HashMap::new();
    for (key, snapshot) in snapshots {
        for pod in &snapshot.pods {
            pods.entry((key, &pod.node)).or_default().push(pod);
        }
    }
    for pods in pods.values_mut() {
        pods.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let joined = verdicts.into_iter().filter_map(|verdict| {
        let snapshot = snapshots.get(&verdict.daemon_set)?;
        let key = (verdict.daemon_set.as_str(), verdict.node.as_str());
        let pods = pods.get(&key).cloned().unwrap_or_default();
        Some(placement::of(verdict, &pods, snapshot, context))
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
    let keys = listable_keys(executor, caller, &all, key).await;
    let names = keys.iter().map(String::as_str);
    Err(Status::not_found(suggestions::missing("DaemonSet", key, names)))
}

/// Returns the keys of the `DaemonSet`s that the caller may list: all of them, those in the requested namespace, or
/// none.
async fn listable_keys(
    executor: &Executor,
    caller: &Caller,
    all: &[&DaemonSet],
    requested: &str,
) -> Vec<String> {
    let (namespace, _) = requested.split_once('/').unwrap_or_default();
    let may_list = async |namespace| {
        let access = AccessRequest::daemon_sets(namespace, "");
        executor.may_see(caller, &access).await
    };
    let everywhere = may_list("").await;
    if !everywhere && !may_list(namespace).await {
        return Vec::new();
    }
    let objects = all.iter();
    let listable = objects.filter(|object| everywhere || object.metadata.namespace == namespace);
    listable.map(|object| object.key()).collect()
}

async fn nodes(
    executor: &Executor,
    caller: &Caller,
    name: Option<&str>,
) -> Result<Vec<Arc<NodeFacts>>, Status> {
    let all = executor
        .query_client
        .nodes()
        .await
        .map_err(status::loop_unavailable)?;
    let Some(name) = name else {
        return Ok(all);
    };
    match all.iter().find(|node| node.name == name) {
        Some(node) => Ok(vec![node.clone()]),
        None => Err(node_not_found(executor, caller, name, &all).await),
    }
}

/// Builds the error for a missing node. It suggests other nodes only to callers who may list nodes.
pub(super) async fn node_not_found(
    executor: &Executor,
    caller: &Caller,
    name: &str,
    all: &[Arc<NodeFacts>],
) -> Status {
    let may_list = executor.may_see(caller, &AccessRequest::nodes(None)).await;
    let names = all.iter().filter(|_| may_list).map(|node| node.name.as_str());
    Status::not_found(suggestions::missing("node", name, names))
}
