use prometheus_client::metrics::counter::Counter;

use super::*;

fn lines(page: &str, start: &str) -> Vec<String> {
    let lines = page.lines().filter(|line| line.starts_with(start));
    lines.map(str::to_owned).collect()
}

#[test]
fn counter_is_described_by_the_name_of_its_series() {
    let registry = registry("some", "1.2.3", &[("rules_version", "7")], |own| {
        let plans = Counter::<u64>::default();
        own.register("plans", "Plans made", plans);
        own.register("waiting", "Items that wait", Gauge::<i64>::default());
    });
    let page = page(&registry);
    let tail: Vec<_> = page.lines().rev().take(6).collect();
    assert_eq!(
        tail.into_iter().rev().collect::<Vec<_>>(),
        [
            "# HELP some_plans_total Plans made.",
            "# TYPE some_plans_total counter",
            "some_plans_total 0",
            "# HELP some_waiting Items that wait.",
            "# TYPE some_waiting gauge",
            "some_waiting 0",
        ]
    );
    let build = lines(&page, "some_build_info{");
    assert_eq!(build.len(), 1, "{page}");
    assert!(
        build[0].contains("version=\"1.2.3\"") && build[0].contains("rules_version=\"7\""),
        "{build:?}"
    );
}

#[test]
fn process_metrics_are_exported() {
    let page = page(&registry("some", "1", &[], |_| ()));
    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_open_fds",
    ] {
        let series = lines(&page, &format!("{name} "));
        let [series] = series.as_slice() else {
            panic!("{name}: {page}");
        };
        let value: f64 = series.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(value >= 0.0, "{series}");
        assert!(!lines(&page, &format!("# TYPE {name} ")).is_empty(), "{page}");
    }
    let memory = lines(&page, "process_resident_memory_bytes ");
    assert_ne!(memory, ["process_resident_memory_bytes 0"]);
}
