//! The cache of built programs: a folder `PRODUCT-HASH` for each product and state of its sources.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use super::build::Product;
use super::compile;
use super::ready_made::REQUIREMENTS;

/// How many builds of each product are kept. With two, switching between two branches doesn't rebuild each time.
const KEPT: usize = 2;

/// The folder of a product's Go module.
fn sources(product: Product) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(product.module())
}

/// `$XDG_CACHE_HOME/everynode`, or `~/.cache/everynode`.
pub(super) fn folder() -> Result<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    match (set("XDG_CACHE_HOME"), set("HOME")) {
        (Some(cache), _) => Ok(cache.join("everynode")),
        (None, Some(home)) => Ok(home.join(".cache").join("everynode")),
        (None, None) => bail!("can't find a cache folder: set XDG_CACHE_HOME or HOME"),
    }
}

/// The folder of the product as built from the current sources. Builds it if necessary.
pub(super) fn ensure(cache: &Path, product: Product) -> Result<PathBuf> {
    let sources = sources(product);
    let hash = hash(&sources, product)?;
    kept(cache, product.name(), &hash, |target| {
        product.build(&sources, target)
    })
}

/// The cache folder with this name and hash. Makes it if necessary.
pub(super) fn kept(
    cache: &Path,
    name: &str,
    hash: &str,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let folder = cache.join(format!("{name}-{hash}"));
    // The folder gets its final name only once it is complete, so it is complete if it exists.
    if folder.exists() {
        return Ok(folder);
    }
    fs::create_dir_all(cache).with_context(|| format!("making the cache folder {}", cache.display()))?;
    // One lock for all products, because two builds at once would only compete for the processors.
    let path = cache.join("lock");
    let lock = File::create(&path).with_context(|| format!("making {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            compile::print_message("Waiting for another build.");
            lock.lock()
                .with_context(|| format!("locking {}", path.display()))?;
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("locking {}", path.display()));
        }
    }
    if folder.exists() {
        return Ok(folder);
    }
    let unfinished = tempfile::Builder::new()
        .prefix("unfinished-")
        .tempdir_in(cache)
        .with_context(|| format!("making a folder in {}", cache.display()))?;
    make(unfinished.path())?;
    let unfinished = unfinished.keep();
    fs::rename(&unfinished, &folder)
        .with_context(|| format!("renaming {} to {}", unfinished.display(), folder.display()))?;
    prune(cache, name);
    Ok(folder)
}

/// A hash of everything that the build depends on: the product, its build settings and its sources.
fn hash(sources: &Path, product: Product) -> Result<String> {
    let mut files = Vec::new();
    for name in ["go.mod", "go.sum", REQUIREMENTS] {
        let path = sources.join(name);
        if path.exists() {
            files.push((name.to_owned(), path));
        }
    }
    let folder = sources.join(product.folder());
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry
            .with_context(|| format!("reading {}", folder.display()))?
            .path();
        if path.extension().is_some_and(|extension| extension == "go") {
            let name = path.strip_prefix(sources).unwrap_or(&path);
            files.push((name.to_string_lossy().into_owned(), path));
        }
    }
    files.sort();
    let mut parts: Vec<Vec<u8>> = product.recipe().into_iter().map(String::into_bytes).collect();
    for (name, path) in files {
        parts.push(name.into_bytes());
        parts.push(fs::read(&path).with_context(|| format!("reading {}", path.display()))?);
    }
    Ok(hash_of(&parts))
}

/// A hash of these parts, short enough for a folder's name.
pub(super) fn hash_of(parts: &[Vec<u8>]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // Include the lengths, so that moving bytes from one part to the next changes the hash.
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    let mut text = format!("{:x}", hash.finalize());
    text.truncate(16);
    text
}

/// Removes all but the newest builds of a product, and the remains of interrupted builds. The caller holds the
/// lock. Failures don't matter, because the next build tries again.
fn prune(cache: &Path, name: &str) {
    let prefix = format!("{name}-");
    let Ok(entries) = fs::read_dir(cache) else { return };
    let mut builds: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) {
            let built = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .unwrap_or(SystemTime::UNIX_EPOCH);
            builds.push((built, entry.path()));
        } else if name.starts_with("unfinished-") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    builds.sort();
    let old = builds.len().saturating_sub(KEPT);
    for (_, path) in builds.into_iter().take(old) {
        let _ = fs::remove_dir_all(path);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn hash_of_a_product_changes_with_exactly_the_files_of_its_build() {
        let sources = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(sources.path().join(name), text).unwrap();
        let hashes = || {
            [
                Product::ControlPlane,
                Product::Conformance,
                Product::Node,
                Product::Buf,
            ]
            .map(|product| hash(sources.path(), product).unwrap())
        };
        for folder in ["controlplane/conformance", "node"] {
            fs::create_dir_all(sources.path().join(folder)).unwrap();
        }
        write("controlplane/main.go", "package main");
        write("go.mod", "module m");
        let first = hashes();
        assert_eq!(first.each_ref().map(String::len), [16; 4]);
        assert_eq!(BTreeSet::from(first).len(), 4);
        for (name, text, changed) in [
            ("README.md", "words", [false, false, false, false]),
            ("controlplane/README.md", "words", [false, false, false, false]),
            ("go.mod", "module n", [true, true, true, true]),
            ("go.sum", "", [true, true, true, true]),
            ("requirements.txt", "a==1", [true, true, true, true]),
            (
                "controlplane/kwok.go",
                "package main",
                [true, false, false, false],
            ),
            (
                "controlplane/main.go",
                "package other",
                [true, false, false, false],
            ),
            (
                "controlplane/conformance/a_test.go",
                "package a",
                [false, true, false, false],
            ),
            (
                "controlplane/conformance/a_test.go",
                "package b",
                [false, true, false, false],
            ),
            ("node/main.go", "package main", [false, false, true, false]),
        ] {
            let before = hashes();
            write(name, text);
            let after = hashes();
            assert_eq!(
                [0, 1, 2, 3].map(|product| before[product] != after[product]),
                changed,
                "{name}"
            );
        }
    }

    #[test]
    fn pruning_keeps_the_two_newest_builds_of_a_product_and_everything_else() {
        let cache = tempfile::tempdir().unwrap();
        for (age, name) in [
            (3, "controlplane-c"),
            (1, "controlplane-a"),
            (2, "controlplane-b"),
            (7, "conformance-c"),
            (8, "conformance-d"),
            (9, "conformance-e"),
            (9, "other"),
        ] {
            let path = cache.path().join(name);
            fs::create_dir(&path).unwrap();
            let time = SystemTime::now() - std::time::Duration::from_hours(age);
            File::open(&path).unwrap().set_modified(time).unwrap();
        }
        fs::create_dir(cache.path().join("unfinished-x")).unwrap();
        let left = || {
            let mut left: Vec<_> = fs::read_dir(cache.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            left.sort();
            left
        };
        let specs = ["conformance-c", "conformance-d", "conformance-e"];
        prune(cache.path(), Product::ControlPlane.name());
        assert_eq!(
            left(),
            [&specs[..], &["controlplane-a", "controlplane-b", "other"]].concat()
        );
        prune(cache.path(), Product::Conformance.name());
        assert_eq!(
            left(),
            [&specs[..2], &["controlplane-a", "controlplane-b", "other"]].concat()
        );
    }
}
