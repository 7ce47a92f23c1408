//! Two minutes of random faults. `cargo soak` runs for any length of time.

use everynode_tests::soak::{self, Settings};

#[tokio::test]
async fn checker_finds_no_violation_in_two_minutes_of_faults() {
    let settings = Settings {
        minutes: 2.0,
        seed: fastrand::u64(..),
    };
    println!("seed {}", settings.seed);
    let report = soak::run(&settings, |text| println!("{text}")).await.unwrap();
    println!("{}", report.markdown(&settings));
    assert!(
        report.violations.is_empty(),
        "seed {}: {:?}",
        report.seed,
        report.violations
    );
    assert!(
        !report.faults.is_empty() && !report.deletions.is_empty(),
        "the run injected no faults or saw no deletions"
    );
}
