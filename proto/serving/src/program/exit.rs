//! Exit codes. A command exits with 0 or 1 if it has an answer. Otherwise, it exits with a code from sysexits (64 to
//! 78), or with the code of a signal.

use std::process::{ExitCode, Termination};

/// How a program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: the program did its work. A command reports the desired state: every pair runs, there is nothing to do, or
    /// everything fits.
    Success,
    /// 1: a command reports a state other than the desired one.
    Findings,
    /// 1: a service failed while it ran.
    Failure,
    /// 64: the flags can't be used (`EX_USAGE`).
    Usage,
    /// 65: the input can't be read, or can't be used (`EX_DATAERR`).
    Data,
    /// 66: a file or an object doesn't exist (`EX_NOINPUT`).
    NoInput,
    /// 69: the service can't be reached (`EX_UNAVAILABLE`).
    Unavailable,
    /// 70: the program itself is at fault (`EX_SOFTWARE`).
    Software,
    /// 128 plus the number of the signal that ended the program, as shells report it.
    Signal(u8),
}

impl Exit {
    /// The exit of a command that reports a state.
    pub fn for_state(is_desired: bool) -> Self {
        if is_desired { Self::Success } else { Self::Findings }
    }

    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Findings | Self::Failure => 1,
            Self::Usage => 64,
            Self::Data => 65,
            Self::NoInput => 66,
            Self::Unavailable => 69,
            Self::Software => 70,
            Self::Signal(number) => 128_u8.saturating_add(number),
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.code().into()
    }
}
