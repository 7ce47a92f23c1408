//! Formats the values that several answers have in common.

use everynode_proto::planner::v1::{DaemonSetStatus, HostPort, Problem, Toleration, Verdict};
use jiff::Timestamp;

use super::table::{Cell, Severity};
use crate::text::printable;

/// Formats a verdict as a cell.
pub(crate) fn verdict(verdict: Verdict) -> Cell {
    let severity = match verdict {
        Verdict::Run => Severity::Ok,
        Verdict::Keep | Verdict::Unspecified => Severity::Warning,
        Verdict::Exclude => Severity::Error,
    };
    Cell::with_severity(verdict_name(verdict), severity)
}

/// Returns a verdict's name in tables.
pub(crate) fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Run => "RUN",
        Verdict::Keep => "KEEP",
        Verdict::Exclude => "EXCLUDE",
        Verdict::Unspecified => "?",
    }
}

/// Formats a toleration as it is written in a manifest.
pub(crate) fn toleration(toleration: &Toleration) -> String {
    let Toleration {
        key,
        operator,
        value,
        effect,
    } = toleration;
    let fields = [
        ("key", key),
        ("operator", operator),
        ("value", value),
        ("effect", effect),
    ];
    let fields: Vec<_> = fields
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    format!("{{{}}}", fields.join(", "))
}

/// Formats a problem with its object and its field.
pub fn problem(problem: &Problem) -> String {
    let Problem {
        object,
        field,
        message,
        ..
    } = problem;
    if field.is_empty() {
        format!("{object}: {message}")
    } else {
        format!("{object}: {field}: {message}")
    }
}

/// Escapes a line of text that isn't in a table, and adds a newline.
pub(crate) fn line(text: &str) -> String {
    printable(text).into_owned() + "\n"
}

/// Formats a count with its noun, such as "1 node" or "3 nodes".
pub(crate) fn count(number: impl Into<u64>, noun: &str) -> String {
    match number.into() {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// Names a group of objects that are alike by the first of them, such as "9 nodes like ip-10-0-1-7".
pub(crate) fn group_name(first: &str, count: usize, noun: &str) -> String {
    match count {
        0 | 1 => first.to_owned(),
        several => format!("{} like {first}", self::count(several as u64, noun)),
    }
}

/// Formats a time in RFC 3339, in UTC and whole seconds. Returns an empty string for `None`.
pub(crate) fn time(time: Option<&prost_types::Timestamp>) -> String {
    let time = time.and_then(|time| Timestamp::from_second(time.seconds).ok());
    time.map_or_else(String::new, |time| time.to_string())
}

/// Formats a duration in seconds, such as "1.5 s".
pub(crate) fn duration(duration: &prost_types::Duration) -> String {
    let milliseconds = duration.nanos.unsigned_abs() / 1_000_000;
    let fraction = format!("{milliseconds:03}");
    match fraction.trim_end_matches('0') {
        "" => format!("{} s", duration.seconds),
        fraction => format!("{}.{fraction} s", duration.seconds),
    }
}

/// Formats a host port, such as 9100/TCP or 10.0.0.1:9100/TCP.
pub(crate) fn host_port(HostPort { ip, protocol, port }: &HostPort) -> String {
    match ip.as_str() {
        "" => format!("{port}/{protocol}"),
        ip if ip.contains(':') => format!("[{ip}]:{port}/{protocol}"),
        ip => format!("{ip}:{port}/{protocol}"),
    }
}

/// The headings of [`status`], named as in `kubectl get daemonsets`.
pub(crate) const STATUS_HEADINGS: [&str; 6] = [
    "DESIRED",
    "CURRENT",
    "READY",
    "UP-TO-DATE",
    "AVAILABLE",
    "MISSCHEDULED",
];

/// Returns the counters of a status, in the order of the headings.
pub(crate) fn counters(status: &DaemonSetStatus) -> [i32; 6] {
    [
        status.desired_number_scheduled,
        status.current_number_scheduled,
        status.number_ready,
        status.updated_number_scheduled,
        status.number_available,
        status.number_misscheduled,
    ]
}

/// Formats the counters of a status as cells, which hold "-" if there is no status.
pub(crate) fn status(status: Option<&DaemonSetStatus>) -> [Cell; 6] {
    match status.map(counters) {
        Some(counters) => counters.map(|counter| counter.to_string().into()),
        None => ["-"; 6].map(Cell::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_has_its_object_and_its_field_if_there_is_one() {
        let mut whole = Problem {
            object: "node worker-1".to_owned(),
            message: "expected a Node, found a Pod".to_owned(),
            ..Problem::default()
        };
        assert_eq!(problem(&whole), "node worker-1: expected a Node, found a Pod");
        whole.field = "kind".to_owned();
        assert_eq!(
            problem(&whole),
            "node worker-1: kind: expected a Node, found a Pod"
        );
    }

    #[test]
    fn toleration_has_only_the_fields_that_are_set() {
        let exists = Toleration {
            key: "gpu".to_owned(),
            operator: "Exists".to_owned(),
            effect: "NoSchedule".to_owned(),
            ..Toleration::default()
        };
        assert_eq!(
            toleration(&exists),
            "{key: gpu, operator: Exists, effect: NoSchedule}"
        );
        let everything = Toleration {
            operator: "Exists".to_owned(),
            ..Toleration::default()
        };
        assert_eq!(toleration(&everything), "{operator: Exists}");
    }

    #[test]
    fn times_and_durations_have_no_unnecessary_digits() {
        let at = prost_types::Timestamp {
            seconds: 1_700_000_000,
            nanos: 999,
        };
        assert_eq!(time(Some(&at)), "2023-11-14T22:13:20Z");
        assert_eq!(time(None), "");
        for (seconds, nanos, text) in [
            (3, 0, "3 s"),
            (0, 50_000_000, "0.05 s"),
            (1, 500_000_000, "1.5 s"),
        ] {
            assert_eq!(duration(&prost_types::Duration { seconds, nanos }), text);
        }
    }

    #[test]
    fn host_port_has_its_address_if_there_is_one() {
        for (ip, text) in [
            ("", "80/TCP"),
            ("10.0.0.1", "10.0.0.1:80/TCP"),
            ("::1", "[::1]:80/TCP"),
        ] {
            let port = HostPort {
                ip: ip.to_owned(),
                protocol: "TCP".to_owned(),
                port: 80,
            };
            assert_eq!(host_port(&port), text);
        }
    }
}
