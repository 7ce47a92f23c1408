//! Authorizes callers: the API server decides what a caller may see, by a `SubjectAccessReview`.

use std::sync::Arc;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReviewSpec};
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::{Code, Status};

use everynode_serving::serve::refusal;

use super::{
    ANSWER_TTL, Caller, TokenAuthenticator, User,
    cache::Cache,
    rate::{Buckets, Rate},
    review_failed,
};
use crate::{
    apiserver::api::Api,
    telemetry::metrics::{Metrics, Review, ReviewOutcome},
};

/// Maximum number of cached answers.
const MAX_CACHED_ANSWERS: usize = 4_096;
/// Rate limit for the reviews of one user: a burst, such as for different objects, then a low steady rate.
const REVIEWS_PER_USER: Rate = Rate {
    per_second: 20.0,
    burst: 100.0,
};

/// The objects that a caller wants to see, and the right that the caller needs for them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in super::super) struct AccessRequest {
    /// The verb of the right, as the API server spells it.
    pub(super) verb: &'static str,
    pub(super) kind: Kind,
    /// The namespace; empty for all namespaces.
    pub(super) namespace: String,
    /// The object's name; empty for all objects.
    pub(super) name: String,
}

/// The kind of the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    DaemonSets,
    Nodes,
    Pods,
}

impl Kind {
    fn group(self) -> &'static str {
        match self {
            Self::DaemonSets => "apps",
            Self::Nodes | Self::Pods => "",
        }
    }

    fn resource(self) -> &'static str {
        match self {
            Self::DaemonSets => "daemonsets",
            Self::Nodes => "nodes",
            Self::Pods => "pods",
        }
    }
}

impl AccessRequest {
    /// The right to see one `DaemonSet`, or several if the namespace or name is empty.
    pub(in super::super) fn daemon_sets(namespace: &str, name: &str) -> Self {
        let verb = if namespace.is_empty() || name.is_empty() {
            "list"
        } else {
            "get"
        };
        Self {
            verb,
            kind: Kind::DaemonSets,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The right to see one `DaemonSet`, or all of them if the key isn't `namespace/name`.
    pub(in super::super) fn daemon_set(key: &str) -> Self {
        let (namespace, name) = key.split_once('/').unwrap_or_default();
        Self::daemon_sets(namespace, name)
    }

    /// The right to watch `DaemonSet`s.
    pub(in super::super) fn watch(namespace: &str, name: &str) -> Self {
        Self {
            verb: "watch",
            ..Self::daemon_sets(namespace, name)
        }
    }

    /// The right to see the node with this name, or all nodes if there is no name.
    pub(in super::super) fn nodes(name: Option<&str>) -> Self {
        Self {
            verb: if name.is_some() { "get" } else { "list" },
            kind: Kind::Nodes,
            namespace: String::new(),
            name: name.unwrap_or_default().to_owned(),
        }
    }

    /// The right to read every pod of a namespace, or of all namespaces if it is empty.
    pub(in super::super) fn pods(namespace: &str) -> Self {
        Self {
            verb: "get",
            kind: Kind::Pods,
            namespace: namespace.to_owned(),
            name: String::new(),
        }
    }

    /// Builds the error for a missing right, in the API server's wording.
    fn forbidden(&self, user: &str, reason: Option<&str>) -> Status {
        let Self {
            verb,
            kind,
            namespace,
            name,
        } = self;
        let (group, resource) = (kind.group(), kind.resource());
        let qualified = if group.is_empty() {
            resource.to_owned()
        } else {
            format!("{resource}.{group}")
        };
        let quoted = if name.is_empty() {
            String::new()
        } else {
            format!(" {name:?}")
        };
        let scope = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {namespace:?}")
        };
        let reason = reason.filter(|reason| !reason.is_empty());
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        Status::permission_denied(format!(
            "{qualified}{quoted} is forbidden: User {user:?} cannot {verb} resource {resource:?} in API group {group:?} \
             {scope}{reason}"
        ))
    }
}

/// Asks the API server what users may see, and caches the answers for `ANSWER_TTL`.
pub(super) struct AccessReviewer {
    api: Api,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
}

/// Cached answers, and the rate limits of users.
struct State {
    /// By the token's hash and the access request: whether the token's owner has the right, and if not, why.
    answers: Cache<([u8; 32], AccessRequest), Result<(), Status>>,
    limits: Buckets<String>,
}

impl AccessReviewer {
    pub(super) fn new(api: Api, metrics: Arc<Metrics>) -> Self {
        let state = State {
            answers: Cache::new(MAX_CACHED_ANSWERS),
            limits: Buckets::new(REVIEWS_PER_USER),
        };
        Self {
            api,
            metrics,
            state: Mutex::new(state),
        }
    }

    async fn authorize(&self, user: &User, access: &AccessRequest) -> Result<(), Status> {
        let count = |outcome| self.metrics.caller_review(Review::Access, outcome);
        let key = (user.hash, access.clone());
        {
            let now = Instant::now();
            let mut state = self.state.lock();
            if let Some(answer) = state.answers.get(&key, now) {
                count(ReviewOutcome::Cached);
                return answer;
            }
            let name = user.name().to_owned();
            if !state.limits.has_token(&name, now) {
                count(ReviewOutcome::Refused);
                return Err(refusal::exhausted(&format!(
                    "too many access reviews are needed for {name:?}"
                )));
            }
            state.limits.take(name, now);
        }
        count(ReviewOutcome::Made);
        let review = self.api.review_access(spec(user, access)).await;
        let review = review.map_err(review_failed)?;
        let answer = if review.allowed {
            Ok(())
        } else {
            Err(access.forbidden(user.name(), review.reason.as_deref()))
        };
        let until = Instant::now() + ANSWER_TTL;
        self.state.lock().answers.insert(key, answer.clone(), until);
        answer
    }
}

fn spec(user: &User, access: &AccessRequest) -> SubjectAccessReviewSpec {
    let info = user.info.as_ref().clone();
    let non_empty = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    SubjectAccessReviewSpec {
        extra: info.extra,
        groups: info.groups,
        uid: info.uid,
        user: info.username,
        resource_attributes: Some(ResourceAttributes {
            group: non_empty(access.kind.group()),
            resource: Some(access.kind.resource().to_owned()),
            verb: Some(access.verb.to_owned()),
            namespace: non_empty(&access.namespace),
            name: non_empty(&access.name),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    }
}

impl TokenAuthenticator {
    /// Checks that a caller may see something.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` when the caller may not see it. `RESOURCE_EXHAUSTED` when the caller needs too many reviews.
    /// Other codes when the review fails.
    pub(in super::super) async fn authorize(
        &self,
        caller: &Caller,
        access: &AccessRequest,
    ) -> Result<(), Status> {
        match caller {
            Caller::Unrestricted => Ok(()),
            Caller::User(user) => self.access_reviewer.authorize(user, access).await,
        }
    }

    /// Checks that a watch may continue: that the caller's token is still valid and the caller still has the right.
    ///
    /// # Errors
    /// Why the watch must end, or why the check failed.
    pub(in super::super) async fn reauthorize(
        &self,
        caller: &Caller,
        access: &AccessRequest,
    ) -> Result<(), Status> {
        let caller = self.reauthenticate(caller).await?;
        self.authorize(&caller, access).await
    }
}

/// Whether an error means that the caller has no valid token or no right. Other errors mean that the check failed, for
/// example because the API server didn't answer.
pub(in super::super) fn is_verdict(status: &Status) -> bool {
    matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
}
