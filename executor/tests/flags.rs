//! Tests of the executor's messages and exit codes for unusable flags. Every run ends before it connects to
//! anything.

#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Command, Output},
};

const EX_USAGE: i32 = 64;

fn run(flags: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_everynode-executor"));
    // The environment is empty, so that the program finds no configuration of this machine.
    program
        .env_clear()
        .env("HOME", "/nonexistent")
        .args(flags)
        .output()
        .unwrap()
}

/// Checks that the exit code is that of unusable flags, and returns what the program printed to stderr.
fn refused(flags: &[&str]) -> String {
    let output = run(flags);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(EX_USAGE), "{flags:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{flags:?}");
    stderr
}

#[test]
fn unknown_flag_is_named() {
    let stderr = refused(&[
        "--plaintext",
        "--planner",
        "http://p:1",
        "--plannner-timeout",
        "3",
    ]);
    assert!(stderr.contains("--plannner-timeout"), "{stderr}");
}

#[test]
fn planner_is_required() {
    let stderr = refused(&[]);
    assert!(stderr.contains("--planner <URL>"), "{stderr}");
}

#[test]
fn invalid_planner_url_is_named() {
    for planner in [
        "",
        "planner:50051",
        "planner",
        "ftp://planner",
        "http://",
        "http://a b",
    ] {
        let stderr = refused(&["--plaintext", "--planner", planner]);
        assert!(stderr.contains("--planner"), "{planner:?}: {stderr}");
    }
}

#[test]
fn missing_kubeconfig_is_named() {
    let stderr = refused(&[
        "--plaintext",
        "--planner",
        "http://p:1",
        "--kubeconfig",
        "/nonexistent/config",
    ]);
    assert!(stderr.contains("--kubeconfig /nonexistent/config"), "{stderr}");
}

#[test]
fn invalid_kubeconfig_is_named() {
    let path: PathBuf = [env!("CARGO_TARGET_TMPDIR"), "no-kubeconfig"].iter().collect();
    fs::write(&path, "clusters: 7\n").unwrap();
    let path = path.to_str().unwrap();
    let stderr = refused(&["--plaintext", "--planner", "http://p:1", "--kubeconfig", path]);
    assert!(stderr.contains(&format!("--kubeconfig {path}")), "{stderr}");
}

#[test]
fn missing_context_is_named() {
    let stderr = refused(&["--plaintext", "--planner", "http://p:1", "--context", "nowhere"]);
    assert!(stderr.contains("--context"), "{stderr}");
    let path: PathBuf = [env!("CARGO_TARGET_TMPDIR"), "empty-kubeconfig"].iter().collect();
    fs::write(
        &path,
        "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\n",
    )
    .unwrap();
    let path = path.to_str().unwrap();
    let stderr = refused(&[
        "--plaintext",
        "--planner",
        "http://p:1",
        "--kubeconfig",
        path,
        "--context",
        "nowhere",
    ]);
    assert!(stderr.contains("nowhere"), "{stderr}");
}

#[test]
fn missing_cluster_is_reported_with_the_ways_to_set_one() {
    let stderr = refused(&["--plaintext", "--planner", "http://p:1"]);
    assert!(
        stderr.contains("--kubeconfig") && stderr.contains("KUBECONFIG"),
        "{stderr}"
    );
}

#[test]
fn invalid_values_are_named_with_their_flag() {
    let flags = [
        ["--listen", "localhost"],
        ["--admin-listen", "nowhere"],
        ["--log-format", "xml"],
        ["--log", "everynode=loudest"],
        ["--local-listen", "0.0.0.0:50053"],
    ];
    for [flag, value] in flags {
        let stderr = refused(&["--plaintext", "--planner", "http://p:1", flag, value]);
        assert!(stderr.contains(flag) && stderr.contains(value), "{stderr}");
    }
}

#[test]
fn port_in_use_is_named_before_anything_starts() {
    let path: PathBuf = [env!("CARGO_TARGET_TMPDIR"), "unreachable-kubeconfig"]
        .iter()
        .collect();
    let cluster = "clusters: [{name: c, cluster: {server: \"http://127.0.0.1:1\"}}]";
    let context = "contexts: [{name: c, context: {cluster: c, user: u}}]\ncurrent-context: c";
    fs::write(
        &path,
        format!("apiVersion: v1\nkind: Config\n{cluster}\nusers: [{{name: u, user: {{}}}}]\n{context}\n"),
    )
    .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let free = "127.0.0.1:0";
    for (listen, admin_listen, flag) in [(&*taken, free, "--listen"), (free, &*taken, "--admin-listen")] {
        let stderr = refused(&[
            "--plaintext",
            "--planner",
            "http://p:1",
            "--kubeconfig",
            path.to_str().unwrap(),
            "--listen",
            listen,
            "--admin-listen",
            admin_listen,
        ]);
        assert!(
            stderr.contains(&format!("can't listen on {flag} {taken}")),
            "{stderr}"
        );
        assert!(!stderr.contains("executor starting"), "{stderr}");
    }
}

#[test]
fn tls_or_plain_text_must_be_chosen() {
    let planner = ["--planner", "https://p:1"];
    let files = ["--tls-cert=a", "--tls-key=b", "--tls-ca=c"];
    let neither = refused(&planner);
    let both = refused(&[&planner[..], &["--plaintext"], &files].concat());
    for stderr in [neither, both] {
        assert!(
            stderr.contains("--tls-cert") && stderr.contains("--plaintext"),
            "{stderr}"
        );
    }
    let stderr = refused(&[&planner[..], &files].concat());
    assert!(stderr.contains("a: can't be read"), "{stderr}");
    let stderr = refused(&[&planner[..], &["--plaintext"]].concat());
    assert!(
        stderr.contains("--planner") && stderr.contains("http://"),
        "{stderr}"
    );
    let stderr = refused(&[&planner[..], &["--plaintext", "--callers=tokens"]].concat());
    assert!(stderr.contains("--callers"), "{stderr}");
}

#[test]
fn help_and_version_exit_with_0() {
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(
        String::from_utf8(help.stdout)
            .unwrap()
            .contains("--planner <URL>")
    );
    let version = run(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    let expected = format!("everynode-executor {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(version.stdout).unwrap(), expected);
}
