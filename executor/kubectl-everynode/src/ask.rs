//! The commands that send one request and print the answer.

use everynode_proto::{
    executor::v1::{ExplainRequest, GetNodeOverheadRequest, ListDaemonSetsRequest, ListDaemonSetsResponse},
    planner::v1::Problem,
};
use everynode_render::{OutputFormat, TableStyle, live, values};
use everynode_serving::program::exit::Exit;

use super::{
    args::{Cluster, ExplainArgs, OverheadArgs, PROGRAM, StatusArgs, VersionArgs},
    connection::{Connection, Connector, request},
    error::Error,
    names::{DaemonSetName, Name, Pair},
    say,
};

/// Sends requests to the executor of a cluster.
#[derive(Debug)]
pub struct Asker {
    connector: Connector,
}

/// Selects the DaemonSets that a request is about. An empty field matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Namespace.
    pub namespace: String,
    /// DaemonSet name.
    pub name: String,
}

impl Asker {
    /// Creates an asker for the cluster that the flags select.
    pub fn new(cluster: Cluster) -> Self {
        Self {
            connector: Connector::new(cluster),
        }
    }

    /// The connector to the cluster's executors.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Runs `explain` and returns the exit code.
    ///
    /// # Errors
    /// The arguments are invalid, the request fails, or the answer can't be printed.
    pub async fn explain(&self, args: &ExplainArgs) -> Result<Exit, Error> {
        let Pair { daemon_set, node } = Pair::parse(&args.names)?;
        let daemon_set = match daemon_set {
            None => String::new(),
            Some(name) => {
                let namespace = self.namespace(name.namespace.as_deref()).await?;
                if namespace.is_empty() {
                    return Err(Error::Usage(
                        "-A: a DaemonSet that is explained is in one namespace".to_owned(),
                    ));
                }
                format!("{namespace}/{}", name.name)
            }
        };
        let question = ExplainRequest {
            daemon_set,
            node: node.unwrap_or_default(),
        };
        let mut connection = self.connector.any().await?;
        let answer = connection.client.explain(request(question)).await?.into_inner();
        tell(&answer.problems);
        print(&answer, args.output.output, |style| {
            live::explain(&answer, args.all, style)
        })?;
        Ok(Exit::for_state(live::is_explain_as_desired(&answer)))
    }

    /// Runs `status` and returns the exit code.
    ///
    /// # Errors
    /// The arguments are invalid, the request fails, or the answer can't be printed.
    pub async fn status(&self, args: &StatusArgs) -> Result<Exit, Error> {
        let filter = self.filter(args.daemon_set.as_deref()).await?;
        let answer = self.list(&filter).await?;
        if answer.daemon_sets.is_empty() && !filter.name.is_empty() {
            return Err(Error::NoDaemonSet(filter.to_string()));
        }
        for daemon_set in &answer.daemon_sets {
            tell(&daemon_set.problems);
        }
        let format = args.output.output;
        let is_for_people = matches!(format, OutputFormat::Table | OutputFormat::Wide);
        if answer.daemon_sets.is_empty() && is_for_people {
            say(&match filter.namespace.as_str() {
                "" => "there are no DaemonSets".to_owned(),
                namespace => format!("there are no DaemonSets in namespace {namespace}"),
            });
            return Ok(Exit::Success);
        }
        print(&answer, format, |style| live::daemon_sets(&answer, style))?;
        Ok(Exit::for_state(live::are_daemon_sets_as_desired(&answer)))
    }

    /// Lists DaemonSets. Only the leader knows the plans, so when another executor answers first, a second connection
    /// asks the leader. If the leader can't be reached, or isn't the executor at `--server`, the first answer is used,
    /// without what follows from plans.
    async fn list(&self, filter: &Filter) -> Result<ListDaemonSetsResponse, Error> {
        let ask = async |connection: &mut Connection| -> Result<ListDaemonSetsResponse, Error> {
            let Filter { namespace, name } = filter.clone();
            let question = request(ListDaemonSetsRequest { namespace, name });
            Ok(connection.client.list_daemon_sets(question).await?.into_inner())
        };
        let answer = ask(&mut self.connector.any().await?).await?;
        if answer.ask_leader.is_empty() {
            return Ok(answer);
        }
        let missing = if self.connector.cluster().server.is_some() {
            "it isn't the one that --server names".to_owned()
        } else {
            match self.connector.named(&answer.ask_leader).await {
                Ok(mut leader) => return ask(&mut leader).await,
                Err(error) => error.to_string(),
            }
        };
        let leader = &answer.ask_leader;
        say(&format!(
            "note: what follows from plans is missing, because only {leader} knows them: {missing}"
        ));
        Ok(answer)
    }

    /// Runs `overhead` and returns the exit code.
    ///
    /// # Errors
    /// The arguments are invalid, the request fails, or the answer can't be printed.
    pub async fn overhead(&self, args: &OverheadArgs) -> Result<Exit, Error> {
        let node = Name::node(&args.node)?;
        let mut connection = self.connector.any().await?;
        let question = request(GetNodeOverheadRequest { node });
        let answer = connection.client.get_node_overhead(question).await?.into_inner();
        tell(&answer.problems);
        print(&answer, args.output.output, |style| {
            live::overhead(&answer, style)
        })?;
        Ok(Exit::for_state(live::is_overhead_as_desired(&answer)))
    }

    /// Runs `version` and returns the exit code.
    ///
    /// # Errors
    /// The request fails, or the answer can't be printed.
    pub async fn version(&self, args: &VersionArgs) -> Result<Exit, Error> {
        let format = args.output.output;
        if args.client || matches!(format, OutputFormat::Table | OutputFormat::Wide) {
            everynode_render::print(&format!("{PROGRAM} {}\n", env!("CARGO_PKG_VERSION")))?;
        }
        if !args.client {
            let info = self.connector.any().await?.info;
            print(&info, format, |style| live::info(&info, style))?;
        }
        Ok(Exit::Success)
    }

    /// Returns the filter for a DaemonSet name. Without a name, it matches every DaemonSet of the namespace.
    ///
    /// # Errors
    /// The name is invalid, or kubectl can't tell the context's namespace.
    pub async fn filter(&self, daemon_set: Option<&str>) -> Result<Filter, Error> {
        let daemon_set = daemon_set.map(Name::daemon_set).transpose()?;
        let (namespace, name) = match daemon_set {
            None => (None, String::new()),
            Some(DaemonSetName { namespace, name }) => (namespace, name),
        };
        Ok(Filter {
            namespace: self.namespace(namespace.as_deref()).await?,
            name,
        })
    }

    /// Returns the namespace from the name, or else from the flags, or else from the context. It is empty with `-A`.
    async fn namespace(&self, named: Option<&str>) -> Result<String, Error> {
        let cluster = self.connector.cluster();
        match (named, cluster.namespace.as_deref()) {
            (Some(named), Some(flag)) if named != flag => Err(Error::Usage(format!(
                "--namespace {flag}: the name says namespace {named}"
            ))),
            (Some(namespace), _) | (None, Some(namespace)) => Ok(namespace.to_owned()),
            (None, None) if cluster.all_namespaces => Ok(String::new()),
            (None, None) => Ok(self.connector.kubectl().namespace().await?),
        }
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.namespace.as_str() {
            "" => formatter.write_str(&self.name),
            namespace => write!(formatter, "{namespace}/{}", self.name),
        }
    }
}

fn tell(problems: &[Problem]) {
    for problem in problems {
        say(&values::problem(problem));
    }
}

fn print(
    answer: &impl prost::Name,
    format: OutputFormat,
    table: impl FnOnce(TableStyle) -> String,
) -> Result<(), Error> {
    everynode_render::print(&everynode_render::render(answer, format, table)?)?;
    Ok(())
}
