//! Aligned columns for answers that aren't messages of the services.

use super::TableStyle;
use crate::table::{Cell, Table};

/// Renders rows below headings. Text that isn't safe to print is escaped.
pub fn columns<C: Into<String>>(
    headings: impl IntoIterator<Item = &'static str>,
    rows: impl IntoIterator<Item = Vec<C>>,
    style: TableStyle,
) -> String {
    let mut table = Table::new(headings);
    for row in rows {
        table.add_row(row.into_iter().map(|text| Cell::from(text.into())));
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_aligned_below_headings_and_escaped() {
        let rows = [vec!["canary", "done"], vec!["a\u{1b}", "open"]];
        let text = columns(["STAGE", "STATE"], rows, TableStyle::default());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], "STAGE    STATE");
        assert_eq!(lines[1], "canary   done");
        assert!(!lines[2].contains('\u{1b}'), "{text:?}");
    }
}
