//! What the loop needs to run, and why it ends.

use std::sync::Arc;

use tokio::{
    sync::{mpsc, watch},
    task::JoinError,
};

use crate::{
    apiserver::{api::Api, clock::Clock, events::Events, watch::ReceivedChange},
    election::{leadership::Leadership, lease::Requirements},
    live_view::queries::Query,
    planner::session::Opener,
    telemetry::{health::Health, metrics::Metrics},
};

/// What a controller needs to run.
#[derive(Debug)]
pub(crate) struct ControllerConfig {
    /// The API server.
    pub(crate) api: Api,
    /// Writes events.
    pub(crate) events: Events,
    /// The API server's time.
    pub(crate) clock: Clock,
    /// The health that the admin port reports.
    pub(crate) health: Arc<Health>,
    /// The metrics of the executor.
    pub(crate) metrics: Arc<Metrics>,
    /// Changes that the watches have read.
    pub(crate) changes: mpsc::Receiver<ReceivedChange>,
    /// The current leader. This executor opens sessions and writes only while it is the leader.
    pub(crate) leadership: watch::Receiver<Leadership>,
    /// What an executor must know to lead this cluster.
    pub(crate) requirements: Requirements,
    /// Opens the sessions of a term.
    pub(crate) opener: Opener,
    /// Whether statuses get conditions. If not, existing ones are removed.
    pub(crate) status_conditions: bool,
    /// Queries about the state of the loop.
    pub(crate) queries: mpsc::Receiver<Query>,
}

/// Why the loop ended before its shutdown was requested.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControllerError {
    /// The watches' tasks are gone.
    #[error("the watches have ended")]
    WatchesEnded,
    /// The election's task is gone.
    #[error("the election has ended")]
    ElectionEnded,
    /// The task that opens sessions is gone.
    #[error("the session's task has ended")]
    SessionsEnded,
    /// The task of a call has panicked.
    #[error("the task of a call to the API server failed")]
    Call(#[source] JoinError),
}
