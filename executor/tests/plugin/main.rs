//! The kubectl plugin, on the program itself: against an executor over TCP that answers as the test says, and against a kubectl
//! that is a script.

#![expect(clippy::unwrap_used, reason = "what helps a test may fail it")]

mod answers;
mod fake;
mod flags;
mod forward;
mod hostile;
mod program;
mod watch;
