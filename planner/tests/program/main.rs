//! Tests of the planner as a program that serves.

#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

mod admin;
mod logs;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

const DEADLINE: Duration = Duration::from_secs(30);

/// A planner that serves. Dropping it kills the program.
struct Running {
    child: Child,
    grpc: SocketAddr,
    admin: SocketAddr,
}

impl Running {
    /// Starts the program from a shell, after `setup` and with `redirection`, and waits until it serves. Once it
    /// answers, it also handles signals.
    fn start(setup: &str, redirection: &str, flags: &[&str]) -> Self {
        let (grpc, admin) = (free_address(), free_address());
        let script = format!("{setup}\nexec \"$0\" \"$@\" {redirection}");
        let child = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_everynode-planner")])
            .args([format!("--listen={grpc}"), format!("--admin-listen={admin}")])
            .args(flags)
            .env_clear()
            .env("EVERYNODE_PLAINTEXT", "true")
            .stderr(if redirection.is_empty() {
                Stdio::piped()
            } else {
                Stdio::inherit()
            })
            .spawn()
            .unwrap();
        let running = Self { child, grpc, admin };
        wait_until("the program serves", || {
            get(admin, "/readyz").filter(|status| status.contains(" 200 "))
        });
        running
    }

    /// Sends SIGTERM and returns the exit code.
    fn stop(&mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        wait_until("the program exits", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The program may already have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Gets a page and returns the first line of the answer, if there is one.
fn get(admin: SocketAddr, page: &str) -> Option<String> {
    let mut stream = TcpStream::connect(admin).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    let request = format!("GET {page} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.lines().next()?.to_owned())
}

fn wait_until<T>(description: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(result) = check() {
            return result;
        }
        assert!(
            start.elapsed() < DEADLINE,
            "timed out waiting until {description}"
        );
        thread::sleep(Duration::from_millis(10));
    }
}
