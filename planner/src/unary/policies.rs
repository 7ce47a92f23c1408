//! Reads rollout policies, and the namespaces that they select.

use everynode_proto::facts::{
    object::policy::{Namespace, RolloutPolicy},
    raw_struct::Item,
};
use everynode_serving::serve::Work;
use tonic::Status;

use super::reader::{DEFAULT_NAMESPACE, Reader, object_name};
use crate::{
    convert::{self, FieldError},
    limits,
    model::{Labels, Text, rollout::Policy},
};

/// The kind of a policy of a namespace.
pub(super) const POLICY: &str = "DaemonSetRolloutPolicy";
/// The kind of a policy of the cluster.
pub(super) const CLUSTER_POLICY: &str = "ClusterDaemonSetRolloutPolicy";
/// The label that the API server sets on each namespace.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";

impl Reader {
    /// Reads policies of one kind. A policy that can't be read is an error, because the rollout depends on it.
    pub(super) fn policies(
        &mut self,
        field: &str,
        kind: &str,
        objects: &[Item],
        work: &Work,
    ) -> Result<Vec<Policy>, Status> {
        let mut policies = Vec::with_capacity(objects.len());
        for (index, object) in objects.iter().enumerate() {
            work.check()?;
            let policy = self.policy(kind, object, index);
            let policy = policy.map_err(|error| {
                let name = object_name(kind, object.name().as_deref(), index);
                limits::invalid_object(&format!("{field}[{index}]"), &name, &error)
            });
            // Lack of memory is not an error of the object.
            work.check()?;
            policies.push(policy?);
        }
        Ok(policies)
    }

    /// Reads a policy, and reports the fields that it can't have.
    pub(super) fn policy(&mut self, kind: &str, object: &Item, index: usize) -> Result<Policy, FieldError> {
        let policy: RolloutPolicy = self.read(object, kind)?;
        let name = object_name(kind, object.name().as_deref(), index);
        self.check_rollout_policy(&name, object, kind == CLUSTER_POLICY);
        let namespace = match policy.metadata.namespace.as_str() {
            "" => DEFAULT_NAMESPACE,
            namespace => namespace,
        };
        let namespace = (kind == POLICY).then_some(namespace);
        // A policy from a file has no uid, and a file may hold copies of one policy.
        let uid = format!("{kind}-{index}");
        convert::rollout_policy(&policy, namespace, &uid, &mut self.strings)
    }

    /// Reads the labels of namespaces. The namespaces of `DaemonSet`s have at least the label that the API server sets.
    pub(super) fn namespaces<'n>(
        &mut self,
        objects: &[Item],
        of_daemon_sets: impl IntoIterator<Item = &'n Text>,
    ) -> Result<Vec<(Text, Labels)>, Status> {
        let of_api_server = |name: &Text| {
            let label = (Text::from(NAMESPACE_LABEL), name.clone());
            (name.clone(), [label].into_iter().collect::<Labels>())
        };
        let mut namespaces: Vec<_> = of_daemon_sets.into_iter().map(of_api_server).collect();
        namespaces.extend(self.read_each("Namespace", objects, |reader, object| {
            let namespace: Namespace = reader.read(object, "Namespace")?;
            let metadata = namespace.metadata;
            let name = reader.strings.text(&metadata.name);
            let api_server = (Text::from(NAMESPACE_LABEL), name.clone());
            let labels = metadata.labels.iter();
            let labels = labels.map(|(key, value)| (reader.strings.text(key), reader.strings.text(value)));
            Ok((name, [api_server].into_iter().chain(labels).collect::<Labels>()))
        })?);
        Ok(namespaces)
    }
}

/// The kind and the name of a policy, for people.
pub(super) fn policy_name(policy: &Policy) -> String {
    match &policy.namespace {
        Some(namespace) => format!("{POLICY} {namespace}/{}", policy.name),
        None => format!("{CLUSTER_POLICY} {}", policy.name),
    }
}
