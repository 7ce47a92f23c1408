//! What is to be seen of a scenario on one side.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use futures::try_join;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const HASH: &str = "controller-revision-hash";
/// When kubectl restarted a rollout: a time.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";
/// The volume of every pod's token, whose name the API server makes up.
const TOKEN_VOLUME: &str = "kube-api-access-";

/// Everything in a scenario's namespace, as the API server gives it.
#[derive(Debug)]
pub struct State {
    daemon_sets: Vec<Value>,
    pods: Vec<Value>,
    revisions: Vec<Revision>,
    events: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct Revision {
    metadata: Value,
    revision: i64,
    /// Byte for byte.
    data: Box<RawValue>,
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
}

async fn list<T: DeserializeOwned>(client: &Client, path: String) -> Result<Vec<T>> {
    let request = http::Request::get(&path).body(Vec::new())?;
    let text = client.request_text(request).await?;
    let list: List<T> = serde_json::from_str(&text).with_context(|| format!("the answer of GET {path}"))?;
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

    /// A `DaemonSet`.
    ///
    /// # Errors
    /// When there is none of the name.
    pub fn daemon_set(&self, name: &str) -> Result<&Value> {
        let found = self
            .daemon_sets
            .iter()
            .find(|set| text(set, "/metadata/name") == name);
        found.with_context(|| format!("there is no DaemonSet {name}"))
    }

    /// The status of a `DaemonSet`, once it is about the current generation.
    ///
    /// # Errors
    /// When it isn't, or there is no such `DaemonSet`.
    pub fn status(&self, name: &str) -> Result<&Value> {
        let set = self.daemon_set(name)?;
        let (generation, status) = (&set["metadata"]["generation"], &set["status"]);
        ensure!(
            status["observedGeneration"] == *generation,
            "generation {generation} of {name} is not observed: {status}"
        );
        Ok(status)
    }

    /// Whether the current generation of a `DaemonSet` is observed and the counters of its status are as named, such as
    /// `("numberReady", 3)`; what isn't there is 0.
    ///
    /// # Errors
    /// When they are not.
    pub fn counts(&self, name: &str, wanted: &[(&str, i64)]) -> Result<()> {
        let status = self.status(name)?;
        for (counter, number) in wanted {
            let found = status[*counter].as_i64().unwrap_or_default();
            ensure!(found == *number, "{counter} of {name} is {found}, not {number}");
        }
        Ok(())
    }

    /// The pods with the label `app` of a `DaemonSet`'s name.
    pub fn pods(&self, name: &str) -> Vec<&Value> {
        self.pods
            .iter()
            .filter(|pod| text(pod, "/metadata/labels/app") == name)
            .collect()
    }

    /// Whether so many pods of a `DaemonSet` are there, none of them being deleted.
    ///
    /// # Errors
    /// When it is not so.
    pub fn has_pods(&self, name: &str, count: usize) -> Result<()> {
        let pods = self.pods(name);
        let leaving = pods
            .iter()
            .filter(|pod| !pod["metadata"]["deletionTimestamp"].is_null());
        let leaving = leaving.count();
        ensure!(
            pods.len() == count && leaving == 0,
            "{} pods of {name} are there, not {count}, and {leaving} of them are being deleted",
            pods.len()
        );
        Ok(())
    }

    /// Whether so many nodes should run a pod of a `DaemonSet`, and each does: one that is current and available, and nothing else.
    ///
    /// # Errors
    /// When it is not so.
    pub fn rolled_out(&self, name: &str, nodes: usize) -> Result<()> {
        let count = i64::try_from(nodes)?;
        self.counts(
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
        self.has_pods(name, nodes)
    }

    /// How many pods of a `DaemonSet` have the image.
    pub fn with_image(&self, name: &str, image: &str) -> usize {
        let has = |pod: &&&Value| text(pod, "/spec/containers/0/image") == image;
        self.pods(name).iter().filter(has).count()
    }

    /// Whether the seconds in which a `DaemonSet`'s pods were made are over, so that pods that are made from now on are younger.
    pub fn is_a_second_old(&self, name: &str) -> bool {
        let now = Timestamp::now();
        self.pods(name).iter().all(|pod| {
            let created: Option<Timestamp> = text(pod, "/metadata/creationTimestamp").parse().ok();
            created.is_some_and(|created| now.duration_since(created) > SignedDuration::from_secs(1))
        })
    }

    /// The numbers of a `DaemonSet`'s revisions, in their order.
    pub fn revisions(&self, name: &str) -> Vec<i64> {
        let owned = self
            .revisions
            .iter()
            .filter(|revision| text(&revision.metadata, "/ownerReferences/0/name") == name);
        let mut numbers: Vec<_> = owned.map(|revision| revision.revision).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Whether there is an event of the reason on a `DaemonSet`.
    ///
    /// # Errors
    /// When there isn't.
    pub fn event(&self, name: &str, reason: &str) -> Result<()> {
        let told = self.events_of(name);
        if told.iter().any(|event| text(event, "/reason") == reason) {
            return Ok(());
        }
        let reasons: BTreeSet<_> = told.iter().map(|event| text(event, "/reason")).collect();
        bail!("there is no event {reason} on {name}, only {reasons:?}")
    }

    fn events_of(&self, name: &str) -> Vec<&Value> {
        let about = |event: &&Value| {
            text(event, "/involvedObject/kind") == "DaemonSet" && text(event, "/involvedObject/name") == name
        };
        self.events.iter().filter(about).collect()
    }

    /// The state without what has to differ between two clusters.
    pub(super) fn comparable(&self, any_node: bool, without_event: Option<&str>) -> Value {
        let hashes = self.hashes();
        let daemon_sets: BTreeMap<_, _> = self
            .daemon_sets
            .iter()
            .map(|set| (text(set, "/metadata/name"), comparable_daemon_set(set)))
            .collect();
        let mut pods: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for pod in &self.pods {
            let node = node_of(pod);
            let mut comparable = self.comparable_pod(pod, &hashes);
            let key = if any_node {
                replace_text(&mut comparable, &|found| found == node, "a node");
                "any node"
            } else {
                node
            };
            pods.entry(key.to_owned()).or_default().push(comparable);
        }
        pods.values_mut()
            .for_each(|pods| pods.sort_by_key(Value::to_string));
        let mut revisions: Vec<_> = self
            .revisions
            .iter()
            .map(|revision| self.comparable_revision(revision, &hashes))
            .collect();
        revisions.sort_by_key(Value::to_string);
        json!({
            "daemonSets": daemon_sets,
            "pods": pods,
            "revisions": revisions,
            "events": self.comparable_events(without_event),
        })
    }

    /// What each hash stands for.
    fn hashes(&self) -> BTreeMap<&str, String> {
        let names = self.revisions.iter().map(|revision| {
            let owner = text(&revision.metadata, "/ownerReferences/0/name");
            let hash = text_at(&revision.metadata["labels"], HASH);
            (hash, format!("hash of revision {} of {owner}", revision.revision))
        });
        names.collect()
    }

    fn comparable_pod(&self, pod: &Value, hashes: &BTreeMap<&str, String>) -> Value {
        let mut metadata = self.comparable_metadata(&pod["metadata"], hashes);
        let named = text(pod, "/metadata/name").starts_with(text(pod, "/metadata/generateName"));
        metadata["nameBeginsWithGenerateName"] = named.into();
        let mut spec = pod["spec"].clone();
        replace_text(&mut spec, &|found| found.starts_with(TOKEN_VOLUME), TOKEN_VOLUME);
        let conditions = pod["status"]["conditions"].as_array();
        let ready = conditions.is_some_and(|conditions| {
            conditions
                .iter()
                .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        });
        json!({"metadata": metadata, "spec": spec, "phase": pod["status"]["phase"], "ready": ready})
    }

    fn comparable_revision(&self, revision: &Revision, hashes: &BTreeMap<&str, String>) -> Value {
        let mut metadata = self.comparable_metadata(&revision.metadata, hashes);
        let owner = text(&revision.metadata, "/ownerReferences/0/name");
        let name = text(&revision.metadata, "/name");
        let named = name == format!("{owner}-{}", text_at(&revision.metadata["labels"], HASH));
        metadata["nameIsOwnerAndHash"] = named.into();
        json!({"revision": revision.revision, "metadata": metadata, "data": without_restart_time(revision.data.get())})
    }

    /// Labels, annotations, finalizers, owners, and whether it is being deleted.
    fn comparable_metadata(&self, metadata: &Value, hashes: &BTreeMap<&str, String>) -> Value {
        let mut labels = metadata["labels"].clone();
        if let Some(hash) = labels.get_mut(HASH) {
            let meaning = hashes.get(hash.as_str().unwrap_or_default());
            *hash = meaning.map_or("hash of nothing", String::as_str).into();
        }
        let mut annotations = metadata["annotations"].clone();
        mask_restart(&mut annotations);
        let mut owners = metadata["ownerReferences"].clone();
        for owner in owners.as_array_mut().into_iter().flatten() {
            let known = self
                .daemon_sets
                .iter()
                .any(|set| set["metadata"]["uid"] == owner["uid"]);
            owner["uid"] = if known { "of a DaemonSet here" } else { "unknown" }.into();
        }
        json!({
            "generateName": metadata["generateName"],
            "labels": labels,
            "annotations": annotations,
            "finalizers": metadata["finalizers"],
            "ownerReferences": owners,
            "deleting": !metadata["deletionTimestamp"].is_null(),
        })
    }

    fn comparable_events(&self, without: Option<&str>) -> Vec<String> {
        let events = self
            .events
            .iter()
            .filter(|event| text(event, "/involvedObject/kind") == "DaemonSet");
        let events = events.filter(|event| without != Some(text(event, "/reason")));
        let lines = events.map(|event| {
            let (name, kind, reason) = (
                text(event, "/involvedObject/name"),
                text(event, "/type"),
                text(event, "/reason"),
            );
            format!("{name}: {kind} {reason}")
        });
        lines.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

fn comparable_daemon_set(set: &Value) -> Value {
    let metadata = &set["metadata"];
    let mut spec = set["spec"].clone();
    mask_restart(&mut spec["template"]["metadata"]["annotations"]);
    json!({
        "labels": metadata["labels"],
        "annotations": metadata["annotations"],
        "finalizers": metadata["finalizers"],
        "generation": metadata["generation"],
        "deleting": !metadata["deletionTimestamp"].is_null(),
        "spec": spec,
        "status": set["status"],
    })
}

fn mask_restart(annotations: &mut Value) {
    if let Some(time) = annotations.get_mut(RESTARTED) {
        *time = "a time".into();
    }
}

/// The text of a revision's data, with the time of a restart left out.
fn without_restart_time(data: &str) -> String {
    let start = format!("\"{RESTARTED}\":\"");
    match data.split_once(&start) {
        Some((before, after)) => {
            let rest = after.split_once('"').map_or("", |(_, rest)| rest);
            format!("{before}{start}a time\"{rest}")
        }
        None => data.to_owned(),
    }
}

/// The node that a pod is bound to or meant for.
fn node_of(pod: &Value) -> &str {
    let bound = text(pod, "/spec/nodeName");
    if bound.is_empty() {
        let required = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
        return text(
            pod,
            &format!("{required}/nodeSelectorTerms/0/matchFields/0/values/0"),
        );
    }
    bound
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn text_at<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Replaces every text that `chosen` picks.
fn replace_text(value: &mut Value, chosen: &impl Fn(&str) -> bool, by: &str) {
    match value {
        Value::String(found) if chosen(found) => by.clone_into(found),
        Value::Array(items) => items.iter_mut().for_each(|item| replace_text(item, chosen, by)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| replace_text(field, chosen, by)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
