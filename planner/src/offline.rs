//! The offline commands: they answer as the unary calls do, but from objects in files and without a server.
//!
//! Data flows one way: files → [`documents`] → [`objects`] (sorted by kind) → [`requests`] → [`crate::unary`], which
//! also answers the service's calls → everynode-render, which prints.
//!
//! - [`args`]: the flags.
//! - [`kind`], [`place`]: the kinds that the commands know, and the places of objects in the input.
//! - [`error`]: why a command can't be answered, and the exit codes for that.

pub mod args;
pub mod documents;
pub mod error;
pub mod kind;
pub mod objects;
pub mod place;
pub mod requests;

use everynode_proto::planner::v1::Problem;
use everynode_render::{ErrorChain, explain, plan, simulate, values};
use everynode_serving::{
    program::{self, exit::Exit},
    serve::Work,
};

use self::{
    args::{ExplainArgs, PlanArgs, SimulateArgs},
    error::Error,
    kind::Kind,
    objects::Objects,
};
use crate::unary;

/// Prints which `DaemonSet`s run where; returns the exit code.
pub fn explain(args: &ExplainArgs) -> Exit {
    finish(try_explain(args))
}

/// Prints the actions that a `DaemonSet` needs; returns the exit code.
pub fn plan(args: &PlanArgs) -> Exit {
    finish(try_plan(args))
}

/// Prints the resources that `DaemonSet`s would take on nodes; returns the exit code.
pub fn simulate(args: &SimulateArgs) -> Exit {
    finish(try_simulate(args))
}

fn try_explain(args: &ExplainArgs) -> Result<Exit, Error> {
    let objects = read(&args.input.files, &[Kind::DaemonSet, Kind::Node])?;
    let answer = unary::explain(requests::explain(&objects)?, &Work::unbounded())?;
    tell(&answer.problems);
    let text = everynode_render::render(&answer, args.input.output, |style| {
        explain::table(&answer, args.all, style)
    })?;
    everynode_render::print(&text)?;
    Ok(Exit::for_state(explain::is_as_desired(&answer)))
}

fn try_plan(args: &PlanArgs) -> Result<Exit, Error> {
    let objects = read(&args.input.files, &[Kind::DaemonSet, Kind::Node, Kind::Pod])?;
    for (kind, consequence) in [
        (Kind::Node, "every pod waits for a node that is gone"),
        (Kind::Pod, "every node lacks a pod"),
    ] {
        if objects.of(kind).is_empty() {
            note(&format!("there are no {kind}s in the input, so {consequence}"));
        }
    }
    let answer = unary::plan(requests::plan(&objects, args)?, &Work::unbounded())?;
    tell(&answer.problems);
    let text = everynode_render::render(&answer, args.input.output, |style| plan::table(&answer, style))?;
    everynode_render::print(&text)?;
    Ok(Exit::for_state(plan::is_as_desired(&answer)))
}

fn try_simulate(args: &SimulateArgs) -> Result<Exit, Error> {
    let objects = read(
        &args.input.files,
        &[Kind::DaemonSet, Kind::Node, Kind::RuntimeClass],
    )?;
    let (request, capacities) = requests::simulate(&objects, &args.unknown_labels)?;
    let answer = unary::simulate_nodes(request, &Work::unbounded())?;
    tell(&answer.problems);
    let text = everynode_render::render(&answer, args.input.output, |style| {
        simulate::table(&answer, &capacities, style)
    })?;
    everynode_render::print(&text)?;
    Ok(Exit::for_state(simulate::is_as_desired(&answer)))
}

/// Reads the files, and notes which of their objects it ignores.
fn read(files: &[String], kinds: &[Kind]) -> Result<Objects, Error> {
    let objects = Objects::read(files)?;
    if let Some(others) = objects.beside(kinds) {
        note(&format!("passed over, because they play no part here: {others}"));
    }
    Ok(objects)
}

fn tell(problems: &[Problem]) {
    for problem in problems {
        say(&values::problem(problem));
    }
}

fn note(text: &str) {
    say(&format!("note: {text}"));
}

/// Writes to standard error. Only the answer goes to standard output.
fn say(text: &str) {
    program::print_message(env!("CARGO_PKG_NAME"), text);
}

fn finish(answer: Result<Exit, Error>) -> Exit {
    answer.unwrap_or_else(|error| {
        let exit = error.exit();
        say(&ErrorChain(&error).to_string());
        exit
    })
}
