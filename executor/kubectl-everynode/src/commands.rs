//! The commands that print a response. `explain` has a module of its own.

use std::collections::BTreeSet;

use everynode_proto::{
    executor::v1::{GetNodeOverheadRequest, ListDaemonSetsRequest, ListDaemonSetsResponse},
    planner::v1::Problem,
};
use everynode_render::{ErrorChain, TableStyle, live, values};
use everynode_serving::program::{answer::ResultArgs, exit::Exit};
use tonic::Code;

use super::{
    args::{ClusterArgs, DaemonSetFilterArgs, OverheadArgs, PROGRAM, StatusArgs, VersionArgs},
    connection::{Connection, Connector, call, with_timeout},
    error::Error,
    names::Name,
    print_message,
    selection::{Filter, NodePatterns, Selection},
};

/// Runs commands against the executors of a cluster.
#[derive(Debug)]
pub(crate) struct CommandRunner {
    connector: Connector,
}

impl CommandRunner {
    pub(crate) fn new(cluster: ClusterArgs) -> Self {
        Self {
            connector: Connector::new(cluster),
        }
    }

    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Runs `status` and returns the exit code.
    ///
    /// # Errors
    /// The arguments are invalid, the request fails, or the answer can't be printed.
    pub(crate) async fn status(&self, args: &StatusArgs) -> Result<Exit, Error> {
        let argument = args.daemon_set.as_deref().map(Name::daemon_set).transpose()?;
        let selection = Selection::of_command(self.connector(), argument, &args.filter).await?;
        let mut answer = self.list(&selection.request(), args.result.quiet).await?;
        let key = |daemon_set: &everynode_proto::executor::v1::DaemonSet| {
            format!("{}/{}", daemon_set.namespace, daemon_set.name)
        };
        let found: BTreeSet<_> = answer.daemon_sets.iter().map(key).collect();
        if let Some(missing) = selection
            .named()
            .find(|filter| !found.iter().any(|key| filter.matches(key)))
        {
            return Err(Error::NoDaemonSet(missing.to_string()));
        }
        answer
            .daemon_sets
            .retain(|daemon_set| selection.contains(&key(daemon_set)));
        let problems: Vec<_> = answer
            .daemon_sets
            .iter()
            .flat_map(|daemon_set| daemon_set.problems.clone())
            .collect();
        print_problems(&problems);
        if answer.daemon_sets.is_empty() && args.result.format().is_for_people() {
            print_no_daemon_sets(&selection, &args.filter, &args.result);
            return Ok(Exit::Success);
        }
        print(
            &answer,
            &args.result,
            |style| live::daemon_sets(&answer, style),
            || live::daemon_sets_csv(&answer),
        )?;
        let is_desired = live::are_daemon_sets_as_desired(&answer);
        Ok(Exit::for_answer(
            is_desired,
            &problems,
            args.result.detailed_exit_code,
        ))
    }

    /// Lists DaemonSets. Only the leader knows the plans, so when another executor answers first, a second connection
    /// asks the leader. If the leader can't be reached, or isn't the executor at `--server`, the first answer is
    /// used; it lacks the waits and problems that follow from plans.
    async fn list(&self, filter: &Filter, is_quiet: bool) -> Result<ListDaemonSetsResponse, Error> {
        let list = async |connection: &mut Connection| -> Result<ListDaemonSetsResponse, Error> {
            let Filter { namespace, name } = filter.clone();
            let request = with_timeout(ListDaemonSetsRequest { namespace, name });
            Ok(connection.client.list_daemon_sets(request).await?.into_inner())
        };
        let answer = list(&mut self.connector.connect_any().await?).await?;
        if answer.ask_leader.is_empty() {
            return Ok(answer);
        }
        let reason = if self.connector.cluster().server.is_some() {
            "--server is the address of another executor".to_owned()
        } else {
            match self.connector.connect_named(&answer.ask_leader).await {
                Ok(mut leader) => return list(&mut leader).await,
                Err(error) => ErrorChain(&error).to_string(),
            }
        };
        if !is_quiet {
            let leader = &answer.ask_leader;
            print_message(&format!(
                "note: waits and problems that follow from plans are missing; only the leader {leader} knows them: \
                 {reason}"
            ));
        }
        Ok(answer)
    }

    /// Runs `overhead` and returns the exit code.
    ///
    /// # Errors
    /// The arguments are invalid, the request fails, or the answer can't be printed.
    pub(crate) async fn overhead(&self, args: &OverheadArgs) -> Result<Exit, Error> {
        let patterns = NodePatterns::parse(args.names.iter().chain(&args.nodes))?;
        let names = self.node_names(&patterns).await?;
        let mut connection = self.connector.connect_any().await?;
        let mut answers = Vec::new();
        let mut problems = Vec::new();
        // A node that kubectl listed may have been deleted since.
        let may_be_deleted = patterns.names().is_none();
        for node in names {
            let request = GetNodeOverheadRequest { node };
            let overhead = async || {
                connection
                    .client
                    .get_node_overhead(with_timeout(request.clone()))
                    .await
            };
            let answer = match call(overhead).await {
                Ok(answer) => answer,
                Err(status) if may_be_deleted && status.code() == Code::NotFound => continue,
                Err(status) => return Err(status.into()),
            };
            for problem in &answer.problems {
                // The problems of DaemonSets are the same for each node.
                if !problems.contains(problem) {
                    problems.push(problem.clone());
                }
            }
            answers.push(answer);
        }
        print_problems(&problems);
        print_all(
            &answers,
            &args.result,
            |style| live::overheads(&answers, args.sort.order, style),
            || live::overheads_csv(&answers, args.sort.order),
        )?;
        let is_desired = answers.iter().all(live::is_overhead_as_desired);
        Ok(Exit::for_answer(
            is_desired,
            &problems,
            args.result.detailed_exit_code,
        ))
    }

    /// Returns the names of the nodes that the patterns select. Only patterns with wildcards need kubectl.
    async fn node_names(&self, patterns: &NodePatterns) -> Result<Vec<String>, Error> {
        if patterns.is_empty() {
            return Err(Error::Usage(
                "overhead needs a node (NODE), or nodes that --node selects".to_owned(),
            ));
        }
        if let Some(names) = patterns.names() {
            return Ok(names.into_iter().map(str::to_owned).collect());
        }
        patterns.select(self.connector.kubectl()).await
    }

    /// Runs `version` and returns the exit code.
    ///
    /// # Errors
    /// The request fails, or the answer can't be printed.
    pub(crate) async fn version(&self, args: &VersionArgs) -> Result<Exit, Error> {
        let format = args.output.output;
        if args.client || format.is_for_people() {
            everynode_render::print(&format!("{PROGRAM} {}\n", env!("CARGO_PKG_VERSION")))?;
        }
        if !args.client {
            let info = self.connector.connect_any().await?.info;
            let table = |style| live::info(&info, style);
            let text = everynode_render::render(&info, format, table, || live::info_csv(&info))?;
            everynode_render::print(&text)?;
        }
        Ok(Exit::Success)
    }
}

/// Says that no DaemonSet is selected, unless the command is quiet.
pub(crate) fn print_no_daemon_sets(selection: &Selection, filter: &DaemonSetFilterArgs, result: &ResultArgs) {
    if result.quiet {
        return;
    }
    let place = match selection.request().namespace.as_str() {
        "" => String::new(),
        namespace => format!(" in namespace {namespace}"),
    };
    let labels = filter.selector.as_ref();
    let labels = labels.map_or_else(String::new, |selector| {
        format!(" that match --selector {selector}")
    });
    print_message(&format!("there are no DaemonSets{place}{labels}"));
}

pub(crate) fn print_problems(problems: &[Problem]) {
    for problem in problems {
        print_message(&values::problem(problem));
    }
}

/// Prints the answer, unless the command is quiet.
pub(crate) fn print(
    answer: &impl prost::Name,
    result: &ResultArgs,
    table: impl FnOnce(TableStyle) -> String,
    csv: impl FnOnce() -> String,
) -> Result<(), Error> {
    print_all(std::slice::from_ref(answer), result, table, csv)
}

fn print_all<A: prost::Name>(
    answers: &[A],
    result: &ResultArgs,
    table: impl FnOnce(TableStyle) -> String,
    csv: impl FnOnce() -> String,
) -> Result<(), Error> {
    if !result.quiet {
        let format = result.format();
        everynode_render::print(&everynode_render::render_all(answers, format, table, csv)?)?;
    }
    Ok(())
}
