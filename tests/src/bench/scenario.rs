//! The work that the contenders do.

pub mod churn;
pub mod create;
pub mod join;
pub mod restart;
pub mod rollout;

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Settings;
use super::contender::Contender;
use super::report::Outcome;

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// `DaemonSet`s are created on a cluster of empty nodes, where nothing schedules or starts their pods.
    Create,
    /// `DaemonSet`s get another image and replace their pods, at most a tenth at a time.
    Rollout,
    /// In a cluster at rest, pods turn ready and unready, and nodes change labels and taints.
    Churn,
    /// Nodes join a cluster at rest, one by one.
    Join,
    /// The contender starts on a cluster where one pod is missing.
    Restart,
}

impl Scenario {
    /// All scenarios.
    pub const ALL: [Self; 5] = [
        Self::Create,
        Self::Rollout,
        Self::Churn,
        Self::Join,
        Self::Restart,
    ];

    /// Whether the scenario starts on a cluster where every pod exists and is ready.
    pub fn starts_at_rest(self) -> bool {
        matches!(self, Self::Churn | Self::Join | Self::Restart)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Create => "create",
            Self::Rollout => "rollout",
            Self::Churn => "churn",
            Self::Join => "join",
            Self::Restart => "restart",
        })
    }
}

/// Runs a scenario once under a contender. Each run has its own control plane. In scenarios that start at rest, the
/// control plane starts from a copy of `store`.
///
/// # Errors
/// When the contender doesn't do the work, or the scenario needs a store and there is none.
pub async fn run(
    settings: &Settings,
    scenario: Scenario,
    contender: Contender,
    store: Option<&Path>,
) -> Result<Outcome> {
    let prepared = || store.context("the scenario starts from a prepared cluster");
    match scenario {
        Scenario::Create => create::run(settings, contender).await,
        Scenario::Rollout => rollout::run(settings, contender).await,
        Scenario::Churn => churn::run(settings, contender, prepared()?).await,
        Scenario::Join => join::run(settings, contender, prepared()?).await,
        Scenario::Restart => restart::run(settings, contender, prepared()?).await,
    }
}
