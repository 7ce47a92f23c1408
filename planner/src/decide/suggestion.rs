//! Finds the word that a misspelled word probably means.

/// The maximum number of characters of a text that a message quotes.
const MAX_SHOWN: usize = 100;

/// Quotes a text for a message. A long text is cut.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// Returns the candidate that differs from the word only in case, hyphens, underscores and blanks. If there is none,
/// returns the candidate whose spelling is closest, if it differs in at most two letters. Words of fewer than eight
/// letters may differ in one letter, and words of fewer than four letters must be the same.
pub(crate) fn closest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // No candidate is longer, and comparing long texts would take time.
    if word.len() > MAX_SHOWN {
        return None;
    }
    let plain = letters(word);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let other = letters(candidate);
        if plain == other {
            return Some(candidate);
        }
        let limit = match plain.len().min(other.len()) {
            ..4 => continue,
            4..8 => 1,
            _ => 2,
        };
        if plain.len().abs_diff(other.len()) > limit {
            continue;
        }
        let distance = strsim::damerau_levenshtein(&plain, &other);
        if distance <= limit && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Whether two words differ at most in case, hyphens, underscores and blanks.
pub(crate) fn same_letters(one: &str, other: &str) -> bool {
    letters(one) == letters(other)
}

/// The word without case, hyphens, underscores and blanks.
fn letters(word: &str) -> String {
    let separator = |character: &char| matches!(character, '-' | '_' | ' ');
    let letters = word.chars().filter(|character| !separator(character));
    letters.map(|character| character.to_ascii_lowercase()).collect()
}

/// Returns the end of a message: the closest candidate if there is one, or else all candidates.
pub(crate) fn expected(word: &str, candidates: &[&str]) -> String {
    match closest(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean {candidate}?"),
        None => format!("it must be {}", alternatives(candidates)),
    }
}

/// Joins alternatives, such as `A, B or C`.
pub(crate) fn alternatives(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closest_word_differs_in_case_or_in_few_letters() {
        let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        for (word, expected) in [
            ("NO_SCHEDULE", Some("NoSchedule")),
            ("Noschedule", Some("NoSchedule")),
            ("no-schedule", Some("NoSchedule")),
            ("NoSchedul", Some("NoSchedule")),
            ("NoScehdule", Some("NoSchedule")),
            ("PREFER_NO_SCHEDULE", Some("PreferNoSchedule")),
            ("noexec", None),
            ("", None),
            ("Schedule", Some("NoSchedule")),
            ("Never", None),
        ] {
            assert_eq!(closest(word, effects), expected, "{word}");
        }
        assert_eq!(closest("key", ["keys"]), None, "short words must be the same");
        assert_eq!(closest("KEY", ["key"]), Some("key"));
        assert_eq!(closest("exist", ["Equal", "Exists"]), Some("Exists"));
        assert_eq!(closest(&"x".repeat(1_000_000), ["key"]), None);
    }

    #[test]
    fn message_ends_with_the_closest_word_or_with_all_words() {
        assert_eq!(expected("exists", &["Equal", "Exists"]), "did you mean Exists?");
        assert_eq!(expected("In", &["Equal", "Exists"]), "it must be Equal or Exists");
        assert_eq!(alternatives(&["A", "B", "C"]), "A, B or C");
        assert_eq!(alternatives(&["A"]), "A");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(quoted("a\"b"), r#""a\"b""#);
        let long = quoted(&"ä".repeat(1_000));
        assert_eq!(long.chars().count(), MAX_SHOWN + 3);
    }
}
