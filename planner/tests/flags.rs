//! Tests the flags by running the program itself.

#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

use std::{net::TcpListener, process::Command};

/// Runs the planner with flags that it must refuse, and returns its standard error.
#[track_caller]
fn refused(flags: &[&str]) -> String {
    let mut planner = Command::new(env!("CARGO_BIN_EXE_everynode-planner"));
    for variable in [
        "EVERYNODE_LISTEN",
        "EVERYNODE_ADMIN_LISTEN",
        "EVERYNODE_MAX_CONCURRENT_CALLS",
        "EVERYNODE_MAX_SESSIONS",
        "EVERYNODE_MAX_SESSION_MEMORY",
        "EVERYNODE_CALL_DEADLINE",
        "EVERYNODE_TLS_CERT",
        "EVERYNODE_TLS_KEY",
        "EVERYNODE_TLS_CA",
        "EVERYNODE_PLAINTEXT",
        "EVERYNODE_SESSION_CLIENTS",
        "EVERYNODE_CALL_CLIENTS",
        "EVERYNODE_LOG_FORMAT",
        "RUST_LOG",
    ] {
        planner.env_remove(variable);
    }
    let output = planner.args(flags).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{flags:?}: {stderr}");
    stderr
}

#[test]
fn invalid_flags_are_named_and_exit_with_64() {
    for (flags, expected) in [
        (&["--no-such-flag"][..], "--no-such-flag"),
        (&["--listen", "everywhere"], "--listen"),
        (&["--listen", "127.0.0.1"], "--listen"),
        (&["--admin-listen", "127.0.0.1:port"], "--admin-listen"),
        (&["--max-concurrent-calls", "0"], "--max-concurrent-calls"),
        (&["--max-concurrent-calls", "-1"], "--max-concurrent-calls"),
        (&["--max-sessions", "0"], "--max-sessions"),
        (&["--max-sessions", "1000000"], "--max-sessions"),
        (&["--call-deadline", "0s"], "--call-deadline"),
        (&["--call-deadline", "-5"], "--call-deadline"),
        (&["--call-deadline", "-5s"], "--call-deadline"),
        (&["--call-deadline", "a while"], "--call-deadline"),
        (&["--log-format", "xml"], "--log-format"),
        (&["--log", "everynode_planner=loud"], "--log"),
        (&["surplus"], "surplus"),
    ] {
        let stderr = refused(flags);
        assert!(stderr.contains(expected), "{flags:?}: {stderr}");
    }
}

#[test]
fn port_in_use_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let stderr = refused(&["--plaintext", "--listen", &address]);
    assert!(
        stderr.contains("--listen") && stderr.contains(&address),
        "{stderr}"
    );
    let stderr = refused(&[
        "--plaintext",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        &address,
    ]);
    assert!(
        stderr.contains("--admin-listen") && stderr.contains(&address),
        "{stderr}"
    );
}

#[test]
fn tls_or_plain_text_must_be_chosen() {
    let neither = refused(&[]);
    let files = ["--tls-cert=a", "--tls-key=b", "--tls-ca=c"];
    let both = refused(&[&["--plaintext"][..], &files].concat());
    for stderr in [neither, both] {
        assert!(
            stderr.contains("--tls-cert") && stderr.contains("--plaintext"),
            "{stderr}"
        );
    }
    let stderr = refused(&["--plaintext", "--session-clients=a"]);
    assert!(
        stderr.contains("--session-clients") && stderr.contains("--tls-cert"),
        "{stderr}"
    );
    let stderr = refused(&files);
    assert!(stderr.contains("a: can't be read"), "{stderr}");
}

#[test]
fn help_and_version_exit_with_0() {
    for flag in ["--help", "--version"] {
        let output = Command::new(env!("CARGO_BIN_EXE_everynode-planner"))
            .arg(flag)
            .output()
            .unwrap();
        assert!(output.status.success(), "{flag}");
        assert!(
            String::from_utf8(output.stdout)
                .unwrap()
                .contains("everynode-planner"),
            "{flag}"
        );
    }
}
