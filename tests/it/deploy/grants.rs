//! Rights that a `ServiceAccount` has through its roles, and the removal of single verbs.

use std::fmt;

use everynode_tests::audit::Request;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

/// A `ServiceAccount`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    pub(super) namespace: &'static str,
    pub(super) name: &'static str,
}

impl Account {
    /// The account's user name in requests.
    pub(super) fn user(self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }

    fn is_among(self, subjects: Option<&[Subject]>) -> bool {
        subjects.unwrap_or_default().iter().any(|subject| {
            subject.kind == "ServiceAccount"
                && subject.name == self.name
                && subject.namespace.as_deref() == Some(self.namespace)
        })
    }

    /// Whether the account may send such a request.
    pub(super) async fn is_allowed(self, client: &Client, request: &Request) -> bool {
        let (resource, subresource) = request
            .resource
            .split_once('/')
            .unwrap_or((&request.resource, ""));
        let attributes = ResourceAttributes {
            verb: Some(request.verb.clone()),
            group: Some(request.group.clone()),
            resource: Some(resource.to_owned()),
            subresource: Some(subresource.to_owned()),
            namespace: Some(request.namespace.clone()),
            name: Some(request.name.clone()),
            ..ResourceAttributes::default()
        };
        self.may(client, attributes).await
    }

    /// Whether the account may send a request with these attributes.
    pub(super) async fn may(self, client: &Client, attributes: ResourceAttributes) -> bool {
        let groups = [
            "system:authenticated".to_owned(),
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{}", self.namespace),
        ];
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(self.user()),
                groups: Some(groups.into()),
                resource_attributes: Some(attributes),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
        let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
        answer.status.unwrap().allowed
    }
}

/// A role bound to an account.
#[derive(Debug)]
pub(super) struct BoundRole {
    /// Whether the role is a `ClusterRole`.
    is_cluster_role: bool,
    name: String,
    /// The namespace in which the role applies; `None` for all namespaces.
    namespace: Option<String>,
    rules: Vec<PolicyRule>,
}

/// One verb of one rule of a role.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grant<'a> {
    role: &'a BoundRole,
    rule: usize,
    verb: &'a str,
    group: &'a str,
    resource: &'a str,
}

impl fmt::Display for Grant<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            role,
            verb,
            group,
            resource,
            ..
        } = self;
        write!(
            formatter,
            "{verb} {resource} in {group:?} of the role {}",
            role.name
        )
    }
}

/// The roles bound to an account.
pub(super) async fn roles_of(client: &Client, account: Account) -> Vec<BoundRole> {
    let mut roles = Vec::new();
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    for binding in bindings.list(&ListParams::default()).await.unwrap() {
        if account.is_among(binding.subjects.as_deref()) {
            roles.push(bound_role(client, &binding.role_ref, None).await);
        }
    }
    let bindings: Api<RoleBinding> = Api::all(client.clone());
    for binding in bindings.list(&ListParams::default()).await.unwrap() {
        if account.is_among(binding.subjects.as_deref()) {
            roles.push(bound_role(client, &binding.role_ref, binding.namespace()).await);
        }
    }
    roles
}

async fn bound_role(client: &Client, role: &RoleRef, namespace: Option<String>) -> BoundRole {
    let is_cluster_role = role.kind == "ClusterRole";
    let rules = if is_cluster_role {
        let roles: Api<ClusterRole> = Api::all(client.clone());
        roles.get(&role.name).await.unwrap().rules
    } else {
        let roles: Api<Role> = Api::namespaced(client.clone(), namespace.as_deref().unwrap());
        roles.get(&role.name).await.unwrap().rules
    };
    BoundRole {
        is_cluster_role,
        name: role.name.clone(),
        namespace,
        rules: rules.unwrap_or_default(),
    }
}

impl BoundRole {
    /// Every verb of every rule. Panics if a rule has several resources, because a verb that one of them needs would
    /// then be granted on the others too.
    pub(super) fn grants(&self) -> Vec<Grant<'_>> {
        let mut grants = Vec::new();
        for (rule, granted) in self.rules.iter().enumerate() {
            let groups = granted.api_groups.as_deref().unwrap_or_default();
            let resources = granted.resources.as_deref().unwrap_or_default();
            let ([group], [resource]) = (groups, resources) else {
                panic!("{} has a rule of several resources: {granted:?}", self.name);
            };
            grants.extend(granted.verbs.iter().map(|verb| Grant {
                role: self,
                rule,
                verb,
                group,
                resource,
            }));
        }
        grants
    }

    async fn write(&self, client: &Client, granted: &[PolicyRule]) {
        let patch = Patch::Merge(json!({"rules": granted}));
        let params = PatchParams::default();
        if self.is_cluster_role {
            let roles: Api<ClusterRole> = Api::all(client.clone());
            roles.patch(&self.name, &params, &patch).await.unwrap();
        } else {
            let roles: Api<Role> = Api::namespaced(client.clone(), self.namespace.as_deref().unwrap());
            roles.patch(&self.name, &params, &patch).await.unwrap();
        }
    }

    /// Restores the role's original rules.
    pub(super) async fn restore(&self, client: &Client) {
        self.write(client, &self.rules).await;
    }
}

impl Grant<'_> {
    /// Whether the grant is for this resource.
    pub(super) fn is_for(&self, resource: &str) -> bool {
        self.resource == resource
    }

    /// Whether the grant allows a request.
    pub(super) fn covers(&self, request: &Request) -> bool {
        let names = self.role.rules[self.rule].resource_names.as_deref();
        let has_name = names.is_none_or(|names| names.contains(&request.name));
        let role_namespace = self.role.namespace.as_ref();
        request.verb == self.verb
            && request.group == self.group
            && request.resource == self.resource
            && role_namespace.is_none_or(|namespace| *namespace == request.namespace)
            && has_name
    }

    /// Removes this verb from the role and keeps all others.
    pub(super) async fn revoke(&self, client: &Client) {
        let mut rules = self.role.rules.clone();
        rules[self.rule].verbs.retain(|verb| verb != self.verb);
        rules.retain(|rule| !rule.verbs.is_empty());
        self.role.write(client, &rules).await;
    }
}
