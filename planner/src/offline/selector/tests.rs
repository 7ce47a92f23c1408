use super::*;

/// Whether a selector matches labels that are written as `key=value`, separated by spaces.
fn matches(selector: &str, labels: &str) -> bool {
    let labels: Vec<_> = labels
        .split_whitespace()
        .filter_map(|label| label.split_once('='))
        .collect();
    let value_of = |key: &str| {
        labels
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    };
    selector.parse::<Selector>().unwrap().matches(value_of)
}

#[test]
fn every_operator_of_kubectl_is_supported() {
    for (selector, matching, not_matching) in [
        ("app=a", "app=a", "app=b"),
        ("app==a", "app=a", ""),
        ("app = a", "app=a", "app=b"),
        ("app=", "app=", "app=a"),
        ("app!=a", "app=b", "app=a"),
        ("app!=a", "", "app=a"),
        ("app", "app=", "other=a"),
        ("!app", "other=a", "app=a"),
        ("! app", "", "app=a"),
        ("app in (a,b)", "app=b", "app=c"),
        ("app in ( a , b )", "app=a", ""),
        ("app notin (a, b)", "app=c", "app=a"),
        ("app notin (a)", "", "app=a"),
        ("app in ()", "app=", "app=a"),
        ("size>3", "size=4", "size=3"),
        ("size<3", "size=2", "size=many"),
        ("example.com/tier=a.b_c-d", "example.com/tier=a.b_c-d", "tier=a"),
        ("a=1,b!=2,c in (3,4)", "a=1 c=3", "a=1 b=2 c=3"),
        ("a=1 , !b", "a=1", "a=1 b=2"),
    ] {
        assert!(matches(selector, matching), "{selector}: {matching}");
        assert!(!matches(selector, not_matching), "{selector}: {not_matching}");
    }
    assert!(matches("", "app=a"));
    assert!(matches(" ", ""));
}

#[test]
fn invalid_selectors_are_refused_with_the_part_that_is_wrong() {
    for (selector, message) in [
        ("app in (a", "has a ( without a ) in \"app in (a\""),
        ("app in a)", "has a ) without a ( in \"app in a)\""),
        ("app in ((a))", "has a second ( before a ) in \"app in ((a))\""),
        ("a=1,", "has an empty requirement; remove the extra comma"),
        (
            "=a",
            "must have a label key such as app or example.com/tier in \"=a\"",
        ),
        (
            "a/b/c",
            "must have a label key such as app or example.com/tier in \"a/b/c\"",
        ),
        (
            "b,a b",
            "must have a label key such as app or example.com/tier in \"a b\"",
        ),
        (
            "a=b=c",
            "must have a label value of letters, digits, - _ and . in \"a=b=c\"",
        ),
        (
            "a=b c",
            "must have a label value of letters, digits, - _ and . in \"a=b c\"",
        ),
        ("a>b", "must have a whole number after > in \"a>b\""),
        (
            "a within (b)",
            "must have the form KEY in (VALUE, …) or KEY notin (VALUE, …), not \"a within (b)\"",
        ),
        (
            "a=1,b in c",
            "must have the form KEY in (VALUE, …) or KEY notin (VALUE, …), not \"b in c\"",
        ),
    ] {
        assert_eq!(selector.parse::<Selector>().unwrap_err(), message);
    }
}

#[test]
fn selector_is_shown_as_written() {
    assert_eq!(" a = b ".parse::<Selector>().unwrap().to_string(), " a = b ");
}
