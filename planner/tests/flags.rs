//! Tests the flags by running the program itself.

#![expect(clippy::unwrap_used, reason = "what helps a test may fail it")]

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
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{flags:?}: {said}");
    said
}

#[test]
fn flags_that_cant_be_used_end_it_with_64_and_are_named() {
    for (flags, named) in [
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
        let said = refused(flags);
        assert!(said.contains(named), "{flags:?}: {said}");
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refused(&["--plaintext", "--listen", &address]);
    assert!(said.contains("--listen") && said.contains(&address), "{said}");
    let said = refused(&[
        "--plaintext",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        &address,
    ]);
    assert!(
        said.contains("--admin-listen") && said.contains(&address),
        "{said}"
    );
}

#[test]
fn how_connections_are_secured_has_to_be_chosen() {
    let neither = refused(&[]);
    let files = ["--tls-cert=a", "--tls-key=b", "--tls-ca=c"];
    let both = refused(&[&["--plaintext"][..], &files].concat());
    for said in [neither, both] {
        assert!(
            said.contains("--tls-cert") && said.contains("--plaintext"),
            "{said}"
        );
    }
    let said = refused(&["--plaintext", "--session-clients=a"]);
    assert!(
        said.contains("--session-clients") && said.contains("--tls-cert"),
        "{said}"
    );
    let said = refused(&files);
    assert!(said.contains("a: can't be read"), "{said}");
}

#[test]
fn help_and_version_are_no_errors() {
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
