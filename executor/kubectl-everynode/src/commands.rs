//! The commands that send one request and print the response.

use everynode_proto::{
    executor::v1::{ExplainRequest, GetNodeOverheadRequest, ListDaemonSetsRequest, ListDaemonSetsResponse},
    planner::v1::Problem,
};
use everynode_render::{ErrorChain, OutputFormat, TableStyle, live, values};
use everynode_serving::program::exit::Exit;

use super::{
    args::{ClusterArgs, ExplainArgs, OverheadArgs, PROGRAM, StatusArgs, VersionArgs},
    connection::{Connection, Connector, with_timeout},
    error::Error,
    names::{DaemonSetName, Name, Pair},
    print_message,
};

/// Runs commands against the executors of a cluster.
#[derive(Debug)]
pub(crate) struct CommandRunner {
    connector: Connector,
}

/// Selects the DaemonSets that a request is about. An empty field matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) namespace: String,
    pub(crate) name: String,
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

    /// Runs `explain` and returns the exit code.
    ///
    /// # Errors
    /// The arguments are invalid, the request fails, or the answer can't be printed.
    pub(crate) async fn explain(&self, args: &ExplainArgs) -> Result<Exit, Error> {
        let Pair { daemon_set, node } = Pair::parse(&args.names)?;
        let daemon_set = match daemon_set {
            None => String::new(),
            Some(name) => {
                let namespace = self.namespace(name.namespace.as_deref()).await?;
                if namespace.is_empty() {
                    return Err(Error::Usage(
                        "-A: explain needs the namespace of the DaemonSet, as NAMESPACE/NAME".to_owned(),
                    ));
                }
                format!("{namespace}/{}", name.name)
            }
        };
        let request = with_timeout(ExplainRequest {
            daemon_set,
            node: node.unwrap_or_default(),
        });
        let mut connection = self.connector.connect_any().await?;
        let answer = connection.client.explain(request).await?.into_inner();
        print_problems(&answer.problems);
        print(&answer, args.output.output, |style| {
            live::explain(&answer, args.all, style)
        })?;
        Ok(Exit::for_state(live::is_explain_as_desired(&answer)))
    }

    /// Runs `status` and returns the exit code.
    ///
    /// # Errors
    /// The arguments are invalid, the request fails, or the answer can't be printed.
    pub(crate) async fn status(&self, args: &StatusArgs) -> Result<Exit, Error> {
        let filter = self.filter(args.daemon_set.as_deref()).await?;
        let answer = self.list(&filter).await?;
        if answer.daemon_sets.is_empty() && !filter.name.is_empty() {
            return Err(Error::NoDaemonSet(filter.to_string()));
        }
        for daemon_set in &answer.daemon_sets {
            print_problems(&daemon_set.problems);
        }
        let format = args.output.output;
        let is_for_people = matches!(format, OutputFormat::Table | OutputFormat::Wide);
        if answer.daemon_sets.is_empty() && is_for_people {
            print_message(&match filter.namespace.as_str() {
                "" => "there are no DaemonSets".to_owned(),
                namespace => format!("there are no DaemonSets in namespace {namespace}"),
            });
            return Ok(Exit::Success);
        }
        print(&answer, format, |style| live::daemon_sets(&answer, style))?;
        Ok(Exit::for_state(live::are_daemon_sets_as_desired(&answer)))
    }

    /// Lists DaemonSets. Only the leader knows the plans, so when another executor answers first, a second connection
    /// asks the leader. If the leader can't be reached, or isn't the executor at `--server`, the first answer is
    /// used; it lacks the waits and problems that follow from plans.
    async fn list(&self, filter: &Filter) -> Result<ListDaemonSetsResponse, Error> {
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
        let leader = &answer.ask_leader;
        print_message(&format!(
            "note: waits and problems that follow from plans are missing; only the leader {leader} knows them: {reason}"
        ));
        Ok(answer)
    }

    /// Runs `overhead` and returns the exit code.
    ///
    /// # Errors
    /// The arguments are invalid, the request fails, or the answer can't be printed.
    pub(crate) async fn overhead(&self, args: &OverheadArgs) -> Result<Exit, Error> {
        let node = Name::node(&args.node)?;
        let mut connection = self.connector.connect_any().await?;
        let request = with_timeout(GetNodeOverheadRequest { node });
        let answer = connection.client.get_node_overhead(request).await?.into_inner();
        print_problems(&answer.problems);
        print(&answer, args.output.output, |style| {
            live::overhead(&answer, style)
        })?;
        Ok(Exit::for_state(live::is_overhead_as_desired(&answer)))
    }

    /// Runs `version` and returns the exit code.
    ///
    /// # Errors
    /// The request fails, or the answer can't be printed.
    pub(crate) async fn version(&self, args: &VersionArgs) -> Result<Exit, Error> {
        let format = args.output.output;
        if args.client || matches!(format, OutputFormat::Table | OutputFormat::Wide) {
            everynode_render::print(&format!("{PROGRAM} {}\n", env!("CARGO_PKG_VERSION")))?;
        }
        if !args.client {
            let info = self.connector.connect_any().await?.info;
            print(&info, format, |style| live::info(&info, style))?;
        }
        Ok(Exit::Success)
    }

    /// Returns the filter for a DaemonSet name. Without a name, it matches every DaemonSet of the namespace.
    ///
    /// # Errors
    /// The name is invalid, or kubectl can't read the context's namespace.
    pub(crate) async fn filter(&self, daemon_set: Option<&str>) -> Result<Filter, Error> {
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

    /// Returns the namespace from the name, or else from the flags, or else from the context. With `-A`, it is empty
    /// unless the name has a namespace.
    async fn namespace(&self, from_name: Option<&str>) -> Result<String, Error> {
        let cluster = self.connector.cluster();
        match (from_name, cluster.namespace.as_deref()) {
            (Some(namespace), Some(flag)) if namespace != flag => Err(Error::Usage(format!(
                "--namespace {flag} contradicts the namespace {namespace} in the name"
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

fn print_problems(problems: &[Problem]) {
    for problem in problems {
        print_message(&values::problem(problem));
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
