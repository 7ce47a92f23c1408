//! Runs a target on many inputs.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::ALLOCATED;

/// The variable with the number of inputs for each target.
const INPUTS: &str = "EVERYNODE_FUZZ_INPUTS";
/// The variable with the seed of the first input.
const SEED: &str = "EVERYNODE_FUZZ_SEED";
/// The difference between the seeds of two successive inputs.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
/// Memory limit of all targets together. They never need this much, because no input is longer than some tens of
/// kilobytes.
const MOST_MEGABYTES: f32 = 256.0;
/// Time limit of one input, even on a busy machine.
const LONGEST: Duration = Duration::from_secs(10);

/// The input of a target: the messages of a stream, or a single message.
pub(crate) type Input = Vec<Vec<u8>>;

/// Runs a target on `EVERYNODE_FUZZ_INPUTS` inputs, or on `few` if that isn't set. The target returns whether it could
/// decode the input as the type that the input was made from.
pub(crate) fn fuzz(target: &str, few: u64, make: impl Fn(&mut Rng) -> Input, look: impl Fn(&Input) -> bool) {
    let first = number(SEED).unwrap_or_default();
    let begun = Instant::now();
    let (asked, inputs) = (number(INPUTS), number(INPUTS).unwrap_or(few));
    let understood = run(target, first, inputs, make, look);
    let line = format!(
        "{target}: {inputs} inputs, {understood} of them understood, in {:?}, with at most {:.0} MB",
        begun.elapsed(),
        ALLOCATED.peak_usage_as_mb()
    );
    // If hardly any input can be decoded, the seeds are out of date and the targets test only the first bytes.
    assert!(understood >= inputs / 10 || inputs < few, "{line}");
    if asked.is_some() {
        eprintln!("{line}");
    }
}

/// Returns how many inputs the target could decode.
fn run(
    target: &str,
    first: u64,
    inputs: u64,
    make: impl Fn(&mut Rng) -> Input,
    look: impl Fn(&Input) -> bool,
) -> u64 {
    let (current, mut understood) = (Arc::new(AtomicU64::new(first)), 0);
    let _watched = watch(target, current.clone());
    for index in 0..inputs {
        let seed = first.wrapping_add(index.wrapping_mul(STEP));
        current.store(seed, Ordering::Relaxed);
        let input = make(&mut Rng::with_seed(seed));
        let looked = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| look(&input)));
        let (took, megabytes) = (looked.elapsed(), ALLOCATED.peak_usage_as_mb());
        assert!(
            outcome.is_ok() && took < LONGEST && megabytes < MOST_MEGABYTES,
            "{target}: an input fails, or took {took:?}, or {megabytes} MB were needed by then; {INPUTS}=1 {SEED}={seed} is it \
             alone:\n{}",
            hex(&input)
        );
        understood += u64::from(outcome.unwrap_or_default());
    }
    understood
}

/// Ends the test process when a target stays at one input for too long, since it may never finish. Dropping the
/// returned sender ends the watch.
fn watch(target: &str, current: Arc<AtomicU64>) -> mpsc::Sender<()> {
    let (watched, ends) = mpsc::channel();
    let target = target.to_owned();
    std::thread::spawn(move || {
        let mut before = None;
        while ends.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout) {
            let seed = current.load(Ordering::Relaxed);
            if before.replace(seed) == Some(seed) {
                eprintln!(
                    "{target}: an input takes longer than {LONGEST:?}; {INPUTS}=1 {SEED}={seed} is it alone"
                );
                std::process::exit(1);
            }
        }
    });
    watched
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is no number")),
    )
}

fn hex(input: &Input) -> String {
    let mut text = String::new();
    for bytes in input {
        for byte in bytes {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn an_input_that_fails_is_shown_with_the_seed_that_makes_it() {
    let make = |random: &mut Rng| vec![vec![random.u8(..)]];
    let wanted = make(&mut Rng::with_seed(7));
    let look = |input: &Input| {
        assert_eq!(*input, wanted, "another one");
        true
    };
    assert_eq!(run("a target", 7, 1, make, look), 1);
    let failure = catch_unwind(AssertUnwindSafe(|| run("a target", 7, 100, make, look))).unwrap_err();
    let words = failure.downcast_ref::<String>().unwrap();
    let (_, rest) = words.split_once(&format!("{SEED}=")).unwrap();
    let (seed, shown) = rest.split_once(" is it alone:\n").unwrap();
    let again = make(&mut Rng::with_seed(seed.parse().unwrap()));
    assert_eq!(shown, hex(&again));
    assert_ne!(again, wanted);
}
