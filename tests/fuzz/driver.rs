//! Runs a target on many inputs.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::ALLOCATED;

/// The environment variable with the number of inputs for each target.
const INPUTS: &str = "EVERYNODE_FUZZ_INPUTS";
/// The environment variable with the seed of the first input.
const SEED: &str = "EVERYNODE_FUZZ_SEED";
/// The difference between the seeds of two successive inputs.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
/// Memory limit of all targets together. They never need this much, because no input is longer than some tens of
/// kilobytes.
const MAX_MEGABYTES: f32 = 256.0;
/// Time limit of one input, even on a busy machine.
const MAX_TIME: Duration = Duration::from_secs(10);

/// The input of a target: the messages of a stream, or a single message.
pub(crate) type Input = Vec<Vec<u8>>;

/// Runs a target on `EVERYNODE_FUZZ_INPUTS` inputs, or on `default_inputs` if that isn't set. The target returns
/// whether it could decode the input as the type that the input was made from.
pub(crate) fn fuzz(
    target: &str,
    default_inputs: u64,
    generate: impl Fn(&mut Rng) -> Input,
    run_target: impl Fn(&Input) -> bool,
) {
    let first = number(SEED).unwrap_or_default();
    let start = Instant::now();
    let (inputs_set, inputs) = (number(INPUTS), number(INPUTS).unwrap_or(default_inputs));
    let decoded = run(target, first, inputs, generate, run_target);
    let line = format!(
        "{target}: {inputs} inputs, {decoded} of them decoded, in {:?}, peak memory {:.0} MB",
        start.elapsed(),
        ALLOCATED.peak_usage_as_mb()
    );
    // If hardly any input can be decoded, the seeds are out of date and the targets test only the first bytes.
    assert!(decoded >= inputs / 10 || inputs < default_inputs, "{line}");
    if inputs_set.is_some() {
        eprintln!("{line}");
    }
}

/// Returns how many inputs the target could decode.
fn run(
    target: &str,
    first: u64,
    inputs: u64,
    generate: impl Fn(&mut Rng) -> Input,
    run_target: impl Fn(&Input) -> bool,
) -> u64 {
    let (current, mut decoded) = (Arc::new(AtomicU64::new(first)), 0);
    let _watchdog = start_watchdog(target, current.clone());
    for index in 0..inputs {
        let seed = first.wrapping_add(index.wrapping_mul(STEP));
        current.store(seed, Ordering::Relaxed);
        let input = generate(&mut Rng::with_seed(seed));
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| run_target(&input)));
        let (took, megabytes) = (start.elapsed(), ALLOCATED.peak_usage_as_mb());
        assert!(
            outcome.is_ok() && took < MAX_TIME && megabytes < MAX_MEGABYTES,
            "{target}: an input failed after {took:?}, with a peak memory of {megabytes} MB; reproduce it with \
             {INPUTS}=1 {SEED}={seed} (input in hex):\n{}",
            hex(&input)
        );
        decoded += u64::from(outcome.unwrap_or_default());
    }
    decoded
}

/// Ends the test process when a target stays at one input for too long, since it may never finish. Dropping the
/// returned sender ends the watchdog.
fn start_watchdog(target: &str, current: Arc<AtomicU64>) -> mpsc::Sender<()> {
    let (watchdog, stopped) = mpsc::channel();
    let target = target.to_owned();
    std::thread::spawn(move || {
        let mut before = None;
        while stopped.recv_timeout(MAX_TIME) == Err(RecvTimeoutError::Timeout) {
            let seed = current.load(Ordering::Relaxed);
            if before.replace(seed) == Some(seed) {
                eprintln!(
                    "{target}: an input takes longer than {MAX_TIME:?}; reproduce it with {INPUTS}=1 {SEED}={seed}"
                );
                std::process::exit(1);
            }
        }
    });
    watchdog
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text} isn't a number")),
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
fn failing_input_is_printed_with_its_seed() {
    let generate = |random: &mut Rng| vec![vec![random.u8(..)]];
    let wanted = generate(&mut Rng::with_seed(7));
    let run_target = |input: &Input| {
        assert_eq!(*input, wanted, "a different input");
        true
    };
    assert_eq!(run("test", 7, 1, generate, run_target), 1);
    let failure = catch_unwind(AssertUnwindSafe(|| run("test", 7, 100, generate, run_target))).unwrap_err();
    let message = failure.downcast_ref::<String>().unwrap();
    let (_, rest) = message.split_once(&format!("{SEED}=")).unwrap();
    let (seed, shown) = rest.split_once(" (input in hex):\n").unwrap();
    let again = generate(&mut Rng::with_seed(seed.parse().unwrap()));
    assert_eq!(shown, hex(&again));
    assert_ne!(again, wanted);
}
