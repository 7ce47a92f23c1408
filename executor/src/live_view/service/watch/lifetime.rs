//! Limits on how long a watch lasts: a maximum time, and only while its caller may watch.

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
        Caller, Tokens,
        access::{Access, is_verdict},
    },
    status,
};

/// How often a caller's token and access are checked again.
const AUTHORIZE_EVERY: Duration = Duration::from_mins(1);
/// Number of checks in a row that may fail to tell whether a caller may still watch, before the watch ends.
const MOST_UNANSWERED: u32 = 3;
/// Fraction of the maximum time by which a watch may last longer or shorter, so that not all watches end together.
const JITTER: f64 = 0.1;
/// How long a client may leave the end of its watch unread before its connection is cut.
const UNREAD_GRACE: Duration = Duration::from_mins(1);

type Checked = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

/// The lifetime of a watch.
pub(super) struct Lifetime {
    /// When it ends in any case.
    end: Pin<Box<Sleep>>,
    /// The status that it ends with then.
    with: Status,
    /// Whether its caller may go on watching; `None` for callers without a token.
    authorization: Option<Authorization>,
    /// Cuts the connection of a client that doesn't read the end.
    _watchdog: Option<AbortOnDropHandle<()>>,
}

/// The authorization of a caller, which is checked periodically.
struct Authorization {
    tokens: Arc<Tokens>,
    caller: Caller,
    access: Access,
    due: Interval,
    pending: Option<Checked>,
    unanswered: u32,
}

impl Lifetime {
    /// Creates the lifetime of a watch that begins now.
    pub(super) fn new(executor: &Executor, caller: Caller, access: Access, peer: Option<Peer>) -> Self {
        let now = Instant::now();
        let not_after = peer.as_ref().and_then(Peer::not_after);
        let left = not_after.map(|end| end.duration_since(SystemTime::now()).unwrap_or_default());
        let lasts = jittered(executor.max_watch_duration, fastrand::f64());
        let (lasts, with) = match left {
            Some(left) if left < lasts => (left, status::certificate_expired()),
            _ => (lasts, everynode_proto::status::watch_expired()),
        };
        let tokens = executor.tokens.clone();
        let authorization = match (tokens, &caller) {
            (Some(tokens), Caller::User(_)) => {
                let mut due = interval_at(now + AUTHORIZE_EVERY, AUTHORIZE_EVERY);
                due.set_missed_tick_behavior(MissedTickBehavior::Delay);
                Some(Authorization {
                    tokens,
                    caller,
                    access,
                    due,
                    pending: None,
                    unanswered: 0,
                })
            }
            _ => None,
        };
        let end = now + lasts;
        let watchdog = peer.map(|peer| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                sleep_until(end + UNREAD_GRACE).await;
                peer.close_connection();
            }))
        });
        Self {
            end: Box::pin(sleep_until(end)),
            with,
            authorization,
            _watchdog: watchdog,
        }
    }

    /// Waits until the watch has to end, and returns why. A dropped wait loses nothing: the next call continues it.
    pub(super) async fn end(&mut self) -> Status {
        let authorization = self.authorization.as_mut();
        let revoked = async {
            match authorization {
                Some(authorization) => authorization.revoked().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.end.as_mut() => self.with.clone(),
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
                Ok(()) => self.unanswered = 0,
                Err(status) if is_verdict(&status) => return status,
                Err(status) => {
                    self.unanswered = self.unanswered.saturating_add(1);
                    if self.unanswered >= MOST_UNANSWERED {
                        return status;
                    }
                }
            }
        }
    }

    fn check(&self) -> Checked {
        let (tokens, caller, access) = (self.tokens.clone(), self.caller.clone(), self.access.clone());
        Box::pin(async move { tokens.authorize_again(&caller, &access).await })
    }
}

/// Makes a time longer or shorter at random; `chance` is from 0 to 1.
fn jittered(time: Duration, chance: f64) -> Duration {
    time.mul_f64(1.0 - JITTER + 2.0 * JITTER * chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watch_lasts_its_time_give_or_take_a_tenth() {
        let time = Duration::from_mins(30);
        for (chance, minutes) in [(0.0, 27), (0.5, 30), (1.0, 33)] {
            let lasts = jittered(time, chance).as_secs_f64() / 60.0;
            assert!((lasts - f64::from(minutes)).abs() < 0.001, "{lasts}");
        }
    }
}
