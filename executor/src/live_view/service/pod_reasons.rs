//! Reads why pods aren't ready from the API server.
//!
//! The caches don't hold these texts: they change often, hardly two pods share them, and no decision reads them. So
//! each explanation reads the pods that aren't ready.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use everynode_proto::planner::v1::{PodFacts, PodPhase};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use k8s_openapi::api::core::v1::Pod;
use tracing::debug;

use super::{
    Executor,
    callers::{Caller, access::AccessRequest},
};
use crate::{
    apiserver::failure::ApiError,
    live_view::view::{Snapshot, pod_reason},
};

/// Maximum number of pods that one call reads. If more aren't ready, most of them have the same reason.
const MAX_PODS: usize = 50;
/// Maximum number of concurrent reads of one call.
const CONCURRENT_READS: usize = 8;
/// How long one call may take to check the caller's rights and to read the pods. Pods that haven't been read by then
/// have no reason in the answer.
const DEADLINE: Duration = Duration::from_secs(3);

/// A pod to read. The order of the fields is the order in which pods are read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Unready {
    namespace: String,
    /// The `DaemonSet`, as namespace/name.
    daemon_set: String,
    node: String,
    name: String,
    uid: String,
}

/// Adds the reasons of pods that aren't ready to the snapshots of their `DaemonSet`s. Leaves out pods that the caller
/// may not read, and pods that can't be read in time.
pub(super) async fn read(executor: &Executor, caller: &Caller, snapshots: &mut HashMap<String, Snapshot>) {
    let reads = read_all(executor, caller, snapshots);
    if tokio::time::timeout(DEADLINE, reads).await.is_err() {
        debug!("reading the pods of an explanation took too long; stopped");
    }
}

async fn read_all(executor: &Executor, caller: &Caller, snapshots: &mut HashMap<String, Snapshot>) {
    let unready = permitted(executor, caller, unready(snapshots)).await;
    let reads: Vec<BoxFuture<'_, _>> = unready
        .into_iter()
        .map(|pod| {
            let read = async move {
                let found: Result<Pod, ApiError> = executor.api.get_pod_as(&pod.namespace, &pod.name).await;
                (pod, found)
            };
            read.boxed()
        })
        .collect();
    let mut answers = stream::iter(reads).buffer_unordered(CONCURRENT_READS);
    while let Some((unready, answer)) = answers.next().await {
        let found = match answer {
            Ok(found) => found,
            Err(error) => {
                debug!(%error, namespace = unready.namespace, pod = unready.name, "reading a pod failed");
                continue;
            }
        };
        // Another pod may have the name by now.
        if found.metadata.uid.as_ref() != Some(&unready.uid) {
            continue;
        }
        if let (Some(reason), Some(snapshot)) =
            (pod_reason::of(&found), snapshots.get_mut(&unready.daemon_set))
        {
            snapshot.pod_reasons.insert(unready.uid, reason);
        }
    }
}

/// Finds the pods that aren't ready, at most `MAX_PODS`, in the order of their `DaemonSet`s and nodes.
fn unready(snapshots: &HashMap<String, Snapshot>) -> Vec<Unready> {
    let mut unready = Vec::new();
    for (key, snapshot) in snapshots {
        let pods = snapshot.pods.iter().filter(|pod| has_reason(pod));
        unready.extend(pods.map(|pod| Unready {
            namespace: snapshot.object.metadata.namespace.clone(),
            daemon_set: key.clone(),
            node: pod.node.clone(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
        }));
    }
    unready.sort();
    unready.truncate(MAX_PODS);
    unready
}

/// Whether the pod isn't ready, so that the scheduler or the kubelet may report a reason.
fn has_reason(pod: &PodFacts) -> bool {
    let is_ready = pod.bound && pod.ready_since.is_some();
    !is_ready && !pod.deleting && pod.phase() != PodPhase::Succeeded
}

/// Returns the pods in namespaces whose pods the caller may read. Messages of the kubelet can name images, volumes and
/// Secrets.
async fn permitted(executor: &Executor, caller: &Caller, mut unready: Vec<Unready>) -> Vec<Unready> {
    let namespaces: BTreeSet<_> = unready.iter().map(|pod| pod.namespace.clone()).collect();
    let may_read = async |namespace: &str| {
        let access = AccessRequest::pods(namespace);
        executor.may_see(caller, &access).await
    };
    // One review for all namespaces often replaces a review for each.
    if namespaces.len() > 1 && may_read("").await {
        return unready;
    }
    let mut readable = BTreeSet::new();
    for namespace in namespaces {
        if may_read(&namespace).await {
            readable.insert(namespace);
        }
    }
    unready.retain(|pod| readable.contains(&pod.namespace));
    unready
}
