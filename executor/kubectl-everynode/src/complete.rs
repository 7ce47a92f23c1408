//! Completes the command line, for kubectl's own completion.
//!
//! For completion, kubectl runs an executable `kubectl_complete-everynode` on the PATH. It passes the words after
//! `everynode`; the last one may be incomplete. The executable prints a line for each word that may follow, and then
//! a line that tells the shell what to do with those words.

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use everynode_render::text::printable;

use super::{
    args::{Cli, ClusterArgs},
    kubectl::Kubectl,
};

/// The executable, which passes kubectl's arguments on to the hidden command of this module.
pub(crate) const SCRIPT: &str = "#!/bin/sh\nexec kubectl-everynode complete -- \"$@\"\n";

/// Tells the shell to offer these words and no files (cobra's `ShellCompDirectiveNoFileComp`).
const NO_FILES: &str = ":4\n";

/// Returns completions of the last word, in kubectl's format. Names that can't be listed are left out.
pub(crate) async fn complete(words: &[String]) -> String {
    let (last, before) = words
        .split_last()
        .map_or(("", [].as_slice()), |(last, before)| (last.as_str(), before));
    let line = CommandLine::parse(before);
    let commands = line.commands();
    let mut completions = if last.starts_with('-') {
        line.flags()
    } else if commands.is_empty() {
        names(&line.cluster, &line.path, last).await
    } else {
        commands
    };
    // A name that isn't printable can't be completed: its escaped form would be the name of another object.
    completions.retain(|word| word.starts_with(last) && printable(word) == *word);
    completions.sort();
    completions
        .into_iter()
        .map(|word| word + "\n")
        .collect::<String>()
        + NO_FILES
}

/// The command line before the word that is completed.
struct CommandLine {
    cluster: ClusterArgs,
    /// The command and its subcommand. Empty when the line has no command yet.
    path: Vec<String>,
}

impl CommandLine {
    /// Parses as much as it can, because the line isn't finished.
    fn parse(words: &[String]) -> Self {
        let line = ["kubectl-everynode"]
            .into_iter()
            .chain(words.iter().map(String::as_str));
        let parsed = Cli::command().ignore_errors(true).try_get_matches_from(line);
        let matches = parsed.unwrap_or_else(|_| ArgMatches::default());
        let mut path = Vec::new();
        let mut matches = &matches;
        while let Some((command, flags)) = matches.subcommand() {
            path.push(command.to_owned());
            matches = flags;
        }
        Self {
            cluster: ClusterArgs::from_arg_matches(matches).unwrap_or_default(),
            path,
        }
    }

    /// Returns the command of the line, or else the program.
    fn command<'c>(&self, root: &'c clap::Command) -> &'c clap::Command {
        self.path.iter().fold(root, |command, name| {
            command.find_subcommand(name).unwrap_or(command)
        })
    }

    /// Returns the long flags that are allowed here.
    fn flags(&self) -> Vec<String> {
        let mut root = Cli::command();
        // This copies the global flags to the commands.
        root.build();
        let flags = self
            .command(&root)
            .get_arguments()
            .filter_map(clap::Arg::get_long);
        flags.map(|flag| format!("--{flag}")).collect()
    }

    /// Returns the commands that may follow.
    fn commands(&self) -> Vec<String> {
        let root = Cli::command();
        let commands = self.command(&root).get_subcommands();
        let commands = commands.filter(|command| !command.is_hide_set());
        commands.map(|command| command.get_name().to_owned()).collect()
    }
}

/// Returns the names of objects that the command accepts. They come from kubectl, without a port-forward.
async fn names(cluster: &ClusterArgs, path: &[String], last: &str) -> Vec<String> {
    let kubectl = Kubectl::new(cluster);
    let (daemon_sets, nodes) = match path.first().map_or("", String::as_str) {
        "explain" => (true, true),
        "status" | "watch" | "rollout" => (true, false),
        "overhead" => (false, true),
        _ => (false, false),
    };
    let mut names = Vec::new();
    if daemon_sets && !last.starts_with("node/") {
        names.extend(
            kubectl
                .names("daemonsets", "ds/", cluster.namespace.as_deref())
                .await,
        );
    }
    if nodes && !last.starts_with("ds/") {
        names.extend(kubectl.names("nodes", "node/", None).await);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn completed(words: &[&str]) -> String {
        complete(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).await
    }

    #[tokio::test]
    async fn first_word_is_completed_to_a_command() {
        let all = "completions\nexplain\noverhead\nrollout\nstatus\nversion\nwatch\n:4\n";
        assert_eq!(completed(&[""]).await, all);
        assert_eq!(completed(&[]).await, all);
        assert_eq!(completed(&["-n", "a", "st"]).await, "status\n:4\n");
        assert_eq!(completed(&["rollout", "p"]).await, "pause\npromote\n:4\n");
    }

    #[tokio::test]
    async fn flags_of_the_command_are_completed() {
        assert_eq!(
            completed(&["explain", "--al"]).await,
            "--all\n--all-namespaces\n:4\n"
        );
        assert_eq!(completed(&["rollout", "promote", "--f"]).await, "--full\n:4\n");
        assert_eq!(completed(&["version", "--cl"]).await, "--client\n:4\n");
        assert_eq!(completed(&["--serv"]).await, "--server\n:4\n");
        assert_eq!(completed(&["version", "x"]).await, ":4\n");
    }

    #[test]
    fn unfinished_line_selects_the_cluster() {
        let words = ["explain", "ds/a", "--context", "c", "-n", "b"].map(str::to_owned);
        let line = CommandLine::parse(&words);
        assert_eq!(line.path, ["explain"]);
        assert_eq!(line.cluster.context.as_deref(), Some("c"));
        assert_eq!(line.cluster.namespace.as_deref(), Some("b"));
    }
}
