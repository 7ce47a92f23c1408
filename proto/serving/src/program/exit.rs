//! Exit codes. A command exits with 0 or 1 if it has an answer, or with 0 to 3 if its codes are detailed. Otherwise, it
//! exits with a code from sysexits (64 to 78), or with the code of a signal.

use std::process::{ExitCode, Termination};

use everynode_proto::planner::v1::{Problem, ProblemCode};

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
    /// 2: the answer is complete, but an object has a problem.
    Problems,
    /// 3: an object can't be read, so the answer lacks it.
    Incomplete,
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
    /// 75: the answer isn't known yet; the same command may succeed later (`EX_TEMPFAIL`).
    TryLater,
    /// 128 plus the number of the signal that ended the program, as shells report it.
    Signal(u8),
}

impl Exit {
    /// The exit of a command that reports a state.
    pub fn for_state(is_desired: bool) -> Self {
        if is_desired { Self::Success } else { Self::Findings }
    }

    /// The exit of a command whose answer has problems, if there are any. If `is_detailed`, problems have codes of their
    /// own: `Incomplete` if an object can't be read, or else `Problems`. Otherwise, a problem is a finding.
    pub fn for_answer<'p>(
        is_desired: bool,
        problems: impl IntoIterator<Item = &'p Problem>,
        is_detailed: bool,
    ) -> Self {
        let mut has_problem = false;
        let mut is_incomplete = false;
        for problem in problems {
            has_problem = true;
            is_incomplete |= problem.code() == ProblemCode::Malformed;
        }
        match is_detailed {
            true if is_incomplete => Self::Incomplete,
            true if has_problem => Self::Problems,
            _ => Self::for_state(is_desired && !has_problem),
        }
    }

    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Findings | Self::Failure => 1,
            Self::Problems => 2,
            Self::Incomplete => 3,
            Self::Usage => 64,
            Self::Data => 65,
            Self::NoInput => 66,
            Self::Unavailable => 69,
            Self::Software => 70,
            Self::TryLater => 75,
            Self::Signal(number) => 128_u8.saturating_add(number),
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_findings_unless_the_codes_are_detailed() {
        let problem = |code: ProblemCode| Problem {
            code: code.into(),
            ..Problem::default()
        };
        let (skipped, malformed_term) = (
            problem(ProblemCode::Malformed),
            problem(ProblemCode::MalformedTerm),
        );
        for (is_desired, problems, code, detailed_code) in [
            (true, vec![], 0, 0),
            (false, vec![], 1, 1),
            (true, vec![&malformed_term], 1, 2),
            (false, vec![&malformed_term], 1, 2),
            (true, vec![&skipped], 1, 3),
            (false, vec![&malformed_term, &skipped], 1, 3),
        ] {
            let exit = |is_detailed| Exit::for_answer(is_desired, problems.clone(), is_detailed).code();
            assert_eq!((exit(false), exit(true)), (code, detailed_code), "{problems:?}");
        }
    }
}
