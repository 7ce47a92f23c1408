//! Converts what the planner says of a policy to the policy's status.

use everynode_proto::planner::v1::{RolloutPolicyStatus, RolloutWarning, RolloutWarningCode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    kinds::{PolicyStatus, PolicyTarget},
    report::condition,
};

/// The most targets that a status names.
const MAX_TARGETS: usize = 50;
/// The most warnings that a condition has.
const MAX_WARNINGS: usize = 3;
/// The maximum length of a warning, in characters.
const MAX_WARNING_CHARS: usize = 500;

/// Returns the status of a policy. The times of the conditions in `before` stay if the conditions do.
pub(crate) fn status(found: &RolloutPolicyStatus, before: &PolicyStatus, now: &Time) -> PolicyStatus {
    let target = |target: &everynode_proto::planner::v1::PolicyTarget| PolicyTarget {
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        reason: target.reason.clone(),
        message: target.message.clone(),
    };
    let is_accepted = found.reason.is_empty() && found.accepted > 0;
    let first = found.targets.first();
    let (reason, message) = match first {
        _ if is_accepted => (
            "Accepted",
            format!("the policy applies to {} DaemonSets", found.accepted),
        ),
        Some(first) if found.reason.is_empty() => (first.reason.as_str(), first.message.clone()),
        _ => (found.reason.as_str(), found.message.clone()),
    };
    let accepted = condition("Accepted", is_accepted, reason, &message, &before.conditions, now);
    let effective = effective(&found.warnings);
    let (reason, message) = match &effective {
        Ok(()) => ("Effective", "the policy has no stage that is probably a mistake"),
        Err((reason, message)) => (*reason, message.as_str()),
    };
    let effective = condition(
        "Effective",
        effective.is_ok(),
        reason,
        message,
        &before.conditions,
        now,
    );
    PolicyStatus {
        observed_generation: Some(found.generation),
        accepted: found.accepted,
        targets: found.targets.iter().take(MAX_TARGETS).map(target).collect(),
        conditions: vec![accepted, effective],
    }
}

/// Whether a policy does what it was probably meant to do. Otherwise, the error is the reason in one word, and the warnings
/// with their remedies.
fn effective(warnings: &[RolloutWarning]) -> Result<(), (&'static str, String)> {
    let Some(first) = warnings.first() else {
        return Ok(());
    };
    let reason = match first.code() {
        RolloutWarningCode::ShortSoak => "ShortSoak",
        RolloutWarningCode::SingleNodeDomain => "SingleNodeDomain",
        RolloutWarningCode::EmptyStage => "EmptyStage",
        RolloutWarningCode::StagesOverlap => "StagesOverlap",
        RolloutWarningCode::SurgeWithHostPort => "SurgeWithHostPort",
        RolloutWarningCode::Unspecified => "Warning",
    };
    let texts = warnings.iter().take(MAX_WARNINGS);
    let texts: Vec<String> = texts
        .map(|warning| warning.message.chars().take(MAX_WARNING_CHARS).collect())
        .collect();
    let more = match warnings.len().saturating_sub(MAX_WARNINGS) {
        0 => String::new(),
        more => format!("; {more} more"),
    };
    Err((reason, texts.join("; ") + &more))
}

#[cfg(test)]
mod tests {
    use everynode_proto::planner::v1::PolicyTarget as WireTarget;
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    #[test]
    fn policy_is_accepted_if_it_applies_to_a_daemon_set() {
        let conflict = WireTarget {
            name: "agent".to_owned(),
            reason: "Conflicted".to_owned(),
            ..WireTarget::default()
        };
        let mut found = RolloutPolicyStatus {
            generation: 2,
            targets: vec![conflict],
            ..RolloutPolicyStatus::default()
        };
        let now = Time(Timestamp::UNIX_EPOCH);
        let of = |found: &RolloutPolicyStatus| {
            let status = status(found, &PolicyStatus::default(), &now);
            let [accepted, _] = status.conditions.as_slice() else {
                panic!("two conditions")
            };
            (accepted.status.clone(), accepted.reason.clone())
        };
        assert_eq!(of(&found), ("False".to_owned(), "Conflicted".to_owned()));
        found.accepted = 1;
        assert_eq!(of(&found), ("True".to_owned(), "Accepted".to_owned()));
        found.reason = "Invalid".to_owned();
        assert_eq!(of(&found), ("False".to_owned(), "Invalid".to_owned()));
    }

    #[test]
    fn warnings_are_a_condition_and_change_no_other() {
        let warning = |stage: &str| RolloutWarning {
            code: RolloutWarningCode::ShortSoak.into(),
            stage: stage.to_owned(),
            message: format!("stage {stage} doesn't soak"),
        };
        let mut found = RolloutPolicyStatus {
            accepted: 1,
            ..RolloutPolicyStatus::default()
        };
        let now = Time(Timestamp::UNIX_EPOCH);
        let of = |found: &RolloutPolicyStatus| status(found, &PolicyStatus::default(), &now).conditions;
        let quiet = of(&found);
        assert_eq!(
            (quiet[1].type_.as_str(), quiet[1].status.as_str()),
            ("Effective", "True")
        );
        found.warnings = ["a", "b", "c", "d"].map(warning).into();
        let warned = of(&found);
        assert_eq!(warned[0], quiet[0]);
        assert_eq!(
            (warned[1].status.as_str(), warned[1].reason.as_str()),
            ("False", "ShortSoak")
        );
        assert_eq!(
            warned[1].message,
            "stage a doesn't soak; stage b doesn't soak; stage c doesn't soak; 1 more"
        );
    }
}
