//! A command that keeps running while other commands run.

use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How long the next message may take to arrive.
const DEADLINE: Duration = Duration::from_secs(30);

/// A running watch. Dropping it ends the command.
#[derive(Debug)]
pub(super) struct Watch {
    stdout: ChildStdout,
    /// Output that `next` hasn't returned yet.
    printed: Vec<u8>,
    _child: Child,
}

impl Watch {
    pub(super) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        Self {
            stdout: child.stdout.take().unwrap(),
            printed: Vec::new(),
            _child: child,
        }
    }

    /// Waits for this many further JSON messages and returns them as they were printed.
    pub(super) async fn next(&mut self, messages: usize) -> String {
        loop {
            if let Some(end) = end_of(&self.printed, messages) {
                return String::from_utf8(self.printed.drain(..end).collect()).unwrap();
            }
            let read = timeout(DEADLINE, self.stdout.read_buf(&mut self.printed)).await;
            let so_far = String::from_utf8_lossy(&self.printed);
            let read = read.unwrap_or_else(|_| panic!("expected {messages} messages, received: {so_far}"));
            assert_ne!(read.unwrap(), 0, "the watch ended after: {so_far}");
        }
    }
}

/// The position at which this many messages end; `None` until all of them have arrived.
fn end_of(printed: &[u8], messages: usize) -> Option<usize> {
    let mut stream = serde_json::Deserializer::from_slice(printed).into_iter::<Value>();
    let mut end = 0;
    for _ in 0..messages {
        stream.next()?.ok()?;
        end = stream.byte_offset();
    }
    Some(end)
}
