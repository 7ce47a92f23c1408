//! Converts `DaemonSetRollout`s, as Kubernetes objects, to the model. Sessions get them as facts from the executor.

use everynode_proto::{
    facts::{
        object::policy::{Rollout, RolloutStageStatus, RolloutStatus},
        wire::timestamp,
    },
    planner::v1 as wire,
};

use super::{FieldError, from_policy::camel_case, rollout};
use crate::{
    intern::Interner,
    model::rollout::{Memory, Verbs},
};

/// Reads what people ask of the rollout of the `DaemonSet` with this uid, and what is remembered of it. Without a uid, the
/// memory belongs to the `DaemonSet`.
///
/// # Errors
/// A field has a value that the schema of the kind refuses. The path is that in the object.
pub fn rollout_object(
    object: &Rollout,
    daemon_set_uid: Option<&str>,
    strings: &mut Interner,
) -> Result<(Verbs, Option<Memory>), FieldError> {
    let (spec, status) = (&object.spec, &object.status);
    let uid = daemon_set_uid.unwrap_or(&status.daemon_set_uid);
    let verbs = wire::RolloutVerbs {
        paused: spec.paused,
        promote: spec.promote.as_ref().map(|promote| wire::RolloutPromotion {
            rollout: promote.rollout,
            stage: promote.stage.clone(),
        }),
        promote_full: spec.promote_full,
        abort: spec.abort,
        retry: spec.retry,
        release: spec.release.as_ref().map(|release| wire::RolloutRelease {
            rollout: release.rollout,
            nodes: release.nodes.clone(),
        }),
    };
    let facts = wire::RolloutFacts {
        // The memory of a status that nobody has written has no uid either.
        daemon_set_uid: if uid.is_empty() { "-" } else { uid }.to_owned(),
        verbs: Some(verbs),
        memory: memory(status)?,
    };
    let (_, verbs, memory) = rollout::rollout(&facts, strings).map_err(in_object)?;
    Ok((verbs, memory))
}

/// Replaces the field of a fact's error with the path of that field in the object.
fn in_object(error: FieldError) -> FieldError {
    let FieldError { field, message } = error;
    let path = match field.split_once('.') {
        Some(("verbs", rest)) => format!("spec.{}", camel_case(rest)),
        Some(("memory", rest)) => format!("status.{}", camel_case(rest)),
        _ => format!("status.{}", camel_case(&field)),
    };
    FieldError::new(path, message)
}

fn memory(status: &RolloutStatus) -> Result<Option<wire::RolloutMemory>, FieldError> {
    let course = match status.state.as_str() {
        "" => return Ok(None),
        "Waiting" => wire::RolloutState::Waiting,
        "Progressing" => wire::RolloutState::Progressing,
        "GoingBack" => wire::RolloutState::GoingBack,
        "Completed" => wire::RolloutState::Completed,
        "MemoryLost" => wire::RolloutState::MemoryLost,
        other => {
            let message =
                format!("must be Waiting, Progressing, GoingBack, Completed or MemoryLost, found {other:?}");
            return Err(FieldError::new("status.state", message));
        }
    };
    let stage = |stage: &RolloutStageStatus| wire::StageMemory {
        name: stage.name.clone(),
        opened_at: stage.opened_at.map(timestamp),
        updated_at: stage.updated_at.map(timestamp),
        done_at: stage.done_at.map(timestamp),
        nodes: stage.nodes.clone(),
        hash_limit: stage.hash_limit.and_then(|limit| u32::try_from(limit).ok()),
        // A file says what the stages are, and nobody edits them meanwhile.
        size: None,
    };
    Ok(Some(wire::RolloutMemory {
        rollout: status.rollout,
        daemon_set_uid: status.daemon_set_uid.clone(),
        current_revision: status.current_revision.clone(),
        is_current_observed: status.current_revision_observed,
        update_revision: status.update_revision.clone(),
        started_at: status.started_at.map(timestamp),
        state: course.into(),
        stages: status.stages.iter().map(stage).collect(),
        // Earlier rollouts say nothing about this one.
        attempts: Vec::new(),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::rollout::State;

    fn read(uid: Option<&str>, object: Value) -> Result<(Verbs, Option<Memory>), String> {
        let object: Rollout = serde_json::from_value(object).map_err(|error| error.to_string())?;
        rollout_object(&object, uid, &mut Interner::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn memory_counts_only_for_its_own_daemon_set() {
        let object = || {
            json!({
                "spec": {"paused": true, "release": {"rollout": 7, "nodes": ["a"]}},
                "status": {
                    "rollout": 7, "daemonSetUid": "uid", "state": "Progressing", "updateRevision": "new",
                    "stages": [{"name": "canary", "openedAt": "2026-01-02T03:04:05Z"}],
                },
            })
        };
        let (verbs, memory) = read(Some("uid"), object()).unwrap();
        assert!(verbs.paused);
        assert_eq!(verbs.release, (7, vec!["a".into()]));
        let memory = memory.unwrap();
        assert_eq!((memory.rollout, memory.state), (7, State::Progressing));
        assert_eq!(&*memory.stages[0].name, "canary");
        assert!(read(None, object()).unwrap().1.is_some());
        assert_eq!(read(Some("other"), object()).unwrap().1, None);
    }

    #[test]
    fn errors_name_the_field_of_the_object() {
        let nodes = vec!["n"; 51];
        for (object, expected) in [
            (
                json!({"status": {"state": "Done"}}),
                "status.state must be Waiting, Progressing, GoingBack, Completed or MemoryLost, found \"Done\"",
            ),
            (
                json!({"spec": {"release": {"rollout": 1, "nodes": nodes}}}),
                "spec.release.nodes must have at most 50 elements, found 51",
            ),
        ] {
            assert_eq!(read(Some("uid"), object).unwrap_err(), expected);
        }
        assert!(read(None, json!({})).unwrap().1.is_none());
    }
}
