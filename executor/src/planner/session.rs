//! The stream to a planner: connects, opens a session, forwards messages, and reconnects when the session ends.

use std::{fmt, time::Duration};

use everynode_proto::{
    facts::wire::timestamp,
    planner::v1::{
        Hello, Plan, Problem, RolloutPolicyStatus, SessionRequest, SessionResponse, Welcome,
        planner_service_client::PlannerServiceClient, session_response::Message,
    },
};
use everynode_serving::backoff::Backoff;
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};
use tracing::{info, warn};

use crate::{apiserver::clock::Clock, planner::outbox::RequestLimits, rollouts};

/// Version of the session's protocol.
const PROTOCOL: u32 = 1;
/// Sequence of the first request, which carries the hello.
pub(crate) const HELLO_SEQUENCE: u64 = 1;

/// Waits between attempts to connect: the first one, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Capability of planners that answer a full sync with `SyncAccepted`.
const SYNC_ACCEPTED: &str = "sync_accepted";
/// Capability of executors that respect the maximum request size that the planner announces, in bytes.
const MAX_REQUEST_BYTES: &str = "max_request_bytes";
/// Capability of executors that read [`Plan::pod_availability`], and of planners that fill it.
const POD_AVAILABILITY: &str = "pod_availability";
/// Deadline for connecting to a planner and receiving its welcome.
const OPEN_DEADLINE: Duration = Duration::from_secs(5);
/// Pings detect a planner that hangs.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_DEADLINE: Duration = Duration::from_secs(5);
/// Number of requests that may wait for the transport. All other facts wait in the outbox, where newer facts can still
/// replace them.
const REQUESTS_AHEAD: usize = 2;
/// Maximum size of a message from the planner. A plan of a thousand actions has some 200 KiB.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Flow-control window, large enough that a burst of plans doesn't wait for window updates.
const WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// The identity that the executor sends in its hello.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The uid of the cluster's kube-system namespace.
    pub(crate) cluster: String,
    /// This executor's own name.
    pub(crate) executor: String,
    /// The term of leadership.
    pub(crate) epoch: u64,
    /// The node on which this executor runs, if it is known.
    pub(crate) node: Option<String>,
}

/// An event of a session.
#[derive(Debug)]
pub(crate) enum Event {
    /// A session is open. The planner has no facts yet.
    Opened {
        /// Where to send requests, from sequence 2 on.
        requests: mpsc::Sender<SessionRequest>,
        /// Limits on what the planner accepts in one request.
        limits: RequestLimits,
        /// Whether the planner confirms that it has accepted a full sync. Planners of earlier releases don't.
        accepts_syncs: bool,
        /// Whether the planner's plans report the availability of pods. Planners of earlier releases don't.
        has_availability: bool,
        /// Whether the planner knows rollout policies. Planners of earlier releases don't.
        knows_rollouts: bool,
        /// The planner's version.
        planner_version: String,
        /// The version of its decision rules.
        rules_version: String,
        /// Ends the session when it is cancelled, even if the planner doesn't respond.
        end: CancellationToken,
    },
    /// The planner has accepted the full sync up to the request of this sequence.
    SyncAccepted(u64),
    /// A plan.
    Plan(Box<Plan>),
    /// Whether a rollout policy applies to its `DaemonSet`s.
    PolicyStatus(Box<RolloutPolicyStatus>),
    /// An object that the planner could not use.
    Problem(Problem),
    /// The session has ended. Its actions that haven't started are void.
    Lost,
}

/// The sessions of one term of leadership, one after the other. Dropping this ends them.
#[derive(Debug)]
pub(crate) struct Sessions {
    events: mpsc::Receiver<Event>,
    _task: AbortOnDropHandle<()>,
}

impl Sessions {
    /// Returns the next event; `None` when the task that keeps the sessions open has ended, which it never should.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

/// Starts the sessions of a term.
pub(crate) struct Opener(Box<dyn FnMut(u64) -> Sessions + Send>);

impl Opener {
    /// Creates an opener. For each term, it spawns `task`, which keeps sessions open and sends their events; `ahead`
    /// events may wait.
    pub(crate) fn new<F: Future<Output = ()> + Send + 'static>(
        ahead: usize,
        mut task: impl FnMut(u64, mpsc::Sender<Event>) -> F + Send + 'static,
    ) -> Self {
        Self(Box::new(move |term| {
            let (sender, events) = mpsc::channel(ahead);
            Sessions {
                events,
                _task: AbortOnDropHandle::new(tokio::spawn(task(term, sender))),
            }
        }))
    }

    /// Starts the sessions of this term.
    pub(crate) fn open(&mut self, term: u64) -> Sessions {
        (self.0)(term)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Opener").finish_non_exhaustive()
    }
}

/// Converts a wait that the planner requests; `None` if it is invalid, such as a negative one. prost's own conversion
/// computes the absolute value, which overflows for the smallest number.
pub fn to_std_duration(duration: prost_types::Duration) -> Option<Duration> {
    let (seconds, nanos) = (duration.seconds.try_into().ok()?, duration.nanos.try_into().ok()?);
    Some(Duration::new(seconds, nanos))
}

/// The endpoint of the planner at this address.
///
/// # Errors
/// The address isn't a URL that can be connected to.
pub(crate) fn endpoint(url: &str) -> Result<Endpoint, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(url.to_owned())?
        .connect_timeout(OPEN_DEADLINE)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_DEADLINE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .tcp_nodelay(true);
    Ok(endpoint)
}

/// Keeps a session open until the receiver of its events is dropped. `connect` makes a new connection each time. That
/// resolves the address again, so another planner behind it can be found.
pub(crate) async fn run<E: std::error::Error, F: Future<Output = Result<Channel, E>>>(
    connect: impl Fn() -> F,
    identity: Identity,
    clock: Clock,
    events: mpsc::Sender<Event>,
) {
    let mut backoff = Backoff::between(FIRST_WAIT, LONGEST_WAIT);
    while !events.is_closed() {
        match open(&connect, &identity, &clock).await {
            Ok(session) => {
                let opened = Instant::now();
                let reason = session.forward(&events).await;
                // Without this condition, the executor would send every fact again and again to a planner that ends
                // every session at once.
                if opened.elapsed() >= LONGEST_WAIT {
                    backoff.reset();
                }
                warn!(%reason, "planner session ended; actions stop until the next session");
                if events.send(Event::Lost).await.is_err() {
                    return;
                }
            }
            Err(reason) => warn!(%reason, "opening a planner session failed; retrying"),
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

struct OpenSession {
    requests: mpsc::Sender<SessionRequest>,
    responses: Streaming<SessionResponse>,
    welcome: Welcome,
}

async fn open<E: std::error::Error, F: Future<Output = Result<Channel, E>>>(
    connect: &impl Fn() -> F,
    identity: &Identity,
    clock: &Clock,
) -> Result<OpenSession, String> {
    let opening = async {
        let channel = connect()
            .await
            .map_err(|error| everynode_render::ErrorChain(&error).to_string())?;
        hello(channel, identity, clock)
            .await
            .map_err(|status| status_text(&status))
    };
    let timed_out = |_| format!("the planner did not answer within {} s", OPEN_DEADLINE.as_secs());
    tokio::time::timeout(OPEN_DEADLINE, opening)
        .await
        .map_err(timed_out)?
}

async fn hello(channel: Channel, identity: &Identity, clock: &Clock) -> Result<OpenSession, Status> {
    let (requests, receiver) = mpsc::channel(REQUESTS_AHEAD);
    let hello = Hello {
        cluster: identity.cluster.clone(),
        identity: identity.executor.clone(),
        epoch: identity.epoch,
        protocol: PROTOCOL,
        capabilities: [
            SYNC_ACCEPTED,
            MAX_REQUEST_BYTES,
            POD_AVAILABILITY,
            rollouts::CAPABILITY,
        ]
        .map(str::to_owned)
        .to_vec(),
        own_nodes: identity.node.iter().cloned().collect(),
    };
    let first = SessionRequest {
        sequence: HELLO_SEQUENCE,
        now: Some(timestamp(clock.now())),
        hello: Some(hello),
        facts: Vec::new(),
    };
    requests
        .send(first)
        .await
        .map_err(|_| Status::cancelled("the request stream is closed"))?;
    let mut client = PlannerServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut responses = client.session(ReceiverStream::new(receiver)).await?.into_inner();
    // Messages that this executor doesn't know are ignored, before the welcome and after it.
    while let Some(response) = responses.message().await? {
        match response.message {
            Some(Message::Welcome(welcome)) => {
                return Ok(OpenSession {
                    requests,
                    responses,
                    welcome,
                });
            }
            Some(
                Message::Plan(_)
                | Message::Problem(_)
                | Message::SyncAccepted(_)
                | Message::RolloutPolicyStatus(_),
            ) => break,
            None => {}
        }
    }
    Err(Status::internal("the planner's first message was not a welcome"))
}

fn status_text(status: &Status) -> String {
    format!("{} ({:?})", status.message(), status.code())
}

impl OpenSession {
    /// Forwards the planner's messages until the session ends, and returns why it ended.
    async fn forward(mut self, events: &mpsc::Sender<Event>) -> String {
        let Welcome {
            planner_version,
            rules_version,
            max_facts_per_request,
            capabilities,
            max_request_bytes,
        } = self.welcome;
        info!(%planner_version, %rules_version, "planner session opened");
        let has = |capability| capabilities.iter().any(|name| name == capability);
        let end = CancellationToken::new();
        if events
            .send(Event::Opened {
                requests: self.requests,
                limits: RequestLimits::from_welcome(max_facts_per_request, max_request_bytes),
                accepts_syncs: has(SYNC_ACCEPTED),
                has_availability: has(POD_AVAILABILITY),
                knows_rollouts: has(rollouts::CAPABILITY),
                planner_version,
                rules_version,
                end: end.clone(),
            })
            .await
            .is_err()
        {
            return "the executor is stopping".to_owned();
        }
        loop {
            let message = tokio::select! {
                () = end.cancelled() => return "the executor ended the session".to_owned(),
                message = self.responses.message() => message,
            };
            let event = match message {
                Ok(Some(SessionResponse {
                    message: Some(Message::Plan(plan)),
                })) => Event::Plan(Box::new(plan)),
                Ok(Some(SessionResponse {
                    message: Some(Message::Problem(problem)),
                })) => Event::Problem(problem),
                Ok(Some(SessionResponse {
                    message: Some(Message::SyncAccepted(accepted)),
                })) => Event::SyncAccepted(accepted.sequence),
                Ok(Some(SessionResponse {
                    message: Some(Message::RolloutPolicyStatus(status)),
                })) => Event::PolicyStatus(Box::new(status)),
                // A second welcome, or a message that this executor doesn't know, is ignored.
                Ok(Some(_)) => continue,
                Ok(None) => return "the planner ended the stream".to_owned(),
                Err(status) => return status_text(&status),
            };
            if events.send(event).await.is_err() {
                return "the executor is stopping".to_owned();
            }
        }
    }
}

#[cfg(test)]
mod tests;
