//! The planner's binary. All code is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(everynode_planner::run::main())
}
