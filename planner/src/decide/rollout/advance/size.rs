//! Chooses the nodes of a stage by its size: when it opens (T5), and when the policy gives it another size (T19).

use super::{super::staging::StageIndex, Course, Seen, Survey};
use crate::model::{
    Text,
    rollout::{MAX_PICKED, Stage, StageMemory, StageSize},
};

pub(super) fn open(
    course: &Course<'_>,
    name: Text,
    stage: Option<&Stage>,
    position: StageIndex,
    seen: &Seen,
    survey: &impl Survey,
) -> StageMemory {
    let mut opened = StageMemory {
        name,
        opened_at: course.now,
        size: stage.and_then(chosen_size),
        ..StageMemory::default()
    };
    if let Some(stage) = stage {
        match stage.size {
            StageSize::All => {}
            StageSize::Count(count) => {
                opened.nodes = survey.pick(stage, position, count.min(MAX_PICKED));
                opened.nodes.sort();
            }
            StageSize::Percent(_) | StageSize::AllBut(_) => {
                opened.hash_limit =
                    Some(survey.hash_limit(stage, position, released(stage.size, seen.desired)));
            }
        }
    }
    opened
}

/// Chooses the nodes of an open stage anew if the policy gives it another size now (T19). If that adds nodes, the stage is
/// updated only when they are. A partition also follows the number of nodes. The limit of a percentage stays as it is
/// otherwise, so that no node is added to a stage that soaks.
pub(super) fn apply_size(
    remembered: &mut StageMemory,
    stage: &Stage,
    position: StageIndex,
    seen: &Seen,
    survey: &impl Survey,
) {
    let is_larger = match stage.size {
        // A number or a percentage of the nodes may have been less than all.
        StageSize::All => remembered.size.is_some(),
        size @ (StageSize::Count(_) | StageSize::Percent(_)) if remembered.size == Some(size) => false,
        StageSize::Count(count) => {
            let count = count.min(MAX_PICKED);
            let before = remembered.nodes.len();
            remembered.nodes.truncate(count);
            if count > before {
                // So many nodes always include enough that are new, if there are any.
                let picked = survey.pick(stage, position, count).into_iter();
                let new: Vec<_> = picked.filter(|node| !remembered.nodes.contains(node)).collect();
                remembered.nodes.extend(new);
                remembered.nodes.truncate(count);
                remembered.nodes.sort();
            }
            remembered.nodes.len() > before
        }
        StageSize::Percent(_) => {
            let limit = survey.hash_limit(stage, position, released(stage.size, seen.desired));
            let before = remembered.hash_limit.replace(limit);
            before.is_some_and(|before| before < limit)
        }
        StageSize::AllBut(_) => {
            let wanted = released(stage.size, seen.desired);
            let stages = seen.stages.iter().take(usize::from(position) + 1);
            if stages.map(|stage| stage.desired).sum::<usize>() != wanted {
                remembered.hash_limit = Some(survey.hash_limit(stage, position, wanted));
            }
            false
        }
    };
    if is_larger {
        remembered.updated_at = None;
    }
    remembered.size = chosen_size(stage);
}

/// The size that is remembered of a stage: a number or a percentage.
fn chosen_size(stage: &Stage) -> Option<StageSize> {
    match stage.size {
        StageSize::Count(_) | StageSize::Percent(_) => Some(stage.size),
        StageSize::All | StageSize::AllBut(_) => None,
    }
}

/// How many of the desired nodes are released once the stage is open.
fn released(size: StageSize, desired: usize) -> usize {
    match size {
        StageSize::All => desired,
        StageSize::Count(count) => count.min(desired),
        StageSize::Percent(percent) => {
            let percent = usize::try_from(percent.min(100)).unwrap_or(100);
            percent.saturating_mul(desired).div_ceil(100)
        }
        StageSize::AllBut(kept) => desired.saturating_sub(kept.of(desired)),
    }
}
