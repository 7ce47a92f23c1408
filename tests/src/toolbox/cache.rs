//! The cache of built control planes: one folder per state of the sources, `controlplane-HASH`.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use super::build;

const PREFIX: &str = "controlplane-";
/// So that going back and forth between two branches doesn't build each time.
const KEPT: usize = 2;

/// Where the Go module lies.
pub(super) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("controlplane")
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
        (None, None) => bail!("neither XDG_CACHE_HOME nor HOME says where to keep the built control plane"),
    }
}

/// The folder with the programs that belong to the sources as they are now; built if need be.
pub(super) fn ensure(cache: &Path) -> Result<PathBuf> {
    let sources = sources();
    let folder = cache.join(format!("{PREFIX}{}", hash(&sources)?));
    // The folder gets its name once everything is in it, so its existence says that it is complete.
    if folder.exists() {
        return Ok(folder);
    }
    fs::create_dir_all(cache).with_context(|| format!("making the cache folder {}", cache.display()))?;
    let path = cache.join("lock");
    let lock = File::create(&path).with_context(|| format!("making {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            build::say("Another process is building the control plane: waiting for it.");
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
    build::build(&sources, unfinished.path())?;
    let unfinished = unfinished.keep();
    fs::rename(&unfinished, &folder)
        .with_context(|| format!("renaming {} to {}", unfinished.display(), folder.display()))?;
    prune(cache);
    Ok(folder)
}

/// A hash of everything that the build depends on: what is built, how, and from which sources.
fn hash(sources: &Path) -> Result<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(sources).with_context(|| format!("reading {}", sources.display()))? {
        let path = entry
            .with_context(|| format!("reading {}", sources.display()))?
            .path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let extension = path.extension().unwrap_or_default();
        if extension == "go" || name == "go.mod" || name == "go.sum" {
            files.push((name, path));
        }
    }
    files.sort();
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        // With their lengths, so that what moves from one part to the next changes the hash.
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    };
    for part in build::recipe() {
        add(part.as_bytes());
    }
    for (name, path) in files {
        add(name.as_bytes());
        add(&fs::read(&path).with_context(|| format!("reading {}", path.display()))?);
    }
    let mut text = format!("{:x}", hash.finalize());
    text.truncate(16);
    Ok(text)
}

/// Removes all but the newest builds, and what interrupted builds have left. Called under the lock. Failures are of no
/// consequence: the next build tries again.
fn prune(cache: &Path) {
    let Ok(entries) = fs::read_dir(cache) else { return };
    let mut builds: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) {
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
    use super::*;

    #[test]
    fn the_hash_changes_with_every_file_of_the_build_and_with_no_other() {
        let sources = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(sources.path().join(name), text).unwrap();
        write("main.go", "package main");
        write("go.mod", "module m");
        let first = hash(sources.path()).unwrap();
        assert_eq!(first.len(), 16);
        write("README.md", "words");
        assert_eq!(hash(sources.path()).unwrap(), first);
        for (name, text) in [
            ("go.sum", ""),
            ("kwok.go", "package main"),
            ("main.go", "package other"),
        ] {
            let before = hash(sources.path()).unwrap();
            write(name, text);
            assert_ne!(hash(sources.path()).unwrap(), before, "{name}");
        }
    }

    #[test]
    fn the_two_newest_builds_are_kept() {
        let cache = tempfile::tempdir().unwrap();
        for (age, name) in [
            (3, "controlplane-c"),
            (1, "controlplane-a"),
            (2, "controlplane-b"),
            (9, "other"),
        ] {
            let path = cache.path().join(name);
            fs::create_dir(&path).unwrap();
            let time = SystemTime::now() - std::time::Duration::from_hours(age);
            File::open(&path).unwrap().set_modified(time).unwrap();
        }
        fs::create_dir(cache.path().join("unfinished-x")).unwrap();
        prune(cache.path());
        let mut left: Vec<_> = fs::read_dir(cache.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["controlplane-a", "controlplane-b", "other"]);
    }
}
