mod actions;
mod adversary;
mod availability;
mod competing;
mod conditions;
mod facts;
mod newer;
mod queries;
mod random_planner;
mod rollouts;
mod spans;
mod syncs;
mod terms;
mod upkeep;

use std::sync::Arc;

use everynode_proto::planner::v1::{
    Action as PlannedAction, CreatePod, DaemonSetStatus, DeletePod, DeleteReason, Plan, Problem, ProblemCode,
    SessionRequest, Toleration, action::Action,
};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch as state},
    task::JoinHandle,
};

use super::*;
use crate::{
    apiserver::{
        api::Api,
        clock::Clock,
        events::Events,
        objects::DaemonSet,
        watch::{self, Change, ReceivedChange},
    },
    election::{leadership::Leadership, lease::Requirements},
    live_view::queries::QueryClient,
    planner::{outbox::RequestLimits, session::Opener},
    telemetry::{health::Health, metrics::Metrics},
    testing::{
        AGENT, AGENT_STATUS, Call, PODS, REVISIONS, Server, agent, agent_json, agent_with, already_exists,
        describe_facts, forbidden, node, not_found, old_revision_json, orphan_json, pod_json, read, refusal,
        revision_json, server, with,
    },
};

/// Far longer than any test takes. With a paused clock, it elapses at once when no task has anything left to do.
const PATIENCE: Duration = Duration::from_mins(10);

/// A controller with a fake API server, fake watches and a fake planner.
pub(crate) struct Rig {
    pub(crate) api: Server,
    changes: mpsc::Sender<ReceivedChange>,
    pub(crate) leads: state::Sender<Leadership>,
    /// The last term that has begun, and where to send the events of its sessions.
    begun: state::Receiver<Option<(u64, mpsc::Sender<session::Event>)>>,
    /// The Kubernetes events written, as `reason: note`.
    written: mpsc::UnboundedReceiver<String>,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) query_client: QueryClient,
    shutdown: CancellationToken,
    run: JoinHandle<Result<(), ControllerError>>,
}

/// Creates a rig that writes no conditions, so that a status contains only the counters.
pub(crate) fn rig() -> Rig {
    rig_with(false)
}

pub(crate) fn rig_with(status_conditions: bool) -> Rig {
    let (client, api) = server();
    let (changes, seen) = mpsc::channel(64);
    let (health, metrics) = (Arc::new(Health::default()), Arc::new(Metrics::default()));
    let (events_client, events_server) = server();
    let (written, receiver) = mpsc::unbounded_channel();
    tokio::spawn(record_events(events_server, written));
    let (query_client, queries) = QueryClient::new();
    let (leads, leadership) = state::channel(Leadership::ours("me"));
    let (begins, begun) = state::channel(None);
    let opener = Opener::new(64, move |term, sessions| {
        begins.send_replace(Some((term, sessions)));
        std::future::pending()
    });
    let config = ControllerConfig {
        api: Api::new(client),
        events: Events::new(events_client, "me".to_owned(), metrics.clone()),
        clock: Clock::default(),
        health: health.clone(),
        metrics: metrics.clone(),
        changes: seen,
        leadership,
        requirements: Requirements::new(&[]),
        opener,
        status_conditions,
        queries,
    };
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(Controller::new(config).run(shutdown.clone()));
    Rig {
        api,
        changes,
        leads,
        begun,
        written: receiver,
        health,
        metrics,
        query_client,
        shutdown,
        run,
    }
}

/// Records every Kubernetes event.
async fn record_events(mut server: Server, written: mpsc::UnboundedSender<String>) {
    while let Some(call) = server.any_call().await {
        let text = |field: &str| call.body[field].as_str().unwrap_or_default().to_owned();
        let _ = written.send(format!("{}: {}", text("reason"), text("note")));
        let body = call.body.clone();
        call.answer(&body);
    }
}

impl Rig {
    async fn report(&self, change: Change) {
        self.changes.send(change.into()).await.unwrap();
    }

    /// Reports complete lists with these nodes, pods and revisions, and this agent.
    pub(crate) async fn list(&self, agent: DaemonSet, nodes: &[&str], pods: &[Value], revisions: &[Value]) {
        self.report(Change::Node(watch::Event::ListBegins)).await;
        for name in nodes {
            self.report(Change::Node(watch::Event::Changed(node(name)))).await;
        }
        self.report(Change::Node(watch::Event::ListEnds)).await;
        self.report(Change::Pod(watch::Event::ListBegins)).await;
        for pod in pods {
            self.report_pod(pod).await;
        }
        self.report(Change::Pod(watch::Event::ListEnds)).await;
        self.report(Change::DaemonSet(watch::Event::ListBegins)).await;
        self.report(Change::DaemonSet(watch::Event::Changed(agent))).await;
        self.report(Change::DaemonSet(watch::Event::ListEnds)).await;
        self.report(Change::Revision(watch::Event::ListBegins)).await;
        for revision in revisions {
            self.report(Change::Revision(watch::Event::Changed(read(revision))))
                .await;
        }
        self.report(Change::Revision(watch::Event::ListEnds)).await;
    }

    pub(crate) async fn report_daemon_set(&self, daemon_set: DaemonSet) {
        self.report(Change::DaemonSet(watch::Event::Changed(daemon_set)))
            .await;
    }

    /// Stops the loop and waits until it has ended.
    pub(crate) async fn stop(&mut self) {
        self.shutdown.cancel();
        (&mut self.run).await.unwrap().unwrap();
    }

    async fn report_pod(&self, pod: &Value) {
        self.report(Change::Pod(watch::Event::Changed(read(pod)))).await;
    }

    async fn report_pod_gone(&self, pod: &Value) {
        self.report(Change::Pod(watch::Event::Gone(read(pod)))).await;
    }

    /// Returns the sender for events of the current term's sessions.
    async fn sessions(&self) -> mpsc::Sender<session::Event> {
        let mut begun = self.begun.clone();
        let begun = begun.wait_for(|begun| begun.as_ref().is_some_and(|(_, sessions)| !sessions.is_closed()));
        let (_, sessions) = begun.await.unwrap().clone().unwrap();
        sessions
    }

    /// Opens a session whose planner accepts this many facts per request.
    pub(crate) async fn open(&self, facts: usize) -> FakePlannerSession {
        let limits = RequestLimits {
            facts,
            ..RequestLimits::from_welcome(1, 0)
        };
        self.open_with(limits, true).await
    }

    /// Opens a session with these limits. A planner that isn't current is of an earlier release: it neither confirms
    /// the full sync nor reports the availability of pods.
    async fn open_with(&self, limits: RequestLimits, is_current: bool) -> FakePlannerSession {
        let (requests, receiver) = mpsc::channel(1);
        let (sessions, end) = (self.sessions().await, CancellationToken::new());
        sessions
            .send(session::Event::Opened {
                requests,
                limits,
                accepts_syncs: is_current,
                has_availability: is_current,
                knows_rollouts: false,
                planner_version: "0.1.0".to_owned(),
                rules_version: "1".to_owned(),
                end: end.clone(),
            })
            .await
            .unwrap();
        FakePlannerSession {
            requests: receiver,
            sessions,
            end,
            plans: 0,
            accepts_syncs: is_current,
        }
    }

    /// Creates a rig with the agent, its revision r1, these nodes and pods, and a session with an accepted full sync.
    pub(crate) async fn synced(nodes: &[&str], pods: &[Value]) -> (Self, FakePlannerSession) {
        Self::synced_with(false, nodes, pods).await
    }

    /// Like `synced`, with or without conditions in statuses.
    pub(crate) async fn synced_with(
        status_conditions: bool,
        nodes: &[&str],
        pods: &[Value],
    ) -> (Self, FakePlannerSession) {
        let rig = rig_with(status_conditions);
        rig.list(agent(), nodes, pods, &[revision_json("r1", 1)]).await;
        let mut planner = rig.open(100).await;
        let facts = planner.until("sync").await;
        assert!(facts.contains(&"ds ds-1".to_owned()), "{facts:?}");
        (rig, planner)
    }

    pub(crate) async fn lose_planner(&self, planner: FakePlannerSession) {
        drop(planner);
        self.sessions().await.send(session::Event::Lost).await.unwrap();
    }

    /// Returns the Kubernetes events written so far, once all pending work has run.
    async fn events(&mut self) -> Vec<String> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        std::iter::from_fn(|| self.written.try_recv().ok()).collect()
    }

    async fn is_idle(&mut self) -> bool {
        self.api.is_idle().await
    }
}

/// The planner's end of a session.
pub(crate) struct FakePlannerSession {
    requests: mpsc::Receiver<SessionRequest>,
    sessions: mpsc::Sender<session::Event>,
    /// Cancelled when the executor closes the session.
    end: CancellationToken,
    plans: u64,
    accepts_syncs: bool,
}

impl FakePlannerSession {
    /// Returns the next request with facts. Skips requests with only the time.
    async fn next_request(&mut self) -> SessionRequest {
        let waited = tokio::time::timeout(PATIENCE, self.next_request_with_facts()).await;
        waited.expect("no request within the timeout")
    }

    async fn next_request_with_facts(&mut self) -> SessionRequest {
        loop {
            let request = self.requests.recv().await.expect("the session is closed");
            if !request.facts.is_empty() {
                return request;
            }
        }
    }

    /// Returns all facts up to this one. Accepts the full sync when it is complete.
    pub(crate) async fn until(&mut self, last: &str) -> Vec<String> {
        let mut all = Vec::new();
        while all.last().map(String::as_str) != Some(last) {
            let request = self.next_request().await;
            all.extend(describe_facts(&request));
            if self.accepts_syncs && describe_facts(&request).last().map(String::as_str) == Some("sync") {
                self.accept(request.sequence).await;
            }
        }
        all
    }

    /// Accepts the full sync, and waits until the loop has processed that.
    async fn accept(&self, sequence: u64) {
        let accepted = session::Event::SyncAccepted(sequence);
        self.sessions.send(accepted).await.unwrap();
        // With the paused clock, this returns only when every task is waiting.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Whether no facts are sent for this long.
    async fn sends_nothing(&mut self, within: Duration) -> bool {
        tokio::time::timeout(within, self.next_request_with_facts())
            .await
            .is_err()
    }

    /// Returns the times at which requests with only the time are sent in the next minute, in seconds from now. Leaves
    /// out the regular heartbeats.
    async fn time_requests(&mut self) -> Vec<f64> {
        let begun = Instant::now();
        let mut times = Vec::new();
        while begun.elapsed() < Duration::from_mins(1) {
            let request = self.requests.recv().await.expect("the session is closed");
            assert!(request.now.is_some() && request.facts.is_empty());
            times.push(begun.elapsed().as_secs_f64());
        }
        let always = HEARTBEAT.as_secs_f64();
        times.retain(|time| (time / always - (time / always).round()).abs() > 0.01);
        times
    }

    /// Waits until the executor ends the session.
    async fn wait_until_closed(&self) {
        let left = tokio::time::timeout(PATIENCE, self.end.cancelled()).await;
        left.expect("the executor doesn't close the session");
    }

    pub(crate) async fn send_actions(&mut self, actions: Vec<PlannedAction>) {
        self.send_plan(Plan {
            actions,
            ..Plan::default()
        })
        .await;
    }

    pub(crate) async fn send_plan(&mut self, plan: Plan) {
        self.plans += 1;
        let (daemon_set, daemon_set_uid) = ("default/agent".to_owned(), "ds-1".to_owned());
        let plan = Plan {
            id: self.plans,
            daemon_set,
            daemon_set_uid,
            ..plan
        };
        self.sessions
            .send(session::Event::Plan(Box::new(plan)))
            .await
            .unwrap();
    }
}

pub(crate) fn create(id: u64, node: &str) -> PlannedAction {
    let create = CreatePod {
        node: node.to_owned(),
        revision: "r1".to_owned(),
        succeeds_uid: String::new(),
    };
    PlannedAction {
        id,
        action: Some(Action::Create(create)),
    }
}

fn delete(id: u64, pod: &str, reason: DeleteReason) -> PlannedAction {
    let delete = DeletePod {
        pod: pod.to_owned(),
        uid: format!("uid of {pod}"),
        reason: reason.into(),
        node: "n1".to_owned(),
    };
    PlannedAction {
        id,
        action: Some(Action::Delete(delete)),
    }
}

/// Answers a creation as the API server does, and returns the pod.
pub(crate) fn accept(call: Call, version: u64) -> Value {
    let name = call.body["metadata"]["name"].as_str().unwrap();
    let mut pod = with(pod_json(name, version), json!({"spec": {"nodeName": ""}}));
    pod["spec"]["affinity"] = call.body["spec"]["affinity"].clone();
    pod["metadata"]["labels"] = call.body["metadata"]["labels"].clone();
    call.answer(&pod);
    pod
}

fn name_of(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap()
}

fn node_of(call: &Call) -> &str {
    let required = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    let value = call
        .body
        .pointer(&format!("{required}/nodeSelectorTerms/0/matchFields/0/values/0"));
    value.and_then(Value::as_str).unwrap()
}
