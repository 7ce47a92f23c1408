//! What becomes of a program whose log can't be written.

#![expect(clippy::unwrap_used, reason = "what helps a test may fail it")]

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

const DEADLINE: Duration = Duration::from_secs(30);

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Serves with standard error as the shell says, and is told to stop.
fn serves_without_log(redirection: &str, format: &str) {
    let address = free_address();
    let script = format!("exec \"$0\" \"$@\" {redirection}");
    let mut program = Command::new("sh");
    program
        .args(["-c", &script, env!("CARGO_BIN_EXE_everynode-planner")])
        .args([
            format!("--listen={address}").as_str(),
            "--admin-listen=127.0.0.1:0",
            "--log=debug",
            format,
        ])
        .env_clear()
        .env("EVERYNODE_PLAINTEXT", "true");
    let mut planner = Running(program.spawn().unwrap());
    until("it serves", || TcpStream::connect(address).ok());
    let pid = Pid::from_child(&planner.0);
    kill_process(pid, Signal::TERM).unwrap();
    let status = until("it ends", || planner.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{redirection}: {status}");
}

#[test]
fn a_log_that_cant_be_written_stops_nothing() {
    for redirection in ["2>/dev/full", "2>&-"] {
        for format in ["--log-format=text", "--log-format=json"] {
            serves_without_log(redirection, format);
        }
    }
}
