//! Why a pod isn't ready, in the words of the scheduler and the kubelet.

use std::fmt;

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodCondition, PodStatus};

use crate::apiserver::events::truncate_note;

/// Reasons of containers that are starting. They explain less than any other reason.
const STARTING: [&str; 2] = ["ContainerCreating", "PodInitializing"];
/// The scheduler of pods that name none.
const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// Why a pod isn't ready. Both texts have at most 1,024 bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PodReason {
    /// One word, such as `Unschedulable` or `CrashLoopBackOff`. May be empty.
    pub(crate) reason: String,
    /// The message of whoever reports the reason. May be empty.
    pub(crate) message: String,
}

impl PodReason {
    fn new(reason: Option<&str>, message: impl Into<String>) -> Self {
        Self {
            reason: truncate_note(reason.unwrap_or_default().to_owned()),
            message: truncate_note(message.into()),
        }
    }

    fn is_empty(&self) -> bool {
        self.reason.is_empty() && self.message.is_empty()
    }
}

impl From<&PodCondition> for PodReason {
    fn from(condition: &PodCondition) -> Self {
        let message = condition.message.clone().unwrap_or_default();
        Self::new(condition.reason.as_deref(), message)
    }
}

impl fmt::Display for PodReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, message } = self;
        match (reason.as_str(), message.as_str()) {
            (reason, "") => formatter.write_str(reason),
            ("", message) => formatter.write_str(message),
            (reason, message) => write!(formatter, "{reason}: {message}"),
        }
    }
}

/// Returns why a pod isn't ready: for a failed pod why it failed, for one that isn't bound the scheduler's condition,
/// and otherwise the state of its first container that can't run. `None` if the pod is ready, or if nobody has reported
/// why it isn't.
pub(crate) fn of(pod: &Pod) -> Option<PodReason> {
    let unreported = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&unreported);
    if condition(status, "Ready").is_some_and(is_true) {
        return None;
    }
    let is_bound = pod
        .spec
        .as_ref()
        .is_some_and(|spec| spec.node_name.as_deref().is_some_and(|node| !node.is_empty()));
    let has_failed = status.phase.as_deref() == Some("Failed");
    let found = if has_failed {
        failure(status).or_else(|| container(status))
    } else if is_bound {
        container(status).or_else(|| condition(status, "Ready").map(PodReason::from))
    } else {
        Some(scheduling(pod, status))
    };
    found.filter(|reason| !reason.is_empty())
}

fn condition<'s>(status: &'s PodStatus, kind: &str) -> Option<&'s PodCondition> {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    conditions.iter().find(|condition| condition.type_ == kind)
}

fn is_true(condition: &PodCondition) -> bool {
    condition.status == "True"
}

/// Why the scheduler hasn't bound a pod.
fn scheduling(pod: &Pod, status: &PodStatus) -> PodReason {
    if let Some(condition) = condition(status, "PodScheduled").filter(|condition| !is_true(condition)) {
        return PodReason::from(condition);
    }
    let named = pod.spec.as_ref().and_then(|spec| spec.scheduler_name.as_deref());
    let scheduler = named.filter(|name| !name.is_empty()).unwrap_or(DEFAULT_SCHEDULER);
    PodReason::new(
        None,
        format!("the scheduler {scheduler} has not reported on it yet"),
    )
}

/// Why a pod has failed as a whole, such as `Evicted`.
fn failure(status: &PodStatus) -> Option<PodReason> {
    let message = status.message.clone().unwrap_or_default();
    Some(PodReason::new(status.reason.as_deref(), message)).filter(|reason| !reason.is_empty())
}

/// The state of the first container that can't run. A container that is only starting counts last.
fn container(status: &PodStatus) -> Option<PodReason> {
    let lists = [&status.init_container_statuses, &status.container_statuses];
    let containers = || lists.into_iter().flatten().flatten();
    let blocked = || containers().find_map(|container| waiting(container, false));
    let ended = || containers().find_map(terminated);
    let starting = || containers().find_map(|container| waiting(container, true));
    blocked().or_else(ended).or_else(starting)
}

/// Why a container waits, if it waits and is (or isn't) only starting.
fn waiting(container: &ContainerStatus, is_starting: bool) -> Option<PodReason> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref();
    if reason.is_some_and(|reason| STARTING.contains(&reason)) != is_starting {
        return None;
    }
    let mut message = format!("container {}", container.name);
    if let Some(said) = waiting.message.as_deref().filter(|said| !said.is_empty()) {
        message = format!("{message}: {said}");
    }
    let last = container.last_state.as_ref();
    if let Some(last) = last.and_then(|last| last.terminated.as_ref()) {
        message = format!("{message}; it last ended with {}", end(last));
    }
    Some(PodReason::new(reason, message))
}

/// Why a container that has failed isn't running.
fn terminated(container: &ContainerStatus) -> Option<PodReason> {
    let terminated = container.state.as_ref()?.terminated.as_ref()?;
    if terminated.exit_code == 0 {
        return None;
    }
    let mut message = format!("container {} ended with {}", container.name, end(terminated));
    if let Some(said) = terminated.message.as_deref().filter(|said| !said.is_empty()) {
        message = format!("{message}: {said}");
    }
    Some(PodReason::new(terminated.reason.as_deref(), message))
}

/// How a container ended, such as `OOMKilled (exit code 137)`.
fn end(terminated: &ContainerStateTerminated) -> String {
    let code = format!("exit code {}", terminated.exit_code);
    match terminated.reason.as_deref() {
        None | Some("" | "Error") => code,
        Some(reason) => format!("{reason} ({code})"),
    }
}

#[cfg(test)]
mod tests;
