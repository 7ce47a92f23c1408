//! Tests of the executor's messages and exit codes for unusable flags. Every run ends before it connects to
//! anything.

#![expect(clippy::unwrap_used, reason = "what helps a test may fail it")]

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Command, Output},
};

const EX_USAGE: i32 = 64;

fn run(flags: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_everynode-executor"));
    // The run must not find anything of the machine that the test runs on.
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
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(EX_USAGE), "{flags:?}: {words}");
    assert!(output.stdout.is_empty(), "{flags:?}");
    words
}

#[test]
fn an_unknown_flag_is_named() {
    let words = refused(&[
        "--plaintext",
        "--planner",
        "http://p:1",
        "--plannner-timeout",
        "3",
    ]);
    assert!(words.contains("--plannner-timeout"), "{words}");
}

#[test]
fn the_planner_has_to_be_given() {
    let words = refused(&[]);
    assert!(words.contains("--planner <URL>"), "{words}");
}

#[test]
fn a_planner_that_is_no_url_is_named() {
    for planner in [
        "",
        "planner:50051",
        "planner",
        "ftp://planner",
        "http://",
        "http://a b",
    ] {
        let words = refused(&["--plaintext", "--planner", planner]);
        assert!(words.contains("--planner"), "{planner:?}: {words}");
    }
}

#[test]
fn a_kubeconfig_that_is_not_there_is_named() {
    let words = refused(&[
        "--plaintext",
        "--planner",
        "http://p:1",
        "--kubeconfig",
        "/nonexistent/config",
    ]);
    assert!(words.contains("--kubeconfig /nonexistent/config"), "{words}");
}

#[test]
fn a_kubeconfig_that_is_none_is_named() {
    let path: PathBuf = [env!("CARGO_TARGET_TMPDIR"), "no-kubeconfig"].iter().collect();
    fs::write(&path, "clusters: 7\n").unwrap();
    let path = path.to_str().unwrap();
    let words = refused(&["--plaintext", "--planner", "http://p:1", "--kubeconfig", path]);
    assert!(words.contains(&format!("--kubeconfig {path}")), "{words}");
}

#[test]
fn a_context_that_is_not_there_is_named() {
    let words = refused(&["--plaintext", "--planner", "http://p:1", "--context", "nowhere"]);
    assert!(words.contains("--context"), "{words}");
    let path: PathBuf = [env!("CARGO_TARGET_TMPDIR"), "empty-kubeconfig"].iter().collect();
    fs::write(
        &path,
        "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\n",
    )
    .unwrap();
    let path = path.to_str().unwrap();
    let words = refused(&[
        "--plaintext",
        "--planner",
        "http://p:1",
        "--kubeconfig",
        path,
        "--context",
        "nowhere",
    ]);
    assert!(words.contains("nowhere"), "{words}");
}

#[test]
fn without_any_cluster_the_ways_to_name_one_are_said() {
    let words = refused(&["--plaintext", "--planner", "http://p:1"]);
    assert!(
        words.contains("--kubeconfig") && words.contains("KUBECONFIG"),
        "{words}"
    );
}

#[test]
fn values_that_can_not_be_read_are_named_with_their_flag() {
    let flags = [
        ["--listen", "localhost"],
        ["--admin-listen", "nowhere"],
        ["--log-format", "xml"],
        ["--log", "everynode=loudest"],
        ["--local-listen", "0.0.0.0:50053"],
    ];
    for [flag, value] in flags {
        let words = refused(&["--plaintext", "--planner", "http://p:1", flag, value]);
        assert!(words.contains(flag) && words.contains(value), "{words}");
    }
}

#[test]
fn a_port_that_is_taken_is_named_before_anything_starts() {
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
        let words = refused(&[
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
            words.contains(&format!("can't listen on {flag} {taken}")),
            "{words}"
        );
        assert!(!words.contains("executor starts"), "{words}");
    }
}

#[test]
fn how_connections_are_secured_has_to_be_chosen() {
    let planner = ["--planner", "https://p:1"];
    let files = ["--tls-cert=a", "--tls-key=b", "--tls-ca=c"];
    let neither = refused(&planner);
    let both = refused(&[&planner[..], &["--plaintext"], &files].concat());
    for words in [neither, both] {
        assert!(
            words.contains("--tls-cert") && words.contains("--plaintext"),
            "{words}"
        );
    }
    let words = refused(&[&planner[..], &files].concat());
    assert!(words.contains("a: can't be read"), "{words}");
    let words = refused(&[&planner[..], &["--plaintext"]].concat());
    assert!(
        words.contains("--planner") && words.contains("http://"),
        "{words}"
    );
    let words = refused(&[&planner[..], &["--plaintext", "--callers=tokens"]].concat());
    assert!(words.contains("--callers"), "{words}");
}

#[test]
fn help_and_version_are_no_failures() {
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(
        String::from_utf8(help.stdout)
            .unwrap()
            .contains("--planner <URL>")
    );
    let version = run(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    let wanted = format!("everynode-executor {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(version.stdout).unwrap(), wanted);
}
