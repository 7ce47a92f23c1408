//! The resources and host ports that a pod takes on its node, by the scheduler's formula.
//!
//! Mirrors `GetHostPorts`, and `resource.PodRequests` of k8s.io/component-helpers as applied to the result of
//! `SetDefaults_Pod`. Kubernetes doesn't default a `DaemonSet`'s template as it does pods, so this module does the
//! defaulting too.

use crate::model::{Container, Demand, HostPort, Quantity, Requirements, Resources, Text, Workload};

/// The resource that counts pods. Every pod takes one.
pub const PODS: &str = "pods";

/// The resources and host ports that one pod of a template takes.
pub fn demand(workload: &Workload) -> Demand {
    let mut requests = container_requests(workload);
    apply_pod_resources(&mut requests, &workload.pod);
    requests.add(&workload.overhead);
    *requests.entry(&Text::from(PODS)) = Quantity::ONE;
    Demand {
        requests,
        host_ports: host_ports(workload),
    }
}

/// The requests of all containers. Containers run together, beside the sidecars. Before them, init containers run one
/// by one, each beside the sidecars that started before it.
fn container_requests(workload: &Workload) -> Resources {
    let mut together = Resources::default();
    for container in &workload.containers {
        together.add(&effective(&container.resources));
    }
    let (mut sidecars, mut starting) = (Resources::default(), Resources::default());
    for container in &workload.init_containers {
        let own = effective(&container.resources);
        if container.is_sidecar {
            together.add(&own);
            sidecars.add(&own);
        }
        // Only the resources that this container names can reach a new maximum here. The pod takes no more of any other
        // resource than when the last container that names that resource started.
        for (name, amount) in own.iter() {
            let beside = sidecars.get(name).unwrap_or(Quantity::ZERO);
            let now = if container.is_sidecar {
                beside
            } else {
                let mut sum = amount;
                sum += beside;
                sum
            };
            let most = starting.entry(name);
            *most = most.max(now);
        }
    }
    together.raise_to(&starting);
    together
}

/// The requests of a container. If a resource has no request, its limit is the request.
fn effective(resources: &Requirements) -> Resources {
    let mut requests = resources.requests.clone();
    requests.fill_from(&resources.limits);
    requests
}

/// Applies the pod-level resources. They replace the sum of the containers' requests, for the resources that a pod can
/// request. Without a pod-level request, the pod-level limit counts as the request if no container requests the
/// resource, and always for huge pages, which can't be overcommitted.
fn apply_pod_resources(requests: &mut Resources, pod: &Requirements) {
    let is_huge = |name: &str| name.starts_with("hugepages-");
    let is_of_pods = |name: &str| matches!(name, "cpu" | "memory") || is_huge(name);
    for (name, limit) in pod.limits.iter().filter(|(name, _)| is_of_pods(name)) {
        if is_huge(name) || requests.get(name).is_none() {
            *requests.entry(name) = limit;
        }
    }
    for (name, request) in pod.requests.iter().filter(|(name, _)| is_of_pods(name)) {
        *requests.entry(name) = request;
    }
}

/// The host ports of sidecars and containers, which run as long as the pod does.
fn host_ports(workload: &Workload) -> Vec<HostPort> {
    let sidecars = workload
        .init_containers
        .iter()
        .filter(|container| container.is_sidecar);
    let lasting = sidecars.chain(&workload.containers);
    let mut ports: Vec<_> = lasting
        .flat_map(|Container { host_ports, .. }| host_ports)
        .cloned()
        .collect();
    ports.sort();
    ports.dedup();
    ports
}

/// Whether two pods with these ports can't share a node. Ports conflict if they have the same number and protocol, and
/// either have the same address or one of them uses all addresses. Mirrors `HostPortInfo.CheckConflict`. Simulations
/// group ports by this rule. Only tests compare each pair.
#[cfg(test)]
pub(crate) fn ports_conflict(one: &HostPort, other: &HostPort) -> bool {
    one.port == other.port
        && one.protocol == other.protocol
        && (one.ip == other.ip || one.ip.is_empty() || other.ip.is_empty())
}

#[cfg(test)]
mod tests;
