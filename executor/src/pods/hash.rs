//! Short names from hashes.

use sha2::{Digest, Sha256};

/// The characters of generated names. They spell no words, and no two look alike. The same as in
/// `k8s.io/apimachinery/pkg/util/rand`.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The length of a short hash: 27^10 values, 47 bits.
pub(crate) const SHORT_LENGTH: usize = 10;

/// Returns a hash of all parts that is valid in names and labels.
pub(crate) fn short(parts: &[&[u8]]) -> String {
    let base = ALPHABET.len() as u128;
    let mut number = u128::from_be_bytes(first_half(digest(parts)));
    let mut name = String::with_capacity(SHORT_LENGTH);
    for _ in 0..SHORT_LENGTH {
        let letter = usize::try_from(number % base)
            .ok()
            .and_then(|index| ALPHABET.get(index));
        name.extend(letter.copied().map(char::from));
        number /= base;
    }
    name
}

/// Whether a text looks like a short hash.
pub(crate) fn is_short(text: &str) -> bool {
    text.len() == SHORT_LENGTH && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// Returns the fingerprint of a text.
pub(crate) fn fingerprint(text: &[u8]) -> Fingerprint {
    Fingerprint(first_half(digest(&[text])))
}

/// Identifies a text: two texts with the same fingerprint are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Fingerprint([u8; 16]);

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        // Hashing the length keeps ("ab", "c") apart from ("a", "bc").
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

fn first_half(digest: [u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_hash_has_ten_characters_and_depends_on_every_part() {
        let hash = short(&[b"ab", b"c"]);
        assert!(is_short(&hash), "{hash}");
        assert!(!is_short("bcdfg") && !is_short("bcdfghjkla"));
        assert_eq!(hash, short(&[b"ab", b"c"]));
        assert_ne!(hash, short(&[b"a", b"bc"]));
        assert_ne!(hash, short(&[b"ab", b"c", b""]));
    }
}
