//! Kubernetes quantities, such as `100m`, `1.5Gi` and `2e3`.

use std::{fmt, iter, ops::AddAssign, str::FromStr};

/// The number of smallest parts in one unit. The smallest part of a quantity is a billionth. Anything finer is rounded
/// up, as in Kubernetes.
const NANOS: i128 = 1_000_000_000;
/// The largest quantity. Larger quantities are capped at it. Kubernetes caps only those with a binary suffix.
const MAX: i128 = i64::MAX as i128 * NANOS;

/// The notation of a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Notation {
    /// With suffix k, M, G…, or m, u, n.
    #[default]
    Decimal,
    /// With suffix Ki, Mi, Gi…
    Binary,
    /// With an exponent.
    Exponent,
}

/// An amount of a resource, exact to a billionth. It is printed in the notation in which it was parsed. Mirrors
/// `resource.Quantity`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quantity {
    nanos: i128,
    notation: Notation,
}

/// The error for a text that isn't a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a quantity such as 100m, 1.5, 2e3 or 512Mi")]
pub struct QuantityError(String);

/// The suffixes of each notation, largest first, with their power of 10 (in billionths) or of 2.
const DECIMAL: [(&str, u32); 10] = [
    ("E", 27),
    ("P", 24),
    ("T", 21),
    ("G", 18),
    ("M", 15),
    ("k", 12),
    ("", 9),
    ("m", 6),
    ("u", 3),
    ("n", 0),
];
const BINARY: [(&str, u32); 6] = [
    ("Ei", 60),
    ("Pi", 50),
    ("Ti", 40),
    ("Gi", 30),
    ("Mi", 20),
    ("Ki", 10),
];

impl Quantity {
    /// Zero.
    pub const ZERO: Self = Self {
        nanos: 0,
        notation: Notation::Decimal,
    };
    /// One unit.
    pub const ONE: Self = Self {
        nanos: NANOS,
        notation: Notation::Decimal,
    };

    /// Whether the quantity is below zero.
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// Rounds up to whole thousandths.
    #[must_use]
    pub fn rounded_up_to_thousandths(self) -> Self {
        const THOUSANDTH: i128 = NANOS / 1_000;
        let nanos = self.nanos.div_euclid(THOUSANDTH) * THOUSANDTH;
        Self {
            nanos: if nanos == self.nanos {
                nanos
            } else {
                nanos + THOUSANDTH
            },
            notation: self.notation,
        }
    }

    /// Subtracts `taken`. The result has this quantity's notation, or that of `taken` if this quantity is zero.
    #[must_use]
    pub fn minus(self, taken: Self) -> Self {
        Self {
            nanos: self.nanos.saturating_sub(taken.nanos),
            notation: if self.nanos == 0 {
                taken.notation
            } else {
                self.notation
            },
        }
    }

    /// Returns the larger of two quantities.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        if other.nanos > self.nanos { other } else { self }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

/// A sum has the notation of its first summand that isn't zero.
impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        if self.nanos == 0 {
            self.notation = other.notation;
        }
        self.nanos = self.nanos.saturating_add(other.nanos).min(MAX);
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        parse(text.trim_matches(is_blank)).ok_or_else(|| QuantityError(text.chars().take(64).collect()))
    }
}

/// Whether Kubernetes ignores the character around a quantity. It trims the text of the JSON (mirrors
/// `Quantity.UnmarshalJSON`), in which control characters and line separators are escaped, so they aren't trimmed.
fn is_blank(character: char) -> bool {
    character.is_whitespace()
        && !character.is_ascii_control()
        && !matches!(character, '\u{2028}' | '\u{2029}')
}

fn parse(text: &str) -> Option<Quantity> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let is_part = |character: char| character.is_ascii_digit() || character == '.';
    let (number, suffix) = unsigned.split_at(
        unsigned
            .find(|character| !is_part(character))
            .unwrap_or(unsigned.len()),
    );
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // Kubernetes reads a quantity without digits, such as `m`, as 0.
    if text.is_empty() || fraction.contains('.') {
        return None;
    }
    let (notation, power) = suffix_of(suffix)?;
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let behind_point = i64::try_from(fraction.len()).ok()?;
    let nanos = match power {
        Power::OfTen(power) => scaled(digits, power.checked_sub(behind_point)?, 1),
        Power::OfTwo(power) => scaled(digits, 9_i64.checked_sub(behind_point)?, 1_u64 << power),
    };
    Some(Quantity {
        nanos: if negative { -nanos } else { nanos },
        notation,
    })
}

enum Power {
    /// A power of ten, counted in billionths.
    OfTen(i64),
    OfTwo(u32),
}

fn suffix_of(suffix: &str) -> Option<(Notation, Power)> {
    let found = |table: &[(&str, u32)]| {
        table
            .iter()
            .find(|(known, _)| *known == suffix)
            .map(|(_, power)| *power)
    };
    if let Some(power) = found(&DECIMAL) {
        return Some((Notation::Decimal, Power::OfTen(power.into())));
    }
    if let Some(power) = found(&BINARY) {
        return Some((Notation::Binary, Power::OfTwo(power)));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let exponent: i32 = exponent.parse().ok()?;
    Some((Notation::Exponent, Power::OfTen(i64::from(exponent) + 9)))
}

/// Returns `digits` × `factor` × 10^`power`, rounded up and capped at [`MAX`]. The digits don't begin with 0.
fn scaled(digits: &str, power: i64, factor: u64) -> i128 {
    // A negative power puts the point in front of this many digits.
    let behind_point = usize::try_from(power.min(0).unsigned_abs()).unwrap_or(usize::MAX);
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(behind_point));
    let product = || {
        let scale = 10_i128.checked_pow(u32::try_from(power.max(0)).ok()?)?;
        let value: i128 = whole.parse().ok()?;
        value.checked_mul(scale)?.checked_mul(factor.into())
    };
    let product = if whole.is_empty() { Some(0) } else { product() };
    let rest = scaled_fraction(fraction, behind_point.saturating_sub(fraction.len()), factor);
    product.map_or(MAX, |product| product.saturating_add(rest.into()).min(MAX))
}

/// Returns 0.`digits` × `factor`, rounded up, where `zeros` more zeros follow the point. The factor is at most 2^60, so
/// no digit's product overflows.
fn scaled_fraction(digits: &str, zeros: usize, factor: u64) -> u64 {
    // The carry has at most 19 digits, so it is 0 after 19 zeros.
    let zeros = iter::repeat_n(b'0', zeros.min(19));
    let mut carry = 0_u64;
    let mut is_inexact = false;
    for digit in digits.bytes().rev().chain(zeros) {
        let product = u64::from(digit - b'0') * factor + carry;
        is_inexact |= !product.is_multiple_of(10);
        carry = product / 10;
    }
    carry + u64::from(is_inexact)
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nanos, notation } = *self;
        if nanos == 0 {
            return formatter.write_str("0");
        }
        let (units, rest) = (nanos / NANOS, nanos % NANOS);
        if notation == Notation::Binary && rest == 0 && units.abs() >= 1024 {
            let fits = |(_, power): &&(&str, u32)| *power <= units.trailing_zeros();
            return match BINARY.iter().find(fits) {
                Some((suffix, power)) => write!(formatter, "{}{suffix}", units >> power),
                None => write!(formatter, "{units}"),
            };
        }
        let (number, thousands) = if rest == 0 {
            shortened(units, 3)
        } else {
            shortened(nanos, 0)
        };
        let (suffix, power) = DECIMAL.iter().rev().nth(thousands).copied().unwrap_or(("n", 0));
        match (notation, i64::from(power) - 9) {
            (Notation::Exponent, 0) => write!(formatter, "{number}"),
            (Notation::Exponent, exponent) => write!(formatter, "{number}e{exponent}"),
            (Notation::Decimal | Notation::Binary, _) => write!(formatter, "{number}{suffix}"),
        }
    }
}

/// Strips trailing zeros in groups of three while there is a suffix for them. Returns the stripped number, and
/// `thousands` plus the number of stripped groups.
fn shortened(number: i128, mut thousands: usize) -> (i128, usize) {
    let most = DECIMAL.len() - 1;
    // Nearly all numbers are small, and dividing 64-bit numbers is many times faster.
    if let Ok(mut small) = i64::try_from(number) {
        while thousands < most && small % 1_000 == 0 {
            small /= 1_000;
            thousands += 1;
        }
        return (small.into(), thousands);
    }
    let mut large = number;
    while thousands < most && large % 1_000 == 0 {
        large /= 1_000;
        thousands += 1;
    }
    (large, thousands)
}

#[cfg(test)]
mod tests;
