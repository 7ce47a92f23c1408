//! Tests of the kubectl plugin's binary, against a fake executor over TCP and a script in place of kubectl.

#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

mod answers;
mod fake;
mod filters;
mod flags;
mod forward;
mod hostile;
mod program;
mod rollout;
mod watch;
