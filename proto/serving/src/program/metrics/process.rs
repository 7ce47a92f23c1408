//! Process metrics under the names that every Prometheus client uses.

use std::fmt;

use procfs::{WithCurrentSystemInfo, boot_time_secs, process, ticks_per_second};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

/// Reads /proc on every scrape. A value that can't be read is omitted.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Ok(process) = process::Process::myself() else {
            return Ok(());
        };
        let mut series = SeriesEncoder(encoder);
        if let Ok(stat) = process.stat() {
            let rate = ticks_per_second();
            let cpu = ConstCounter::new(seconds(stat.utime.saturating_add(stat.stime), rate));
            series.add(
                "process_cpu_seconds_total",
                "User and system CPU time spent",
                &cpu,
            )?;
            let resident = ConstGauge::new(to_f64(stat.rss_bytes().get()));
            series.add("process_resident_memory_bytes", "Resident memory size", &resident)?;
            if let Ok(boot) = boot_time_secs() {
                let start = ConstGauge::new(to_f64(boot) + seconds(stat.starttime, rate));
                series.add(
                    "process_start_time_seconds",
                    "Start time of the process since the Unix epoch",
                    &start,
                )?;
            }
        }
        if let Ok(count) = process.fd_count() {
            let count = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
            series.add("process_open_fds", "Number of open file descriptors", &count)?;
        }
        Ok(())
    }
}

struct SeriesEncoder<'e>(DescriptorEncoder<'e>);

impl SeriesEncoder<'_> {
    fn add(&mut self, name: &str, help: &str, metric: &impl EncodeMetric) -> Result<(), fmt::Error> {
        let name = name.trim_end_matches("_total");
        let help = format!("{help}.");
        metric.encode(
            self.0
                .encode_descriptor(name, &help, None, metric.metric_type())?,
        )
    }
}

fn seconds(ticks: u64, rate: u64) -> f64 {
    to_f64(ticks) / to_f64(rate.max(1))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "bytes and ticks stay far below the integers that a float represents exactly"
)]
fn to_f64(number: u64) -> f64 {
    number as f64
}
