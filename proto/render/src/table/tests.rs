use super::*;

fn table() -> Table {
    let mut table = Table::new(["NAME", "VERDICT", "REASON"]);
    table.row([
        "worker-1".into(),
        Cell::toned("RUN", Tone::Good),
        "the node fits".into(),
    ]);
    table.row([
        "worker-1000".into(),
        Cell::toned("EXCLUDE", Tone::Bad),
        "nodeSelector wants disk=ssd, the node has no label disk".into(),
    ]);
    table.row(["w".into(), "KEEP".into(), "".into()]);
    table
}

#[test]
fn columns_are_as_wide_as_their_widest_cell_and_lines_end_with_their_text() {
    assert_eq!(
        table().render(View::default()),
        "\
NAME          VERDICT   REASON
worker-1      RUN       the node fits
worker-1000   EXCLUDE   nodeSelector wants disk=ssd, the node has no label disk
w             KEEP
"
    );
}

#[test]
fn on_a_terminal_the_last_column_is_wrapped_within_itself() {
    let view = View {
        width: Some(54),
        ..View::default()
    };
    assert_eq!(
        table().render(view),
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
fn on_a_terminal_too_narrow_for_that_nothing_is_wrapped() {
    for width in [0, 20, 47] {
        let view = View {
            width: Some(width),
            ..View::default()
        };
        assert_eq!(table().render(view), table().render(View::default()), "{width}");
    }
}

#[test]
fn colours_take_no_room() {
    let view = View {
        colours: true,
        ..View::default()
    };
    let coloured = table().render(view);
    assert!(
        coloured.contains("\u{1b}[31mEXCLUDE\u{1b}[0m   node"),
        "{coloured:?}"
    );
    let plain = coloured
        .replace("\u{1b}[31m", "")
        .replace("\u{1b}[32m", "")
        .replace("\u{1b}[0m", "");
    assert_eq!(plain, table().render(View::default()));
}

#[test]
fn words_that_are_longer_than_the_room_stay_in_one_piece() {
    assert_eq!(wrap("a bc d", 2), ["a", "bc", "d"]);
    assert_eq!(wrap("a-long-word b", 4), ["a-long-word", "b"]);
    assert_eq!(wrap("a a-long-word", 4), ["a", "a-long-word"]);
    assert_eq!(wrap("żółw żółw", 4), ["żółw", "żółw"]);
    assert_eq!(wrap("", 4), [""]);
}

#[test]
fn cells_and_headings_show_control_characters_by_escapes_that_take_room() {
    let mut table = Table::new(["NAME\u{1b}[1m", "REASON"]);
    table.row(["a\u{1b}[2J\nb".into(), Cell::toned("c\rd", Tone::Bad)]);
    assert_eq!(
        table.render(View::default()),
        "\
NAME\\x1b[1m   REASON
a\\x1b[2J\\nb   c\\rd
"
    );
}
