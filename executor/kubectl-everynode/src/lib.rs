//! The kubectl plugin: `kubectl everynode` asks a cluster's executor about its DaemonSets.
//!
//! The plugin itself has no access to the cluster. kubectl, which knows the user's configuration and login, forwards a
//! port to an executor's pod, and the plugin sends its requests through that port.
//!
//! - `args`: the flags; `names`: the meaning of `ds/agent` and `node/worker-1`; `selection`: the DaemonSets and nodes
//!   that arguments and flags select.
//! - `kubectl`: kubectl as a child process; `forward`: its port-forward.
//! - `connection`: the connection to an executor, and to the leader; `security`: TLS and tokens.
//! - `commands`, `explain`: the commands that print a response; `watch`: the command that prints events.
//! - `rollout`: the commands that show and control rollouts. They read and change objects with kubectl.
//! - `complete`: completion of the command line.
//! - `error`: the errors, and their exit codes.

#![expect(
    clippy::doc_markdown,
    reason = "help and messages write DaemonSet without backticks"
)]

mod args;
mod commands;
mod complete;
mod connection;
mod error;
mod explain;
mod forward;
mod kubectl;
mod names;
mod rollout;
mod security;
mod selection;
mod watch;

use clap::CommandFactory;
use clap_complete::Shell;
use everynode_render::ErrorChain;
use everynode_serving::program::{self, exit::Exit};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    args::{Cli, Command, CompletionTarget},
    commands::CommandRunner,
    error::Error,
};

/// Runs the program, and returns its exit code.
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
    // Dropping the runtime ends everything that was started, including the port-forward.
    finish(runtime.block_on(async {
        tokio::select! {
            exit = run(cli) => exit,
            exit = stop_signal() => exit,
        }
    }))
}

async fn run(cli: Cli) -> Result<Exit, Error> {
    let runner = CommandRunner::new(cli.cluster);
    match cli.command {
        Command::Explain(args) => runner.explain(&args).await,
        Command::Status(args) => runner.status(&args).await,
        Command::Watch(args) => watch::watch(&runner, &args).await,
        Command::Overhead(args) => runner.overhead(&args).await,
        Command::Rollout(args) => runner.rollout(&args).await,
        Command::Version(args) => runner.version(&args).await,
        Command::Completions { shell } => print_completions(shell),
        Command::Complete { words } => {
            everynode_render::print(&complete::complete(&words).await)?;
            Ok(Exit::Success)
        }
    }
}

fn print_completions(target: CompletionTarget) -> Result<Exit, Error> {
    let shell = match target {
        CompletionTarget::Kubectl => None,
        CompletionTarget::Bash => Some(Shell::Bash),
        CompletionTarget::Zsh => Some(Shell::Zsh),
        CompletionTarget::Fish => Some(Shell::Fish),
    };
    let script = shell.map(|shell| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), args::PROGRAM, &mut script);
        String::from_utf8_lossy(&script).into_owned()
    });
    everynode_render::print(script.as_deref().unwrap_or(complete::SCRIPT))?;
    Ok(Exit::Success)
}

/// Waits for Ctrl-C or SIGTERM, and returns the exit code for it.
async fn stop_signal() -> Result<Exit, Error> {
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

fn finish(result: Result<Exit, Error>) -> Exit {
    result.unwrap_or_else(|error| {
        print_message(&ErrorChain(&error).to_string());
        error.exit()
    })
}

/// Prints a message on standard error. Only answers go to standard output.
fn print_message(text: &str) {
    program::print_message("kubectl everynode", text);
}
