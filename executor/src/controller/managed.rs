//! State that the loop keeps for one `DaemonSet`, besides the object itself.

use std::{collections::HashMap, sync::Arc, time::Duration};

use everynode_proto::{
    answers,
    facts::PodTemplate,
    planner::v1::{
        DaemonSetCondition, DaemonSetFacts, DaemonSetStatus, PodAvailability, Problem, Toleration,
    },
};
use prost_types::Timestamp;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, time::delay_queue};

use super::{
    planner::TOO_LARGE,
    plans::reason,
    rivals::{COMPETING, PEACE, REMEDY},
};
use crate::{
    adopt,
    apply::{Applier, Lane},
    cluster::{Cluster, Owner, Text},
    conditions::{Trouble, degraded, from_counters},
    events::shortened,
    guard::Outstanding,
    objects::DaemonSet,
    outbox::Announcement,
    pod::Recipe,
    status::{RolloutProgress, Wanted, counters},
    view::{is_on_delete, words},
};

/// How long a refusal still holds after its lane has opened again: the planner is about to ask anew.
const REFUSAL_LINGERS: Duration = Duration::from_secs(2);

/// One `DaemonSet`.
#[derive(Debug, Default)]
pub(super) struct Managed {
    /// The facts that the planner is sent about it, once everything is in order.
    pub(super) announced: Option<Announced>,
    /// The actions that plans have asked for.
    pub(super) applier: Applier,
    /// State for the limits on those actions.
    pub(super) outstanding: Outstanding,
    /// How to make its pods, from the last plan that makes some.
    pub(super) recipe: Option<Arc<Recipe>>,
    /// The ingredients of the recipe, or those from which no recipe could be made.
    pub(super) ingredients: Option<Ingredients>,
    /// Why its creations and deletions were last refused.
    pub(super) refusals: Refusals,
    pub(super) upkeep: Upkeep,
    pub(super) status: Status,
    /// When pods that wait for minReadySeconds become available, by the pods' uids. `None` as long as the planner of the
    /// session hasn't reported it.
    pub(super) available_at: Option<HashMap<Text, Timestamp>>,
    /// Timer for when the planner wants to be told that time has passed.
    pub(super) reconsider: Option<delay_queue::Key>,
    /// Why it can't be sent to the planner, if it is too large.
    pub(super) too_large: Option<String>,
    /// Problems already reported in events, so that not every plan reports them again.
    pub(super) reported: Vec<Problem>,
    /// When another controller was last seen working on it.
    pub(super) rival_seen: Option<Instant>,
    /// Cancels its calls when it is gone.
    pub(super) stop: CancellationToken,
}

/// Everything that a recipe is made of.
#[derive(Debug)]
pub(super) struct Ingredients {
    pub(super) object: Arc<DaemonSet>,
    pub(super) revision: String,
    pub(super) added: Vec<Toleration>,
}

impl PartialEq for Ingredients {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.object, &other.object)
            && self.revision == other.revision
            && self.added == other.added
    }
}

/// A `DaemonSet` as the planner was sent it.
#[derive(Debug)]
pub(super) struct Announced {
    /// The object at that time.
    pub(super) object: Arc<DaemonSet>,
    /// The controller-revision-hash of its template.
    pub(super) revision: String,
    facts: DaemonSetFacts,
    /// Problems with it that can be found by reading it.
    pub(super) problems: Vec<Problem>,
}

/// The last refusal in each lane, until an action there succeeds.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    create: Option<Refused>,
    delete: Option<Refused>,
}

/// A refusal.
#[derive(Debug)]
pub(super) struct Refused {
    /// The server's words.
    pub(super) words: String,
    /// When the lane opens again.
    pub(super) until: Instant,
}

impl Refusals {
    pub(super) fn of(&mut self, lane: Lane) -> &mut Option<Refused> {
        match lane {
            Lane::Create => &mut self.create,
            Lane::Delete => &mut self.delete,
        }
    }

    pub(super) fn get(&self, lane: Lane) -> Option<&Refused> {
        match lane {
            Lane::Create => self.create.as_ref(),
            Lane::Delete => self.delete.as_ref(),
        }
    }

    /// Records a refusal in these words.
    pub(super) fn note(&mut self, lane: Lane, words: String) {
        let refused = self.of(lane);
        let until = refused.as_ref().map_or_else(Instant::now, |before| before.until);
        let words = shortened(words);
        *refused = Some(Refused { words, until });
    }
}

/// State of a `DaemonSet`'s upkeep.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// Whether upkeep is running.
    pub(super) is_running: bool,
    /// Whether it is waiting for a retry.
    pub(super) is_waiting: bool,
    /// Number of failures in a row.
    pub(super) failures: u32,
    /// Whether revisions beyond the limit can't be deleted until pods are gone.
    pub(super) is_held_up: bool,
    /// Adoptions and releases that the server has refused.
    pub(super) refused: adopt::Refused,
    /// The last failure, until upkeep succeeds.
    pub(super) trouble: Option<String>,
}

/// State of a `DaemonSet`'s status.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// The counters of the last plan.
    pub(super) wanted: Option<DaemonSetStatus>,
    /// The rollout progress according to that plan.
    pub(super) progress: Option<RolloutProgress>,
    /// The conditions that follow from the counters, as that plan gives them.
    pub(super) conditions: Vec<DaemonSetCondition>,
    /// The counters written, from the last write that the server has confirmed on: a write without an answer may
    /// still take effect.
    pub(super) written: Vec<DaemonSetStatus>,
    /// Whether a write is in progress, or a rest before the next write isn't over.
    pub(super) is_resting: bool,
    /// When it was last written, or a write was attempted.
    pub(super) last_write: Option<Instant>,
    /// Whether actions were in progress at the last write.
    pub(super) moves: bool,
    /// Number of rests after each write for now, and how many of them are left after the last write.
    pub(super) rests: u32,
    pub(super) rests_left: u32,
    /// Number of failed writes in a row.
    pub(super) failures: u32,
}

impl Announced {
    /// Creates the announcement of a `DaemonSet` with the revision of its template.
    pub(super) fn new(object: Arc<DaemonSet>, revision: String) -> Self {
        let raw = object.spec.template.as_ref().map_or("{}", |raw| raw.get());
        // The API server has validated the template. One that can't be read would be placed like an empty one.
        let template: PodTemplate = serde_json::from_str(raw).unwrap_or_default();
        let (facts, problems) = object.facts(&template, &revision);
        Self {
            object,
            revision,
            facts,
            problems,
        }
    }

    /// Its namespace and its name.
    pub(super) fn names(&self) -> (&str, &str) {
        let metadata = &self.object.metadata;
        (&metadata.namespace, &metadata.name)
    }
}

impl Managed {
    /// Creates the state of a `DaemonSet` that is only known to exist.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            ..Self::default()
        }
    }

    /// The status that it should have, if the last plan has counted anything. A `DaemonSet` that is too large to be
    /// sent to the planner gets no plan, so it keeps its current counters.
    fn wanted(&self, object: &DaemonSet, with_conditions: bool) -> Option<Wanted> {
        let kept = || self.too_large.as_ref().map(|_| counters(&object.status));
        let counters = self.status.wanted.or_else(kept)?;
        let mut conditions = Vec::new();
        if with_conditions {
            conditions = match self.status.wanted {
                Some(_) => self.status.conditions.clone(),
                None => from_counters(&object.status),
            };
            conditions.push(degraded(self.trouble(Instant::now())));
        }
        Some(Wanted { counters, conditions })
    }

    /// Its rollout progress according to the last plan. Without a plan, the written status tells.
    pub(super) fn progress(&self, object: &DaemonSet) -> RolloutProgress {
        let written = || RolloutProgress::from_counters(&counters(&object.status), is_on_delete(object));
        self.status.progress.clone().unwrap_or_else(written)
    }

    /// Applies changes of its pods' availability. They have to be about its own pods.
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
        if available_at.len() > pods.count(owner) {
            available_at.retain(|uid, _| pods.get(uid).is_some_and(|pod| pod.owner() == Some(owner)));
        }
    }

    /// The status to write, if the object's status differs from it.
    pub(super) fn due(&self, object: &DaemonSet, with_conditions: bool) -> Option<Wanted> {
        self.wanted(object, with_conditions)
            .filter(|wanted| wanted.is_due(&object.status))
    }

    /// Why a lane's last action was refused, while that still holds. It lapses when plans no longer ask for what was
    /// refused.
    pub(super) fn refusal(&self, lane: Lane, now: Instant) -> Option<&Refused> {
        let load = self.applier.load(lane);
        let is_asked_for = load.is_closed || load.waiting + load.in_progress > 0;
        self.refusals
            .get(lane)
            .filter(|refused| is_asked_for || now < refused.until + REFUSAL_LINGERS)
    }

    /// The problems that have been reported for it; without any, those that can be found by reading it.
    pub(super) fn problems(&self) -> &[Problem] {
        match (self.reported.as_slice(), &self.announced) {
            ([], Some(announced)) => &announced.problems,
            (reported, _) => reported,
        }
    }

    /// The most important problem that keeps it from its goal.
    fn trouble(&self, now: Instant) -> Option<Trouble> {
        let refused = |lane, reason, what| {
            let words = &self.refusal(lane, now)?.words;
            Some(Trouble {
                reason,
                message: words::refused(what, words),
            })
        };
        let has_bad_template = self.ingredients.is_some() && self.recipe.is_none();
        let create = if has_bad_template {
            "InvalidTemplate"
        } else {
            "CreateRefused"
        };
        let upkeep = || {
            self.upkeep.trouble.as_deref().map(|trouble| Trouble {
                reason: "UpkeepFailing",
                message: words::upkeep_fails(trouble),
            })
        };
        let problem = || {
            self.problems().first().map(|problem| Trouble {
                reason: reason(problem),
                message: answers::words::problem(problem),
            })
        };
        let rival = || {
            let seen = self.rival_seen?;
            (now.duration_since(seen) < PEACE).then(|| Trouble {
                reason: COMPETING,
                message: format!("its pods or its status are written {REMEDY}"),
            })
        };
        let too_large = self.too_large.as_ref().map(|message| Trouble {
            reason: TOO_LARGE,
            message: message.clone(),
        });
        too_large
            .or_else(|| refused(Lane::Create, create, "created"))
            .or_else(|| refused(Lane::Delete, "DeleteRefused", "deleted"))
            .or_else(upkeep)
            .or_else(problem)
            .or_else(rival)
    }

    /// The facts for the planner, or `NotYet` until everything is in order.
    pub(super) fn announcement(&self) -> Announcement {
        match &self.announced {
            Some(announced) => Announcement::Facts(Box::new(announced.facts.clone())),
            None => Announcement::NotYet,
        }
    }
}
