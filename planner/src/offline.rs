//! The offline commands. They give the same answers as the unary calls, from objects in files and without a server.
//!
//! Data flows one way: files → [`documents`] → `objects` (sorted by kind) → `requests` → [`crate::unary`], which
//! also answers the service's calls → everynode-render, which prints.
//!
//! - [`args`]: the flags; `filter`: selects objects as the flags say, with label selectors in [`selector`].
//! - `files`: the files that the flag `-f` names.
//! - `kind`: the kinds that the commands read; `place` and `lines`: places in the input.
//! - `template`: turns Nodes of a cluster into templates of new nodes; `pod_requests`: takes requests from pods.
//! - `rollout`: the command that simulates a rollout.
//! - `problems`: describes the problems of objects, with their places in the input.
//! - [`error`]: why a command fails, and the exit codes; `hints`: guesses at what a file is instead of an object;
//!   `listing`: lists of names in messages.

pub mod args;
pub mod documents;
pub mod error;
mod files;
pub(crate) mod filter;
mod hints;
pub(crate) mod kind;
pub(crate) mod lines;
mod listing;
pub(crate) mod objects;
pub(crate) mod place;
pub(crate) mod pod_requests;
pub(crate) mod problems;
pub(crate) mod requests;
mod rollout;
pub mod selector;
pub(crate) mod template;

use std::collections::HashSet;

use everynode_proto::planner::v1::{NodeVerdict, PlanRequest, PlanResponse, Problem};
use everynode_render::{ErrorChain, OutputFormat, PrintError, explain, plan, simulate};
use everynode_serving::{
    program::{self, exit::Exit},
    serve::Work,
};
use tonic::Code;

pub use self::rollout::rollout;
use self::{
    args::{ExplainArgs, InputOutputArgs, PlanArgs, SimulateArgs},
    error::Error,
    kind::Kind,
    listing::listed,
    objects::{Object, Objects},
    place::Place,
    problems::Places,
    template::SetAside,
};
use crate::unary;

/// Prints on which nodes `DaemonSet`s run, and returns the exit code.
pub fn explain(args: &ExplainArgs) -> Exit {
    finish(try_explain(args))
}

/// Prints the actions that a `DaemonSet` needs, and returns the exit code.
pub fn plan(args: &PlanArgs) -> Exit {
    finish(try_plan(args))
}

/// Prints the resources that `DaemonSet`s request on nodes, and returns the exit code.
pub fn simulate(args: &SimulateArgs) -> Exit {
    finish(try_simulate(args))
}

fn try_explain(args: &ExplainArgs) -> Result<Exit, Error> {
    let mut objects = read_all(&args.io, false)?;
    let has_rollouts = requests::has_rollouts(&objects);
    let kinds = explained_kinds(has_rollouts);
    print_ignored(&args.io, &objects, kinds);
    filter::daemon_sets(&mut objects, &args.filter)?;
    if has_rollouts {
        // Stages and budgets are shares of all nodes.
        filter::check_nodes(&objects, &args.filter)?;
    } else {
        filter::nodes(&mut objects, &args.filter)?;
    }
    let of_versions = print_problems_of_versions(&objects, kinds);
    let mut answer = unary::explain(requests::explain(&objects)?, &Work::unbounded())?;
    if has_rollouts && !args.filter.nodes.is_empty() {
        let is_selected = |verdict: &NodeVerdict| filter::is_selected_node(&verdict.node, &args.filter);
        answer.verdicts.retain(is_selected);
        answer.summaries = explain::summarize(&answer.verdicts);
    }
    print_problems(&objects, &answer.problems);
    answer.problems.splice(..0, of_versions);
    let is_desired = explain::is_as_desired(&answer);
    let view = args.view.view();
    print_answer(&args.io, |format| {
        if !format.is_for_people() {
            answer.verdicts.retain(|verdict| view.prints(verdict.verdict()));
        }
        let table = |style| explain::table(&answer, &view, style);
        everynode_render::render(&answer, format, table, || explain::csv(&answer, &view))
    })?;
    Ok(exit(is_desired, &answer.problems, &args.io))
}

/// The kinds that `explain` reads. What only rollouts depend on is ignored without a policy.
fn explained_kinds(has_rollouts: bool) -> &'static [Kind] {
    static KINDS: [Kind; 9] = [
        Kind::DaemonSet,
        Kind::Node,
        Kind::RuntimeClass,
        Kind::DaemonSetRolloutPolicy,
        Kind::ClusterDaemonSetRolloutPolicy,
        Kind::DaemonSetRollout,
        Kind::Pod,
        Kind::ControllerRevision,
        Kind::Namespace,
    ];
    let (without_rollouts, _) = KINDS.split_at(6);
    if has_rollouts { &KINDS } else { without_rollouts }
}

fn try_plan(args: &PlanArgs) -> Result<Exit, Error> {
    let io = &args.io;
    let kinds = [Kind::DaemonSet, Kind::Node, Kind::Pod, Kind::ControllerRevision];
    let mut objects = read(io, &kinds, false)?;
    for (kind, consequence) in [
        (Kind::Node, "the node of every pod counts as deleted"),
        (Kind::Pod, "every node lacks a pod"),
    ] {
        if objects.of(kind).is_empty() {
            print_note(
                io,
                &format!("there are no {kind}s in the input, so {consequence}"),
            );
        }
    }
    filter::daemon_sets(&mut objects, &args.filter)?;
    filter::check_nodes(&objects, &args.filter)?;
    let mut problems = print_problems_of_versions(&objects, &kinds);
    let daemon_sets = objects.of(Kind::DaemonSet);
    if args.update_revision.is_some() && daemon_sets.len() > 1 {
        print_note(
            io,
            "--update-revision counts for each of the DaemonSets; --daemon-set chooses one",
        );
    }
    let (mut answers, found) = plan_all(daemon_sets, requests::plans(&objects, args)?)?;
    for answer in &answers {
        let name = answer.summary.as_ref().map_or("", |summary| &summary.daemon_set);
        let prefix = if daemon_sets.len() > 1 {
            format!("{name}: ")
        } else {
            String::new()
        };
        print_notes(io, answer.notes.iter().map(|note| format!("{prefix}{note}")));
    }
    print_problems(&objects, &found);
    problems.extend(found);
    for answer in &mut answers {
        plan::retain_nodes(answer, |node| filter::is_selected_node(node, &args.filter));
        plan::retain_verdicts(answer, &args.verdict.chosen());
    }
    let is_desired = answers.iter().all(plan::is_as_desired);
    print_answer(io, |format| {
        let table = |style| plan::tables(&answers, style);
        everynode_render::render_all(&answers, format, table, || plan::csv(&answers))
    })?;
    Ok(exit(is_desired, &problems, io))
}

/// Plans `DaemonSet`s. Returns the answers and all problems, each once. If there are several `DaemonSet`s, one that
/// can't be read is a problem, and the others are still planned.
///
/// # Errors
/// No `DaemonSet` can be read, or the planner fails.
fn plan_all(
    daemon_sets: &[Object],
    requests: impl Iterator<Item = PlanRequest>,
) -> Result<(Vec<PlanResponse>, Vec<Problem>), Error> {
    let (mut answers, mut problems) = (Vec::new(), Vec::new());
    let mut reported = HashSet::new();
    let mut refusal = None;
    for (index, (daemon_set, request)) in daemon_sets.iter().zip(requests).enumerate() {
        let found = match unary::plan(request, &Work::unbounded()) {
            Ok(answer) => {
                let found = answer.problems.clone();
                answers.push(answer);
                found
            }
            Err(status) if status.code() == Code::InvalidArgument => {
                let problem = problems::not_planned(daemon_set, index, status.message());
                refusal.get_or_insert_with(|| Error::InvalidObject {
                    place: daemon_set.place.clone(),
                    message: status.message().to_owned(),
                });
                vec![problem]
            }
            Err(status) => return Err(status.into()),
        };
        // The problems of nodes and pods are the same for each DaemonSet.
        problems.extend(
            found
                .into_iter()
                .filter(|problem| reported.insert(problem.clone())),
        );
    }
    match refusal {
        Some(error) if answers.is_empty() => Err(error),
        _ => Ok((answers, problems)),
    }
}

fn try_simulate(args: &SimulateArgs) -> Result<Exit, Error> {
    let io = &args.io;
    let kinds = [
        Kind::DaemonSet,
        Kind::Node,
        Kind::Pod,
        Kind::ControllerRevision,
        Kind::RuntimeClass,
    ];
    let mut objects = read(io, &kinds, true)?;
    filter::daemon_sets(&mut objects, &args.filter)?;
    filter::nodes(&mut objects, &args.filter)?;
    if !args.keep_transient {
        let set_aside = SetAside::take_from(objects.of_mut(Kind::Node), &args.unknown_labels);
        print_notes(io, set_aside.note());
    }
    print_notes(io, pod_requests::note(&pod_requests::replace(&mut objects)));
    print_notes(io, note_on_deletions(&objects));
    let of_versions = print_problems_of_versions(&objects, &kinds);
    let (request, capacities) = requests::simulate(&objects, &args.unknown_labels)?;
    let mut answer = unary::simulate_nodes(request, &Work::unbounded())?;
    print_problems(&objects, &answer.problems);
    answer.problems.splice(..0, of_versions);
    print_answer(io, |format| {
        let table = |style| simulate::table(&answer, &capacities, args.sort.order, style);
        let csv = || simulate::csv(&answer, &capacities, args.sort.order);
        everynode_render::render(&answer, format, table, csv)
    })?;
    Ok(exit(simulate::is_as_desired(&answer), &answer.problems, io))
}

/// Names the `DaemonSet`s that are being deleted. `None` if there are none.
fn note_on_deletions(objects: &Objects) -> Option<String> {
    const MAX: usize = 5;
    let daemon_sets = objects.of(Kind::DaemonSet).iter();
    let deleted = daemon_sets.filter(|object| !object.metadata("deletionTimestamp").is_empty());
    let names: Vec<_> = deleted.map(Object::key).collect();
    (!names.is_empty()).then(|| {
        format!(
            "DaemonSets that are being deleted aren't counted: {}",
            listed(&names, MAX)
        )
    })
}

/// Reads the files, and prints a note about objects that the command doesn't use.
fn read(io: &InputOutputArgs, kinds: &[Kind], are_templates: bool) -> Result<Objects, Error> {
    let objects = read_all(io, are_templates)?;
    print_ignored(io, &objects, kinds);
    Ok(objects)
}

fn read_all(io: &InputOutputArgs, are_templates: bool) -> Result<Objects, Error> {
    let objects = Objects::read(&io.files, io.recursive, are_templates)?;
    print_notes(io, objects.notes());
    Ok(objects)
}

fn print_ignored(io: &InputOutputArgs, objects: &Objects, kinds: &[Kind]) {
    if let Some(others) = objects.count_others(kinds) {
        print_note(io, &format!("ignored objects: {others}"));
    }
}

fn exit(is_desired: bool, problems: &[Problem], io: &InputOutputArgs) -> Exit {
    Exit::for_answer(is_desired, problems, io.result.detailed_exit_code)
}

/// Prints the answer, unless the command is quiet. `render` renders it in a format.
fn print_answer(
    io: &InputOutputArgs,
    render: impl FnOnce(OutputFormat) -> Result<String, PrintError>,
) -> Result<(), Error> {
    if !io.result.quiet {
        everynode_render::print(&render(io.result.format())?)?;
    }
    Ok(())
}

/// Prints problems, each with its place in the input.
fn print_problems(objects: &Objects, problems: &[Problem]) {
    if problems.is_empty() {
        return;
    }
    let places = Places::of(objects);
    for problem in problems {
        print_message(&places.describe(problem));
    }
}

/// Prints and returns the problems of the kinds and API versions of objects. The planner doesn't know them, because it
/// gets only objects that it can read.
fn print_problems_of_versions(objects: &Objects, kinds: &[Kind]) -> Vec<Problem> {
    let print = |(place, problem): (&Place, &Problem)| {
        print_message(&problems::describe(&[place], problem));
        problem.clone()
    };
    objects.problems(kinds).map(print).collect()
}

fn print_notes(io: &InputOutputArgs, notes: impl IntoIterator<Item = String>) {
    for note in notes {
        print_note(io, &note);
    }
}

fn print_note(io: &InputOutputArgs, text: &str) {
    if !io.result.quiet {
        print_message(&format!("note: {text}"));
    }
}

/// Prints a message on standard error. Only the answer goes to standard output.
fn print_message(text: &str) {
    program::print_message(env!("CARGO_PKG_NAME"), text);
}

fn finish(result: Result<Exit, Error>) -> Exit {
    result.unwrap_or_else(|error| {
        print_message(&ErrorChain(&error).to_string());
        error.exit()
    })
}
