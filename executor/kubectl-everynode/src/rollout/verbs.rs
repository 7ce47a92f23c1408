//! What each verb does to a rollout: a patch of the `DaemonSetRollout` and a sentence about it, or why it makes no sense.

use serde_json::{Value, json};

use super::{
    cluster::{NAMESPACED_POLICY, Target},
    objects::{Phase, PolicyRef, RolloutStatus, State},
    progress::Snapshot,
};
use crate::error::Error;

/// The most nodes that one rollout can release before their turn. The schema has the same limit.
const MAX_RELEASED: usize = 50;

/// What a verb does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// The merge patch of the `DaemonSetRollout`. `None` if nothing has to change.
    pub(crate) patch: Option<Value>,
    /// What was done, for people.
    pub(crate) sentence: String,
}

impl Step {
    fn nothing(sentence: String) -> Self {
        Self {
            patch: None,
            sentence,
        }
    }

    /// A change of `spec`. Its uid keeps the patch from an object that has replaced the one that was read.
    fn change(snapshot: &Snapshot, spec: &Value, sentence: String) -> Self {
        let uid = &snapshot.rollout.metadata.uid;
        Self {
            patch: Some(json!({"metadata": {"uid": uid}, "spec": spec})),
            sentence,
        }
    }
}

/// The stages that `promote` is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promotion<'a> {
    /// The stage that waits.
    Waiting,
    /// The open stage, by its name.
    Named(&'a str),
    /// All stages.
    Full,
}

/// Stops replacing pods.
pub(crate) fn pause(target: &Target, snapshot: &Snapshot) -> Step {
    let rollout = describe(target, &snapshot.rollout.status);
    if snapshot.rollout.spec.paused {
        return Step::nothing(format!("{rollout} is already paused."));
    }
    let sentence = match snapshot.rollout.status.state {
        State::Completed | State::Unknown => format!(
            "Paused the rollouts of {target}: none is under way, and the next one waits until `resume`. Missing pods \
             are still created."
        ),
        State::Waiting | State::Progressing | State::GoingBack | State::MemoryLost => {
            format!("Paused {rollout}. Missing pods are still created.")
        }
    };
    Step::change(snapshot, &json!({"paused": true}), sentence)
}

/// Ends a pause.
///
/// # Errors
/// The policy pauses the rollout, and no command does.
pub(crate) fn resume(target: &Target, snapshot: &Snapshot) -> Result<Step, Error> {
    let rollout = describe(target, &snapshot.rollout.status);
    let policy = snapshot.policy().filter(|policy| policy.spec.paused);
    let policy = policy.map(|policy| policy.metadata.name.as_str());
    match (snapshot.rollout.spec.paused, policy) {
        (true, None) => {
            let sentence = format!("Resumed {rollout}.");
            Ok(Step::change(snapshot, &json!({"paused": false}), sentence))
        }
        (true, Some(policy)) => {
            let sentence = format!(
                "Resumed {rollout}, but the policy {policy} still pauses it: set spec.paused of the policy to false."
            );
            Ok(Step::change(snapshot, &json!({"paused": false}), sentence))
        }
        (false, Some(policy)) => Err(Error::Refused(format!(
            "the policy {policy} pauses {rollout}: set spec.paused of the policy to false"
        ))),
        (false, None) => Ok(Step::nothing(format!("{rollout} isn't paused."))),
    }
}

/// Ends the wait of a stage.
///
/// # Errors
/// Nothing waits for a promotion, the named stage isn't open, or the latest template isn't observed yet.
pub(crate) fn promote(target: &Target, snapshot: &Snapshot, promotion: Promotion<'_>) -> Result<Step, Error> {
    let status = latest(snapshot)?;
    let rollout = describe(target, status);
    let number = status.rollout;
    let nothing_waits = |why: &str| {
        Err(Error::Refused(format!(
            "nothing waits for a promotion: {rollout} {why}"
        )))
    };
    match status.state {
        State::Completed | State::Unknown => return nothing_waits("is complete"),
        State::GoingBack => {
            return nothing_waits("goes back to the current revision, without stages");
        }
        State::MemoryLost => {
            return nothing_waits(
                "is held, because which stages were done isn't known any more; `retry` starts with the first stage",
            );
        }
        State::Waiting | State::Progressing => {}
    }
    let held = held_note(snapshot);
    if promotion == Promotion::Full {
        let sentence = format!(
            "Promoted {rollout} past all stages: every node gets the revision {}, within the budgets.{held}",
            status.update_revision
        );
        return Ok(Step::change(snapshot, &json!({"promoteFull": number}), sentence));
    }
    let step = |stage: &str, sentence: String| {
        let spec = json!({"promote": {"rollout": number, "stage": stage}});
        Ok(Step::change(snapshot, &spec, sentence))
    };
    if status.state == State::Waiting {
        if let Promotion::Named(name) = promotion {
            return Err(Error::Refused(format!(
                "stage {name} isn't open: {rollout} waits for a promotion before its first stage"
            )));
        }
        let sentence = format!(
            "Promoted {rollout}: it replaces the pods that were there before the policy with the revision {}, stage by \
             stage.{held}",
            status.update_revision
        );
        return step("", sentence);
    }
    let mut open = status.stages.iter().filter(|stage| stage.done_at.is_none());
    let Some(open) = open.next_back().filter(|stage| !stage.name.is_empty()) else {
        return nothing_waits("is past its last stage");
    };
    let name = &open.name;
    match promotion {
        Promotion::Named(named) if named != name => {
            return Err(Error::Refused(format!(
                "stage {named} isn't open: {rollout} is in stage {name}"
            )));
        }
        Promotion::Waiting if open.updated_at.is_none() && status.reason != "StageEmpty" => {
            return nothing_waits(&format!(
                "still updates the nodes of stage {name}; --stage {name} ends the stage anyway"
            ));
        }
        Promotion::Named(_) | Promotion::Full | Promotion::Waiting => {}
    }
    let sentence = format!("Promoted stage {name} of {rollout}: the next stage can open.{held}");
    step(name, sentence)
}

/// Goes back to the current revision.
///
/// # Errors
/// No rollout is under way, it goes back already, or the latest template isn't observed yet.
pub(crate) fn abort(target: &Target, snapshot: &Snapshot) -> Result<Step, Error> {
    let status = latest(snapshot)?;
    let rollout = describe(target, status);
    match status.state {
        State::Completed | State::Unknown => {
            return Err(Error::Refused(format!(
                "{rollout} is complete, so nothing can be aborted; `undo` returns to an earlier template"
            )));
        }
        State::GoingBack => {
            return Err(Error::Refused(format!(
                "{rollout} already goes back to the current revision"
            )));
        }
        State::Waiting | State::Progressing | State::MemoryLost => {}
    }
    let held = held_note(snapshot);
    let sentence = format!(
        "Aborted {rollout}: every node goes back to the current revision {}, without stages and within the budgets. The \
         template stays as it is.{held}",
        status.current_revision
    );
    Ok(Step::change(
        snapshot,
        &json!({"abort": status.rollout}),
        sentence,
    ))
}

/// Starts a rollout again.
///
/// # Errors
/// The rollout is complete, there has been none, or the latest template isn't observed yet.
pub(crate) fn retry(target: &Target, snapshot: &Snapshot) -> Result<Step, Error> {
    let status = latest(snapshot)?;
    let rollout = describe(target, status);
    if matches!(status.state, State::Completed | State::Unknown) || status.rollout <= 0 {
        return Err(Error::Refused(format!(
            "{rollout} is complete, so it can't start again; `kubectl rollout restart` replaces every pod"
        )));
    }
    let held = held_note(snapshot);
    let next = status.rollout.saturating_add(1);
    let sentence = if status.current_revision == status.update_revision {
        format!(
            "Started {rollout} again as rollout {next}: every node goes back to the current revision.{held}"
        )
    } else {
        format!("Started {rollout} again as rollout {next}, with its first stage.{held}")
    };
    Ok(Step::change(
        snapshot,
        &json!({"retry": status.rollout}),
        sentence,
    ))
}

/// Releases single nodes before their turn.
///
/// # Errors
/// No rollout is under way, the nodes are too many, or the latest template isn't observed yet.
pub(crate) fn update(target: &Target, snapshot: &Snapshot, nodes: &[String]) -> Result<Step, Error> {
    let status = latest(snapshot)?;
    let rollout = describe(target, status);
    match status.state {
        State::Progressing => {}
        State::Waiting => {
            return Err(Error::Refused(format!(
                "{rollout} waits for a promotion before its first stage; promote it before you update nodes"
            )));
        }
        State::MemoryLost => {
            return Err(Error::Refused(format!(
                "which stages of {rollout} were done isn't known any more, so no node can be updated; `retry` starts \
                 with the first stage"
            )));
        }
        State::GoingBack => {
            return Err(Error::Refused(format!(
                "{rollout} goes back to the current revision, so no node can be updated; `retry` starts it again"
            )));
        }
        State::Completed | State::Unknown => {
            return Err(Error::Refused(format!(
                "{rollout} is complete, so there is nothing to update"
            )));
        }
    }
    let earlier = snapshot.rollout.spec.release.as_ref();
    let earlier = earlier.filter(|release| release.rollout == status.rollout);
    let mut released = earlier.map(|release| release.nodes.clone()).unwrap_or_default();
    let mut added = Vec::new();
    for node in nodes {
        if !released.contains(node) {
            released.push(node.clone());
            added.push(node.as_str());
        }
    }
    if added.is_empty() {
        return Ok(Step::nothing(format!(
            "{rollout} has already released these nodes."
        )));
    }
    if released.len() > MAX_RELEASED {
        return Err(Error::Refused(format!(
            "{rollout} would have {} nodes released before their turn, but at most {MAX_RELEASED} can be; promote the \
             stage instead",
            released.len()
        )));
    }
    let held = held_note(snapshot);
    let whose = if added.len() == 1 {
        "its turn"
    } else {
        "their turn"
    };
    let sentence = format!(
        "Released {} before {whose}: {rollout} replaces the pods there next, within the budgets.{held}",
        added.join(", ")
    );
    let spec = json!({"release": {"nodes": released, "rollout": status.rollout}});
    let mut step = Step::change(snapshot, &spec, sentence);
    // The list replaces the one that was read, so the patch must not hide another person's change.
    if let Some(metadata) = step.patch.as_mut().and_then(|patch| patch.get_mut("metadata")) {
        *metadata = json!({
            "resourceVersion": snapshot.rollout.metadata.resource_version,
            "uid": snapshot.rollout.metadata.uid,
        });
    }
    Ok(step)
}

/// The status, for verbs that name the number of the rollout. With an old number, they would change nothing.
fn latest(snapshot: &Snapshot) -> Result<&RolloutStatus, Error> {
    match snapshot.not_observed_template() {
        Some(why) => Err(Error::NotObserved(why)),
        None => Ok(&snapshot.rollout.status),
    }
}

/// What a person sees of a rollout: its number and its revision.
pub(crate) fn describe(target: &Target, status: &RolloutStatus) -> String {
    match status.update_revision.as_str() {
        "" => format!("the rollout of {target}"),
        revision => format!("rollout {} of {target} (revision {revision})", status.rollout),
    }
}

/// A sentence about what holds the rollout, if something does.
fn held_note(snapshot: &Snapshot) -> String {
    let status = &snapshot.rollout.status;
    match status.phase {
        Phase::Paused => " It is paused, so nothing is replaced until it is resumed.".to_owned(),
        Phase::Stalled => format!(" It is stalled: {}.", status.message),
        _ => String::new(),
    }
}

/// The next command, or the next thing to do.
pub(crate) fn next(target: &Target, snapshot: &Snapshot) -> Option<String> {
    let status = &snapshot.rollout.status;
    let Target { namespace, name } = target;
    let command = |verb: &str| {
        Some(format!(
            "kubectl everynode rollout {verb} ds/{name} -n {namespace}"
        ))
    };
    let watch = || {
        Some(format!(
            "kubectl everynode rollout status ds/{name} -n {namespace} --watch"
        ))
    };
    if snapshot.not_observed().is_some() {
        return watch();
    }
    match (status.phase, status.reason.as_str()) {
        (Phase::Waiting, "Partition") => Some("lower spec.partition of the policy".to_owned()),
        (Phase::Waiting, _) => command("promote"),
        (Phase::Paused, _) if snapshot.rollout.spec.paused => command("resume"),
        (Phase::Paused, _) => Some("set spec.paused of the policy to false".to_owned()),
        (Phase::Stalled, "PolicyInvalid") => Some(match &status.policy_ref {
            Some(policy) if policy.kind == NAMESPACED_POLICY => {
                format!(
                    "kubectl describe {NAMESPACED_POLICY} {} -n {namespace}",
                    policy.name
                )
            }
            Some(PolicyRef { kind, name }) => format!("kubectl describe {kind} {name}"),
            None => "correct the policy".to_owned(),
        }),
        (Phase::Stalled, "PolicyGone") => Some("apply a rollout policy again".to_owned()),
        (Phase::Stalled, "TooManyIgnored") => {
            Some(format!("kubectl everynode explain ds/{name} -n {namespace}"))
        }
        (Phase::Stalled, _) | (Phase::GoingBack, "Aborted") => command("retry"),
        (Phase::Completed, _) => None,
        (Phase::Progressing | Phase::Soaking | Phase::GoingBack | Phase::Unknown, _) => watch(),
    }
}

#[cfg(test)]
mod tests;
