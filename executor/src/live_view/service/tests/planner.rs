//! A fake planner that derives verdicts from the names of nodes.

use std::collections::BTreeMap;

use everynode_proto::{
    facts::{self, raw_struct},
    planner::v1 as wire,
};
use parking_lot::Mutex;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use wire::planner_service_server::{PlannerService, PlannerServiceServer};

use super::*;

/// Nodes whose names start with k keep pods, those with x exclude them, and all others run them.
#[derive(Debug, Clone, Default)]
pub(super) struct FakePlanner(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The error that every call returns.
    refusal: Option<Status>,
    /// Number of calls so far.
    calls: usize,
    /// The last simulation request.
    simulated: Option<wire::SimulateNodesRequest>,
    /// The `RuntimeClass`es of the last request to explain.
    classes: Vec<facts::RawStruct>,
}

impl FakePlanner {
    pub(super) fn router(&self) -> Router {
        let service = PlannerServiceServer::new(self.clone()).max_decoding_message_size(usize::MAX);
        Serving::builder().add_service(service)
    }

    /// Makes every call fail from now on.
    pub(super) fn refuse(&self, status: Status) {
        self.0.lock().refusal = Some(status);
    }

    pub(super) fn calls(&self) -> usize {
        self.0.lock().calls
    }

    pub(super) fn simulated(&self) -> wire::SimulateNodesRequest {
        self.0.lock().simulated.take().unwrap()
    }

    pub(super) fn explained_classes(&self) -> Vec<facts::RawStruct> {
        std::mem::take(&mut self.0.lock().classes)
    }

    fn record_call(&self) -> Result<(), Status> {
        let mut state = self.0.lock();
        state.calls += 1;
        state.refusal.clone().map_or(Ok(()), Err)
    }
}

fn daemon_sets(objects: Vec<facts::RawStruct>) -> Vec<String> {
    let objects = raw_struct::expand(objects);
    let read = |object: &raw_struct::Item| object.read::<facts::DaemonSet>("DaemonSet").unwrap().key();
    objects.iter().map(read).collect()
}

fn nodes(objects: Vec<facts::RawStruct>) -> Vec<String> {
    let objects = raw_struct::expand(objects);
    let read = |object: &raw_struct::Item| object.read::<facts::Node>("Node").unwrap().metadata.name;
    objects.iter().map(read).collect()
}

fn verdict(node: &str) -> wire::Verdict {
    match node.as_bytes().first() {
        Some(b'k') => wire::Verdict::Keep,
        Some(b'x') => wire::Verdict::Exclude,
        _ => wire::Verdict::Run,
    }
}

#[tonic::async_trait]
impl PlannerService for FakePlanner {
    type SessionStream = ReceiverStream<Result<wire::SessionResponse, Status>>;

    async fn get_info(
        &self,
        _: Request<wire::GetInfoRequest>,
    ) -> Result<Response<wire::GetInfoResponse>, Status> {
        Err(Status::unimplemented("not used"))
    }

    async fn plan(&self, _: Request<wire::PlanRequest>) -> Result<Response<wire::PlanResponse>, Status> {
        Err(Status::unimplemented("not used"))
    }

    async fn explain(
        &self,
        request: Request<wire::ExplainRequest>,
    ) -> Result<Response<wire::ExplainResponse>, Status> {
        self.record_call()?;
        let request = request.into_inner();
        self.0.lock().classes = request.runtime_classes;
        let (daemon_sets, nodes) = (daemon_sets(request.daemon_sets), nodes(request.nodes));
        assert!(daemon_sets.len() * nodes.len() <= 100_000);
        let mut response = wire::ExplainResponse::default();
        for daemon_set in daemon_sets {
            let mut summary = wire::VerdictSummary {
                daemon_set: daemon_set.clone(),
                ..wire::VerdictSummary::default()
            };
            for node in &nodes {
                let verdict = verdict(node);
                match verdict {
                    wire::Verdict::Keep => summary.keep_nodes += 1,
                    wire::Verdict::Exclude => summary.exclude_nodes += 1,
                    wire::Verdict::Run | wire::Verdict::Unspecified => summary.run_nodes += 1,
                }
                response.verdicts.push(wire::NodeVerdict {
                    daemon_set: daemon_set.clone(),
                    node: node.clone(),
                    verdict: verdict.into(),
                    ..wire::NodeVerdict::default()
                });
            }
            response.summaries.push(summary);
        }
        Ok(Response::new(response))
    }

    async fn simulate_rollout(
        &self,
        _: Request<wire::SimulateRolloutRequest>,
    ) -> Result<Response<wire::SimulateRolloutResponse>, Status> {
        Err(Status::unimplemented("only Explain and SimulateNodes"))
    }

    async fn simulate_nodes(
        &self,
        request: Request<wire::SimulateNodesRequest>,
    ) -> Result<Response<wire::SimulateNodesResponse>, Status> {
        self.record_call()?;
        let request = request.into_inner();
        self.0.lock().simulated = Some(request.clone());
        let requests: BTreeMap<_, _> = [("pods".to_owned(), "1".to_owned())].into();
        let demand = |daemon_set: String| wire::DaemonSetDemand {
            daemon_set,
            requests: requests.clone(),
            host_ports: Vec::new(),
        };
        let demands: Vec<_> = daemon_sets(request.daemon_sets).into_iter().map(demand).collect();
        // Only the first `DaemonSet` runs on the node.
        let running = demands.first().map(|demand| demand.daemon_set.clone());
        let simulation = |node_template: String| wire::NodeSimulation {
            node_template,
            daemon_sets: running.iter().cloned().collect(),
            requests: requests.clone(),
            ..wire::NodeSimulation::default()
        };
        Ok(Response::new(wire::SimulateNodesResponse {
            nodes: nodes(request.nodes).into_iter().map(simulation).collect(),
            daemon_sets: demands,
            problems: Vec::new(),
        }))
    }

    async fn session(
        &self,
        _: Request<Streaming<wire::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        Err(Status::unimplemented("not used"))
    }
}
