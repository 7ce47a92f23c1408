//! Leader election: of several executors, the one that holds a Lease leads.
//!
//! The rules are those of client-go's leader election, so that `kubectl get lease` and other tools read the Lease as
//! usual. The holder renews the Lease periodically. Another executor takes it over when it hasn't seen the Lease change
//! for the Lease's duration. Times in the Lease are for people: each executor counts from the moment at which it
//! observed the last change.
//!
//! Two things differ. First, a standby watches the Lease instead of polling it, so that it takes over when the time
//! is up, not up to a period later. Second, the holder writes nothing that its [`Claim`] doesn't cover, and a claim
//! expires by itself: see [`gate`]. Nothing that was written under a claim arrives after the claim has ended, either:
//! see [`connection`].
//!
//! A term's number is the Lease's resourceVersion at the beginning of the term. It rises with every term. Unlike the
//! number of transitions, it also rises when the Lease is deleted and recreated.

mod claim;
pub(crate) mod connection;
pub(crate) mod gate;
mod record;
mod requirements;

use std::{pin::pin, sync::Arc, time::Duration};

use everynode_render::ErrorChain;
use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    api::PostParams,
    runtime::{
        WatchStreamExt,
        watcher::{self, watch_object},
    },
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::record::{ObservedLease, holder, shown};
pub(crate) use self::{
    claim::{Claim, Moment},
    requirements::Requirements,
};
use super::leadership::Leadership;
use crate::telemetry::health::Health;

/// Maximum random extension of a standby's retry period, as a fraction of it, so that standbys don't all retry at once
/// (client-go's factor is 1.2).
const JITTER: f64 = 0.2;

/// Which Lease to use, and the times of the election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The Lease's name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// How long a standby must see no renewal before it takes over.
    pub duration: Duration,
    /// How long the holder keeps acting without a successful renewal.
    pub renew_deadline: Duration,
    /// How often the holder renews the Lease.
    pub retry_period: Duration,
}

impl Settings {
    /// Checks that the times fit together: the holder stops before another executor begins, and has time to try at
    /// least one renewal until then.
    ///
    /// # Errors
    /// A setting is invalid. The error names the flags.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        if self.duration <= self.renew_deadline {
            Err(InvalidSettings::DurationTooShort)
        } else if self.renew_deadline <= self.retry_period.mul_f64(1.0 + JITTER) {
            Err(InvalidSettings::RenewDeadlineTooShort)
        } else if self.duration.subsec_nanos() != 0 {
            Err(InvalidSettings::FractionalDuration)
        } else {
            Ok(())
        }
    }

    /// How long nobody acts after the holder has stopped.
    pub fn margin(&self) -> Duration {
        self.duration.saturating_sub(self.renew_deadline)
    }
}

/// Why the settings of an election can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// Another executor would take over while the holder still acts.
    #[error("--leader-elect-lease-duration must be longer than --leader-elect-renew-deadline")]
    DurationTooShort,
    /// The holder might have to stop before it can try to renew the Lease.
    #[error("--leader-elect-renew-deadline must be more than 1.2 times --leader-elect-retry-period")]
    RenewDeadlineTooShort,
    /// A Lease holds its duration in whole seconds.
    #[error("--leader-elect-lease-duration must be whole seconds: a Lease stores whole seconds")]
    FractionalDuration,
}

/// One executor's participation in the election.
pub(crate) struct Election {
    leases: Api<Lease>,
    settings: Settings,
    identity: String,
    /// This executor's name in the Lease. It is unique to this process, so that a restarted process doesn't mistake the
    /// Lease of its predecessor for its own.
    holder: String,
    claim: Claim,
    leads: watch::Sender<Leadership>,
    requirements: Requirements,
    health: Arc<Health>,
    /// The capabilities that the Lease requires and this executor doesn't have. While there are any, it doesn't lead.
    lacks: Vec<String>,
    /// The last error, so that it is logged as a warning only once.
    last_error: Option<String>,
}

/// The Lease as this executor holds it.
struct AcquiredLease {
    lease: Lease,
    since: Moment,
}

impl Election {
    /// Creates a participant with this name. `claim` and `leads` follow the outcome. `health` says when it can't lead.
    #[expect(
        clippy::too_many_arguments,
        reason = "an election connects many parts of the program"
    )]
    pub(crate) fn new(
        client: Client,
        settings: Settings,
        identity: String,
        claim: Claim,
        leads: watch::Sender<Leadership>,
        requirements: Requirements,
        health: Arc<Health>,
    ) -> Self {
        Self {
            leases: Api::namespaced(client, &settings.namespace),
            settings,
            holder: record::unique(&identity),
            identity,
            claim,
            leads,
            requirements,
            health,
            lacks: Vec::new(),
            last_error: None,
        }
    }

    /// Takes part until `stop` is cancelled. Then it releases the Lease, so that another executor can take it at
    /// once.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let held = tokio::select! {
                held = self.acquire() => held,
                () = stop.cancelled() => return,
            };
            let mut lease = held.lease.clone();
            let reason = tokio::select! {
                reason = self.renew_until_lost(held, &mut lease) => reason,
                () = stop.cancelled() => return self.release(lease).await,
            };
            self.claim.give_up();
            warn!(%reason, "leadership lost; nothing is written");
            self.leads.send_replace(Leadership::default());
        }
    }

    /// Waits until the Lease is free, and acquires it.
    async fn acquire(&mut self) -> AcquiredLease {
        let mut observed = ObservedLease::default();
        let mut changes = pin!(self.changes());
        let mut next_try = Instant::now();
        loop {
            let free = observed.free_at(&self.holder).filter(|_| self.lacks.is_empty());
            tokio::select! {
                // Process received changes before attempting to acquire the Lease.
                biased;
                change = changes.next() => match change {
                    Some(Ok(lease)) => self.observe(&mut observed, lease).await,
                    Some(Err(error)) => self.report_watch_error(&error),
                    // The stream should never end. If it does, start it again.
                    None => changes.set(self.changes()),
                },
                () = sleep_until_or_forever(free.map(|free| free.max(next_try))) => {
                    match self.try_acquire(&observed).await {
                        Ok(held) => return held,
                        Err(error) => self.report_error("acquiring the Lease failed; retrying", &error),
                    }
                    next_try = Instant::now() + self.retry_delay();
                    // Another executor was faster, or the watch lags behind.
                    match self.leases.get_opt(&self.settings.name).await {
                        Ok(lease) => self.observe(&mut observed, lease).await,
                        Err(error) => self.report_error("reading the Lease failed; retrying", &error),
                    }
                }
            }
        }
    }

    /// Yields the current Lease, and again after every change.
    fn changes(&self) -> impl Stream<Item = watcher::Result<Option<Lease>>> + Send + use<> {
        let waits = watcher::DefaultBackoff::default();
        watch_object(self.leases.clone(), &self.settings.name).backoff(waits)
    }

    /// Records the current Lease.
    async fn observe(&mut self, observed: &mut ObservedLease, lease: Option<Lease>) {
        let leader = lease.as_ref().map_or("", |lease| shown(holder(lease)));
        self.leads.send_if_modified(|now| {
            let has_changed = now.leader != leader;
            if has_changed {
                if leader.is_empty() {
                    info!("no current leader");
                } else {
                    info!(leader, "leader changed");
                }
                *now = Leadership::of(leader);
            }
            has_changed
        });
        self.check_requirements(lease.as_ref()).await;
        observed.observe(lease);
    }

    /// Tries to acquire the Lease as last observed. The server refuses if the Lease has changed since.
    async fn try_acquire(&self, observed: &ObservedLease) -> Result<AcquiredLease, kube::Error> {
        let since = Moment::now();
        let lease = match observed.lease() {
            None => {
                let new = record::new(&self.settings, &self.holder);
                self.leases.create(&PostParams::default(), &new).await?
            }
            Some(lease) => {
                let taken = record::taken(lease, &self.settings, &self.holder);
                self.replace(&taken).await?
            }
        };
        Ok(AcquiredLease { lease, since })
    }

    /// Renews the Lease until it is lost, and returns why it was lost. `lease` is the Lease as it was last written.
    async fn renew_until_lost(&mut self, held: AcquiredLease, lease: &mut Lease) -> String {
        self.claim.hold(held.since, self.settings.renew_deadline);
        let term = record::term(&held.lease);
        info!(
            lease = self.settings.name,
            namespace = self.settings.namespace,
            term,
            "leadership acquired"
        );
        self.last_error = None;
        self.leads.send_replace(Leadership::ours_in(&self.identity, term));
        let mut renewed = held.since;
        loop {
            let deadline = renewed.monotonic + self.settings.renew_deadline;
            let next_try = Instant::now() + self.settings.retry_period;
            sleep_until(next_try.min(deadline)).await;
            let now = Moment::now();
            // An executor that was frozen until now doesn't even try.
            if !self.claim.is_current() || now.monotonic >= deadline {
                return format!(
                    "Lease not renewed within {} s",
                    self.settings.renew_deadline.as_secs_f64()
                );
            }
            let renew = |lease: &Lease| self.requirements.write(record::renewed(lease));
            match timeout_at(deadline, self.change(lease, renew)).await {
                Ok(Ok(())) => {
                    renewed = now;
                    self.claim.hold(renewed, self.settings.renew_deadline);
                    self.last_error = None;
                }
                Ok(Err(RenewError::HeldBy(leader))) => return format!("Lease held by {leader:?}"),
                Ok(Err(RenewError::Deleted)) => return "Lease deleted".to_owned(),
                Ok(Err(RenewError::Api(error))) => {
                    self.report_error("renewing the Lease failed; retrying", &error);
                }
                Err(_) => {}
            }
        }
    }

    /// Changes the Lease that this executor holds. Retries at once if another client has changed it.
    async fn change(&self, lease: &mut Lease, change: impl Fn(&Lease) -> Lease) -> Result<(), RenewError> {
        loop {
            match self.replace(&change(lease)).await {
                Ok(changed) => {
                    *lease = changed;
                    return Ok(());
                }
                Err(error) if is_conflict(&error) => {}
                Err(kube::Error::Api(status)) if status.is_not_found() => return Err(RenewError::Deleted),
                Err(error) => return Err(RenewError::Api(error)),
            }
            let now = self.leases.get_opt(&self.settings.name).await;
            match now.map_err(RenewError::Api)? {
                Some(now) if holder(&now) == self.holder => *lease = now,
                Some(now) => return Err(RenewError::HeldBy(shown(holder(&now)).to_owned())),
                None => return Err(RenewError::Deleted),
            }
        }
    }

    /// Releases the Lease.
    async fn release(&self, mut lease: Lease) {
        self.claim.give_up();
        self.leads.send_replace(Leadership::default());
        let released = self.change(&mut lease, record::released);
        match tokio::time::timeout(self.settings.retry_period, released).await {
            Ok(Ok(())) => info!("Lease released"),
            Ok(Err(RenewError::HeldBy(_) | RenewError::Deleted)) => {}
            Ok(Err(RenewError::Api(error))) => {
                warn!(error = %ErrorChain(&error), "releasing the Lease failed; it will expire");
            }
            Err(_) => warn!("releasing the Lease timed out; it will expire"),
        }
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, kube::Error> {
        self.leases
            .replace(&self.settings.name, &PostParams::default(), lease)
            .await
    }

    fn retry_delay(&self) -> Duration {
        self.settings.retry_period.mul_f64(1.0 + JITTER * fastrand::f64())
    }

    fn report_watch_error(&mut self, error: &watcher::Error) {
        let error = ErrorChain(error).to_string();
        self.log_error("watch of the Lease failed; retrying", error);
    }

    fn report_error(&mut self, message: &'static str, error: &kube::Error) {
        // On a conflict, another client was faster, which is no error.
        if !is_conflict(error) {
            self.log_error(message, ErrorChain(error).to_string());
        }
    }

    /// Logs a problem as a warning once, and at debug while it persists.
    fn log_error(&mut self, message: &'static str, error: String) {
        let Settings { name, namespace, .. } = &self.settings;
        if self.last_error.as_ref() == Some(&error) {
            debug!(error, lease = name, namespace, "{message}");
        } else {
            warn!(error, lease = name, namespace, "{message}");
            self.last_error = Some(error);
        }
    }
}

impl std::fmt::Debug for Election {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Election")
            .field("settings", &self.settings)
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

/// Why the holder couldn't change the Lease.
enum RenewError {
    /// Another executor holds the Lease.
    HeldBy(String),
    Deleted,
    /// The call failed, so the holder isn't known.
    Api(kube::Error),
}

/// Whether another client has changed or created the Lease in the meantime.
fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// Waits until this time; forever, if there is none.
async fn sleep_until_or_forever(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
