//! The list of the watched kinds.

use std::fmt;

use everynode_proto::facts;
use futures::{FutureExt, future::BoxFuture};
use tokio::sync::watch;

use super::{Change, Event, Shared};
use crate::apiserver::objects::{
    ClusterPolicy, DaemonSet, Namespace, NamespacedPolicy, Revision, Rollout, Watched,
};

/// The watched kinds. A new kind is an entry here, a variant of [`Change`], and a cache in
/// [`Cluster`](crate::cluster::Cluster).
pub(crate) const KINDS: &[Kind] = &[
    Kind::of::<facts::Node>(Presence::Required),
    Kind::of::<facts::Pod>(Presence::Required),
    Kind::of::<DaemonSet>(Presence::Required),
    Kind::of::<Revision>(Presence::Required),
    Kind::of::<NamespacedPolicy>(Presence::Supplementary),
    Kind::of::<ClusterPolicy>(Presence::Supplementary),
    Kind::of::<Rollout>(Presence::Supplementary),
    Kind::of::<Namespace>(Presence::Supplementary),
];

/// Whether every API server serves a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Every API server serves the kind. If one answers 404, the watch has failed and is retried.
    Required,
    /// The kind exists only where its custom resource definition is installed, and the executor leads without it: neither
    /// its sync nor a freshness check waits for a watch that fails. The kind counts as absent, listed and empty only if
    /// discovery says that it isn't served. The watch reports its state as [`Change::State`].
    Supplementary,
}

/// A watched kind.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// The kind's name.
    pub name: &'static str,
    /// Whether every API server serves the kind.
    pub presence: Presence,
    run: for<'a> fn(&'a Shared, Presence, watch::Sender<u64>) -> BoxFuture<'a, ()>,
}

impl Kind {
    const fn of<T: Watched>(presence: Presence) -> Self
    where
        Change: From<Event<T>>,
    {
        Self {
            name: T::KIND,
            presence,
            run: run::<T>,
        }
    }

    /// Watches the kind until the receiver of the changes is dropped.
    pub(super) async fn run(self, shared: &Shared, checks_passed: watch::Sender<u64>) {
        (self.run)(shared, self.presence, checks_passed).await;
    }
}

fn run<T: Watched>(
    shared: &Shared,
    presence: Presence,
    checks_passed: watch::Sender<u64>,
) -> BoxFuture<'_, ()>
where
    Change: From<Event<T>>,
{
    shared.watch::<T>(presence, checks_passed).run().boxed()
}

impl fmt::Debug for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, presence, .. } = self;
        write!(formatter, "{name} ({presence:?})")
    }
}
