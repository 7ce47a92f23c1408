//! Authorizes callers: the API server decides what a caller may see, by a `SubjectAccessReview`.

use std::sync::Arc;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReviewSpec};
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::{Code, Status};

use everynode_serving::serve::refusal;

use super::{
    ANSWER_HOLDS, Caller, Tokens, User,
    cache::Cache,
    rate::{Buckets, Rate},
    unanswered,
};
use crate::{
    apiserver::api::Api,
    telemetry::metrics::{Metrics, Review, ReviewOutcome},
};

/// Maximum number of cached answers.
const MOST_ANSWERS: usize = 4_096;
/// Rate limit for reviews of one user: a burst of reviews of different objects, then a low steady rate.
const QUESTIONS_OF_USER: Rate = Rate {
    per_second: 20.0,
    burst: 100.0,
};

/// Objects in the cluster, and the right needed to see them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in super::super) struct Access {
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
}

impl Kind {
    fn group(self) -> &'static str {
        match self {
            Self::DaemonSets => "apps",
            Self::Nodes => "",
        }
    }

    fn resource(self) -> &'static str {
        match self {
            Self::DaemonSets => "daemonsets",
            Self::Nodes => "nodes",
        }
    }
}

impl Access {
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

    /// The right to see one node, or all nodes without a name.
    pub(in super::super) fn nodes(name: Option<&str>) -> Self {
        Self {
            verb: if name.is_some() { "get" } else { "list" },
            kind: Kind::Nodes,
            namespace: String::new(),
            name: name.unwrap_or_default().to_owned(),
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

/// Asks the API server what users may see, and caches the answers for `ANSWER_HOLDS`.
pub(super) struct Reviews {
    api: Api,
    metrics: Arc<Metrics>,
    known: Mutex<Known>,
}

/// Cached answers, and the rate limits of users.
struct Known {
    /// By the token's hash and the access: whether the token's owner has the right, and if not, why.
    answers: Cache<([u8; 32], Access), Result<(), Status>>,
    questions: Buckets<String>,
}

impl Reviews {
    pub(super) fn new(api: Api, metrics: Arc<Metrics>) -> Self {
        let known = Known {
            answers: Cache::new(MOST_ANSWERS),
            questions: Buckets::new(QUESTIONS_OF_USER),
        };
        Self {
            api,
            metrics,
            known: Mutex::new(known),
        }
    }

    async fn authorize(&self, user: &User, access: &Access) -> Result<(), Status> {
        let count = |outcome| self.metrics.caller_review(Review::Access, outcome);
        let key = (user.hash, access.clone());
        {
            let now = Instant::now();
            let mut known = self.known.lock();
            if let Some(answer) = known.answers.get(&key, now) {
                count(ReviewOutcome::Cached);
                return answer;
            }
            let name = user.name().to_owned();
            if !known.questions.has_one(&name, now) {
                count(ReviewOutcome::Refused);
                return Err(refusal::exhausted(&format!(
                    "the API server has to be asked too often what {name:?} may see"
                )));
            }
            known.questions.take(name, now);
        }
        count(ReviewOutcome::Made);
        let review = self.api.review_access(spec(user, access)).await;
        let review = review.map_err(unanswered)?;
        let answer = if review.allowed {
            Ok(())
        } else {
            Err(access.forbidden(user.name(), review.reason.as_deref()))
        };
        let until = Instant::now() + ANSWER_HOLDS;
        self.known.lock().answers.insert(key, answer.clone(), until);
        answer
    }
}

fn spec(user: &User, access: &Access) -> SubjectAccessReviewSpec {
    let info = user.info.as_ref().clone();
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    SubjectAccessReviewSpec {
        extra: info.extra,
        groups: info.groups,
        uid: info.uid,
        user: info.username,
        resource_attributes: Some(ResourceAttributes {
            group: given(access.kind.group()),
            resource: Some(access.kind.resource().to_owned()),
            verb: Some(access.verb.to_owned()),
            namespace: given(&access.namespace),
            name: given(&access.name),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    }
}

impl Tokens {
    /// Checks that a caller may see something.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` when the caller may not see it. `RESOURCE_EXHAUSTED` when the caller needs too many reviews.
    /// Other codes when the API server can't tell.
    pub(in super::super) async fn authorize(&self, caller: &Caller, access: &Access) -> Result<(), Status> {
        match caller {
            Caller::Unrestricted => Ok(()),
            Caller::User(user) => self.reviews.authorize(user, access).await,
        }
    }

    /// Checks that a watch may continue: that the caller's token is still valid and the caller still has the right.
    ///
    /// # Errors
    /// The reason why the watch must end, or why the API server can't tell.
    pub(in super::super) async fn authorize_again(
        &self,
        caller: &Caller,
        access: &Access,
    ) -> Result<(), Status> {
        let caller = self.reauthenticate(caller).await?;
        self.authorize(&caller, access).await
    }
}

/// Whether an error means that the caller has no valid token or no right, rather than that the API server can't tell.
pub(in super::super) fn is_verdict(status: &Status) -> bool {
    matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
}
