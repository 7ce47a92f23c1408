//! The kubectl plugin's program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(everynode_executor::plugin::main())
}
