//! The executor's entry point; everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(everynode_executor::run::main())
}
