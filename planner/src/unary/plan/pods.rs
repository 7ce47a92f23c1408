//! The pods of a request.

use everynode_proto::{
    facts::{self, raw_struct::Item},
    planner::v1 as wire,
};
use everynode_serving::serve::Work;
use tonic::Status;

use super::{
    super::reader::{Reader, in_object},
    claim::{Claim, Ownership},
};
use crate::{
    convert::{self, FieldError},
    model::{Millis, Pod},
};

/// The pods of a request.
#[derive(Debug, Default)]
pub(super) struct RequestPods {
    /// The pods that count as the `DaemonSet`'s.
    pub(super) pods: Vec<Pod>,
    /// The pods that the `DaemonSet` would adopt, which are among its pods.
    pub(super) adopt: Vec<wire::PodReference>,
    /// The pods that the `DaemonSet` would release.
    pub(super) release: Vec<wire::PodReference>,
    /// The latest time that a pod of any `DaemonSet` mentions.
    pub(super) latest: Millis,
    pub(super) problems: Vec<wire::Problem>,
    /// The number of pods that belong to the `DaemonSet` by its name, because it has no uid.
    by_name: usize,
    /// The number of pods of a `DaemonSet` with the same name and another uid.
    other_uid: usize,
    /// The number of pods of a `DaemonSet` with the same name in another namespace, if the `DaemonSet` has no uid.
    other_namespace: usize,
}

/// A pod of the request, and how it belongs to the `DaemonSet`.
struct ReadPod {
    ownership: Ownership,
    latest: Millis,
    reference: Option<wire::PodReference>,
    pod: Option<Pod>,
}

impl RequestPods {
    pub(super) fn read(objects: &[Item], claim: &Claim, work: &Work) -> Result<Self, Status> {
        let mut reader = Reader::new(work);
        let read = reader.read_in_parallel("Pod", objects, |reader, object| {
            ReadPod::read(reader, object, claim)
        })?;
        let mut pods = Self {
            latest: read.iter().map(|pod| pod.latest).max().unwrap_or_default(),
            ..Self::default()
        };
        for pod in read {
            pods.by_name += usize::from(pod.ownership == Ownership::OwnByName);
            pods.other_uid += usize::from(pod.ownership == Ownership::OtherUid);
            pods.other_namespace += usize::from(pod.ownership == Ownership::OtherNamespace);
            match pod.ownership {
                Ownership::Adopted => pods.adopt.extend(pod.reference),
                Ownership::Released => pods.release.extend(pod.reference),
                Ownership::Foreign
                | Ownership::OtherUid
                | Ownership::OtherNamespace
                | Ownership::Own
                | Ownership::OwnByName => {}
            }
            pods.pods.extend(pod.pod);
        }
        for references in [&mut pods.adopt, &mut pods.release] {
            references.sort_by(|a, b| a.pod.cmp(&b.pod));
        }
        pods.problems = reader.into_problems();
        Ok(pods)
    }

    /// What the plan assumes about the pods, as sentences for people.
    pub(super) fn assumptions(&self, claim: &Claim) -> Vec<String> {
        let mut assumptions = Vec::new();
        let key = claim.key();
        match self.by_name {
            0 => {}
            1 => assumptions.push(format!(
                "the DaemonSet has no uid, so it owns 1 pod whose controller reference names a DaemonSet {key}"
            )),
            count => assumptions.push(format!(
                "the DaemonSet has no uid, so it owns {count} pods whose controller reference names a DaemonSet {key}"
            )),
        }
        match self.other_uid {
            0 => {}
            1 => assumptions.push(format!(
                "1 pod is skipped, because its controller is a DaemonSet {key} with another uid"
            )),
            count => assumptions.push(format!(
                "{count} pods are skipped, because their controller is a DaemonSet {key} with another uid"
            )),
        }
        if self.other_namespace > 0 && self.pods.is_empty() && self.release.is_empty() {
            assumptions.push(format!(
                "{key} has no pods, but pods in other namespaces have a DaemonSet of this name as their controller ({}); \
                 if they belong to it, correct metadata.namespace",
                self.other_namespace
            ));
        }
        assumptions
    }
}

impl ReadPod {
    fn read(reader: &mut Reader, object: &Item, claim: &Claim) -> Result<Self, FieldError> {
        let mut pod: facts::Pod = reader.read(object, "Pod")?;
        let ownership = claim.of(&pod.metadata);
        if ownership.counts() {
            // The reference may name another uid or apiVersion, and an adopted pod has none.
            pod.metadata.owner_references = vec![claim.reference()];
        }
        let mut read = Self {
            ownership,
            latest: Millis::default(),
            reference: None,
            pod: None,
        };
        let Some(facts) = pod.facts() else {
            return Ok(read);
        };
        let mentioned = [facts.created, facts.ready_since].into_iter().flatten();
        read.latest = mentioned.map(convert::millis).max().unwrap_or_default();
        if matches!(ownership, Ownership::Adopted | Ownership::Released) {
            read.reference = Some(wire::PodReference {
                pod: facts.name.clone(),
                node: facts.node.clone(),
            });
        }
        if ownership.counts() {
            let (_, pod) = convert::pod(&facts, &mut reader.strings).map_err(in_object)?;
            read.pod = Some(pod);
        }
        Ok(read)
    }
}
