//! Compares what the offline commands read from files with what kubectl's own reader reads.

use everynode_planner::offline::documents;
use everynode_tests::judge::{Contents, file_contents};
use everynode_tests::manifests::{manifests, mutate};
use everynode_tests::toolbox::Toolbox;
use fastrand::Rng;
use serde_json::Value;

/// The number of changed files that are compared.
const MUTATIONS: usize = 20_000;
/// The number of differences that the message of a failure shows.
const MAX_SHOWN: usize = 5;

/// Whether two values mean the same to a decoder of JSON, which doesn't distinguish 1 and 1.0.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, one)| other.get(key).is_some_and(|other| same(one, other)))
        }
        _ => one == other,
    }
}

/// Whether kubectl reads only objects from the file. It refuses a file with anything else.
fn is_accepted(contents: &Contents) -> bool {
    let is_object = |document: &Value| document["kind"].is_string();
    contents.error.is_empty() && contents.documents.iter().all(is_object)
}

/// Whether kubectl reads files that are refused here with this error. Both causes are typing errors: a character that YAML
/// doesn't allow in a tag, and a closing bracket after the end of the document.
fn is_known(error: &str) -> bool {
    error.contains("while scanning a tag") || error.contains("misplaced bracket")
}

/// Describes how the documents that are read from a file differ from those that kubectl reads. kubectl may refuse a file
/// that is read here.
fn difference(file: &[u8], expected: &Contents) -> Option<String> {
    if !is_accepted(expected) {
        return None;
    }
    let documents = match documents::parse("file", file) {
        Ok(contents) => contents.documents.into_iter(),
        Err(error) => return Some(error.to_string()),
    };
    let found: Vec<Value> = documents.map(|document| document.value).collect();
    let equal = found.len() == expected.documents.len()
        && found
            .iter()
            .zip(&expected.documents)
            .all(|(found, expected)| same(found, expected));
    let both = || {
        format!(
            "read here: {}\nby kubectl: {}",
            Value::from(found),
            Value::from(expected.documents.clone())
        )
    };
    (!equal).then(both)
}

#[tokio::test]
async fn files_and_20_000_changed_files_are_read_as_kubectl_reads_them() {
    let toolbox = Toolbox::ensured().await.unwrap();
    let manifests = manifests().unwrap();
    let mut random = Rng::with_seed(17);
    let mut files: Vec<_> = manifests
        .iter()
        .map(|manifest| manifest.content.clone())
        .collect();
    for _ in 0..MUTATIONS {
        let seed = &manifests[random.usize(..manifests.len())].content;
        files.push(mutate(&mut random, seed));
    }
    let expected = file_contents(&toolbox, &files).await.unwrap();
    let accepted = expected.iter().filter(|contents| is_accepted(contents)).count();
    assert!(accepted > MUTATIONS / 5, "kubectl accepts {accepted} files");
    for (manifest, contents) in manifests.iter().zip(&expected) {
        let file = manifest.path.display();
        assert_eq!(contents.error, "", "{file}");
        assert_eq!(difference(&manifest.content, contents), None, "{file}");
    }
    let compared = files.iter().zip(&expected);
    let differences: Vec<_> = compared
        .filter_map(|(file, expected)| Some((file, difference(file, expected)?)))
        .filter(|(_, difference)| !is_known(difference))
        .collect();
    // All differences count; the message shows only the first ones.
    let shown: Vec<_> = differences
        .iter()
        .take(MAX_SHOWN)
        .map(|(file, difference)| format!("{difference}\n{}", String::from_utf8_lossy(file)))
        .collect();
    // Changes also make files that nobody writes, such as one with a block scalar as a key. The two readers may differ in
    // one of 1,000.
    assert!(
        differences.len() * 1_000 <= accepted,
        "{} of {accepted} files are read differently:\n{}",
        differences.len(),
        shown.join("\n\n")
    );
}
