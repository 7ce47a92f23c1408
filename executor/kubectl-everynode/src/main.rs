//! The kubectl plugin's entry point; everything else is in the library.

use everynode_serving::program::exit::Exit;

fn main() -> Exit {
    kubectl_everynode::main()
}
