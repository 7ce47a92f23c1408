//! The offline commands. They give the same answers as the unary calls, from objects in files and without a server.
//!
//! Data flows one way: files → [`documents`] → `objects` (sorted by kind) → `requests` → [`crate::unary`], which
//! also answers the service's calls → everynode-render, which prints.
//!
//! - [`args`]: the flags.
//! - `kind`, `place`: the kinds that the commands read, and the locations of objects in the input.
//! - [`error`]: why a command fails, and the exit codes.

pub mod args;
pub mod documents;
pub mod error;
pub(crate) mod kind;
pub(crate) mod objects;
pub(crate) mod place;
pub(crate) mod requests;

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
    let objects = read(&args.io.files, &[Kind::DaemonSet, Kind::Node])?;
    let answer = unary::explain(requests::explain(&objects)?, &Work::unbounded())?;
    print_problems(&answer.problems);
    let text = everynode_render::render(&answer, args.io.output, |style| {
        explain::table(&answer, args.all, style)
    })?;
    everynode_render::print(&text)?;
    Ok(Exit::for_state(explain::is_as_desired(&answer)))
}

fn try_plan(args: &PlanArgs) -> Result<Exit, Error> {
    let objects = read(&args.io.files, &[Kind::DaemonSet, Kind::Node, Kind::Pod])?;
    for (kind, consequence) in [
        (Kind::Node, "the node of every pod counts as deleted"),
        (Kind::Pod, "every node lacks a pod"),
    ] {
        if objects.of(kind).is_empty() {
            print_note(&format!("there are no {kind}s in the input, so {consequence}"));
        }
    }
    let answer = unary::plan(requests::plan(&objects, args)?, &Work::unbounded())?;
    print_problems(&answer.problems);
    let text = everynode_render::render(&answer, args.io.output, |style| plan::table(&answer, style))?;
    everynode_render::print(&text)?;
    Ok(Exit::for_state(plan::is_as_desired(&answer)))
}

fn try_simulate(args: &SimulateArgs) -> Result<Exit, Error> {
    let objects = read(&args.io.files, &[Kind::DaemonSet, Kind::Node, Kind::RuntimeClass])?;
    let (request, capacities) = requests::simulate(&objects, &args.unknown_labels)?;
    let answer = unary::simulate_nodes(request, &Work::unbounded())?;
    print_problems(&answer.problems);
    let text = everynode_render::render(&answer, args.io.output, |style| {
        simulate::table(&answer, &capacities, style)
    })?;
    everynode_render::print(&text)?;
    Ok(Exit::for_state(simulate::is_as_desired(&answer)))
}

/// Reads the files, and prints a note about objects that the command doesn't use.
fn read(files: &[String], kinds: &[Kind]) -> Result<Objects, Error> {
    let objects = Objects::read(files)?;
    if let Some(others) = objects.count_others(kinds) {
        print_note(&format!("ignored objects: {others}"));
    }
    Ok(objects)
}

fn print_problems(problems: &[Problem]) {
    for problem in problems {
        print_message(&values::problem(problem));
    }
}

fn print_note(text: &str) {
    print_message(&format!("note: {text}"));
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
