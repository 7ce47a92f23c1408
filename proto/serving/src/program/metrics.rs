//! Prometheus metrics that both programs share, and the text format.

mod certificates;
mod process;

use prometheus_client::{
    encoding::text,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

pub use self::certificates::CertificateMetrics;
use self::process::Process;

/// The content type of [`page`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The commit that the program was built from, if the build set `EVERYNODE_REVISION`.
const REVISION: Option<&str> = option_env!("EVERYNODE_REVISION");

/// A registry with the process metrics, the build info, and the program's own metrics, which `register` adds. The names
/// of all but the process metrics begin with `prefix`.
pub fn registry(
    prefix: &str,
    version: &str,
    labels: &[(&str, &str)],
    register: impl FnOnce(&mut Registry),
) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Process));
    let own = registry.sub_registry_with_prefix(prefix);
    let build = Family::<Vec<(String, String)>, Gauge>::default();
    let build_labels = [("version", version), ("revision", REVISION.unwrap_or("unknown"))];
    let labels = build_labels
        .iter()
        .chain(labels)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    build.get_or_create(&labels.collect()).set(1);
    own.register(
        "build_info",
        "Version and commit that the program was built from; always 1",
        build,
    );
    register(own);
    registry
}

/// Encodes all registered metrics in Prometheus' text format. The encoder writes `OpenMetrics`. To convert this to the
/// older format, the function adds `_total` to the names in the HELP and TYPE lines of counters, and removes the end
/// marker.
pub fn page(registry: &Registry) -> String {
    let mut encoded = String::new();
    // Writing to a String can't fail.
    let _ = text::encode(&mut encoded, registry);
    let mut page = String::with_capacity(encoded.len());
    let mut lines = encoded.lines().filter(|line| *line != "# EOF").peekable();
    while let Some(line) = lines.next() {
        let about = line
            .strip_prefix("# HELP ")
            .or_else(|| line.strip_prefix("# TYPE "));
        let (name, rest) = about.and_then(|about| about.split_once(' ')).unwrap_or_default();
        let described = lines
            .peek()
            .is_some_and(|next| *next == format!("# TYPE {name} counter"));
        if !name.is_empty() && (rest == "counter" || described) {
            let (before, after) = line.split_once(name).unwrap_or_default();
            page.extend([before, name, "_total", after]);
        } else {
            page.push_str(line);
        }
        page.push('\n');
    }
    page
}

#[cfg(test)]
mod tests;
