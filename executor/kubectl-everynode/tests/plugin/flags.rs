//! Tests of what the plugin prints without an executor.

use tokio::net::TcpListener;

use crate::program::run;

#[tokio::test]
async fn flags_and_names_that_cant_be_used_end_it_with_64_and_are_named() {
    for (args, named) in [
        (&[][..], "Usage: kubectl everynode"),
        (&["explain"], "DAEMONSET|NODE"),
        (&["explain", "a/b/c/d"], "a/b/c/d"),
        (&["explain", "ds/a", "-A"], "-A"),
        (&["status", "node/a"], "node/a"),
        (&["overhead", "ds/a"], "ds/a"),
        (&["status", "-A", "-n", "a"], "--namespace"),
        (&["status", "b/x", "-n", "a"], "--namespace a"),
        (
            &["status", "x", "-n", "a", "--server", "nowhere"],
            "--server nowhere",
        ),
        (&["status", "-o", "xml"], "--output"),
        (&["unheard"], "unheard"),
    ] {
        let run = run(args).await;
        assert!(run.err.contains(named), "{args:?}: {run:?}");
        assert_eq!((run.out.as_str(), run.code), ("", 64), "{args:?}");
    }
}

#[tokio::test]
async fn an_address_that_nobody_listens_at_ends_it_with_69() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let run = run(&["status", "-A", "--server", &address]).await;
    let words = format!("kubectl everynode: no executor can be reached at --server {address}: ");
    assert!(run.err.starts_with(&words), "{run:?}");
    assert!(run.err.contains("refused"), "{run:?}");
    assert_eq!((run.out.as_str(), run.code), ("", 69));
}

#[tokio::test]
async fn a_server_that_is_no_executor_is_found_out() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        // Close every connection at once.
        while let Ok((connection, _)) = server.accept().await {
            drop(connection);
        }
    });
    let run = run(&["status", "-A", "--server", &address]).await;
    assert!(
        run.err.contains("no executor can be reached at --server"),
        "{run:?}"
    );
    assert_eq!(run.code, 69);
}

#[tokio::test]
async fn every_command_has_help_and_the_versions_of_this_program_need_no_executor() {
    for command in ["explain", "status", "watch", "overhead"] {
        let run = run(&[command, "--help"]).await;
        assert!(run.out.contains("kubectl everynode"), "{run:?}");
        assert!(run.out.contains("Exit codes:"), "{run:?}");
        assert_eq!(run.code, 0);
    }
    let help = run(&["--help"]).await;
    assert!(help.out.contains("69   no executor can be reached"), "{help:?}");
    let version = format!("kubectl-everynode {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["version", "--client"]).await.out, version);
}

#[tokio::test]
async fn shells_get_their_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let run = run(&["completions", shell]).await;
        assert!(run.out.contains("kubectl-everynode"), "{shell}");
        assert!(run.out.contains("everynode-namespace"), "{shell}");
        assert_eq!((run.err.as_str(), run.code), ("", 0));
    }
    let script = run(&["completions", "kubectl"]).await.out;
    assert_eq!(script, "#!/bin/sh\nexec kubectl-everynode complete -- \"$@\"\n");
}
