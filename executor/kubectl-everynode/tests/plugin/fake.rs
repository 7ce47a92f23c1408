//! A fake executor, with answers set by the test.

use std::{
    collections::VecDeque,
    fmt::Debug,
    pin::Pin,
    sync::{Arc, Mutex},
};

use everynode_proto::executor::v1::{
    ExplainRequest, ExplainResponse, GetInfoRequest, GetInfoResponse, GetNodeOverheadRequest,
    GetNodeOverheadResponse, ListDaemonSetsRequest, ListDaemonSetsResponse, WatchPlansRequest,
    WatchPlansResponse,
    executor_service_server::{ExecutorService, ExecutorServiceServer},
};
use futures::{Stream, StreamExt, stream};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// The messages that one watch sends before its stream ends.
pub(crate) type WatchMessages = Vec<Result<WatchPlansResponse, Status>>;

/// The answers to give.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    pub(crate) info: GetInfoResponse,
    pub(crate) daemon_sets: ListDaemonSetsResponse,
    /// `None` means that the object doesn't exist.
    pub(crate) explain: Option<ExplainResponse>,
    pub(crate) overhead: GetNodeOverheadResponse,
    /// The number of calls to `Explain` and `GetNodeOverhead` that a limit refuses first.
    pub(crate) refused_calls: usize,
    /// One entry per watch, in order. A watch after the last entry sends nothing and stays open.
    pub(crate) watches: VecDeque<WatchMessages>,
}

#[derive(Debug, Clone)]
pub(crate) struct FakeExecutor {
    pub(crate) port: u16,
    answers: Arc<Mutex<Answers>>,
    requests: Arc<Mutex<Vec<String>>>,
    server: Arc<JoinHandle<()>>,
}

#[derive(Debug, Clone)]
struct Service {
    answers: Arc<Mutex<Answers>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl FakeExecutor {
    /// Starts the server on a free port.
    pub(crate) async fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answers, requests) = (Arc::new(Mutex::new(answers)), Arc::default());
        let service = Service {
            answers: Arc::clone(&answers),
            requests: Arc::clone(&requests),
        };
        let router = Server::builder()
            .add_service(ExecutorServiceServer::new(service))
            .serve_with_incoming(TcpIncoming::from(listener));
        let server = tokio::spawn(async { router.await.unwrap() });
        Self {
            port,
            answers,
            requests,
            server: Arc::new(server),
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The requests so far, except those of `GetInfo`.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn change_answers(&self, change: impl FnOnce(&mut Answers)) {
        change(&mut self.answers.lock().unwrap());
    }
}

impl Drop for FakeExecutor {
    fn drop(&mut self) {
        if Arc::strong_count(&self.server) == 1 {
            self.server.abort();
        }
    }
}

impl Service {
    fn answer<T>(&self, request: &impl Debug, read: impl FnOnce(&mut Answers) -> T) -> T {
        self.requests.lock().unwrap().push(format!("{request:?}"));
        read(&mut self.answers.lock().unwrap())
    }

    /// The refusal of this call, as long as the limit refuses calls.
    fn refusal(&self) -> Option<Status> {
        let mut answers = self.answers.lock().unwrap();
        answers.refused_calls = answers.refused_calls.checked_sub(1)?;
        Some(Status::resource_exhausted("too many access reviews"))
    }
}

#[tonic::async_trait]
impl ExecutorService for Service {
    type WatchPlansStream = Pin<Box<dyn Stream<Item = Result<WatchPlansResponse, Status>> + Send>>;

    async fn get_info(&self, _: Request<GetInfoRequest>) -> Result<Response<GetInfoResponse>, Status> {
        Ok(Response::new(self.answers.lock().unwrap().info.clone()))
    }

    async fn list_daemon_sets(
        &self,
        request: Request<ListDaemonSetsRequest>,
    ) -> Result<Response<ListDaemonSetsResponse>, Status> {
        let read = |answers: &mut Answers| answers.daemon_sets.clone();
        Ok(Response::new(self.answer(request.get_ref(), read)))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        let answer = self.answer(request.get_ref(), |answers| answers.explain.clone());
        let missing = || Status::not_found("there is no node worker-9; did you mean worker-3?");
        answer.map(Response::new).ok_or_else(missing)
    }

    async fn get_node_overhead(
        &self,
        request: Request<GetNodeOverheadRequest>,
    ) -> Result<Response<GetNodeOverheadResponse>, Status> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        let read = |answers: &mut Answers| answers.overhead.clone();
        Ok(Response::new(self.answer(request.get_ref(), read)))
    }

    async fn watch_plans(
        &self,
        request: Request<WatchPlansRequest>,
    ) -> Result<Response<Self::WatchPlansStream>, Status> {
        let messages = self.answer(request.get_ref(), |answers| answers.watches.pop_front());
        Ok(Response::new(match messages {
            Some(messages) => Box::pin(stream::iter(messages)),
            None => Box::pin(stream::pending().fuse()),
        }))
    }
}
