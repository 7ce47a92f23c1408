//! The planner's binary. All code is in the library.

use everynode_serving::program::exit::Exit;

fn main() -> Exit {
    everynode_planner::run::main()
}
