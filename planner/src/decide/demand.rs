//! What a pod takes of its node: the scheduler's formula.
//!
//! Mirrors `resource.PodRequests` of k8s.io/component-helpers on what `SetDefaults_Pod` makes of the template, and
//! `GetHostPorts`. A `DaemonSet`'s template isn't defaulted as its pods are, so both are done here.

use crate::model::{Container, Demand, HostPort, Quantity, Requirements, Resources, Text, Workload};

/// The resource of which every pod takes one.
pub const PODS: &str = "pods";

/// What one pod of a template takes.
pub fn demand(workload: &Workload) -> Demand {
    let mut requests = of_containers(workload);
    of_pod(&mut requests, &workload.pod);
    requests.add(&workload.overhead);
    *requests.entry(&Text::from(PODS)) = Quantity::ONE;
    Demand {
        requests,
        host_ports: host_ports(workload),
    }
}

/// Containers run together, and with the sidecars. Before them init containers run one by one, each with the sidecars that
/// were started before it.
fn of_containers(workload: &Workload) -> Resources {
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
        // What the container doesn't name takes no more now than when the last of the others was started.
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

/// A limit is the request where there is none.
fn effective(resources: &Requirements) -> Resources {
    let mut requests = resources.requests.clone();
    requests.fill_from(&resources.limits);
    requests
}

/// What the pod as a whole requests counts instead of what its containers do, for the resources for which there is such a
/// thing. A limit of the pod is its request where the containers request nothing, and always for huge pages, which can't be
/// overcommitted.
fn of_pod(requests: &mut Resources, pod: &Requirements) {
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

/// The ports of the containers that run for as long as the pod does.
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

/// Whether two pods can't have these ports on one node: the same port of the same address, or of all addresses.
/// Mirrors `HostPortInfo.CheckConflict`. Simulations group ports so that this holds, without asking for each pair.
pub fn conflict(one: &HostPort, other: &HostPort) -> bool {
    one.port == other.port
        && one.protocol == other.protocol
        && (one.ip == other.ip || one.ip.is_empty() || other.ip.is_empty())
}

#[cfg(test)]
mod tests;
