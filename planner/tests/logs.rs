//! What becomes of a program whose log can't be written.

#![expect(clippy::unwrap_used, reason = "what helps a test may fail it")]

use std::{
    io::{Read as _, Write as _},
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

/// Once it answers so it also listens for signals.
fn is_ready(admin: SocketAddr) -> Option<()> {
    let mut stream = TcpStream::connect(admin).ok()?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.lines().next()?.contains(" 200 ").then_some(())
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
    let (address, admin) = (free_address(), free_address());
    let script = format!("exec \"$0\" \"$@\" {redirection}");
    let mut program = Command::new("sh");
    program
        .args(["-c", &script, env!("CARGO_BIN_EXE_everynode-planner")])
        .args([
            format!("--listen={address}").as_str(),
            &format!("--admin-listen={admin}"),
            "--log=debug",
            format,
        ])
        .env_clear()
        .env("EVERYNODE_PLAINTEXT", "true");
    let mut planner = Running(program.spawn().unwrap());
    until("it serves", || is_ready(admin));
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
