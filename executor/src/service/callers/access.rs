//! What a caller may see: the API server says so by a `SubjectAccessReview`.

use std::sync::Arc;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReviewSpec};
use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::{Code, Status};

use everynode_proto::serve::refusal;

use super::{
    ANSWER_HOLDS, Caller, Tokens, User,
    cache::Cache,
    rate::{Buckets, Rate},
    unanswered,
};
use crate::{
    api::Api,
    metrics::{Metrics, Review, ReviewOutcome},
};

/// How many answers are kept.
const MOST_ANSWERS: usize = 4_096;
/// How often the API server is asked about one user: a burst of questions about different objects, and then a steady few.
const QUESTIONS_OF_USER: Rate = Rate {
    per_second: 20.0,
    burst: 100.0,
};

/// Something to see in the cluster, and the right that it takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in super::super) struct Access {
    /// As the API server calls it.
    pub(super) verb: &'static str,
    pub(super) kind: Kind,
    /// All namespaces when empty.
    pub(super) namespace: String,
    /// All of them when empty.
    pub(super) name: String,
}

/// Whose objects are seen.
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
    /// To see one `DaemonSet` or several.
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

    /// To see one `DaemonSet`, or all when there is no `namespace/name`.
    pub(in super::super) fn daemon_set(key: &str) -> Self {
        let (namespace, name) = key.split_once('/').unwrap_or_default();
        Self::daemon_sets(namespace, name)
    }

    /// To see what becomes of `DaemonSet`s.
    pub(in super::super) fn watch(namespace: &str, name: &str) -> Self {
        Self {
            verb: "watch",
            ..Self::daemon_sets(namespace, name)
        }
    }

    /// To see one node, or all when none is named.
    pub(in super::super) fn nodes(name: Option<&str>) -> Self {
        Self {
            verb: if name.is_some() { "get" } else { "list" },
            kind: Kind::Nodes,
            namespace: String::new(),
            name: name.unwrap_or_default().to_owned(),
        }
    }

    /// What a refusal says, in the API server's own words.
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

/// Asks the API server what users may see. Answers are kept for a moment.
pub(super) struct Reviews {
    api: Api,
    metrics: Arc<Metrics>,
    known: Mutex<Known>,
}

/// What is known of users.
struct Known {
    /// Whether the owner of a token has a right, and why they don't.
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
    /// Lets a caller see what they may see.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` when they may not, or the reason why nobody can tell at the moment.
    pub(in super::super) async fn authorize(&self, caller: &Caller, access: &Access) -> Result<(), Status> {
        match caller {
            Caller::Unrestricted => Ok(()),
            Caller::User(user) => self.reviews.authorize(user, access).await,
        }
    }

    /// Whether a watch that a caller was allowed may go on: by their token and their right, as they are now.
    ///
    /// # Errors
    /// Why it has to end, or why nobody can tell at the moment.
    pub(in super::super) async fn authorize_again(
        &self,
        caller: &Caller,
        access: &Access,
    ) -> Result<(), Status> {
        let caller = self.reauthenticate(caller).await?;
        self.authorize(&caller, access).await
    }
}

/// Whether a refusal says that the caller lacks a valid token or the right, and not that nobody can tell.
pub(in super::super) fn is_verdict(status: &Status) -> bool {
    matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
}
