use super::*;

fn quantity(text: &str) -> Quantity {
    text.parse().unwrap()
}

/// The expected texts are the output of Kubernetes' own `resource.MustParse(text).String()`.
#[test]
fn quantity_is_printed_as_kubernetes_prints_it() {
    for (text, written) in [
        ("0", "0"),
        ("100m", "100m"),
        ("0.1", "100m"),
        (".5", "500m"),
        ("5.", "5"),
        ("+1", "1"),
        ("-1500m", "-1500m"),
        ("2000m", "2"),
        ("1.5", "1500m"),
        ("1000", "1k"),
        ("128974848", "128974848"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("129e6", "129e6"),
        ("5e0", "5"),
        ("1E", "1E"),
        ("123Mi", "123Mi"),
        ("1024Ki", "1Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1000Ki", "1000Ki"),
        ("0.1Ki", "102400m"),
        ("1n", "1n"),
        ("0.1n", "1n"),
        ("1.00000000001", "1000000001n"),
        ("0.0000000000000000000000000000001", "1n"),
        ("8Ei", "9223372036854775807"),
        ("99999Ei", "9223372036854775807"),
        (
            "7.9999999999999999999999999999999999999999Ei",
            "9223372036854775807",
        ),
        ("1.999999999999999999999999999Ei", "2305843009213693951999999999n"),
        (
            "1.0000000000000000000000000000000000000000001Ei",
            "1152921504606846976000000001n",
        ),
        (
            "0.00000000001000000000000000000000000000001Ei",
            "11529215046068470n",
        ),
    ] {
        assert_eq!(quantity(text).to_string(), written, "{text}");
    }
}

/// Kubernetes keeps larger quantities, except those with a binary suffix.
#[test]
fn decimal_quantity_over_the_maximum_is_capped() {
    for text in [
        "100000000000000000000000000000000000000000000",
        "99999E",
        "1e2147483647",
    ] {
        assert_eq!(quantity(text).to_string(), "9223372036854775807", "{text}");
    }
}

#[test]
fn invalid_quantity_is_an_error_that_quotes_it() {
    for text in [
        "",
        "..",
        "1 Gi",
        "1.2.3",
        "1gi",
        "1KI",
        "--1",
        "1e",
        "1e99999999999",
        "one",
        "1mi",
        "0x10",
        "e",
        " ",
        "- 1",
        "1 m",
        "100m\n",
        "\t100m",
        "100m\u{2028}",
    ] {
        let error = text.parse::<Quantity>().unwrap_err();
        let quoted = format!("{text:?} is not a quantity");
        assert!(error.to_string().starts_with(&quoted), "{text}: {error}");
    }
}

#[test]
fn quantity_without_digits_is_zero() {
    for text in ["m", "Ki", "e3", ".", "-", "+", ".m"] {
        assert_eq!(quantity(text), Quantity::ZERO, "{text}");
    }
}

/// Kubernetes trims a quantity in its JSON form, so it keeps characters that JSON escapes.
#[test]
fn blanks_around_a_quantity_are_ignored() {
    for (text, written) in [
        ("100m ", "100m"),
        (" 64Mi", "64Mi"),
        ("  1.5  ", "1500m"),
        ("\u{a0}2\u{3000}", "2"),
        ("\u{85}2", "2"),
    ] {
        assert_eq!(quantity(text).to_string(), written, "{text:?}");
    }
}

#[test]
fn sum_has_the_notation_of_its_first_nonzero_summand() {
    for (parts, sum) in [
        (["0", "1Gi", "1G"], "2073741824"),
        (["1Gi", "1Gi", "0"], "2Gi"),
        (["100m", "1", "0"], "1100m"),
        (["512Mi", "512M", "0"], "1024288Ki"),
    ] {
        let mut total = Quantity::ZERO;
        for part in parts {
            total += quantity(part);
        }
        assert_eq!(total.to_string(), sum, "{parts:?}");
    }
}

#[test]
fn difference_may_be_negative() {
    let left = quantity("1Gi").minus(quantity("1536Mi"));
    assert!(left.is_negative());
    assert_eq!(left.to_string(), "-512Mi");
    assert_eq!(quantity("0").minus(quantity("2Gi")).to_string(), "-2Gi");
}

#[test]
fn fractions_of_a_thousandth_are_rounded_up() {
    for (text, rounded) in [("1n", "1m"), ("1000001u", "1001m"), ("1m", "1m"), ("2", "2")] {
        assert_eq!(
            quantity(text).rounded_up_to_thousandths().to_string(),
            rounded,
            "{text}"
        );
    }
}
