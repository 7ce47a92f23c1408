//! Test helpers for several tables.

use everynode_proto::planner::v1::{
    NodeVerdict, Reason, ReasonCode, ReasonCount, Taint, Toleration, UntoleratedTaint, Verdict,
    VerdictSummary, reason::Detail,
};

/// Returns a verdict. Except for `RUN`, each reason has its message as the condition.
pub(super) fn verdict(node: &str, verdict: Verdict, reasons: &[&str]) -> NodeVerdict {
    let reason = |message: &&str| Reason {
        message: (*message).to_owned(),
        condition: if verdict == Verdict::Run {
            String::new()
        } else {
            (*message).to_owned()
        },
        ..Reason::default()
    };
    NodeVerdict {
        daemon_set: "default/agent".to_owned(),
        node: node.to_owned(),
        verdict: verdict.into(),
        reasons: reasons.iter().map(reason).collect(),
        rollout: None,
    }
}

/// Returns the verdict KEEP because of a taint with the effect `NoSchedule`.
pub(super) fn tainted(daemon_set: &str, node: &str, key: &str) -> NodeVerdict {
    let effect = || "NoSchedule".to_owned();
    let taint = Taint {
        key: key.to_owned(),
        value: String::new(),
        effect: effect(),
    };
    let admitted_by = Toleration {
        key: key.to_owned(),
        operator: "Exists".to_owned(),
        value: String::new(),
        effect: effect(),
    };
    let reason = Reason {
        code: ReasonCode::UntoleratedTaint.into(),
        message: format!(
            "taint {key}:NoSchedule is not tolerated (an existing pod stays, none is created); a toleration … would \
             admit it"
        ),
        condition: format!("taint {key}:NoSchedule"),
        detail: Some(Detail::Taint(UntoleratedTaint {
            taint: Some(taint),
            admitted_by: Some(admitted_by),
        })),
    };
    NodeVerdict {
        daemon_set: daemon_set.to_owned(),
        node: node.to_owned(),
        verdict: Verdict::Keep.into(),
        reasons: vec![reason],
        rollout: None,
    }
}

/// Returns a summary with one condition for the verdict keep and one for exclude.
pub(super) fn summary(run_nodes: u32, keep_nodes: u32, exclude_nodes: u32) -> VerdictSummary {
    let reason = |code: ReasonCode, condition: &str, verdict: Verdict, nodes| ReasonCount {
        code: code.into(),
        condition: condition.to_owned(),
        verdict: verdict.into(),
        nodes,
    };
    let excluded = reason(
        ReasonCode::NodeSelector,
        "nodeSelector disk=ssd",
        Verdict::Exclude,
        exclude_nodes,
    );
    let kept = reason(
        ReasonCode::UntoleratedTaint,
        "taint dedicated=db:NoSchedule",
        Verdict::Keep,
        keep_nodes,
    );
    VerdictSummary {
        daemon_set: "default/agent".to_owned(),
        run_nodes,
        keep_nodes,
        exclude_nodes,
        reasons: [excluded, kept]
            .into_iter()
            .filter(|reason| reason.nodes > 0)
            .collect(),
    }
}

pub(super) fn resources<const N: usize>(
    resources: [(&str, &str); N],
) -> std::collections::BTreeMap<String, String> {
    resources
        .map(|(name, quantity)| (name.to_owned(), quantity.to_owned()))
        .into()
}
