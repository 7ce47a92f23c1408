//! Reads and changes the objects of a rollout with kubectl.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    objects::{DaemonSet, Metadata, Policy, PolicyRef, Revision, Rollout},
    progress::{PolicyRead, Snapshot},
};
use crate::{
    connection::Connector,
    error::Error,
    kubectl::{Kubectl, KubectlError},
    names::{DaemonSetName, Name},
    selection::selected_namespace,
};

/// The kind of policies in a namespace.
pub(crate) const NAMESPACED_POLICY: &str = "DaemonSetRolloutPolicy";
const CLUSTER_POLICY: &str = "ClusterDaemonSetRolloutPolicy";

/// The resources, with their groups, as kubectl needs them.
const ROLLOUTS: &str = "daemonsetrollouts.everynode.io";
const POLICIES: &str = "daemonsetrolloutpolicies.everynode.io";
const CLUSTER_POLICIES: &str = "clusterdaemonsetrolloutpolicies.everynode.io";
const DAEMON_SETS: &str = "daemonsets.apps";
const REVISIONS: &str = "controllerrevisions.apps";

/// The `DaemonSet` that a command is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ds/{}", self.name)
    }
}

impl Target {
    /// Finds the namespace of a name from the command line.
    ///
    /// # Errors
    /// The name is invalid, or it has no namespace although `-A` is set.
    pub(crate) async fn of_command(connector: &Connector, name: &str) -> Result<Self, Error> {
        let DaemonSetName { namespace, name } = Name::daemon_set(name)?;
        let namespace = selected_namespace(connector, namespace.as_deref()).await?;
        if namespace.is_empty() {
            return Err(Error::Usage(format!(
                "{name}: a rollout command needs the DaemonSet's namespace: use -n instead of -A"
            )));
        }
        Ok(Self { namespace, name })
    }
}

/// The cluster's objects that belong to a `DaemonSet`.
#[derive(Debug)]
pub(crate) struct Cluster<'k> {
    pub(crate) kubectl: &'k Kubectl,
    pub(crate) target: Target,
}

impl Cluster<'_> {
    /// Reads the `DaemonSet`, its rollout, and the policy that applies.
    ///
    /// # Errors
    /// kubectl fails, the `DaemonSet` doesn't exist, or no policy applies to it.
    pub(crate) async fn read(&self) -> Result<Snapshot, Error> {
        let daemon_set = self.daemon_set().await?;
        let rollout = self.rollout().await?;
        // The rollout of another DaemonSet of the same name is about to be deleted.
        let is_of_daemon_set = |rollout: &Rollout| {
            let mut owners = rollout.metadata.owner_references.iter();
            owners.any(|owner| owner.uid == daemon_set.metadata.uid)
        };
        let Some(rollout) = rollout.filter(is_of_daemon_set) else {
            return Err(Error::NoRollout(self.target.to_string()));
        };
        let policy = match &rollout.status.policy_ref {
            Some(policy) => self.policy(policy).await,
            None => PolicyRead::Unknown,
        };
        Ok(Snapshot {
            daemon_set,
            rollout,
            policy,
        })
    }

    /// Reads the `DaemonSet`.
    ///
    /// # Errors
    /// kubectl fails, or the `DaemonSet` doesn't exist.
    pub(crate) async fn daemon_set(&self) -> Result<DaemonSet, Error> {
        let Target { namespace, name } = &self.target;
        let daemon_set = self.get(DAEMON_SETS, name, Some(namespace)).await?;
        daemon_set.ok_or_else(|| Error::NoDaemonSet(format!("{namespace}/{name}")))
    }

    /// Reads the rollout. `None` if there is none.
    ///
    /// # Errors
    /// kubectl fails, for example because the cluster doesn't have the kind.
    pub(crate) async fn rollout(&self) -> Result<Option<Rollout>, Error> {
        let Target { namespace, name } = &self.target;
        match self.get(ROLLOUTS, name, Some(namespace)).await {
            Err(Error::Kubectl(error @ KubectlError::Failed { .. })) => Err(Error::ReadRollout {
                name: format!("{namespace}/{name}"),
                error,
            }),
            read => read,
        }
    }

    /// Reads the policy. Users may have no right to read policies, so a failure makes the answer less detailed.
    async fn policy(&self, policy: &PolicyRef) -> PolicyRead {
        let read = match policy.kind.as_str() {
            NAMESPACED_POLICY => {
                let namespace = Some(self.target.namespace.as_str());
                self.get::<Policy>(POLICIES, &policy.name, namespace).await
            }
            CLUSTER_POLICY => self.get(CLUSTER_POLICIES, &policy.name, None).await,
            _ => return PolicyRead::Unknown,
        };
        match read {
            Ok(Some(policy)) => PolicyRead::Found(Box::new(policy)),
            Ok(None) => PolicyRead::Gone,
            Err(_) => PolicyRead::Unknown,
        }
    }

    /// Reads the revisions of the `DaemonSet`, latest first.
    ///
    /// # Errors
    /// kubectl fails.
    pub(crate) async fn revisions(&self, daemon_set: &Metadata) -> Result<Vec<Revision>, Error> {
        let namespace = self.target.namespace.as_str();
        let args = ["get", REVISIONS, "-n", namespace, "-o", "json"];
        let text = self.kubectl.output(&args).await?;
        let list: List<Revision> = parse(REVISIONS, &text)?;
        let mut revisions = list.items;
        revisions.retain(|revision| revision.is_controlled_by(&daemon_set.uid));
        revisions.sort_by_key(|revision| std::cmp::Reverse(revision.revision));
        Ok(revisions)
    }

    /// Changes the rollout.
    ///
    /// # Errors
    /// kubectl fails, for example because the user has no right to change the rollout.
    pub(crate) async fn patch(&self, patch: &Value) -> Result<(), Error> {
        let Target { namespace, name } = &self.target;
        let patch = patch.to_string();
        let args = [
            "patch", ROLLOUTS, name, "-n", namespace, "--type", "merge", "-p", &patch,
        ];
        self.kubectl.output(&args).await?;
        Ok(())
    }

    /// Gives the `DaemonSet` the template of an earlier revision.
    ///
    /// # Errors
    /// kubectl fails, for example because the user has no right to change the `DaemonSet`.
    pub(crate) async fn undo(&self, revision: i64) -> Result<(), Error> {
        let Target { namespace, name } = &self.target;
        let (daemon_set, revision) = (
            format!("{DAEMON_SETS}/{name}"),
            format!("--to-revision={revision}"),
        );
        let args = ["rollout", "undo", &daemon_set, "-n", namespace, &revision];
        self.kubectl.output(&args).await?;
        Ok(())
    }

    /// Reads an object. `None` if it doesn't exist.
    async fn get<T: DeserializeOwned>(
        &self,
        resource: &'static str,
        name: &str,
        namespace: Option<&str>,
    ) -> Result<Option<T>, Error> {
        let mut args = vec!["get", resource, name];
        args.extend(namespace.into_iter().flat_map(|namespace| ["-n", namespace]));
        args.extend(["--ignore-not-found", "-o", "json"]);
        let text = self.kubectl.output(&args).await?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        parse(resource, &text).map(Some)
    }
}

/// A list of objects.
#[derive(Debug, serde::Deserialize)]
struct List<T> {
    items: Vec<T>,
}

fn parse<T: DeserializeOwned>(resource: &'static str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Unreadable { resource, error })
}
