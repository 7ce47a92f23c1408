//! The command `explain`. It may need several requests, whose responses it merges.

use everynode_proto::executor::v1::{ExplainRequest, ExplainResponse, ListDaemonSetsRequest, Placement};
use everynode_render::{explain, live};
use everynode_serving::program::exit::Exit;
use tonic::Code;

use super::{
    args::ExplainArgs,
    commands::{CommandRunner, print, print_no_daemon_sets, print_problems},
    connection::{Connection, call, with_timeout},
    error::Error,
    names::Pair,
    selection::{Filter, NodePatterns, Selection},
};

const NOTHING_SELECTED: &str = "explain needs a DaemonSet or a node (DAEMONSET|NODE), or a flag that selects some: -n, \
                                -A, -l, --daemon-set or --node";

impl CommandRunner {
    /// Runs `explain` and returns the exit code.
    ///
    /// # Errors
    /// The arguments are invalid, a request fails, or the answer can't be printed.
    pub(crate) async fn explain(&self, args: &ExplainArgs) -> Result<Exit, Error> {
        let Pair { daemon_set, node } = Pair::parse(&args.names)?;
        let nodes = NodePatterns::parse(node.iter().chain(&args.nodes))?;
        let is_named = daemon_set.is_some() || !args.filter.daemon_sets.is_empty();
        let cluster = self.connector().cluster();
        let has_flag =
            cluster.namespace.is_some() || cluster.all_namespaces || args.filter.selector.is_some();
        if !is_named && nodes.is_empty() && !has_flag {
            return Err(Error::Usage(NOTHING_SELECTED.to_owned()));
        }
        let selection = if is_named || nodes.is_empty() {
            Selection::of_command(self.connector(), daemon_set, &args.filter).await?
        } else {
            Selection::everywhere(self.connector(), &args.filter).await?
        };
        let format = args.result.format();
        let mut connection = self.connector().connect_any().await?;
        let requests = requests(&mut connection, &selection, &nodes).await?;
        if requests.is_empty() && format.is_for_people() {
            print_no_daemon_sets(&selection, &args.filter, &args.result);
            return Ok(Exit::Success);
        }
        let is_empty = requests.is_empty();
        // A DaemonSet that was listed may have been deleted since.
        let may_be_deleted = !is_named && nodes.names().is_none();
        let mut merged = Merged::default();
        for request in requests {
            let explain = async || connection.client.explain(with_timeout(request.clone())).await;
            match call(explain).await {
                Ok(response) => merged.add(response),
                Err(status) if may_be_deleted && status.code() == Code::NotFound => {}
                Err(status) => return Err(status.into()),
            }
        }
        let mut answer = if is_empty {
            ExplainResponse::default()
        } else {
            merged.finish(&nodes)?
        };
        print_problems(&answer.problems);
        let is_desired = live::is_explain_as_desired(&answer);
        let view = args.view.view();
        if !format.is_for_people() {
            answer.placements.retain(|placement| {
                let verdict = placement.verdict.as_ref();
                verdict.is_none_or(|verdict| view.prints(verdict.verdict()))
            });
        }
        print(
            &answer,
            &args.result,
            |style| live::explain(&answer, &view, style),
            || live::explain_csv(&answer, &view),
        )?;
        let is_detailed = args.result.detailed_exit_code;
        Ok(Exit::for_answer(is_desired, &answer.problems, is_detailed))
    }
}

/// Returns the requests that cover the selection. There are none if no DaemonSet is selected.
async fn requests(
    connection: &mut Connection,
    selection: &Selection,
    nodes: &NodePatterns,
) -> Result<Vec<ExplainRequest>, Error> {
    let names = nodes.names().unwrap_or_default();
    let daemon_sets = if selection.is_everything() && !names.is_empty() {
        // The executor knows every DaemonSet.
        vec![String::new()]
    } else {
        keys(connection, selection).await?
    };
    let request = |daemon_set: &str, node: &str| ExplainRequest {
        daemon_set: daemon_set.to_owned(),
        node: node.to_owned(),
    };
    let mut requests = Vec::new();
    for daemon_set in &daemon_sets {
        if names.is_empty() {
            requests.push(request(daemon_set, ""));
        }
        requests.extend(names.iter().map(|node| request(daemon_set, node)));
    }
    Ok(requests)
}

/// Returns the selected DaemonSets as namespace/name.
async fn keys(connection: &mut Connection, selection: &Selection) -> Result<Vec<String>, Error> {
    let mut keys = Vec::new();
    for filter in &selection.filters {
        if filter.name.is_empty() {
            keys.extend(list(connection, filter).await?);
        } else if filter.namespace.is_empty() {
            keys.push(unique(filter, list(connection, filter).await?)?);
        } else {
            keys.push(filter.to_string());
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| selection.has_labels(key));
    Ok(keys)
}

async fn list(connection: &mut Connection, filter: &Filter) -> Result<Vec<String>, Error> {
    let Filter { namespace, name } = filter.clone();
    let request = ListDaemonSetsRequest { namespace, name };
    let list = async || {
        connection
            .client
            .list_daemon_sets(with_timeout(request.clone()))
            .await
    };
    let answer = call(list).await?;
    let keys = answer
        .daemon_sets
        .iter()
        .map(|daemon_set| format!("{}/{}", daemon_set.namespace, daemon_set.name));
    Ok(keys.collect())
}

/// Returns the only DaemonSet of a name.
fn unique(filter: &Filter, mut keys: Vec<String>) -> Result<String, Error> {
    match (keys.pop(), keys.is_empty()) {
        (None, _) => Err(Error::NoDaemonSet(filter.to_string())),
        (Some(key), true) => Ok(key),
        (Some(key), false) => {
            keys.push(key);
            Err(Error::Ambiguous {
                name: filter.name.clone(),
                candidates: keys,
            })
        }
    }
}

/// The responses so far.
#[derive(Default)]
struct Merged {
    answer: ExplainResponse,
    responses: usize,
}

impl Merged {
    fn add(&mut self, response: ExplainResponse) {
        self.responses += 1;
        self.answer.placements.extend(response.placements);
        self.answer.summaries.extend(response.summaries);
        for problem in response.problems {
            if !self.answer.problems.contains(&problem) {
                self.answer.problems.push(problem);
            }
        }
    }

    /// Returns the pairs on the selected nodes, with their summary.
    fn finish(self, nodes: &NodePatterns) -> Result<ExplainResponse, Error> {
        let Self {
            mut answer,
            responses,
        } = self;
        let all = answer.placements.len();
        if nodes.names().is_none() {
            let verdicts = answer
                .placements
                .iter()
                .filter_map(|placement| placement.verdict.as_ref());
            let found: Vec<_> = verdicts.map(|verdict| verdict.node.as_str()).collect();
            nodes.check(&found)?;
            answer.placements.retain(|placement| {
                let verdict = placement.verdict.as_ref();
                verdict.is_none_or(|verdict| nodes.contain(&verdict.node))
            });
        }
        if responses > 1 || answer.placements.len() < all {
            // The sort is stable, so equal pairs stay in the order of the responses.
            answer
                .placements
                .sort_by(|a, b| pair_names(a).cmp(&pair_names(b)));
            let verdicts = answer
                .placements
                .iter()
                .filter_map(|placement| placement.verdict.as_ref());
            answer.summaries = explain::summarize(verdicts);
        }
        Ok(answer)
    }
}

/// Returns the names of the DaemonSet and the node.
fn pair_names(placement: &Placement) -> Option<(&str, &str)> {
    let verdict = placement.verdict.as_ref()?;
    Some((&verdict.daemon_set, &verdict.node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_must_be_unique_to_need_no_namespace() {
        let filter = Filter {
            namespace: String::new(),
            name: "agent".to_owned(),
        };
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(unique(&filter, keys(&["a/agent"])).unwrap(), "a/agent");
        assert_eq!(
            unique(&filter, keys(&[])).unwrap_err().to_string(),
            "there is no DaemonSet agent"
        );
        assert_eq!(
            unique(&filter, keys(&["a/agent", "b/agent"]))
                .unwrap_err()
                .to_string(),
            "several DaemonSets have the name agent; choose one of a/agent, b/agent"
        );
    }
}
