//! Tests of output that needs no executor.

use tokio::net::TcpListener;

use crate::program::run;

#[tokio::test]
async fn invalid_flags_and_names_are_reported_and_exit_with_64() {
    for (args, expected) in [
        (&[][..], "Usage: kubectl everynode"),
        (&["explain"], "DAEMONSET|NODE"),
        (&["explain", "a/b/c/d"], "a/b/c/d"),
        (&["explain", "--verdict", "stay"], "--verdict"),
        (&["explain", "node/a", "--node", "ds/b"], "ds/b"),
        (&["explain", "ds/a", "--all", "--summary"], "--summary"),
        (&["overhead"], "NODE"),
        (&["overhead", "a", "--sort", "age"], "--sort"),
        (&["status", "--daemon-set", ""], "--daemon-set"),
        (&["status", "-n", "a", "--daemon-set", "b/x"], "--namespace a"),
        (&["status", "node/a"], "node/a"),
        (&["overhead", "ds/a"], "ds/a"),
        (&["status", "-A", "-n", "a"], "--namespace"),
        (&["status", "-n", ""], "--namespace"),
        (&["status", "b/x", "-n", "a"], "--namespace a"),
        (
            &["status", "x", "-n", "a", "--server", "nowhere"],
            "--server nowhere",
        ),
        (&["status", "-o", "xml"], "--output"),
        (&["rollout"], "Usage: kubectl everynode rollout"),
        (&["rollout", "status"], "DAEMONSET"),
        (&["rollout", "status", "x", "--timeout", "5m"], "--watch"),
        (&["rollout", "status", "x", "-w", "-o", "json"], "--output"),
        (&["rollout", "history", "x", "-o", "csv"], "--output"),
        (&["rollout", "promote", "x", "--full", "--stage", "a"], "--stage"),
        (&["rollout", "update", "x"], "--node"),
        (&["rollout", "undo", "x", "--to-revision", "0"], "--to-revision"),
        (&["rollout", "pause", "node/x"], "node/x"),
        (&["rollout", "pause", "x", "-A"], "-n instead of -A"),
        (&["unheard"], "unheard"),
    ] {
        let run = run(args).await;
        assert!(run.err.contains(expected), "{args:?}: {run:?}");
        assert_eq!((run.out.as_str(), run.code), ("", 64), "{args:?}");
    }
}

#[tokio::test]
async fn address_without_a_listener_exits_with_69() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let run = run(&["status", "-A", "--server", &address]).await;
    let message = format!("kubectl everynode: no executor can be reached at --server {address}: ");
    assert!(run.err.starts_with(&message), "{run:?}");
    assert!(run.err.contains("refused"), "{run:?}");
    assert_eq!((run.out.as_str(), run.code), ("", 69));
}

#[tokio::test]
async fn server_that_closes_every_connection_exits_with_69() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        // Close every connection immediately.
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
async fn every_command_has_help_and_the_plugins_version_needs_no_executor() {
    for command in ["explain", "status", "watch", "overhead"] {
        let run = run(&[command, "--help"]).await;
        assert!(run.out.contains("kubectl everynode"), "{run:?}");
        assert!(run.out.contains("Exit codes:"), "{run:?}");
        assert_eq!(run.code, 0);
    }
    for verb in [
        "status", "pause", "resume", "promote", "abort", "retry", "update", "undo", "history",
    ] {
        let run = run(&["rollout", verb, "--help"]).await;
        let example = format!("\n  kubectl everynode rollout {verb} ds/agent");
        assert!(run.out.contains(&example), "{run:?}");
        assert!(run.out.contains("Exit codes:"), "{run:?}");
        assert_eq!(run.code, 0);
    }
    let help = run(&["--help"]).await;
    for code in ["0", "1", "2", "3", "64", "65", "66", "69", "70", "75", "130"] {
        assert!(help.out.contains(&format!("\n  {code:5}")), "{code}: {help:?}");
    }
    let version = format!("kubectl-everynode {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["version", "--client"]).await.out, version);
}

#[tokio::test]
async fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let run = run(&["completions", shell]).await;
        assert!(run.out.contains("kubectl-everynode"), "{shell}");
        assert!(run.out.contains("everynode-namespace"), "{shell}");
        assert_eq!((run.err.as_str(), run.code), ("", 0));
    }
    let script = run(&["completions", "kubectl"]).await.out;
    assert_eq!(script, "#!/bin/sh\nexec kubectl-everynode complete -- \"$@\"\n");
}
