//! The objects of a scenario under one of the two controllers.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};
use futures::try_join;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

static NULL: Value = Value::Null;

/// The objects in a scenario's namespace, as the API server returns them.
#[derive(Debug)]
pub struct State {
    pub(super) daemon_sets: Vec<Value>,
    pub(super) pods: Vec<Value>,
    pub(super) revisions: Vec<Revision>,
    pub(super) events: Vec<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Revision {
    pub(super) metadata: Value,
    #[serde(rename = "revision")]
    pub(super) number: i64,
    /// The data as the server sent it, byte for byte.
    pub(super) data: Box<RawValue>,
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

async fn list<T: DeserializeOwned>(client: &Client, path: String) -> Result<Vec<T>> {
    let request = http::Request::get(&path).body(Vec::new())?;
    let text = client.request_text(request).await?;
    let list: List<T> =
        serde_json::from_str(&text).with_context(|| format!("parsing the response of GET {path}"))?;
    Ok(list.items)
}

impl State {
    pub(super) async fn read(client: &Client, namespace: &str) -> Result<Self> {
        let apps = format!("/apis/apps/v1/namespaces/{namespace}");
        let core = format!("/api/v1/namespaces/{namespace}");
        let (daemon_sets, revisions, pods, events) = try_join!(
            list(client, format!("{apps}/daemonsets")),
            list(client, format!("{apps}/controllerrevisions")),
            list(client, format!("{core}/pods")),
            list(client, format!("{core}/events")),
        )?;
        Ok(Self {
            daemon_sets,
            pods,
            revisions,
            events,
        })
    }

    /// Finds a `DaemonSet`.
    ///
    /// # Errors
    /// When there is no `DaemonSet` with this name.
    pub fn daemon_set(&self, name: &str) -> Result<&Value> {
        let found = self
            .daemon_sets
            .iter()
            .find(|set| text(set, "/metadata/name") == name);
        found.with_context(|| format!("there is no DaemonSet {name}"))
    }

    /// Returns the status of a `DaemonSet` if it covers the current generation.
    ///
    /// # Errors
    /// When it doesn't, or there is no such `DaemonSet`.
    pub fn status(&self, name: &str) -> Result<&Value> {
        let set = self.daemon_set(name)?;
        let (generation, status) = (at(set, "/metadata/generation"), at(set, "/status"));
        ensure!(
            at(status, "/observedGeneration") == generation,
            "generation {generation} of {name} is not observed: {status}"
        );
        Ok(status)
    }

    /// Checks that the status of a `DaemonSet` covers the current generation and has these counters, such as
    /// `("numberReady", 3)`. A counter that is missing is 0.
    ///
    /// # Errors
    /// When the status is older or a counter differs.
    pub fn check_counts(&self, name: &str, wanted: &[(&str, i64)]) -> Result<()> {
        let status = self.status(name)?;
        for (counter, number) in wanted {
            let found = status.get(*counter).and_then(Value::as_i64).unwrap_or_default();
            ensure!(
                found == *number,
                "{counter} of {name} is {found}, expected {number}"
            );
        }
        Ok(())
    }

    /// The pods whose label `app` is the `DaemonSet`'s name.
    pub fn pods(&self, name: &str) -> Vec<&Value> {
        self.pods
            .iter()
            .filter(|pod| text(pod, "/metadata/labels/app") == name)
            .collect()
    }

    /// Checks that a `DaemonSet` has exactly `count` pods and that none of them is being deleted.
    ///
    /// # Errors
    /// When that isn't so. The error names the numbers that differ.
    pub fn check_pod_count(&self, name: &str, count: usize) -> Result<()> {
        let pods = self.pods(name);
        let terminating = pods
            .iter()
            .filter(|pod| !at(pod, "/metadata/deletionTimestamp").is_null());
        let terminating = terminating.count();
        ensure!(
            pods.len() == count && terminating == 0,
            "{name} has {} pods, expected {count}; {terminating} of them are being deleted",
            pods.len()
        );
        Ok(())
    }

    /// Checks that `nodes` nodes should run a pod of a `DaemonSet`, and that each does: one pod that is up to date and
    /// available, and no other.
    ///
    /// # Errors
    /// When that isn't so. The error names the numbers that differ.
    pub fn check_rolled_out(&self, name: &str, nodes: usize) -> Result<()> {
        let count = i64::try_from(nodes)?;
        self.check_counts(
            name,
            &[
                ("desiredNumberScheduled", count),
                ("currentNumberScheduled", count),
                ("updatedNumberScheduled", count),
                ("numberReady", count),
                ("numberAvailable", count),
                ("numberMisscheduled", 0),
            ],
        )?;
        self.check_pod_count(name, nodes)
    }

    /// The number of a `DaemonSet`'s pods with this image.
    pub fn count_with_image(&self, name: &str, image: &str) -> usize {
        let has = |pod: &&&Value| text(pod, "/spec/containers/0/image") == image;
        self.pods(name).iter().filter(has).count()
    }

    /// Whether all pods of a `DaemonSet` are older than one second. Pods that are created from now on are then younger
    /// by their timestamps, which have a resolution of one second.
    pub fn pods_are_over_a_second_old(&self, name: &str) -> bool {
        let now = Timestamp::now();
        self.pods(name).iter().all(|pod| {
            let created: Option<Timestamp> = text(pod, "/metadata/creationTimestamp").parse().ok();
            created.is_some_and(|created| now.duration_since(created) > SignedDuration::from_secs(1))
        })
    }

    /// The numbers of a `DaemonSet`'s revisions, in ascending order.
    pub fn revisions(&self, name: &str) -> Vec<i64> {
        let owned = self
            .revisions
            .iter()
            .filter(|revision| text(&revision.metadata, "/ownerReferences/0/name") == name);
        let mut numbers: Vec<_> = owned.map(|revision| revision.number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Checks that a `DaemonSet` has an event with this reason.
    ///
    /// # Errors
    /// When it has none. The error lists the reasons that there are.
    pub fn check_event(&self, name: &str, reason: &str) -> Result<()> {
        let events = self.events_of(name);
        if events.iter().any(|event| text(event, "/reason") == reason) {
            return Ok(());
        }
        let reasons: BTreeSet<_> = events.iter().map(|event| text(event, "/reason")).collect();
        bail!("there is no event {reason} on {name}, only {reasons:?}")
    }

    fn events_of(&self, name: &str) -> Vec<&Value> {
        let about = |event: &&Value| {
            text(event, "/involvedObject/kind") == "DaemonSet" && text(event, "/involvedObject/name") == name
        };
        self.events.iter().filter(about).collect()
    }
}

/// Returns the value at a JSON pointer; null when there is none.
pub(super) fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).unwrap_or(&NULL)
}

/// Returns the string at a JSON pointer; empty when there is none.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    at(value, pointer).as_str().unwrap_or_default()
}
