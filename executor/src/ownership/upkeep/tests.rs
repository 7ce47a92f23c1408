mod history;
mod ownership;

use std::sync::Arc;

use everynode_render::ErrorChain;
use serde_json::{Value, json};

use super::*;
use crate::{
    apiserver::{
        objects::DaemonSet,
        watch::{Change, Event},
    },
    testing::{
        AGENT, AGENT_STATUS, ExpectedCall, PODS, REVISIONS, agent, agent_json, agent_with, already_exists,
        conflict, forbidden, not_found, old_revision_json, on, orphan_json, owned_by, pod_json, read,
        refusal, refuse, revision_json, scenario, with,
    },
};

/// Creates a cluster with the agent, these pods and these revisions.
fn cluster(agent: DaemonSet, pods: &[Value], revisions: &[Value]) -> Cluster {
    let mut cluster = Cluster::default();
    cluster.apply(Change::DaemonSet(Event::Changed(agent)));
    for pod in pods {
        cluster.apply(Change::Pod(Event::Changed(read(pod))));
    }
    for revision in revisions {
        cluster.apply(Change::Revision(Event::Changed(read(revision))));
    }
    cluster
}

fn next_of(cluster: &Cluster) -> NextWork {
    next(cluster, cluster.daemon_set("ds-1").unwrap(), &HashSet::new())
}

fn target(name: &str) -> Target {
    Target {
        name: name.to_owned(),
        uid: format!("uid of {name}").into(),
    }
}

fn known(revision: &Value) -> CachedRevision {
    let cluster = cluster(agent(), &[], std::slice::from_ref(revision));
    cluster.revisions("default").next().unwrap().clone()
}

/// Executes work for the agent against a server that expects exactly these calls.
async fn executed(lines: Vec<ExpectedCall>, work: Work) -> (WrittenObjects, Result<(), UpkeepError>) {
    let (api, server) = scenario(lines);
    let done = execute(api, Arc::new(agent()), work).await;
    server.await.unwrap();
    done
}

/// An error as users see it, with its causes.
fn shown(error: &UpkeepError) -> String {
    ErrorChain(error).to_string()
}

fn names(written: &WrittenObjects) -> (Vec<&str>, Vec<&str>) {
    let pods = written
        .pods
        .iter()
        .map(|pod| pod.metadata.name.as_str())
        .collect();
    (
        pods,
        written
            .revisions
            .iter()
            .map(|revision| revision.metadata.name.as_str())
            .collect(),
    )
}
