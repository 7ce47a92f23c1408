//! The stream to a planner: connects, opens a session, passes messages on, and connects again when the session ends.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use everynode_proto::planner::v1::{
    Hello, Plan, Problem, SessionRequest, SessionResponse, Welcome,
    planner_service_client::PlannerServiceClient, session_response::Message,
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

use crate::planner::outbox::RequestLimits;

/// Version of the session's protocol.
const PROTOCOL: u32 = 1;
/// Sequence of the first request, which says hello.
pub const HELLO_SEQUENCE: u64 = 1;

/// Waits between attempts to connect: the first one, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Capability of planners that answer a full sync with `SyncAccepted`.
const SYNC_ACCEPTED: &str = "sync_accepted";
/// Capability of executors that obey the maximum request size that the planner tells, in bytes.
const MAX_REQUEST_BYTES: &str = "max_request_bytes";
/// Capability of executors that read [`Plan::pod_availability`], and of planners that fill it.
const POD_AVAILABILITY: &str = "pod_availability";
/// Deadline for connecting, and for the planner's answer to hello.
const OPEN_DEADLINE: Duration = Duration::from_secs(5);
/// Pings detect a planner that hangs.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_DEADLINE: Duration = Duration::from_secs(5);
/// Number of requests that may wait for the transport. Facts wait in the outbox, where newer ones can still overtake
/// them.
const REQUESTS_AHEAD: usize = 2;
/// Maximum size of a message from the planner. A plan of a thousand actions has some 200 KiB.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Flow-control window, large enough that a burst of plans doesn't wait for window updates.
const WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// The cluster and the executor that open sessions.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The uid of the cluster's kube-system namespace.
    pub cluster: String,
    /// This executor's own name.
    pub executor: String,
    /// The term of leadership.
    pub epoch: u64,
}

/// An event of a session.
#[derive(Debug)]
pub enum Event {
    /// A session is open; the planner knows nothing yet.
    Opened {
        /// Where to send requests, from sequence 2 on.
        requests: mpsc::Sender<SessionRequest>,
        /// Limits on what the planner accepts in one request.
        limits: RequestLimits,
        /// Whether the planner confirms that it has accepted a full sync. Planners of earlier releases don't.
        accepts_syncs: bool,
        /// Whether the planner's plans report the availability of pods. Planners of earlier releases don't.
        has_availability: bool,
        /// The planner's version.
        planner_version: String,
        /// The version of its decision rules.
        rules_version: String,
        /// Cancelling it ends the session, whatever the planner does.
        end: CancellationToken,
    },
    /// The planner has accepted the full sync up to the request of this sequence.
    SyncAccepted(u64),
    /// A plan.
    Plan(Box<Plan>),
    /// An object that the planner could not use.
    Problem(Problem),
    /// The session has ended. Whatever it asked for that has not begun is void.
    Lost,
}

/// The sessions of one term of leadership, one after the other. Dropping this ends them.
#[derive(Debug)]
pub struct Sessions {
    events: mpsc::Receiver<Event>,
    _task: AbortOnDropHandle<()>,
}

impl Sessions {
    /// Returns the next event; `None` when the task that keeps the sessions open has ended, which it never should.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

/// Starts the sessions of a term.
pub struct Opener(Box<dyn FnMut(u64) -> Sessions + Send>);

impl Opener {
    /// Creates an opener. For each term, it spawns `task`, which keeps sessions open and sends their events; `ahead`
    /// events may wait.
    pub fn new<F: Future<Output = ()> + Send + 'static>(
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
    pub fn open(&mut self, term: u64) -> Sessions {
        (self.0)(term)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Opener").finish_non_exhaustive()
    }
}

/// How long the planner wants the executor to wait; `None` for an impossible wait, such as a negative one. prost's
/// own conversion computes the absolute value of any number, and the smallest number has none.
pub fn wait(wanted: prost_types::Duration) -> Option<Duration> {
    let (seconds, nanos) = (wanted.seconds.try_into().ok()?, wanted.nanos.try_into().ok()?);
    Some(Duration::new(seconds, nanos))
}

/// The endpoint of the planner at this address.
///
/// # Errors
/// The address isn't a URL that can be connected to.
pub fn endpoint(url: &str) -> Result<Endpoint, tonic::transport::Error> {
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

/// Keeps a session open until nobody receives its events any more. `connect` makes a new connection each time. That
/// resolves the address again, so another planner behind it can be found.
pub async fn run<E: std::error::Error, F: Future<Output = Result<Channel, E>>>(
    connect: impl Fn() -> F,
    identity: Identity,
    events: mpsc::Sender<Event>,
) {
    let mut backoff = Backoff::between(FIRST_WAIT, LONGEST_WAIT);
    while !events.is_closed() {
        match open(&connect, &identity).await {
            Ok(session) => {
                let opened = Instant::now();
                let reason = session.pass_on(&events).await;
                // A planner that ends every session at once must not be sent everything over and over.
                if opened.elapsed() >= LONGEST_WAIT {
                    backoff.reset();
                }
                warn!(%reason, "planner session ended; nothing is created or deleted until there is another");
                if events.send(Event::Lost).await.is_err() {
                    return;
                }
            }
            Err(reason) => warn!(%reason, "no planner session"),
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

struct Open {
    requests: mpsc::Sender<SessionRequest>,
    responses: Streaming<SessionResponse>,
    welcome: Welcome,
}

async fn open<E: std::error::Error, F: Future<Output = Result<Channel, E>>>(
    connect: &impl Fn() -> F,
    identity: &Identity,
) -> Result<Open, String> {
    let opening = async {
        let channel = connect()
            .await
            .map_err(|error| everynode_render::ErrorChain(&error).to_string())?;
        hello(channel, identity).await.map_err(|status| words(&status))
    };
    let late = |_| format!("the planner did not answer within {} s", OPEN_DEADLINE.as_secs());
    tokio::time::timeout(OPEN_DEADLINE, opening).await.map_err(late)?
}

async fn hello(channel: Channel, identity: &Identity) -> Result<Open, Status> {
    let (requests, receiver) = mpsc::channel(REQUESTS_AHEAD);
    let hello = Hello {
        cluster: identity.cluster.clone(),
        identity: identity.executor.clone(),
        epoch: identity.epoch,
        protocol: PROTOCOL,
        capabilities: [SYNC_ACCEPTED, MAX_REQUEST_BYTES, POD_AVAILABILITY]
            .map(str::to_owned)
            .to_vec(),
    };
    let first = SessionRequest {
        sequence: HELLO_SEQUENCE,
        now: Some(SystemTime::now().into()),
        hello: Some(hello),
        facts: Vec::new(),
    };
    requests
        .send(first)
        .await
        .map_err(|_| Status::cancelled("the request stream is closed"))?;
    let mut client = PlannerServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut responses = client.session(ReceiverStream::new(receiver)).await?.into_inner();
    // A message that this executor doesn't know yet asks for nothing, before the welcome as after it.
    while let Some(response) = responses.message().await? {
        match response.message {
            Some(Message::Welcome(welcome)) => {
                return Ok(Open {
                    requests,
                    responses,
                    welcome,
                });
            }
            Some(Message::Plan(_) | Message::Problem(_) | Message::SyncAccepted(_)) => break,
            None => {}
        }
    }
    Err(Status::internal("the planner did not say welcome first"))
}

fn words(status: &Status) -> String {
    format!("{} ({:?})", status.message(), status.code())
}

impl Open {
    /// Passes the planner's messages on until the session ends, and returns why it ended.
    async fn pass_on(mut self, events: &mpsc::Sender<Event>) -> String {
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
                limits: RequestLimits::told(max_facts_per_request, max_request_bytes),
                accepts_syncs: has(SYNC_ACCEPTED),
                has_availability: has(POD_AVAILABILITY),
                planner_version,
                rules_version,
                end: end.clone(),
            })
            .await
            .is_err()
        {
            return "the executor stops".to_owned();
        }
        loop {
            let message = tokio::select! {
                () = end.cancelled() => return "the executor has left the planner".to_owned(),
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
                // A second welcome, or a message that this executor doesn't know yet, asks for nothing.
                Ok(Some(_)) => continue,
                Ok(None) => return "the planner ended the stream".to_owned(),
                Err(status) => return words(&status),
            };
            if events.send(event).await.is_err() {
                return "the executor stops".to_owned();
            }
        }
    }
}

#[cfg(test)]
mod tests;
