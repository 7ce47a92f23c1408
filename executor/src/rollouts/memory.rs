//! Converts `DaemonSetRollout`s to facts, and memory to the fields of their status.

use everynode_proto::planner::v1::{
    IntOrPercent, RolloutAttempt, RolloutFacts, RolloutMemory, RolloutOutcome, RolloutPromotion,
    RolloutRelease, RolloutState, RolloutVerbs, StageMemory, int_or_percent::Value,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tracing::warn;

use super::{
    kinds::{Attempt, DaemonSetRolloutSpec, DaemonSetRolloutStatus, StageStatus},
    to_time, to_wire_time,
};
use crate::apiserver::objects::Rollout;

/// A `DaemonSetRollout`, as far as it is cached.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RolloutObject {
    /// metadata.uid.
    pub(crate) uid: String,
    /// metadata.resourceVersion.
    pub(crate) resource_version: String,
    /// metadata.generation.
    pub(crate) generation: i64,
    /// What people ask. `None` if they ask nothing.
    pub(crate) verbs: Option<RolloutVerbs>,
    /// What is remembered. `None` if nothing has been written yet.
    pub(crate) memory: Option<RolloutMemory>,
    /// The status as it is written.
    pub(crate) status: DaemonSetRolloutStatus,
}

impl RolloutObject {
    /// Reads an object. Verbs that can't be read pause the rollout, because they may have asked for that. A status that
    /// can't be read counts as lost.
    pub(crate) fn new(object: &Rollout) -> Self {
        let metadata = &object.metadata;
        let spec = object.spec.as_ref().map_or("{}", |raw| raw.get());
        let verbs = match serde_json::from_str::<Option<DaemonSetRolloutSpec>>(spec) {
            Ok(spec) => verbs(&spec.unwrap_or_default()),
            Err(error) => {
                warn!(rollout = object.key, %error, "can't read the spec of a DaemonSetRollout; the rollout pauses");
                RolloutVerbs {
                    paused: true,
                    ..RolloutVerbs::default()
                }
            }
        };
        let status = object.status.as_ref().map_or("null", |raw| raw.get());
        let status = serde_json::from_str::<Option<DaemonSetRolloutStatus>>(status).unwrap_or_else(|error| {
            warn!(rollout = object.key, %error, "can't read the status of a DaemonSetRollout; its memory is lost");
            None
        });
        Self {
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            generation: metadata.generation,
            verbs: (verbs != RolloutVerbs::default()).then_some(verbs),
            memory: status.as_ref().and_then(memory),
            status: status.unwrap_or_default(),
        }
    }

    /// The facts for the `DaemonSet` with this uid. Memory of another one counts as absent (T14), and so do the verbs for
    /// its rollouts: their numbers would name other rollouts (T9). A pause holds all the same.
    pub(crate) fn facts(&self, daemon_set_uid: &str) -> RolloutFacts {
        if self.is_of_other(daemon_set_uid) {
            let is_paused = self.verbs.as_ref().is_some_and(|verbs| verbs.paused);
            return RolloutFacts {
                daemon_set_uid: daemon_set_uid.to_owned(),
                verbs: is_paused.then(|| RolloutVerbs {
                    paused: true,
                    ..RolloutVerbs::default()
                }),
                memory: None,
            };
        }
        RolloutFacts {
            daemon_set_uid: daemon_set_uid.to_owned(),
            verbs: self.verbs.clone(),
            memory: self.memory.clone(),
        }
    }

    /// Whether what is remembered is about another `DaemonSet` of the same name, which has been deleted.
    pub(crate) fn is_of_other(&self, daemon_set_uid: &str) -> bool {
        let memory = self.memory.as_ref();
        memory.is_some_and(|memory| memory.daemon_set_uid != daemon_set_uid)
    }
}

fn verbs(spec: &DaemonSetRolloutSpec) -> RolloutVerbs {
    RolloutVerbs {
        paused: spec.paused,
        promote: spec.promote.as_ref().map(|promote| RolloutPromotion {
            rollout: promote.rollout,
            stage: promote.stage.clone(),
        }),
        promote_full: spec.promote_full,
        abort: spec.abort,
        retry: spec.retry,
        release: spec.release.as_ref().map(|release| RolloutRelease {
            rollout: release.rollout,
            nodes: release.nodes.clone(),
        }),
    }
}

/// Reads the memory in a status. `None` if there is none, or if its state is unknown.
fn memory(status: &DaemonSetRolloutStatus) -> Option<RolloutMemory> {
    let course = match status.state.as_str() {
        "Waiting" => RolloutState::Waiting,
        "Progressing" => RolloutState::Progressing,
        "GoingBack" => RolloutState::GoingBack,
        "Completed" => RolloutState::Completed,
        "MemoryLost" => RolloutState::MemoryLost,
        _ => return None,
    };
    let stage = |stage: &StageStatus| StageMemory {
        name: stage.name.clone(),
        opened_at: stage.opened_at.as_ref().map(to_wire_time),
        updated_at: stage.updated_at.as_ref().map(to_wire_time),
        done_at: stage.done_at.as_ref().map(to_wire_time),
        nodes: stage.nodes.clone(),
        hash_limit: stage.hash_limit.and_then(|limit| u32::try_from(limit).ok()),
        size: stage.size.as_ref().and_then(size_to_wire),
    };
    let attempt = |attempt: &Attempt| RolloutAttempt {
        rollout: attempt.rollout,
        update_revision: attempt.update_revision.clone(),
        outcome: match attempt.outcome.as_str() {
            "Completed" => RolloutOutcome::Completed,
            "Superseded" => RolloutOutcome::Superseded,
            "Aborted" => RolloutOutcome::Aborted,
            "Retried" => RolloutOutcome::Retried,
            _ => RolloutOutcome::Unspecified,
        }
        .into(),
        ended_at: attempt.ended_at.as_ref().map(to_wire_time),
    };
    Some(RolloutMemory {
        rollout: status.rollout,
        daemon_set_uid: status.daemon_set_uid.clone(),
        current_revision: status.current_revision.clone(),
        is_current_observed: status.current_revision_observed,
        update_revision: status.update_revision.clone(),
        started_at: status.started_at.as_ref().map(to_wire_time),
        state: course.into(),
        stages: status.stages.iter().map(stage).collect(),
        attempts: status.attempts.iter().map(attempt).collect(),
    })
}

/// Puts memory into a status. Returns `None` if its state is unknown, which a later planner may send.
pub(crate) fn remember(memory: &RolloutMemory, status: &mut DaemonSetRolloutStatus) -> Option<()> {
    let course = match memory.state() {
        RolloutState::Waiting => "Waiting",
        RolloutState::Progressing => "Progressing",
        RolloutState::GoingBack => "GoingBack",
        RolloutState::Completed => "Completed",
        RolloutState::MemoryLost => "MemoryLost",
        RolloutState::Unspecified => return None,
    };
    let stage = |stage: &StageMemory| StageStatus {
        name: stage.name.clone(),
        opened_at: stage.opened_at.and_then(to_time),
        updated_at: stage.updated_at.and_then(to_time),
        done_at: stage.done_at.and_then(to_time),
        nodes: stage.nodes.clone(),
        hash_limit: stage.hash_limit.map(i64::from),
        size: stage.size.and_then(size_to_status),
        // Counters are written for people, and are never read back.
        desired: None,
        updated_available: None,
    };
    let attempt = |attempt: &RolloutAttempt| {
        let outcome = match attempt.outcome() {
            RolloutOutcome::Completed => "Completed",
            RolloutOutcome::Superseded => "Superseded",
            RolloutOutcome::Aborted => "Aborted",
            RolloutOutcome::Retried => "Retried",
            RolloutOutcome::Unspecified => return None,
        };
        Some(Attempt {
            rollout: attempt.rollout,
            update_revision: attempt.update_revision.clone(),
            outcome: outcome.to_owned(),
            ended_at: attempt.ended_at.and_then(to_time),
        })
    };
    status.rollout = memory.rollout;
    status.daemon_set_uid.clone_from(&memory.daemon_set_uid);
    status.current_revision.clone_from(&memory.current_revision);
    status.current_revision_observed = memory.is_current_observed;
    status.update_revision.clone_from(&memory.update_revision);
    status.started_at = memory.started_at.and_then(to_time);
    course.clone_into(&mut status.state);
    status.stages = memory.stages.iter().map(stage).collect();
    status.attempts = memory.attempts.iter().filter_map(attempt).collect();
    Some(())
}

/// Whether two statuses remember the same.
pub(crate) fn is_same(a: &DaemonSetRolloutStatus, b: &DaemonSetRolloutStatus) -> bool {
    a.rollout == b.rollout
        && a.daemon_set_uid == b.daemon_set_uid
        && a.current_revision == b.current_revision
        && a.current_revision_observed == b.current_revision_observed
        && a.update_revision == b.update_revision
        && a.started_at == b.started_at
        && a.state == b.state
        && a.stages.len() == b.stages.len()
        && a.stages.iter().zip(&b.stages).all(|(a, b)| is_same_stage(a, b))
        && a.attempts == b.attempts
}

/// Whether two statuses remember the same of a stage. Its counters aren't remembered.
fn is_same_stage(a: &StageStatus, b: &StageStatus) -> bool {
    let remembered = |stage: &StageStatus| StageStatus {
        desired: None,
        updated_available: None,
        ..stage.clone()
    };
    remembered(a) == remembered(b)
}

/// Converts the size of a stage to the wire: a number, or a percentage such as 50%. `None` for anything else.
fn size_to_wire(size: &IntOrString) -> Option<IntOrPercent> {
    let value = match size {
        IntOrString::Int(count) => Value::Count(*count),
        IntOrString::String(percent) => Value::Percent(percent.strip_suffix('%')?.parse().ok()?),
    };
    Some(IntOrPercent { value: Some(value) })
}

fn size_to_status(size: IntOrPercent) -> Option<IntOrString> {
    Some(match size.value? {
        Value::Count(count) => IntOrString::Int(count),
        Value::Percent(percent) => IntOrString::String(format!("{percent}%")),
    })
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "fields of messages are optional")]
    fn at(seconds: i64, nanos: i32) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos })
    }

    fn remembered() -> RolloutMemory {
        RolloutMemory {
            rollout: 7,
            daemon_set_uid: "ds-1".to_owned(),
            current_revision: "r1".to_owned(),
            is_current_observed: true,
            update_revision: "r2".to_owned(),
            started_at: at(100, 0),
            state: RolloutState::Progressing.into(),
            stages: vec![StageMemory {
                name: "canary".to_owned(),
                opened_at: at(101, 0),
                updated_at: at(102, 0),
                done_at: None,
                nodes: vec!["n1".to_owned()],
                hash_limit: Some(u32::MAX),
                size: Some(IntOrPercent {
                    value: Some(Value::Percent(50)),
                }),
            }],
            attempts: vec![RolloutAttempt {
                rollout: 6,
                update_revision: "r1".to_owned(),
                outcome: RolloutOutcome::Aborted.into(),
                ended_at: at(99, 0),
            }],
        }
    }

    #[test]
    fn t13_memory_survives_the_way_through_the_status() {
        let mut status = DaemonSetRolloutStatus::default();
        remember(&remembered(), &mut status).unwrap();
        let text = serde_json::to_string(&status).unwrap();
        let status: DaemonSetRolloutStatus = serde_json::from_str(&text).unwrap();
        assert_eq!(memory(&status), Some(remembered()));
    }

    #[test]
    fn t13_times_are_rounded_up_so_that_no_soak_is_shorter() {
        let memory = RolloutMemory {
            started_at: at(100, 1),
            ..remembered()
        };
        let mut status = DaemonSetRolloutStatus::default();
        remember(&memory, &mut status).unwrap();
        assert_eq!(status.started_at.as_ref().map(to_wire_time), at(101, 0));
    }

    #[test]
    fn t14_memory_of_another_daemon_set_counts_as_absent() {
        let object = RolloutObject {
            memory: Some(remembered()),
            ..RolloutObject::default()
        };
        assert!(object.facts("ds-1").memory.is_some());
        assert!(object.facts("ds-2").memory.is_none());
    }

    #[test]
    fn t9_verbs_for_another_daemon_set_do_not_count_except_a_pause() {
        for paused in [false, true] {
            let verbs = RolloutVerbs {
                paused,
                promote_full: 7,
                ..RolloutVerbs::default()
            };
            let object = RolloutObject {
                verbs: Some(verbs.clone()),
                memory: Some(remembered()),
                ..RolloutObject::default()
            };
            assert_eq!(object.facts("ds-1").verbs, Some(verbs));
            let other = object.facts("ds-2").verbs;
            assert_eq!(
                other.map(|verbs| (verbs.paused, verbs.promote_full)),
                paused.then_some((true, 0))
            );
        }
    }

    #[test]
    fn unreadable_verbs_pause_and_an_unreadable_status_is_lost() {
        let object = serde_json::json!({
            "metadata": {"name": "agent", "namespace": "default", "uid": "u"},
            "spec": {"paused": "yes"}, "status": {"rollout": "many"},
        });
        let object: Rollout = serde_json::from_str(&object.to_string()).unwrap();
        let object = RolloutObject::new(&object);
        assert!(object.verbs.is_some_and(|verbs| verbs.paused) && object.memory.is_none());
    }
}
