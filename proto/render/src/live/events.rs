//! Formats the events of a watch of plans, one line for each event.

use everynode_proto::{
    executor::v1::{ActionEnded, WatchPlansResponse, watch_plans_response::Event},
    planner::v1::{ActionOutcome, DaemonSetStatus, Plan, action},
};

use crate::{TableStyle, csv, table::Severity, values};

/// The width of the column for an event's label, which fits the longest label.
const LABEL_WIDTH: usize = 7;

/// The header line of events as comma-separated values.
pub fn csv_header() -> String {
    csv::row(["TIME", "EVENT", "TEXT"])
}

/// Formats an event as one line of comma-separated values.
pub fn csv_line(response: &WatchPlansResponse) -> String {
    let (label, _, text) = describe(response);
    csv::row([values::time(response.time.as_ref()).as_str(), label, &text])
}

/// Formats an event as one line with its time and a newline.
pub fn event_line(response: &WatchPlansResponse, style: TableStyle) -> String {
    let time = values::time(response.time.as_ref());
    let (label, severity, text) = describe(response);
    // The label is padded before it is colored, because color codes have no width on the screen.
    let label = severity.paint(&format!("{label:LABEL_WIDTH$}"), style);
    format!("{time}   {label}   {}", values::line(&text))
}

/// Returns the event's label, its severity and its text.
fn describe(response: &WatchPlansResponse) -> (&'static str, Severity, String) {
    match &response.event {
        None => (
            "unknown",
            Severity::Warning,
            "this event is of a kind that only newer versions of this program know".to_owned(),
        ),
        Some(Event::Began(began)) => {
            let planner = super::planner(began.planner.as_ref());
            let text = format!("executor {}, planner {planner}", began.identity);
            ("began", Severity::Neutral, text)
        }
        Some(Event::Plan(plan)) => ("plan", Severity::Neutral, plan_text(plan)),
        Some(Event::ActionEnded(ended)) => action_ended(ended),
        Some(Event::PlannerChanged(changed)) => match &changed.planner {
            None => (
                "planner",
                Severity::Error,
                "none; no pods are created or deleted".to_owned(),
            ),
            planner => ("planner", Severity::Ok, super::planner(planner.as_ref())),
        },
        Some(Event::EventsLost(lost)) => {
            let text = format!(
                "{}, because this program read too slowly",
                values::count(lost.count, "event")
            );
            ("lost", Severity::Error, text)
        }
    }
}

fn action_ended(ended: &ActionEnded) -> (&'static str, Severity, String) {
    let (label, severity) = match ended.outcome() {
        ActionOutcome::Done => ("done", Severity::Ok),
        ActionOutcome::Failed => ("failed", Severity::Error),
        ActionOutcome::Skipped => ("skipped", Severity::Neutral),
        ActionOutcome::Unspecified => ("ended", Severity::Warning),
    };
    (
        label,
        severity,
        format!("{}: {}", ended.daemon_set, ended.message),
    )
}

fn plan_text(plan: &Plan) -> String {
    let count_of = |is_counted: fn(&action::Action) -> bool| {
        let actions = plan.actions.iter().filter_map(|action| action.action.as_ref());
        actions.filter(|action| is_counted(action)).count() as u64
    };
    let created = count_of(|action| matches!(action, action::Action::Create(_)));
    let deleted = count_of(|action| matches!(action, action::Action::Delete(_)));
    let mut parts = Vec::new();
    if created > 0 {
        parts.push(format!("create {}", values::count(created, "pod")));
    }
    if deleted > 0 {
        parts.push(format!("delete {}", values::count(deleted, "pod")));
    }
    parts.extend(plan.status.as_ref().map(status_text));
    parts.extend(plan.problems.iter().map(values::problem));
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
