//! Simulates users of a cluster, who create, change and delete `DaemonSet`s, nodes and pods.

use std::collections::{BTreeMap, HashMap, VecDeque};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::objects::VERSION;
use super::watches::SharedModel;
use crate::daemonsets::DaemonSetBuilder;
use crate::nodes::{self, NodeBuilder};

/// How many of the last changes to `DaemonSet`s and nodes are kept.
const RECENT_CHANGES: usize = 400;
const ZONES: [&str; 3] = ["a", "b", "c"];
const MAX_SETS: usize = 6;
const MIN_SETS: usize = 2;
const MAX_NODES: usize = 14;
const MIN_NODES: usize = 5;
/// How often the workload may make pods of a `DaemonSet` fail on one node. The back-off doubles with each failure, and
/// the cluster must converge in time.
const MAX_FAILURES: u32 = 2;
/// The annotations that put pods into a final phase or make them unready.
const PHASE: &str = "everynode.test/phase";
const READY: &str = "everynode.test/ready";

/// The simulated users of the cluster.
pub(super) struct Workload {
    client: Client,
    namespace: String,
    model: SharedModel,
    random: Rng,
    /// How many nodes and `DaemonSet`s have been created. Makes their names unique.
    names_used: u32,
    templates: BTreeMap<String, Templates>,
    failures: HashMap<(String, String), u32>,
    /// How often each kind of change was made.
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// The last changes to `DaemonSet`s and nodes, each with its time. Changes other than deletions also have an
    /// outcome, which for a `DaemonSet` is its new generation. Added and cordoned nodes aren't recorded.
    recent_changes: VecDeque<String>,
}

/// The templates that a `DaemonSet` has had. A version always has the same template; the checker relies on that.
#[derive(Debug, Default)]
struct Templates {
    /// The placement fields of each version. The first entry belongs to version 1.
    placements: Vec<Value>,
    /// The index of the current version.
    current: usize,
}

impl Templates {
    fn add(&mut self, placement: Value) {
        self.current = self.placements.len();
        self.placements.push(placement);
    }

    fn placement(&self) -> Value {
        self.placements.get(self.current).cloned().unwrap_or_default()
    }

    /// The current template as a merge patch. A null in it removes the field, as intended.
    fn patch(&self) -> Value {
        let version = (self.current + 1).to_string();
        json!({"metadata": {"labels": {VERSION: version}}, "spec": self.placement()})
    }
}

impl Workload {
    pub(super) fn new(client: Client, namespace: &str, model: SharedModel, random: Rng) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            model,
            random,
            names_used: 0,
            templates: BTreeMap::new(),
            failures: HashMap::new(),
            counts: BTreeMap::new(),
            recent_changes: VecDeque::new(),
        }
    }

    /// Creates the initial nodes and `DaemonSet`s.
    pub(super) async fn create_initial_objects(&mut self) -> Result<()> {
        let nodes = (0..MIN_NODES + 3).map(|_| self.node()).collect();
        nodes::create_ready(&self.client, nodes).await?;
        for _ in 0..=MIN_SETS {
            self.create_set().await?;
        }
        Ok(())
    }

    /// Makes one random change. Returns an error if the API server refuses it or its object is gone.
    pub(super) async fn make_random_change(&mut self) -> Result<()> {
        let (sets, nodes) = {
            let model = self.model.lock();
            let sets: Vec<_> = model
                .sets
                .values()
                .filter(|set| !set.deleting)
                .map(|set| set.name.clone())
                .collect();
            (sets, model.nodes.keys().cloned().collect::<Vec<_>>())
        };
        match self.random.u8(..100) {
            0..8 if sets.len() < MAX_SETS => self.create_set().await,
            8..12 if sets.len() > MIN_SETS => self.delete_set(&sets).await,
            12..32 => self.new_version(&sets).await,
            32..38 => self.roll_back(&sets).await,
            38..46 => self.change_strategy(&sets).await,
            46..54 => self.change_placement(&sets).await,
            54..66 => self.delete_pod().await,
            66..71 => self.end_pod().await,
            71..76 => self.unready_pod().await,
            76..83 if nodes.len() < MAX_NODES => {
                let node = self.node();
                self.count("node added");
                node.create(&self.client).await.map(drop)
            }
            83..88 if nodes.len() > MIN_NODES => {
                let name = self.pick(&nodes);
                self.count("node removed");
                self.record_change(&format!("{name}: removed"));
                nodes::delete(&self.client, &name).await
            }
            88..94 => self.taint(&nodes).await,
            94..97 => self.move_node(&nodes).await,
            _ => self.cordon(&nodes).await,
        }
    }

    /// The last changes to `DaemonSet`s and nodes, the oldest first.
    pub(super) fn recent_changes(&self) -> Vec<&str> {
        self.recent_changes.iter().rev().map(String::as_str).collect()
    }

    fn record_change(&mut self, change: &str) {
        self.recent_changes.truncate(RECENT_CHANGES);
        self.recent_changes
            .push_front(format!("{} {change}", Timestamp::now()));
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn pick(&mut self, of: &[String]) -> String {
        self.random.choice(of).cloned().unwrap_or_default()
    }

    fn zone(&mut self) -> &'static str {
        self.random.choice(ZONES).unwrap_or("a")
    }

    /// Each node gets a new name, because kwok doesn't end the pods of a node that reappears under its old name.
    fn node(&mut self) -> NodeBuilder {
        self.names_used += 1;
        let zone = self.zone();
        NodeBuilder::new(&format!("node-{:04}", self.names_used)).label("zone", zone)
    }

    fn strategy(&mut self) -> Value {
        let bounds = match self.random.u8(..6) {
            0 => return json!({"type": "OnDelete", "rollingUpdate": null}),
            1 => json!({"maxUnavailable": 2, "maxSurge": 0}),
            2 => json!({"maxUnavailable": "30%", "maxSurge": 0}),
            3 => json!({"maxUnavailable": 0, "maxSurge": 1}),
            4 => json!({"maxUnavailable": 0, "maxSurge": "50%"}),
            _ => json!({"maxUnavailable": 1, "maxSurge": 0}),
        };
        json!({"type": "RollingUpdate", "rollingUpdate": bounds})
    }

    fn placement(&mut self) -> Value {
        let affinity = |operator: &str, zones: &[&str]| {
            let requirement = json!({"key": "zone", "operator": operator, "values": zones});
            let terms = json!({"nodeSelectorTerms": [{"matchExpressions": [requirement]}]});
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}})
        };
        let zone = self.zone();
        let (selector, affinity) = match self.random.u8(..6) {
            0 => (json!({"zone": zone}), Value::Null),
            1 => (Value::Null, affinity("In", &[zone, "a"])),
            2 => (Value::Null, affinity("NotIn", &[zone])),
            _ => (Value::Null, Value::Null),
        };
        let tolerations = if self.random.bool() {
            json!([{"key": "soak/own", "operator": "Exists"}])
        } else {
            Value::Null
        };
        json!({"nodeSelector": selector, "affinity": affinity, "tolerations": tolerations})
    }

    async fn create_set(&mut self) -> Result<()> {
        self.names_used += 1;
        let name = format!("set-{:04}", self.names_used);
        let mut templates = Templates::default();
        templates.add(self.placement());
        let more = json!({"spec": {"updateStrategy": self.strategy(), "template": templates.patch()}});
        self.templates.insert(name.clone(), templates);
        self.count("DaemonSet created");
        let set = DaemonSetBuilder::new(&name).with(&more);
        let created = set.create(&self.client, &self.namespace).await;
        self.on_changed(&name, &more, created)
    }

    async fn delete_set(&mut self, sets: &[String]) -> Result<()> {
        let name = self.pick(sets);
        self.count("DaemonSet deleted");
        self.record_change(&format!("{name}: deleted"));
        let api: Api<DaemonSet> = Api::namespaced(self.client.clone(), &self.namespace);
        api.delete(&name, &DeleteParams::default())
            .await
            .map(drop)
            .context("deleting a DaemonSet")
    }

    async fn patch(&mut self, what: &'static str, name: &str, patch: &Value) -> Result<()> {
        self.count(what);
        let patched = crate::daemonsets::patch(&self.client, &self.namespace, name, patch).await;
        self.on_changed(name, patch, patched)
    }

    /// Passes the new state of a `DaemonSet` to the checker.
    fn on_changed(&mut self, name: &str, change: &Value, changed: Result<DaemonSet>) -> Result<()> {
        let generation = changed.as_ref().map(|set| set.metadata.generation);
        self.record_change(&format!("{name}: {change}: {generation:?}"));
        self.model.lock().on_set_changed(&changed?);
        Ok(())
    }

    async fn new_version(&mut self, sets: &[String]) -> Result<()> {
        let name = self.pick(sets);
        let templates = self.templates.entry(name.clone()).or_default();
        templates.add(templates.placement());
        self.apply_template("template changed", &name).await
    }

    /// Goes back to the template before the newest one, as a first `kubectl rollout undo` does. A second call changes
    /// nothing.
    async fn roll_back(&mut self, sets: &[String]) -> Result<()> {
        let name = self.pick(sets);
        let templates = self.templates.entry(name.clone()).or_default();
        templates.current = templates.placements.len().saturating_sub(2);
        self.apply_template("rolled back", &name).await
    }

    async fn apply_template(&mut self, what: &'static str, name: &str) -> Result<()> {
        let template = self.templates.get(name).map(Templates::patch);
        let patch = json!({"spec": {"template": template}});
        self.patch(what, name, &patch).await
    }

    async fn change_strategy(&mut self, sets: &[String]) -> Result<()> {
        let name = self.pick(sets);
        let patch = json!({"spec": {"updateStrategy": self.strategy()}});
        self.patch("strategy changed", &name, &patch).await
    }

    /// Changes the placement. It is part of the template, so this makes a new version too.
    async fn change_placement(&mut self, sets: &[String]) -> Result<()> {
        let name = self.pick(sets);
        let placement = self.placement();
        self.templates.entry(name.clone()).or_default().add(placement);
        self.apply_template("placement changed", &name).await
    }

    fn some_pod(&mut self) -> Option<(String, String, String)> {
        let model = self.model.lock();
        let mut pods: Vec<_> = model
            .pods
            .values()
            .filter(|pod| pod.is_available())
            .map(|pod| (pod.name.clone(), pod.set.clone(), pod.node.clone()))
            .collect();
        drop(model);
        // Sorted, because a hash map's order doesn't depend on the seed.
        pods.sort();
        self.random.choice(pods)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn delete_pod(&mut self) -> Result<()> {
        let Some((name, ..)) = self.some_pod() else {
            return Ok(());
        };
        self.count("pod deleted");
        let deleted = self.pods().delete(&name, &DeleteParams::default()).await;
        deleted.map(drop).context("deleting a pod")
    }

    async fn annotate(&mut self, what: &'static str, name: &str, key: &str, value: &str) -> Result<()> {
        self.count(what);
        let patch = json!({"metadata": {"annotations": {key: value}}});
        let patched = self
            .pods()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        patched.map(drop).context("annotating a pod")
    }

    /// Makes a pod fail or succeed.
    async fn end_pod(&mut self) -> Result<()> {
        let Some((name, set, node)) = self.some_pod() else {
            return Ok(());
        };
        let failures = self.failures.entry((set, node)).or_default();
        if self.random.bool() {
            return self.annotate("pod succeeded", &name, PHASE, "Succeeded").await;
        }
        if *failures >= MAX_FAILURES {
            return Ok(());
        }
        *failures += 1;
        self.annotate("pod failed", &name, PHASE, "Failed").await
    }

    async fn unready_pod(&mut self) -> Result<()> {
        let Some((name, ..)) = self.some_pod() else {
            return Ok(());
        };
        self.annotate("pod unready", &name, READY, "false").await
    }

    async fn taint(&mut self, nodes: &[String]) -> Result<()> {
        let name = self.pick(nodes);
        let taints = match self.random.u8(..4) {
            0 => vec![nodes::taint("soak/own", "x", "NoSchedule")],
            1 => vec![nodes::taint("soak/own", "x", "NoExecute")],
            _ => Vec::new(),
        };
        self.count("node tainted or untainted");
        let tainted = nodes::set_taints(&self.client, &name, &taints).await;
        let effects: Vec<_> = taints.iter().map(|taint| &*taint.effect).collect();
        self.record_change(&format!("{name}: taints {effects:?}: {}", outcome(&tainted)));
        tainted.map(drop)
    }

    async fn move_node(&mut self, nodes: &[String]) -> Result<()> {
        let (name, zone) = (self.pick(nodes), self.zone());
        self.count("node moved to another zone");
        let moved = nodes::label(&self.client, &name, "zone", Some(zone)).await;
        self.record_change(&format!("{name}: zone {zone}: {}", outcome(&moved)));
        moved.map(drop)
    }

    async fn cordon(&mut self, nodes: &[String]) -> Result<()> {
        let (name, cordoned) = (self.pick(nodes), self.random.bool());
        self.count("node cordoned or uncordoned");
        let patch = json!({"spec": {"unschedulable": cordoned}});
        nodes::patch(&self.client, &name, &patch).await.map(drop)
    }

    /// Makes the pods ready again that the workload made unready, because they don't become ready by themselves.
    pub(super) async fn end_disturbances(&mut self) -> Result<()> {
        let api = self.pods();
        for pod in api.list(&kube::api::ListParams::default()).await?.items {
            if pod.annotations().contains_key(READY) {
                let patch = json!({"metadata": {"annotations": {READY: null}}});
                let patched = api
                    .patch(&pod.name_any(), &PatchParams::default(), &Patch::Merge(patch))
                    .await;
                match patched {
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    other => drop(other?),
                }
            }
        }
        Ok(())
    }
}

fn outcome<T>(done: &Result<T>) -> &'static str {
    if done.is_ok() { "done" } else { "failed" }
}
