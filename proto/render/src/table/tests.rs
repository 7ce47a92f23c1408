use super::*;

fn table() -> Table {
    let mut table = Table::new(["NAME", "VERDICT", "REASON"]);
    table.add_row([
        "worker-1".into(),
        Cell::with_severity("RUN", Severity::Ok),
        "the node fits".into(),
    ]);
    table.add_row([
        "worker-1000".into(),
        Cell::with_severity("EXCLUDE", Severity::Error),
        "nodeSelector wants disk=ssd, the node has no label disk".into(),
    ]);
    table.add_row(["w".into(), "KEEP".into(), "".into()]);
    table
}

#[test]
fn columns_are_as_wide_as_their_widest_cell_and_lines_have_no_trailing_spaces() {
    assert_eq!(
        table().render(TableStyle::default()),
        "\
NAME          VERDICT   REASON
worker-1      RUN       the node fits
worker-1000   EXCLUDE   nodeSelector wants disk=ssd, the node has no label disk
w             KEEP
"
    );
}

#[test]
fn last_column_wraps_within_itself_on_a_terminal() {
    let style = TableStyle {
        width: Some(54),
        ..TableStyle::default()
    };
    assert_eq!(
        table().render(style),
        "\
NAME          VERDICT   REASON
worker-1      RUN       the node fits
worker-1000   EXCLUDE   nodeSelector wants disk=ssd,
                        the node has no label disk
w             KEEP
"
    );
}

#[test]
fn nothing_wraps_on_a_narrow_terminal() {
    for width in [0, 20, 47] {
        let style = TableStyle {
            width: Some(width),
            ..TableStyle::default()
        };
        assert_eq!(
            table().render(style),
            table().render(TableStyle::default()),
            "{width}"
        );
    }
}

#[test]
fn colors_take_no_width() {
    let style = TableStyle {
        has_colors: true,
        ..TableStyle::default()
    };
    let colored = table().render(style);
    assert!(
        colored.contains("\u{1b}[31mEXCLUDE\u{1b}[0m   node"),
        "{colored:?}"
    );
    let plain = colored
        .replace("\u{1b}[31m", "")
        .replace("\u{1b}[32m", "")
        .replace("\u{1b}[0m", "");
    assert_eq!(plain, table().render(TableStyle::default()));
}

#[test]
fn words_longer_than_the_width_stay_in_one_piece() {
    assert_eq!(wrap("a bc d", 2), ["a", "bc", "d"]);
    assert_eq!(wrap("a-long-word b", 4), ["a-long-word", "b"]);
    assert_eq!(wrap("a a-long-word", 4), ["a", "a-long-word"]);
    assert_eq!(wrap("żółw żółw", 4), ["żółw", "żółw"]);
    assert_eq!(wrap("", 4), [""]);
}

#[test]
fn control_characters_in_cells_and_headings_are_escaped_and_count_towards_the_width() {
    let mut table = Table::new(["NAME\u{1b}[1m", "REASON"]);
    table.add_row([
        "a\u{1b}[2J\nb".into(),
        Cell::with_severity("c\rd", Severity::Error),
    ]);
    assert_eq!(
        table.render(TableStyle::default()),
        "\
NAME\\x1b[1m   REASON
a\\x1b[2J\\nb   c\\rd
"
    );
}
