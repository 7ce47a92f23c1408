//! State of one `DaemonSet` in the loop, besides the object itself.

use std::{collections::HashMap, sync::Arc, time::Duration};

use everynode_proto::{
    facts::PodTemplate,
    planner::v1::{
        DaemonSetCondition, DaemonSetFacts, DaemonSetStatus, PodAvailability, Problem, Toleration,
    },
};
use prost_types::Timestamp;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, time::delay_queue};

use super::{
    competing::{COMPETING_CONTROLLER, QUIET_PERIOD, REMEDY},
    planner::TOO_LARGE,
    rollouts::RolloutState,
};
use crate::{
    actions::queue::{ActionQueue, Lane},
    apiserver::{events::truncate_note, objects::DaemonSet},
    cluster::{Cluster, Owner, SharedStr},
    live_view::view::{is_on_delete, phrases},
    ownership::{adopt, upkeep::TemplateRevision},
    planner::guard::Outstanding,
    pods::{pod::PodBuilder, revision_pods::RevisionPods},
    status::{
        DesiredStatus, RolloutProgress,
        conditions::{Obstacle, degraded, from_counters, problem_reason, rollout_held},
        counters,
    },
};

/// How long a refusal still counts after its lane has opened again: the planner is about to request the action again.
const REFUSAL_GRACE: Duration = Duration::from_secs(2);

/// The loop's state of one `DaemonSet`.
#[derive(Debug, Default)]
pub(super) struct ManagedDaemonSet {
    /// The `DaemonSet` as sent to the planner; `None` until its upkeep is done.
    pub(super) announced: Option<AnnouncedDaemonSet>,
    /// The actions that plans have requested.
    pub(super) actions: ActionQueue,
    /// State for the limits on those actions.
    pub(super) outstanding: Outstanding,
    /// Builds pods as the last plan with creations requires; `None` if that isn't possible.
    pub(super) pod_builder: Option<Arc<PodBuilder>>,
    /// The inputs of the builder, including inputs from which no builder could be made.
    pub(super) pod_builder_inputs: Option<PodBuilderInputs>,
    /// Builds the pods of nodes that a rollout hasn't released.
    pub(super) revision_pods: Option<Arc<RevisionPods>>,
    /// What is written to the `DaemonSetRollout`.
    pub(super) rollout: RolloutState,
    /// Why creations and deletions were last refused.
    pub(super) refusals: LaneRefusals,
    pub(super) upkeep: UpkeepState,
    pub(super) status: StatusState,
    /// When pods that wait for minReadySeconds become available, by the pods' uids. `None` until the session's planner
    /// reports it.
    pub(super) available_at: Option<HashMap<SharedStr, Timestamp>>,
    /// Timer for telling the planner that time has passed.
    pub(super) reconsider: Option<delay_queue::Key>,
    /// Why the `DaemonSet` is too large to be sent to the planner, if it is.
    pub(super) too_large: Option<String>,
    /// Problems already reported in events, so that later plans don't report them again.
    pub(super) reported: Vec<Problem>,
    /// When a trace of another controller was last seen.
    pub(super) competitor_seen: Option<Instant>,
    /// Cancels calls for the `DaemonSet` when it is gone.
    pub(super) stop: CancellationToken,
}

/// Everything that a pod builder is made from.
#[derive(Debug)]
pub(super) struct PodBuilderInputs {
    pub(super) object: Arc<DaemonSet>,
    pub(super) revision: String,
    pub(super) added: Vec<Toleration>,
}

impl PartialEq for PodBuilderInputs {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.object, &other.object)
            && self.revision == other.revision
            && self.added == other.added
    }
}

/// A `DaemonSet` as sent to the planner.
#[derive(Debug)]
pub(super) struct AnnouncedDaemonSet {
    /// The object at that time.
    pub(super) object: Arc<DaemonSet>,
    /// The controller-revision-hash of its template.
    pub(super) revision: String,
    pub(super) facts: DaemonSetFacts,
    /// Problems found in the object itself.
    pub(super) problems: Vec<Problem>,
}

/// The last refusal in each lane, until an action there succeeds.
#[derive(Debug, Default)]
pub(super) struct LaneRefusals {
    create: Option<LaneRefusal>,
    delete: Option<LaneRefusal>,
}

/// A refused action.
#[derive(Debug)]
pub(super) struct LaneRefusal {
    /// Why the action was refused.
    pub(super) message: String,
    /// When the lane opens again.
    pub(super) until: Instant,
}

impl LaneRefusals {
    pub(super) fn get_mut(&mut self, lane: Lane) -> &mut Option<LaneRefusal> {
        match lane {
            Lane::Create => &mut self.create,
            Lane::Delete => &mut self.delete,
        }
    }

    pub(super) fn get(&self, lane: Lane) -> Option<&LaneRefusal> {
        match lane {
            Lane::Create => self.create.as_ref(),
            Lane::Delete => self.delete.as_ref(),
        }
    }

    /// Records a refusal.
    pub(super) fn record(&mut self, lane: Lane, message: String) {
        let refused = self.get_mut(lane);
        let until = refused.as_ref().map_or_else(Instant::now, |before| before.until);
        let message = truncate_note(message);
        *refused = Some(LaneRefusal { message, until });
    }
}

/// State of a `DaemonSet`'s upkeep.
#[derive(Debug, Default)]
pub(super) struct UpkeepState {
    pub(super) phase: UpkeepPhase,
    /// Number of failures in a row.
    pub(super) failures: u32,
    /// Whether revisions beyond the limit can't be deleted until pods are gone.
    pub(super) is_cleanup_blocked: bool,
    /// Whether duplicate revisions can't be merged yet.
    pub(super) is_merge_postponed: bool,
    /// Adoptions and releases that the server has refused.
    pub(super) refused: adopt::RefusedUids,
    /// The last failure, until upkeep succeeds.
    pub(super) last_error: Option<String>,
}

/// What a `DaemonSet`'s upkeep is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum UpkeepPhase {
    /// Nothing.
    #[default]
    Idle,
    /// A piece of work is in progress.
    Running,
    /// The last piece of work failed, and a retry is scheduled.
    BackingOff,
}

/// State of a `DaemonSet`'s status.
#[derive(Debug, Default)]
pub(super) struct StatusState {
    /// The counters of the last plan.
    pub(super) counters: Option<DaemonSetStatus>,
    /// The rollout progress according to that plan.
    pub(super) progress: Option<RolloutProgress>,
    /// The conditions in that plan, which follow from the counters.
    pub(super) conditions: Vec<DaemonSetCondition>,
    /// The counters of the last write that the server has confirmed and of all later writes. A write without an answer
    /// may still take effect.
    pub(super) written: Vec<DaemonSetStatus>,
    /// Whether a write is in progress, or the pause before the next write isn't over.
    pub(super) is_paused: bool,
    /// When the last write began.
    pub(super) last_write: Option<Instant>,
    /// Whether actions were in progress at the last write.
    pub(super) was_busy: bool,
    /// Length of the current pause between writes, in units of `PAUSE`.
    pub(super) pause_units: u32,
    /// Number of units left of the current pause.
    pub(super) pause_units_left: u32,
    /// Number of failed writes in a row.
    pub(super) failures: u32,
}

impl AnnouncedDaemonSet {
    /// Builds the facts of a `DaemonSet` with the revision of its template.
    pub(super) fn new(object: Arc<DaemonSet>, revision: TemplateRevision) -> Self {
        let TemplateRevision { hash, duplicates } = revision;
        let raw = object.spec.template.as_ref().map_or("{}", |raw| raw.get());
        // The API server has validated the template. A template that can't be read counts as empty.
        let template: PodTemplate = serde_json::from_str(raw).unwrap_or_default();
        let (mut facts, problems) = object.facts(&template, &hash);
        facts.equal_revisions = duplicates;
        Self {
            object,
            revision: hash,
            facts,
            problems,
        }
    }

    /// Whether this revision, with its duplicates, has been sent.
    pub(super) fn has_revision(&self, revision: &TemplateRevision) -> bool {
        self.revision == revision.hash && self.facts.equal_revisions == revision.duplicates
    }

    /// Namespace and name.
    pub(super) fn names(&self) -> (&str, &str) {
        let metadata = &self.object.metadata;
        (&metadata.namespace, &metadata.name)
    }
}

impl ManagedDaemonSet {
    /// Creates the state of a `DaemonSet` that has just been seen.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            ..Self::default()
        }
    }

    /// The status that the `DaemonSet` should have, if a plan has contained counters. A `DaemonSet` that is too large
    /// to be sent to the planner gets no plan, so it keeps its current counters.
    fn desired_status(&self, object: &DaemonSet, with_conditions: bool) -> Option<DesiredStatus> {
        let kept = || self.too_large.as_ref().map(|_| counters(&object.status));
        let counters = self.status.counters.or_else(kept)?;
        let mut conditions = Vec::new();
        if with_conditions {
            conditions = match self.status.counters {
                Some(_) => self.status.conditions.clone(),
                None => from_counters(&object.status),
            };
            conditions.push(degraded(self.obstacle(Instant::now())));
        }
        // A rollout under a policy is held by this condition if all else is lost, so it doesn't depend on the flag (T14).
        conditions.extend(rollout_held(self.rollout.is_held, &object.status));
        Some(DesiredStatus { counters, conditions })
    }

    /// The rollout progress according to the last plan. Without a plan, it is derived from the object's status.
    pub(super) fn progress(&self, object: &DaemonSet) -> RolloutProgress {
        let written = || RolloutProgress::from_counters(&counters(&object.status), is_on_delete(object));
        self.status.progress.clone().unwrap_or_else(written)
    }

    /// Applies changes of pods' availability. All of the pods must belong to the `DaemonSet`.
    pub(super) fn apply_availability(
        &mut self,
        changes: Vec<PodAvailability>,
        cluster: &Cluster,
        owner: &Owner,
    ) {
        let available_at = self.available_at.get_or_insert_default();
        for PodAvailability {
            uid,
            available_at: at,
        } in changes
        {
            match at {
                Some(at) => drop(available_at.insert(uid.as_str().into(), at)),
                None => drop(available_at.remove(uid.as_str())),
            }
        }
        let pods = cluster.pods();
        if available_at.len() > pods.owned_count(owner) {
            available_at.retain(|uid, _| pods.get(uid).is_some_and(|pod| pod.owner() == Some(owner)));
        }
    }

    /// The status to write, if the object's status differs from it.
    pub(super) fn status_to_write(&self, object: &DaemonSet, with_conditions: bool) -> Option<DesiredStatus> {
        self.desired_status(object, with_conditions)
            .filter(|wanted| wanted.differs_from(&object.status))
    }

    /// The last refusal in a lane, while it still counts. A refusal lapses when plans no longer request actions in the
    /// lane.
    pub(super) fn refusal(&self, lane: Lane, now: Instant) -> Option<&LaneRefusal> {
        let load = self.actions.load(lane);
        let is_requested = load.is_closed || load.waiting + load.in_progress > 0;
        self.refusals
            .get(lane)
            .filter(|refused| is_requested || now < refused.until + REFUSAL_GRACE)
    }

    /// The problems last reported for the `DaemonSet`. If there are none, those found in the object itself.
    pub(super) fn problems(&self) -> &[Problem] {
        match (self.reported.as_slice(), &self.announced) {
            ([], Some(announced)) => &announced.problems,
            (reported, _) => reported,
        }
    }

    /// The most important problem that keeps the `DaemonSet` from its desired state.
    fn obstacle(&self, now: Instant) -> Option<Obstacle> {
        let refused = |lane, reason, what| {
            let refusal = &self.refusal(lane, now)?.message;
            Some(Obstacle {
                reason,
                message: phrases::refused(what, refusal),
            })
        };
        let has_bad_template = self.pod_builder_inputs.is_some() && self.pod_builder.is_none();
        let create = if has_bad_template {
            "InvalidTemplate"
        } else {
            "CreateRefused"
        };
        let upkeep = || {
            self.upkeep.last_error.as_deref().map(|error| Obstacle {
                reason: "UpkeepFailing",
                message: phrases::upkeep_fails(error),
            })
        };
        let problem = || {
            self.problems().first().map(|problem| Obstacle {
                reason: problem_reason(problem),
                message: everynode_render::values::problem(problem),
            })
        };
        let competitor = || {
            let seen = self.competitor_seen?;
            (now.duration_since(seen) < QUIET_PERIOD).then(|| Obstacle {
                reason: COMPETING_CONTROLLER,
                message: format!("its pods or its status are being changed {REMEDY}"),
            })
        };
        let too_large = self.too_large.as_ref().map(|message| Obstacle {
            reason: TOO_LARGE,
            message: message.clone(),
        });
        let rollout = || {
            self.rollout.last_error.as_deref().map(|error| Obstacle {
                reason: "RolloutWriteFailing",
                message: format!("the status of its DaemonSetRollout can't be written: {error}"),
            })
        };
        too_large
            .or_else(rollout)
            .or_else(|| refused(Lane::Create, create, "created"))
            .or_else(|| refused(Lane::Delete, "DeleteRefused", "deleted"))
            .or_else(upkeep)
            .or_else(problem)
            .or_else(competitor)
    }
}
