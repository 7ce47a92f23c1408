//! Measures the processor time and memory of processes, as the kernel accounts for them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use procfs::process::Process;
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;

/// How often the meter samples the processes.
const INTERVAL: Duration = Duration::from_millis(100);

/// The processor time and memory that a process has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Processor time of all threads, in user and kernel mode.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Peak resident memory since the process started.
    pub peak_rss_bytes: u64,
}

/// Reads the usage of a process.
///
/// # Errors
/// When there is no such process.
pub fn usage(pid: i32) -> Result<Usage> {
    let read = || {
        let process = Process::new(pid)?;
        let (stat, status) = (process.stat()?, process.status()?);
        Ok::<_, procfs::ProcError>((stat, status))
    };
    let (stat, status) = read().with_context(|| format!("reading the usage of process {pid}"))?;
    #[expect(clippy::cast_precision_loss, reason = "a process has few ticks")]
    let ticks = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
    Ok(Usage {
        cpu_seconds: ticks,
        rss_bytes: status.vmrss.unwrap_or(0) * 1024,
        peak_rss_bytes: status.vmhwm.unwrap_or(0) * 1024,
    })
}

/// The combined usage of several processes at one time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds since the meter started.
    pub seconds: f64,
    /// Processor time since the processes started.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub rss_bytes: u64,
}

/// Samples processes at a fixed interval. Dropping it stops the sampling.
#[derive(Debug)]
pub struct Meter {
    samples: Arc<Mutex<Vec<Sample>>>,
    task: AbortHandle,
}

impl Meter {
    /// Starts sampling.
    pub fn start(pids: Vec<i32>) -> Self {
        let samples = Arc::new(Mutex::new(Vec::new()));
        let (start, sink) = (Instant::now(), samples.clone());
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(INTERVAL);
            loop {
                ticks.tick().await;
                let mut sample = Sample {
                    seconds: start.elapsed().as_secs_f64(),
                    cpu_seconds: 0.0,
                    rss_bytes: 0,
                };
                // Skip a process that has ended. The trial notices the end when it reads the usage itself.
                for usage in pids.iter().filter_map(|pid| usage(*pid).ok()) {
                    sample.cpu_seconds += usage.cpu_seconds;
                    sample.rss_bytes += usage.rss_bytes;
                }
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
            }
        });
        Self {
            samples,
            task: task.abort_handle(),
        }
    }

    /// The samples so far, in order.
    pub fn samples(&self) -> Vec<Sample> {
        self.samples
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_of_this_process_is_measured() {
        let measure = || usage(std::process::id().cast_signed()).unwrap();
        let before = measure();
        assert!(before.rss_bytes > 0 && before.peak_rss_bytes >= before.rss_bytes);
        // Measuring takes processor time itself.
        let deadline = Instant::now() + Duration::from_secs(10);
        while measure().cpu_seconds <= before.cpu_seconds {
            assert!(Instant::now() < deadline, "no processor time was measured");
        }
    }
}
