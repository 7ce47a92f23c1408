//! What the loop keeps of one `DaemonSet` beside the object itself.

use std::{sync::Arc, time::Duration};

use everynode_proto::{
    answers,
    facts::PodTemplate,
    planner::v1::{DaemonSetCondition, DaemonSetFacts, DaemonSetStatus, Problem, Toleration},
};
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
    conditions::{Trouble, degraded, from_counters},
    events::shortened,
    guard::Outstanding,
    objects::DaemonSet,
    outbox::Announcement,
    pod::Recipe,
    status::{Wanted, counters},
    view::words,
};

/// For so long after a lane has opened again, its refusal still holds: the planner is asking anew.
const REFUSAL_LINGERS: Duration = Duration::from_secs(2);

/// One `DaemonSet`.
#[derive(Debug, Default)]
pub(super) struct Managed {
    /// What the planner is told of it, once everything is in order.
    pub(super) announced: Option<Announced>,
    /// The actions asked for.
    pub(super) applier: Applier,
    /// What limits them.
    pub(super) outstanding: Outstanding,
    /// How to make its pods, as the last plan that makes some has it.
    pub(super) recipe: Option<Arc<Recipe>>,
    /// What it was made of, or was to be made of.
    pub(super) ingredients: Option<Ingredients>,
    /// Why its creations and deletions were last refused.
    pub(super) refusals: Refusals,
    pub(super) upkeep: Upkeep,
    pub(super) status: Status,
    /// When the planner wants to be told that time has passed.
    pub(super) reconsider: Option<delay_queue::Key>,
    /// Why the planner can't be told of it, if it is too large.
    pub(super) too_large: Option<String>,
    /// What has been said of it in events, so as not to say it with every plan.
    pub(super) reported: Vec<Problem>,
    /// When another controller has last been seen at work on it.
    pub(super) rival_seen: Option<Instant>,
    /// Ends its calls when it is gone.
    pub(super) stop: CancellationToken,
}

/// Everything that goes into a recipe.
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

/// A `DaemonSet` as the planner is told of it.
#[derive(Debug)]
pub(super) struct Announced {
    /// The object at that time.
    pub(super) object: Arc<DaemonSet>,
    /// The controller-revision-hash of its template.
    pub(super) revision: String,
    facts: DaemonSetFacts,
    /// What is wrong with it, as far as reading shows.
    pub(super) problems: Vec<Problem>,
}

/// The last refusal in each lane, until something succeeds there.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    create: Option<Refused>,
    delete: Option<Refused>,
}

/// A refusal.
#[derive(Debug)]
pub(super) struct Refused {
    /// What the server said.
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

    /// Something was refused, in these words.
    pub(super) fn note(&mut self, lane: Lane, words: String) {
        let refused = self.of(lane);
        let until = refused.as_ref().map_or_else(Instant::now, |before| before.until);
        let words = shortened(words);
        *refused = Some(Refused { words, until });
    }
}

/// Its upkeep.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    /// Whether work is being done.
    pub(super) is_running: bool,
    /// Whether it waits to be tried again.
    pub(super) is_waiting: bool,
    /// How often it has failed in a row.
    pub(super) failures: u32,
    /// Whether revisions beyond the limit wait for pods to go.
    pub(super) is_held_up: bool,
    /// What the server would not let it adopt or release.
    pub(super) refused: adopt::Refused,
    /// What it last failed with, until it succeeds.
    pub(super) trouble: Option<String>,
}

/// Its status.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// What the last plan counted.
    pub(super) wanted: Option<DaemonSetStatus>,
    /// What that plan says follows from it.
    pub(super) conditions: Vec<DaemonSetCondition>,
    /// What has been written, up to the last write that the server has confirmed: a write without an answer may still come
    /// to be.
    pub(super) written: Vec<DaemonSetStatus>,
    /// Whether it is being written, or has just been.
    pub(super) is_resting: bool,
    /// When it was last written, or tried to be.
    pub(super) last_write: Option<Instant>,
    /// Whether actions were in progress when it was last written.
    pub(super) moves: bool,
    /// How many rests there are after each write for now, and how many are left after the last.
    pub(super) rests: u32,
    pub(super) rests_left: u32,
    /// How often writing has failed in a row.
    pub(super) failures: u32,
}

impl Announced {
    /// The `DaemonSet` with the revision of its template.
    pub(super) fn new(object: Arc<DaemonSet>, revision: String) -> Self {
        let raw = object.spec.template.as_ref().map_or("{}", |raw| raw.get());
        // The API server has validated it; one that can't be read would be placed like an empty one.
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
    /// A `DaemonSet` of which nothing is known but that it is there.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            ..Self::default()
        }
    }

    /// What its status should say, if the last plan has counted anything. One that the planner can't be told of gets no
    /// plan, so it keeps the counters that it has.
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

    /// What has to be written, if it isn't what the object says.
    pub(super) fn due(&self, object: &DaemonSet, with_conditions: bool) -> Option<Wanted> {
        self.wanted(object, with_conditions)
            .filter(|wanted| wanted.is_due(&object.status))
    }

    /// Why a lane's last action was refused, as long as that holds. It is past when what was refused isn't asked for any more.
    pub(super) fn refusal(&self, lane: Lane, now: Instant) -> Option<&Refused> {
        let load = self.applier.load(lane);
        let is_asked_for = load.is_closed || load.waiting + load.in_progress > 0;
        self.refusals
            .get(lane)
            .filter(|refused| is_asked_for || now < refused.until + REFUSAL_LINGERS)
    }

    /// What is wrong with it, as far as reading shows or the planner has said.
    pub(super) fn problems(&self) -> &[Problem] {
        match (self.reported.as_slice(), &self.announced) {
            ([], Some(announced)) => &announced.problems,
            (reported, _) => reported,
        }
    }

    /// What stands in its way, most important first.
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

    /// What the planner can be told.
    pub(super) fn announcement(&self) -> Announcement {
        match &self.announced {
            Some(announced) => Announcement::Facts(Box::new(announced.facts.clone())),
            None => Announcement::NotYet,
        }
    }
}
