//! Ends a watch after its maximum duration, when the caller's certificate expires, or when the caller may no longer
//! watch.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use everynode_serving::serve::Peer;
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep, interval_at, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use super::super::{
    Executor,
    callers::{
        Caller, TokenAuthenticator,
        access::{AccessRequest, is_verdict},
    },
    status,
};

/// How often a caller's token and access are checked again.
const AUTHORIZATION_INTERVAL: Duration = Duration::from_mins(1);
/// The watch ends after this number of consecutive checks that the API server doesn't answer.
const MAX_FAILED_CHECKS: u32 = 3;
/// Maximum fraction of the maximum duration by which a watch lasts longer or shorter, so that not all watches end
/// together.
const JITTER: f64 = 0.1;
/// How long a client may take to read the end of its watch before its connection is closed.
const UNREAD_GRACE: Duration = Duration::from_mins(1);

type PendingCheck = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

/// The lifetime of a watch.
pub(super) struct Lifetime {
    /// Completes when the watch must end at the latest.
    end: Pin<Box<Sleep>>,
    /// The status with which the watch ends then.
    end_status: Status,
    /// The periodic checks of the caller; `None` for callers without a token.
    authorization: Option<Authorization>,
    /// Closes the connection of a client that doesn't read the end of its watch.
    _watchdog: Option<AbortOnDropHandle<()>>,
}

/// The authorization of a caller, which is checked periodically.
struct Authorization {
    tokens: Arc<TokenAuthenticator>,
    caller: Caller,
    access: AccessRequest,
    due: Interval,
    pending: Option<PendingCheck>,
    failed_checks: u32,
}

impl Lifetime {
    /// Creates the lifetime of a watch that begins now.
    pub(super) fn new(
        executor: &Executor,
        caller: Caller,
        access: AccessRequest,
        peer: Option<Peer>,
    ) -> Self {
        let now = Instant::now();
        let not_after = peer.as_ref().and_then(Peer::not_after);
        let remaining = not_after.map(|end| end.duration_since(SystemTime::now()).unwrap_or_default());
        let duration = jittered(executor.max_watch_duration, fastrand::f64());
        let (duration, end_status) = match remaining {
            Some(remaining) if remaining < duration => (remaining, status::certificate_expired()),
            _ => (duration, everynode_proto::status::watch_expired()),
        };
        let tokens = executor.tokens.clone();
        let authorization = match (tokens, &caller) {
            (Some(tokens), Caller::User(_)) => {
                let mut due = interval_at(now + AUTHORIZATION_INTERVAL, AUTHORIZATION_INTERVAL);
                due.set_missed_tick_behavior(MissedTickBehavior::Delay);
                Some(Authorization {
                    tokens,
                    caller,
                    access,
                    due,
                    pending: None,
                    failed_checks: 0,
                })
            }
            _ => None,
        };
        let end = now + duration;
        let watchdog = peer.map(|peer| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                sleep_until(end + UNREAD_GRACE).await;
                peer.close_connection();
            }))
        });
        Self {
            end: Box::pin(sleep_until(end)),
            end_status,
            authorization,
            _watchdog: watchdog,
        }
    }

    /// Waits until the watch has to end, and returns why. This is cancel-safe: the next call continues the wait.
    pub(super) async fn ended(&mut self) -> Status {
        let authorization = self.authorization.as_mut();
        let revoked = async {
            match authorization {
                Some(authorization) => authorization.revoked().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.end.as_mut() => self.end_status.clone(),
            end = revoked => end,
        }
    }
}

impl Authorization {
    /// Waits until the caller may no longer watch, and returns why.
    async fn revoked(&mut self) -> Status {
        loop {
            let pending = if let Some(pending) = &mut self.pending {
                pending
            } else {
                self.due.tick().await;
                self.pending.insert(self.check())
            };
            let checked = pending.await;
            self.pending = None;
            match checked {
                Ok(()) => self.failed_checks = 0,
                Err(status) if is_verdict(&status) => return status,
                Err(status) => {
                    self.failed_checks = self.failed_checks.saturating_add(1);
                    if self.failed_checks >= MAX_FAILED_CHECKS {
                        return status;
                    }
                }
            }
        }
    }

    fn check(&self) -> PendingCheck {
        let (tokens, caller, access) = (self.tokens.clone(), self.caller.clone(), self.access.clone());
        Box::pin(async move { tokens.reauthorize(&caller, &access).await })
    }
}

/// Lengthens or shortens a duration by up to `JITTER`. `chance` is a random number from 0 to 1.
fn jittered(duration: Duration, chance: f64) -> Duration {
    duration.mul_f64(1.0 - JITTER + 2.0 * JITTER * chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watch_duration_varies_by_up_to_a_tenth() {
        let time = Duration::from_mins(30);
        for (chance, minutes) in [(0.0, 27), (0.5, 30), (1.0, 33)] {
            let lasts = jittered(time, chance).as_secs_f64() / 60.0;
            assert!((lasts - f64::from(minutes)).abs() < 0.001, "{lasts}");
        }
    }
}
