//! Quantities in the units that people expect: millicores, and memory with at most three digits.
//!
//! Tables of many nodes show rounded amounts. JSON, YAML and the tables of single nodes have exact ones.

/// Suffixes of Kubernetes quantities, with the number of units that each stands for.
const SUFFIXES: [(&str, f64); 12] = [
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
];

/// Suffixes with the parts of a unit. Dividing by them gives the closest number, but multiplying by 0.001 doesn't.
const PARTS: [(&str, f64); 3] = [("m", 1e3), ("u", 1e6), ("n", 1e9)];

/// Returns the amount of a Kubernetes quantity, close enough for people. `None` if the text isn't a quantity.
pub(crate) fn amount(quantity: &str) -> Option<f64> {
    let quantity = quantity.trim();
    let is_suffix = |character: char| character.is_ascii_alphabetic();
    let begin = quantity.find(is_suffix).unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at_checked(begin)?;
    let number: f64 = number.parse().ok()?;
    if suffix.is_empty() {
        return Some(number);
    }
    if let Some((_, unit)) = SUFFIXES.iter().find(|(known, _)| *known == suffix) {
        return Some(number * unit);
    }
    if let Some((_, parts)) = PARTS.iter().find(|(known, _)| *known == suffix) {
        return Some(number / parts);
    }
    // An exponent, such as 2e3.
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some(number * 10_f64.powi(exponent))
}

/// Formats an amount of CPU in millicores, such as 250m, as `kubectl top` does.
pub(crate) fn cpu(cores: f64) -> String {
    let millicores = (cores * 1000.0).round();
    if millicores == 0.0 {
        return "0".to_owned();
    }
    format!("{millicores}m")
}

/// Formats an amount of memory with at most three digits, such as 192Mi or 6.74Gi.
pub(crate) fn memory(bytes: f64) -> String {
    /// From this amount on, rounding to whole numbers gives four digits.
    const LIMIT: f64 = 999.5;
    let mut value = bytes;
    let mut units = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while value.abs() >= LIMIT {
        let Some(larger) = units.next() else { break };
        unit = larger;
        value /= 1024.0;
    }
    let digits = match value.abs() {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    let number = format!("{value:.digits$}");
    let number = if digits == 0 {
        &number
    } else {
        number.trim_end_matches('0').trim_end_matches('.')
    };
    match number {
        "-0" | "0" => "0".to_owned(),
        number => format!("{number}{unit}"),
    }
}

/// Formats a share as whole percent, rounded down as in `kubectl describe node`. `None` if there is nothing to share.
pub(crate) fn percent(part: f64, whole: f64) -> Option<String> {
    // The small addition makes up for the rounding of the division.
    (whole > 0.0).then(|| format!("{:.0}%", (part / whole * 100.0 + 1e-9).floor()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_every_notation() {
        for (quantity, expected) in [
            ("100m", 0.1),
            ("2", 2.0),
            ("1.5", 1.5),
            ("-850m", -0.85),
            ("1e3", 1000.0),
            ("2E-1", 0.2),
            ("3k", 3000.0),
            ("1E", 1e18),
            ("512Mi", 536_870_912.0),
            (" 1Gi ", 1_073_741_824.0),
        ] {
            let found = amount(quantity).unwrap();
            assert!(
                (found - expected).abs() <= expected.abs() * 1e-12,
                "{quantity}: {found}"
            );
        }
        for quantity in ["", "m", "1x", "a", "1Gib", "żółw", "-"] {
            assert_eq!(amount(quantity), None, "{quantity}");
        }
    }

    #[test]
    fn cpu_is_in_millicores() {
        for (cores, expected) in [
            (0.0, "0"),
            (0.1, "100m"),
            (1.15, "1150m"),
            (64.0, "64000m"),
            (-0.85, "-850m"),
        ] {
            assert_eq!(cpu(cores), expected);
        }
    }

    #[test]
    fn memory_has_at_most_three_digits() {
        const MI: f64 = 1_048_576.0;
        for (bytes, expected) in [
            (0.0, "0"),
            (128.0, "128"),
            (1024.0, "1Ki"),
            (192.0 * MI, "192Mi"),
            (999.0 * MI, "999Mi"),
            (1000.0 * MI, "0.98Gi"),
            (1024.0 * MI, "1Gi"),
            (6905.0 * MI, "6.74Gi"),
            (10.0 * 1024.0 * MI, "10Gi"),
            (15_999.0 * MI, "15.6Gi"),
            (128.0 * 1024.0 * MI, "128Gi"),
            (-1024.0 * MI, "-1Gi"),
        ] {
            assert_eq!(memory(bytes), expected);
        }
    }

    #[test]
    fn percentages_are_rounded_down() {
        assert_eq!(percent(0.15, 1.5).as_deref(), Some("10%"));
        assert_eq!(percent(1.999, 2.0).as_deref(), Some("99%"));
        assert_eq!(percent(4.0, 3.0).as_deref(), Some("133%"));
        assert_eq!(percent(1.0, 0.0), None);
    }
}
