//! Fuzz target: the files that the offline commands read.

use everynode_planner::offline::documents;
use everynode_tests::manifests::{manifests, mutate};
use fastrand::Rng;

use crate::driver::fuzz;
use crate::mutate::mutated;

/// The longest input, in bytes.
const MAX_BYTES: usize = 32 * 1024;

#[test]
fn no_file_panics_or_hangs_the_reader_or_takes_much_memory() {
    let seeds: Vec<_> = manifests()
        .unwrap()
        .into_iter()
        .map(|manifest| manifest.content)
        .collect();
    let generate = |random: &mut Rng| {
        let mut file = if random.bool() {
            mutated(random, &seeds)
        } else {
            let seed = random.usize(..seeds.len());
            mutate(random, &seeds[seed])
        };
        file.truncate(MAX_BYTES);
        vec![file]
    };
    fuzz("reader", 3_000, generate, |input| {
        let read = || documents::parse("file", &input[0]).map_err(|error| error.to_string());
        let (one, other) = (read(), read());
        assert_eq!(one, other, "the same file must be read the same way");
        one.is_ok()
    });
}
