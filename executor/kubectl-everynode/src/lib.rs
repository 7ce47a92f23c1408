//! The kubectl plugin: `kubectl everynode` asks a cluster's executor about its DaemonSets.
//!
//! The plugin needs no access to the cluster of its own. kubectl, which knows the user's configuration and login,
//! forwards a port to an executor's pod, and the questions go through that port.
//!
//! - [`args`]: the flags; [`names`]: the meaning of `ds/agent` and `node/worker-1`.
//! - [`kubectl`]: kubectl as a child process; [`forward`]: its port-forward.
//! - [`connection`]: the connection to an executor, and to the leader.
//! - [`ask`]: one question, one answer; [`watch`]: events as they happen.
//! - [`complete`]: completion of the command line.
//! - [`error`]: why there is no answer, and the exit codes for each reason.

#![expect(clippy::doc_markdown, reason = "DaemonSets are the users' word here")]

pub mod args;
pub mod ask;
pub mod complete;
pub mod connection;
pub mod error;
pub mod forward;
pub mod kubectl;
pub mod names;
pub mod secure;
pub mod watch;

use clap::CommandFactory;
use clap_complete::Shell;
use everynode_render::ErrorChain;
use everynode_serving::program::{self, exit::Exit};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    args::{Cli, Command, Completer},
    ask::Asker,
    error::Error,
};

/// Runs the program, and returns how it ends.
pub fn main() -> Exit {
    let cli: Cli = match program::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    if let Command::Completions { shell } = cli.command {
        return finish(print_completions(shell));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return finish(Err(error.into())),
    };
    // However this ends, dropping the runtime drops everything that was begun, including the port-forward.
    finish(runtime.block_on(async {
        tokio::select! {
            exit = run(cli) => exit,
            exit = interrupted() => exit,
        }
    }))
}

async fn run(cli: Cli) -> Result<Exit, Error> {
    let asker = Asker::new(cli.cluster);
    match cli.command {
        Command::Explain(args) => asker.explain(&args).await,
        Command::Status(args) => asker.status(&args).await,
        Command::Watch(args) => watch::watch(&asker, &args).await,
        Command::Overhead(args) => asker.overhead(&args).await,
        Command::Version(args) => asker.version(&args).await,
        Command::Completions { shell } => print_completions(shell),
        Command::Complete { words } => {
            everynode_render::print(&complete::complete(&words).await)?;
            Ok(Exit::Success)
        }
    }
}

fn print_completions(completer: Completer) -> Result<Exit, Error> {
    let shell = match completer {
        Completer::Kubectl => None,
        Completer::Bash => Some(Shell::Bash),
        Completer::Zsh => Some(Shell::Zsh),
        Completer::Fish => Some(Shell::Fish),
    };
    let script = shell.map(|shell| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), args::PROGRAM, &mut script);
        String::from_utf8_lossy(&script).into_owned()
    });
    everynode_render::print(script.as_deref().unwrap_or(complete::SCRIPT))?;
    Ok(Exit::Success)
}

async fn interrupted() -> Result<Exit, Error> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let signal = tokio::select! {
        _ = interrupt.recv() => SignalKind::interrupt(),
        _ = terminate.recv() => SignalKind::terminate(),
    };
    Ok(Exit::Signal(
        u8::try_from(signal.as_raw_value()).unwrap_or_default(),
    ))
}

fn finish(answer: Result<Exit, Error>) -> Exit {
    answer.unwrap_or_else(|error| {
        let exit = error.exit();
        say(&ErrorChain(&error).to_string());
        exit
    })
}

/// Prints an answer. Only answers go to standard output.
fn say(text: &str) {
    program::print_message("kubectl everynode", text);
}
