//! The cluster as slim types: only what a decision or an action needs is ever decoded.

use std::{fmt, sync::Arc};

use everynode_proto::facts::{self, Meta};
use futures::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Client, Resource,
    core::{ClusterResourceScope, NamespaceResourceScope},
    runtime::{WatchStreamExt, watcher},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::metrics::Metrics;

/// A `DaemonSet` whose template is kept as the API server gave it.
pub type DaemonSet = facts::DaemonSet<Option<Box<RawValue>>>;

/// A `ControllerRevision`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Revision {
    /// metadata.
    pub metadata: Meta,
    /// Its place in the history: higher is newer.
    pub revision: i64,
    /// The patch that restores the template, as stored.
    pub data: Option<Box<RawValue>>,
}

/// A kind that is watched.
pub trait Watched: DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static {
    /// Whether objects of the kind are in namespaces.
    type Scope: Send + Sync;
    /// The kind's API group; empty for the core group.
    const GROUP: &'static str;
    /// The kind.
    const KIND: &'static str;
    /// The kind in URLs.
    const PLURAL: &'static str;

    /// Name, namespace, uid and resourceVersion, which the watch itself needs.
    fn identity(&self) -> [&str; 4];
}

fn identity<A>(meta: &Meta<A>) -> [&str; 4] {
    [&meta.name, &meta.namespace, &meta.uid, &meta.resource_version]
}

macro_rules! watched {
    ($type:ty, $scope:ty, $group:literal, $kind:literal, $plural:literal) => {
        impl Watched for $type {
            type Scope = $scope;
            const GROUP: &'static str = $group;
            const KIND: &'static str = $kind;
            const PLURAL: &'static str = $plural;

            fn identity(&self) -> [&str; 4] {
                identity(&self.metadata)
            }
        }
    };
}

watched!(facts::Node, ClusterResourceScope, "", "Node", "nodes");
watched!(facts::Pod, NamespaceResourceScope, "", "Pod", "pods");
watched!(
    DaemonSet,
    NamespaceResourceScope,
    "apps",
    "DaemonSet",
    "daemonsets"
);
watched!(
    Revision,
    NamespaceResourceScope,
    "apps",
    "ControllerRevision",
    "controllerrevisions"
);

/// A slim object in the shape that kube's watcher wants.
#[derive(Debug, Clone)]
pub struct Slim<T> {
    meta: ObjectMeta,
    /// The object.
    pub object: T,
}

impl<'de, T: Watched> Deserialize<'de> for Slim<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = T::deserialize(deserializer)?;
        let [name, namespace, uid, version] = object
            .identity()
            .map(|text| (!text.is_empty()).then(|| text.to_owned()));
        let meta = ObjectMeta {
            name,
            namespace,
            uid,
            resource_version: version,
            ..ObjectMeta::default()
        };
        Ok(Self { meta, object })
    }
}

impl<T: Watched> Resource for Slim<T> {
    type DynamicType = ();
    type Scope = T::Scope;

    fn kind((): &()) -> std::borrow::Cow<'_, str> {
        T::KIND.into()
    }

    fn group((): &()) -> std::borrow::Cow<'_, str> {
        T::GROUP.into()
    }

    fn version((): &()) -> std::borrow::Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> std::borrow::Cow<'_, str> {
        T::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// What a watch says.
#[derive(Debug)]
pub enum Event<T> {
    /// A list begins: what it doesn't hold is gone.
    ListBegins,
    /// The object is as shown.
    Changed(T),
    /// The object is gone.
    Gone(T),
    /// The list is complete.
    ListEnds,
}

/// What one of the watches says.
#[derive(Debug)]
pub enum Change {
    /// Of nodes.
    Node(Event<facts::Node>),
    /// Of pods.
    Pod(Event<facts::Pod>),
    /// Of `DaemonSet`s.
    DaemonSet(Event<DaemonSet>),
    /// Of `ControllerRevision`s.
    Revision(Event<Revision>),
}

/// Watches nodes, pods, `DaemonSet`s and `ControllerRevision`s until the receiver of the changes is dropped.
pub async fn watch_all(client: Client, changes: mpsc::Sender<Change>, metrics: Arc<Metrics>) {
    let streaming = has_streaming_lists(&client).await;
    info!(streaming, "watches begin");
    let (client, changes, metrics) = (&client, &changes, &metrics);
    tokio::join!(
        watch(client, streaming, changes, metrics, Change::Node),
        watch(client, streaming, changes, metrics, Change::Pod),
        watch(client, streaming, changes, metrics, Change::DaemonSet),
        watch(client, streaming, changes, metrics, Change::Revision),
    );
}

/// Whether lists come as a stream, which spares both sides the whole list in memory. On by default since 1.34.
async fn has_streaming_lists(client: &Client) -> bool {
    const SINCE_MINOR: u32 = 34;
    let minor = |text: &str| {
        text.trim_end_matches(|end: char| !end.is_ascii_digit())
            .parse::<u32>()
            .ok()
    };
    match client.apiserver_version().await {
        Ok(version) => {
            version.major == "1" && minor(&version.minor).is_some_and(|minor| minor >= SINCE_MINOR)
        }
        Err(error) => {
            debug!(%error, "the API server doesn't tell its version; lists are paged");
            false
        }
    }
}

/// Has a streamed list be as new as the request, where kube's watcher would take one of any age (`resourceVersion=0`). An
/// executor that starts from an old list doesn't see what the one before it has just done, and would do it again.
pub fn of_this_moment<B>(mut request: http::Request<B>) -> http::Request<B> {
    let uri = request.uri();
    let Some(query) = uri
        .query()
        .filter(|query| query.contains("sendInitialEvents=true"))
    else {
        return request;
    };
    let pairs: Vec<_> = query
        .split('&')
        .filter(|pair| *pair != "resourceVersion=0")
        .collect();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = format!("{}?{}", uri.path(), pairs.join("&")).parse().ok();
    if let Ok(uri) = http::Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

async fn watch<T: Watched>(
    client: &Client,
    mut streaming: bool,
    changes: &mpsc::Sender<Change>,
    metrics: &Metrics,
    wrap: fn(Event<T>) -> Change,
) where
    Slim<T>: Resource<DynamicType = ()>,
{
    loop {
        let mut events = events::<T>(client.clone(), streaming);
        loop {
            let event = match events.try_next().await {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    metrics.watch_error();
                    warn!(kind = T::KIND, error = %Cause(&error), "watch was interrupted and goes on");
                    if streaming && is_refusal(&error) {
                        info!(
                            kind = T::KIND,
                            "the API server has no streaming lists; lists are paged"
                        );
                        streaming = false;
                        break;
                    }
                    continue;
                }
            };
            let event = match event {
                watcher::Event::Init => Event::ListBegins,
                watcher::Event::InitApply(slim) | watcher::Event::Apply(slim) => Event::Changed(slim.object),
                watcher::Event::Delete(slim) => Event::Gone(slim.object),
                watcher::Event::InitDone => Event::ListEnds,
            };
            if changes.send(wrap(event)).await.is_err() {
                return;
            }
        }
    }
}

fn events<T: Watched>(
    client: Client,
    streaming: bool,
) -> BoxStream<'static, Result<watcher::Event<Slim<T>>, watcher::Error>>
where
    Slim<T>: Resource<DynamicType = ()>,
{
    let config = watcher::Config::default();
    let config = if streaming {
        config.streaming_lists()
    } else {
        config
    };
    let events: Box<dyn Stream<Item = _> + Send + Unpin> = Box::new(
        watcher(kube::Api::<Slim<T>>::all(client), config)
            .default_backoff()
            .boxed(),
    );
    events.boxed()
}

/// What a server says that doesn't know `sendInitialEvents`, or has it switched off.
fn is_refusal(error: &watcher::Error) -> bool {
    let watcher::Error::WatchStartFailed(kube::Error::Api(status)) = error else {
        return false;
    };
    matches!(status.code, 400 | 422)
}

/// An error with all its causes on one line.
#[derive(Debug)]
pub struct Cause<'a, E>(pub &'a E);

impl<E: std::error::Error> fmt::Display for Cause<'_, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.to_string();
        let mut source = self.0.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Many errors repeat their cause in their own text.
            if !shown.contains(&text) {
                shown = format!("{shown}: {text}");
            }
            source = cause.source();
        }
        formatter.write_str(&shown)
    }
}

#[cfg(test)]
mod tests;
