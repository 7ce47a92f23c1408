//! Prints the events of a watch of plans, one line for each event.

use everynode_proto::{
    executor::v1::{ActionEnded, WatchPlansResponse, watch_plans_response::Event},
    planner::v1::{ActionOutcome, DaemonSetStatus, Plan, action},
};

use crate::{View, table::Tone, words};

/// The width of the column for an event's word, which fits the longest.
const WORD_WIDTH: usize = 7;

/// Formats an event as one line with its time, which ends with a newline.
pub fn line(response: &WatchPlansResponse, view: View) -> String {
    let time = words::time(response.time.as_ref());
    let (word, tone, text) = match &response.event {
        None => (
            "unknown",
            Tone::Doubtful,
            "this program is older than the executor".to_owned(),
        ),
        Some(Event::Began(began)) => {
            let planner = super::planner(began.planner.as_ref());
            let text = format!("executor {}, planner {planner}", began.identity);
            ("began", Tone::Plain, text)
        }
        Some(Event::Plan(plan)) => ("plan", Tone::Plain, plan_text(plan)),
        Some(Event::ActionEnded(ended)) => action_ended(ended),
        Some(Event::PlannerChanged(changed)) => match &changed.planner {
            None => (
                "planner",
                Tone::Bad,
                "none: nothing is created or deleted".to_owned(),
            ),
            found => ("planner", Tone::Good, super::planner(found.as_ref())),
        },
        Some(Event::EventsLost(lost)) => {
            let text = format!("{}: read too slowly", words::count(lost.count, "event"));
            ("lost", Tone::Bad, text)
        }
    };
    // The word is padded before it is painted, because colour codes take up no space on the screen.
    let word = tone.paint(&format!("{word:WORD_WIDTH$}"), view);
    format!("{time}   {word}   {}", words::line(&text))
}

fn action_ended(ended: &ActionEnded) -> (&'static str, Tone, String) {
    let (word, tone) = match ended.outcome() {
        ActionOutcome::Done => ("done", Tone::Good),
        ActionOutcome::Failed => ("failed", Tone::Bad),
        ActionOutcome::Skipped => ("skipped", Tone::Plain),
        ActionOutcome::Unspecified => ("ended", Tone::Doubtful),
    };
    (word, tone, format!("{}: {}", ended.daemon_set, ended.message))
}

fn plan_text(plan: &Plan) -> String {
    let number = |wanted: fn(&action::Action) -> bool| {
        let actions = plan.actions.iter().filter_map(|action| action.action.as_ref());
        actions.filter(|action| wanted(action)).count() as u64
    };
    let created = number(|action| matches!(action, action::Action::Create(_)));
    let deleted = number(|action| matches!(action, action::Action::Delete(_)));
    let mut parts = Vec::new();
    if created > 0 {
        parts.push(format!("create {}", words::count(created, "pod")));
    }
    if deleted > 0 {
        parts.push(format!("delete {}", words::count(deleted, "pod")));
    }
    parts.extend(plan.status.as_ref().map(status_text));
    parts.extend(plan.problems.iter().map(words::problem));
    format!("{}: {}", plan.daemon_set, parts.join("; "))
}

fn status_text(status: &DaemonSetStatus) -> String {
    let DaemonSetStatus {
        desired_number_scheduled: desired,
        number_ready: ready,
        updated_number_scheduled: updated,
        number_available: available,
        ..
    } = status;
    format!("{desired} desired, {ready} ready, {updated} up to date, {available} available")
}
