//! The command that simulates a rollout.

use std::collections::HashSet;

use everynode_proto::planner::v1::{Problem, SimulateRolloutRequest, SimulateRolloutResponse};
use everynode_render::rollout as render;
use everynode_serving::{program::exit::Exit, serve::Work};
use tonic::{Code, Status};

use super::{
    args::rollout::RolloutArgs, error::Error, exit, filter, finish, kind::Kind, listing::listed,
    objects::Object, print_answer, print_note, print_notes, print_problems, print_problems_of_versions, read,
    requests,
};
use crate::unary;

/// The most `DaemonSet`s that a note names.
const MAX_NAMED: usize = 5;

/// Prints how a rollout would go under a policy, and returns the exit code.
pub fn rollout(args: &RolloutArgs) -> Exit {
    finish(try_rollout(args))
}

fn try_rollout(args: &RolloutArgs) -> Result<Exit, Error> {
    let io = &args.io;
    let kinds = [
        Kind::DaemonSet,
        Kind::Node,
        Kind::Pod,
        Kind::Namespace,
        Kind::DaemonSetRolloutPolicy,
        Kind::ClusterDaemonSetRolloutPolicy,
    ];
    let mut objects = read(io, &kinds, false)?;
    filter::daemon_sets(&mut objects, &args.filter)?;
    filter::nodes(&mut objects, &args.filter)?;
    let mut problems = print_problems_of_versions(&objects, &kinds);
    let requests = requests::rollouts(&objects, args)?;
    let simulated = simulate_all(objects.of(Kind::DaemonSet), requests)?;
    if !simulated.without_policy.is_empty() {
        let names = listed(&simulated.without_policy, MAX_NAMED);
        print_note(io, &format!("no policy applies to {names}"));
    }
    print_notes(io, simulated.notes);
    print_problems(&objects, &simulated.problems);
    problems.extend(simulated.problems);
    let answers = simulated.answers;
    let is_desired = answers.iter().all(render::is_as_desired);
    print_answer(io, |format| {
        let table = |style| render::tables(&answers, style);
        everynode_render::render_all(&answers, format, table, || render::csv(&answers))
    })?;
    Ok(exit(is_desired, &problems, io))
}

/// The simulations of several `DaemonSet`s. Notes and problems occur once.
#[derive(Debug, Default)]
struct Simulated {
    answers: Vec<SimulateRolloutResponse>,
    notes: Vec<String>,
    problems: Vec<Problem>,
    /// The `DaemonSet`s to which no policy applies.
    without_policy: Vec<String>,
}

/// Simulates the rollout of each `DaemonSet`. If there are several, those to which no policy applies are left out.
///
/// # Errors
/// A policy applies to none of them, or the planner refuses an object.
fn simulate_all(
    daemon_sets: &[Object],
    requests: impl Iterator<Item = SimulateRolloutRequest>,
) -> Result<Simulated, Error> {
    let mut simulated = Simulated::default();
    let (mut known_notes, mut reported) = (HashSet::new(), HashSet::new());
    let mut refusal: Option<Status> = None;
    for (daemon_set, request) in daemon_sets.iter().zip(requests) {
        match unary::simulate_rollout(request, &Work::unbounded()) {
            Ok(answer) => {
                let notes = answer.notes.iter().cloned();
                simulated
                    .notes
                    .extend(notes.filter(|note| known_notes.insert(note.clone())));
                let problems = answer.problems.iter().cloned();
                let new = problems.filter(|problem| reported.insert(problem.clone()));
                simulated.problems.extend(new);
                simulated.answers.push(answer);
            }
            Err(status) if status.code() == Code::FailedPrecondition => {
                simulated.without_policy.push(daemon_set.key());
                refusal.get_or_insert(status);
            }
            Err(status) => return Err(status.into()),
        }
    }
    match refusal {
        Some(status) if simulated.answers.is_empty() => Err(status.into()),
        _ => Ok(simulated),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::offline::{documents, objects::Objects};

    fn objects(values: &Value) -> Objects {
        let mut objects = Objects::default();
        let contents = documents::parse("file", values.to_string().as_bytes()).unwrap();
        objects.add_all(contents).unwrap();
        objects
    }

    fn args(flags: &[&str]) -> RolloutArgs {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            args: RolloutArgs,
        }

        let flags = ["rollout", "-f", "-"].iter().chain(flags);
        let command: Command = clap::Parser::parse_from(flags);
        command.args
    }

    fn daemon_set(name: &str) -> Value {
        json!({
            "kind": "DaemonSet",
            "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}}}},
        })
    }

    fn policy() -> Value {
        json!({
            "kind": "DaemonSetRolloutPolicy",
            "metadata": {"name": "policy"},
            "spec": {"targetRefs": [{"name": "a"}]},
        })
    }

    fn simulate(values: &Value) -> Result<Simulated, Error> {
        let objects = objects(values);
        let requests = requests::rollouts(&objects, &args(&[]))?;
        simulate_all(objects.of(Kind::DaemonSet), requests)
    }

    #[test]
    fn daemon_sets_without_a_policy_are_left_out() {
        let node = json!({"kind": "Node", "metadata": {"name": "n"}});
        let simulated = simulate(&json!([daemon_set("a"), daemon_set("b"), policy(), node])).unwrap();
        assert_eq!(simulated.without_policy, ["default/b"]);
        let names: Vec<_> = simulated
            .answers
            .iter()
            .map(|answer| answer.daemon_set.as_str())
            .collect();
        assert_eq!(names, ["default/a"]);
    }

    #[test]
    fn flags_become_assumptions_and_patterns_become_the_names_of_nodes() {
        let node = |name: &str| json!({"kind": "Node", "metadata": {"name": name}});
        let objects = objects(&json!([
            daemon_set("a"),
            policy(),
            node("pool-a-1"),
            node("pool-a-2"),
            node("b")
        ]));
        let args = args(&[
            "--ready-after",
            "1m",
            "--failing-node",
            "pool-a-*",
            "--failing-node",
            "x",
        ]);
        let request = requests::rollouts(&objects, &args).unwrap().next().unwrap();
        let assumptions = request.assumptions.unwrap();
        assert_eq!(assumptions.ready_after.map(|time| time.seconds), Some(60));
        assert_eq!(assumptions.terminated_after.map(|time| time.seconds), Some(10));
        assert_eq!(assumptions.promoted_after, None);
        assert_eq!(assumptions.failing_nodes, ["pool-a-1", "pool-a-2", "x"]);
    }

    #[test]
    fn input_without_a_policy_that_applies_is_refused() {
        let node = json!({"kind": "Node", "metadata": {"name": "n"}});
        let error = simulate(&json!([daemon_set("b"), policy(), node])).unwrap_err();
        assert_eq!(error.exit(), Exit::Data);
        let error = simulate(&json!([daemon_set("a"), node])).unwrap_err();
        assert!(error.to_string().contains("DaemonSetRolloutPolicy"), "{error}");
    }
}
