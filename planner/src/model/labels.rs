//! Labels, and label keys that are looked up repeatedly.

use std::sync::Arc;

use super::Text;

/// Keys with values, sorted by key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    pairs: Box<[(Text, Text)]>,
    /// The digests of the keys, in the same order. One cache line of them shows where a key may be.
    digests: Box<[u32]>,
}

/// A label key that is looked up on many nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelKey {
    text: Text,
    digest: u32,
}

impl LabelKey {
    /// A key with its digest.
    pub fn new(text: Text) -> Self {
        Self {
            digest: digest(&text),
            text,
        }
    }

    /// The key's text.
    pub fn text(&self) -> &Text {
        &self.text
    }
}

/// Whether two texts are equal. Equal texts of one session mostly share one string, so a comparison of pointers comes
/// first.
pub fn same_text(a: &Text, b: &Text) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

/// FNV-1a, which is short and the same on every machine. Keys with the same digest are distinguished by their texts.
fn digest(key: &str) -> u32 {
    key.bytes().fold(0x811C_9DC5, |digest, byte| {
        (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// Above this many labels, a binary search by key is faster than the digests. Nodes have far fewer.
const MAX_SCANNED: usize = 128;

impl Labels {
    /// The value of a key.
    pub fn get(&self, key: &LabelKey) -> Option<&Text> {
        if self.pairs.len() > MAX_SCANNED {
            let place = self
                .pairs
                .binary_search_by(|(candidate, _)| candidate.cmp(&key.text));
            return self.pairs.get(place.ok()?).map(|(_, value)| value);
        }
        let candidates = self.digests.iter().zip(&self.pairs);
        let mut candidates = candidates.filter(|(digest, _)| **digest == key.digest);
        candidates
            .find(|(_, (candidate, _))| same_text(candidate, &key.text))
            .map(|(_, (_, value))| value)
    }

    /// All pairs, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Text, &Text)> {
        self.pairs.iter().map(|(key, value)| (key, value))
    }
}

impl FromIterator<(Text, Text)> for Labels {
    fn from_iter<I: IntoIterator<Item = (Text, Text)>>(pairs: I) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        pairs.dedup_by(|(a, _), (b, _)| a == b);
        Self {
            digests: pairs.iter().map(|(key, _)| digest(key)).collect(),
            pairs: pairs.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_with_and_without_binary_search() {
        for count in [1, MAX_SCANNED, MAX_SCANNED + 1, 10 * MAX_SCANNED] {
            let name = |prefix: &str, number: usize| Text::from(format!("{prefix}{number}"));
            let labels: Labels = (0..count)
                .map(|number| (name("k", number), name("v", number)))
                .collect();
            for number in 0..count {
                let key = LabelKey::new(name("k", number));
                assert_eq!(labels.get(&key), Some(&name("v", number)));
            }
            assert_eq!(labels.get(&LabelKey::new("k".into())), None);
        }
    }
}
