//! Comma-separated values, quoted as in RFC 4180, for spreadsheets and scripts.
//!
//! Lines end with a line feed, as everywhere on Unix. Cells hold text from clusters and files, so they are escaped like
//! those of tables. A spreadsheet would run a cell that begins with `=`, `+`, `-` or `@` as a formula. So such a cell
//! gets an apostrophe in front, unless it is a number.

use crate::text::printable;

/// Rows below one header line.
#[derive(Debug, Clone)]
pub(crate) struct Csv {
    text: String,
}

impl Csv {
    /// Creates a table with a header line and no rows.
    pub(crate) fn new<T: AsRef<str>>(headings: impl IntoIterator<Item = T>) -> Self {
        let mut csv = Self { text: String::new() };
        csv.add_row(headings);
        csv
    }

    pub(crate) fn add_row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.text.push_str(&row(cells));
    }

    /// Returns the lines, each with a newline at its end.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

/// Returns one line with a newline at its end.
pub(crate) fn row<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> String {
    let cells: Vec<_> = cells.into_iter().map(|text| cell(text.as_ref())).collect();
    cells.join(",") + "\n"
}

fn cell(text: &str) -> String {
    let text = printable(text);
    let text = if is_formula(&text) {
        format!("'{text}")
    } else {
        text.into_owned()
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// The characters that begin a formula, also in their full-width forms.
const FORMULA_SIGNS: [char; 8] = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// Whether a spreadsheet would take the text for a formula.
fn is_formula(text: &str) -> bool {
    let is_digit_or_sign =
        |character: char| character.is_ascii_digit() || matches!(character, '.' | '+' | '-' | 'e' | 'E');
    let is_number = text.chars().all(is_digit_or_sign) && text.parse::<f64>().is_ok();
    text.starts_with(FORMULA_SIGNS) && !is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_only_if_they_must_be() {
        let mut csv = Csv::new(["NAME", "REASON"]);
        csv.add_row(["a", "one, two"]);
        csv.add_row(["b", "says \"no\""]);
        csv.add_row(["", "a b"]);
        assert_eq!(
            csv.into_text(),
            "NAME,REASON\na,\"one, two\"\nb,\"says \"\"no\"\"\"\n,a b\n"
        );
    }

    #[test]
    fn formulas_get_an_apostrophe_and_numbers_dont() {
        for (text, expected) in [
            ("=1+1", "'=1+1\n"),
            ("+a", "'+a\n"),
            ("-", "'-\n"),
            ("-1Gi", "'-1Gi\n"),
            ("@SUM(A1)", "'@SUM(A1)\n"),
            (
                "=HYPERLINK(\"a\",\"b\")",
                "\"'=HYPERLINK(\"\"a\"\",\"\"b\"\")\"\n",
            ),
            ("-inf", "'-inf\n"),
            ("-1073741824", "-1073741824\n"),
            ("+0.5", "+0.5\n"),
            ("-1e3", "-1e3\n"),
            ("\u{ff1d}1", "'\u{ff1d}1\n"),
            ("a=b", "a=b\n"),
        ] {
            assert_eq!(row([text]), expected);
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(row(["a\u{1b}[2J\nb\r\t"]), "a\\x1b[2J\\nb\\r\\t\n");
    }
}
