//! Which pods and `ControllerRevision`s of a request belong to its `DaemonSet` (contract A1 to A3). Mirrors
//! `ControllerRefManager.ClaimObject`.

use everynode_proto::facts::{Meta, Selector, object::OwnerReference};

use super::super::reader::{DEFAULT_NAMESPACE, ReadDaemonSet};
use crate::model::Text;

/// The API groups of the `DaemonSet` of Kubernetes. Other groups have kinds of the same name.
const GROUPS: [&str; 2] = ["apps", "extensions"];

/// Decides which objects belong to a `DaemonSet`.
#[derive(Debug)]
pub(super) struct Claim {
    namespace: Text,
    name: Text,
    uid: Text,
    has_uid: bool,
    /// `None` if the selector is empty or invalid. The `DaemonSet` then adopts and releases nothing (P6).
    selector: Option<Selector>,
    is_being_deleted: bool,
}

/// The relation of an object to a `DaemonSet`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ownership {
    /// Another object controls it, or nothing controls it and the `DaemonSet` doesn't select it.
    Foreign,
    /// A `DaemonSet` with the same name and another uid controls the object.
    OtherUid,
    /// The `DaemonSet` has no uid, and the object's controller reference names it from another namespace.
    OtherNamespace,
    /// The `DaemonSet` controls the object.
    Own,
    /// The `DaemonSet` has no uid, and the object's controller reference names it.
    OwnByName,
    /// Nothing controls the object, and the `DaemonSet` selects it (A1).
    Adopted,
    /// The `DaemonSet` controls the object and doesn't select it (A2).
    Released,
}

impl Ownership {
    /// Whether the object counts as the `DaemonSet`'s.
    pub(super) fn counts(self) -> bool {
        matches!(self, Self::Own | Self::OwnByName | Self::Adopted)
    }
}

impl Claim {
    pub(super) fn new(read: &ReadDaemonSet) -> Self {
        let (daemon_set, selector) = (&read.daemon_set, &read.selector);
        Self {
            namespace: daemon_set.namespace.clone(),
            name: daemon_set.name.clone(),
            uid: daemon_set.uid.clone(),
            has_uid: read.has_uid,
            selector: (!selector.is_empty())
                .then(|| Selector::new(selector).ok())
                .flatten(),
            is_being_deleted: daemon_set.deleting,
        }
    }

    /// `namespace/name`.
    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Returns the controller reference of the `DaemonSet`'s objects.
    pub(super) fn reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: "apps/v1".to_owned(),
            kind: "DaemonSet".to_owned(),
            name: self.name.to_string(),
            uid: self.uid.to_string(),
            controller: true,
        }
    }

    /// Decides how an object belongs to the `DaemonSet`. If an object or the `DaemonSet` has no namespace, it is in the
    /// default namespace.
    pub(super) fn of<A>(&self, metadata: &Meta<A>) -> Ownership {
        let namespace = match metadata.namespace.as_str() {
            "" => DEFAULT_NAMESPACE,
            namespace => namespace,
        };
        if *namespace != *self.namespace {
            let mut owner = metadata.controller().into_iter();
            return if owner.any(|owner| self.controls(owner) == Ownership::OwnByName) {
                Ownership::OtherNamespace
            } else {
                Ownership::Foreign
            };
        }
        // A DaemonSet that is being deleted adopts and releases nothing (A4).
        let selector = self.selector.as_ref().filter(|_| !self.is_being_deleted);
        let selects = selector.map(|selector| selector.matches(&metadata.labels));
        let Some(owner) = metadata.controller() else {
            let is_adopted = selects == Some(true) && metadata.deletion_timestamp.is_none();
            return if is_adopted {
                Ownership::Adopted
            } else {
                Ownership::Foreign
            };
        };
        match (self.controls(owner), selects) {
            (Ownership::Own | Ownership::OwnByName, Some(false)) => Ownership::Released,
            (ownership, _) => ownership,
        }
    }

    /// Decides whether a controller reference names the `DaemonSet`. The kind and the name must match too, because anybody
    /// who may create pods can write any uid into a reference.
    fn controls(&self, owner: &OwnerReference) -> Ownership {
        if !owner.is_daemon_set() || *owner.name != *self.name {
            return Ownership::Foreign;
        }
        if self.has_uid && *owner.uid == *self.uid {
            return Ownership::Own;
        }
        // The uid doesn't match or is unknown. The group shows whether the reference is to a DaemonSet of Kubernetes.
        let group = owner.api_version.split_once('/').map(|(group, _)| group);
        match (group.is_some_and(|group| GROUPS.contains(&group)), self.has_uid) {
            (false, _) => Ownership::Foreign,
            (true, true) => Ownership::OtherUid,
            (true, false) => Ownership::OwnByName,
        }
    }
}

#[cfg(test)]
mod tests {
    use everynode_proto::facts::object::LabelSelector;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        model::{DaemonSet, Millis},
        testing::daemon_set,
    };

    /// The claim of the `DaemonSet` default/agent, which selects app=agent.
    fn claim(has_uid: bool, deleting: bool, selector: Value) -> Claim {
        let selector: LabelSelector = serde_json::from_value(selector).unwrap();
        Claim::new(&ReadDaemonSet {
            daemon_set: DaemonSet {
                deleting,
                ..daemon_set()
            },
            has_uid,
            created: Millis::default(),
            selector,
            runtime_class: String::new(),
        })
    }

    fn meta(app: &str, owner: &Value) -> Meta {
        serde_json::from_value(json!({"labels": {"app": app}, "ownerReferences": owner})).unwrap()
    }

    fn owner(change: &Value) -> Value {
        let mut owner = json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "agent-uid", "controller": true,
        });
        for (key, value) in change.as_object().unwrap() {
            owner[key] = value.clone();
        }
        json!([owner])
    }

    fn agent() -> Value {
        json!({"matchLabels": {"app": "agent"}})
    }

    #[test]
    fn a1_orphan_that_the_selector_matches_is_adopted() {
        let of =
            |claim: &Claim, metadata: Value| claim.of(&serde_json::from_value::<Meta>(metadata).unwrap());
        let (plain, deleting) = (claim(true, false, agent()), claim(true, true, agent()));
        let orphan = json!({"labels": {"app": "agent"}, "namespace": "default"});
        assert_eq!(of(&plain, orphan.clone()), Ownership::Adopted);
        assert_eq!(
            of(&claim(false, false, agent()), orphan.clone()),
            Ownership::Adopted
        );
        assert_eq!(of(&deleting, orphan.clone()), Ownership::Foreign);
        for selector in [
            json!({}),
            json!({"matchExpressions": [{"key": "app", "operator": "near"}]}),
        ] {
            assert_eq!(
                of(&claim(true, false, selector), orphan.clone()),
                Ownership::Foreign
            );
        }
        for (key, value) in [
            ("labels", json!({"app": "other"})),
            ("namespace", json!("other")),
            ("deletionTimestamp", json!("2026-01-01T00:00:00Z")),
            ("ownerReferences", owner(&json!({"kind": "Job"}))),
        ] {
            let mut changed = orphan.clone();
            changed[key] = value;
            assert_eq!(of(&plain, changed), Ownership::Foreign, "{key}");
        }
        let mut not_controlled = orphan;
        not_controlled["ownerReferences"] = owner(&json!({"controller": false}));
        assert_eq!(of(&plain, not_controlled), Ownership::Adopted);
    }

    #[test]
    fn a2_own_object_that_the_selector_does_not_match_is_released() {
        let other = meta("other", &owner(&json!({})));
        for has_uid in [true, false] {
            assert_eq!(claim(has_uid, false, agent()).of(&other), Ownership::Released);
        }
        assert_eq!(claim(true, true, agent()).of(&other), Ownership::Own);
        assert_eq!(claim(true, false, json!({})).of(&other), Ownership::Own);
    }

    #[test]
    fn a3_daemon_set_with_a_uid_owns_by_uid_kind_name_and_namespace() {
        let claim = claim(true, false, agent());
        let of = |change: Value| claim.of(&meta("agent", &owner(&change)));
        assert_eq!(of(json!({})), Ownership::Own);
        assert_eq!(of(json!({"uid": "other"})), Ownership::OtherUid);
        assert_eq!(
            of(json!({"uid": "other", "apiVersion": "apps.kruise.io/v1alpha1"})),
            Ownership::Foreign
        );
        assert_eq!(of(json!({"name": "other"})), Ownership::Foreign);
        assert_eq!(of(json!({"kind": "ReplicaSet"})), Ownership::Foreign);
    }

    #[test]
    fn daemon_set_without_a_uid_owns_by_kind_name_and_namespace() {
        let claim = claim(false, false, agent());
        let of = |change: Value| claim.of(&meta("agent", &owner(&change)));
        for uid in ["agent-uid", "other", ""] {
            assert_eq!(of(json!({"uid": uid})), Ownership::OwnByName);
        }
        assert_eq!(
            of(json!({"apiVersion": "apps.kruise.io/v1alpha1"})),
            Ownership::Foreign
        );
        assert_eq!(of(json!({"name": "other"})), Ownership::Foreign);
        assert_eq!(of(json!({"kind": "ReplicaSet"})), Ownership::Foreign);
        let mut elsewhere = meta("agent", &owner(&json!({})));
        elsewhere.namespace = "other".to_owned();
        assert_eq!(claim.of(&elsewhere), Ownership::OtherNamespace);
    }
}
