//! The meaning of a scalar. Mirrors `resolve` of go-yaml 2, and the conversion to JSON of sigs.k8s.io/yaml.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use granit_parser::{ScalarStyle, Tag};
use serde_json::{Number, Value};

/// The value of a scalar.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer beyond the range of `Int`.
    Uint(u64),
    Float(f64),
    Text(String),
}

/// The namespace of YAML's own tags.
const CORE: &str = "tag:yaml.org,2002:";

/// The name of one of YAML's own tags, such as `str`.
pub(super) fn core_tag(tag: &Tag) -> Option<Cow<'_, str>> {
    tag.suffix_in_namespace(CORE)
}

/// Returns the value of a scalar. All scalars are text, except plain ones and those with a tag.
///
/// # Errors
/// The text doesn't fit the tag.
pub(super) fn resolve(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<Scalar, String> {
    let Some(tag) = tag else {
        return match style {
            ScalarStyle::Plain => Ok(plain(text)),
            _ => Ok(Scalar::Text(text.into_owned())),
        };
    };
    let Some(name) = core_tag(tag) else {
        return Ok(Scalar::Text(text.into_owned()));
    };
    match (name.as_ref(), plain(Cow::Borrowed(&text))) {
        ("binary", _) => {
            let bytes = STANDARD.decode(text.replace(['\n', '\r'], ""));
            let bytes = bytes.map_err(|_| "a value with the tag !!binary isn't valid base64".to_owned())?;
            Ok(Scalar::Text(String::from_utf8_lossy(&bytes).into_owned()))
        }
        ("null", Scalar::Null) => Ok(Scalar::Null),
        ("bool", value @ Scalar::Bool(_))
        | ("int", value @ (Scalar::Int(_) | Scalar::Uint(_)))
        | ("float", value @ Scalar::Float(_)) => Ok(value),
        #[expect(clippy::cast_precision_loss, reason = "the tag asks for a float")]
        ("float", Scalar::Int(value)) => Ok(Scalar::Float(value as f64)),
        ("null" | "bool" | "int" | "float", _) => Err(format!("{text} doesn't fit its tag !!{name}")),
        _ => Ok(Scalar::Text(text.into_owned())),
    }
}

fn plain(text: Cow<'_, str>) -> Scalar {
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let number = match text.as_bytes().first() {
        Some(b'0'..=b'9' | b'+' | b'-') => {
            let digits = text.replace('_', "");
            integer(&digits).or_else(|| float(&digits))
        }
        Some(b'.') => float(&text),
        _ => None,
    };
    number.unwrap_or_else(|| Scalar::Text(text.into_owned()))
}

/// Reads an integer as Go's `strconv.ParseInt` with base 0 does: in octal after `0` or `0o`, in hexadecimal after `0x`, in
/// binary after `0b`.
fn integer(text: &str) -> Option<Scalar> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, digits.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, digits.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    // Unlike Go, Rust accepts a sign here.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, base).ok()?;
    if is_negative {
        let value = 0_i64.checked_sub_unsigned(magnitude)?;
        return Some(Scalar::Int(value));
    }
    Some(i64::try_from(magnitude).map_or(Scalar::Uint(magnitude), Scalar::Int))
}

/// Reads a float in decimal digits, with or without an exponent.
fn float(text: &str) -> Option<Scalar> {
    let is_decimal = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    if !text.bytes().all(is_decimal) || !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(Scalar::Float(value))
}

impl Scalar {
    /// The scalar as a JSON value. Like in Go's JSON, a float without a fraction is written like an integer.
    ///
    /// # Errors
    /// It is an infinite or undefined number.
    pub(super) fn into_value(self) -> Result<Value, String> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => value.into(),
            Self::Int(value) => value.into(),
            Self::Uint(value) => value.into(),
            Self::Float(value) => match (whole(value), Number::from_f64(value)) {
                (Some(whole), _) => whole.into(),
                (None, Some(number)) => Value::Number(number),
                (None, None) => {
                    return Err("an infinite or undefined number can't be part of an object".to_owned());
                }
            },
            Self::Text(text) => text.into(),
        })
    }

    /// The scalar as a key of an object.
    ///
    /// # Errors
    /// It is null, or an integer beyond 64 bits with a sign.
    pub(super) fn into_key(self) -> Result<String, String> {
        match self {
            Self::Null => Err("null can't be a key; put it in quotes".to_owned()),
            Self::Uint(value) => Err(format!("{value} can't be a key; put it in quotes")),
            Self::Bool(value) => Ok(value.to_string()),
            Self::Int(value) => Ok(value.to_string()),
            Self::Float(value) => Ok(general(value)),
            Self::Text(text) => Ok(text),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i64)
}

/// Writes a float as Go's `strconv.FormatFloat(value, 'g', -1, 32)` does, and what isn't a number as in YAML.
#[expect(clippy::cast_possible_truncation, reason = "Go writes keys in this precision")]
fn general(value: f64) -> String {
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let value = value as f32;
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}
