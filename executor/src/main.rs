//! The executor's entry point; everything else is in the library.

use everynode_serving::program::exit::Exit;

fn main() -> Exit {
    everynode_executor::program::run::main()
}
