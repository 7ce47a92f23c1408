//! The containers' cgroups, the only thing that outlives the machine's namespaces.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where the kernel's cgroup hierarchies are mounted: either one for all controllers, or one per controller.
const ROOT: &str = "/sys/fs/cgroup";
/// The folder that containerd puts the containers into.
const PARENT: &str = "k8s.io";
/// How long the kernel may take to end the processes in the cgroups.
const DEADLINE: Duration = Duration::from_secs(2);

/// Dropping it removes the containers' cgroups that are empty. The kernel keeps cgroups that hold processes of somebody
/// else.
#[derive(Debug)]
pub(super) struct Cgroups;

impl Drop for Cgroups {
    fn drop(&mut self) {
        let end = Instant::now() + DEADLINE;
        while !remove_all(Path::new(ROOT)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Removes the cgroups that can be removed, and returns whether none is left.
fn remove_all(root: &Path) -> bool {
    let mut all = true;
    for hierarchy in folders(root).into_iter().chain([root.to_owned()]) {
        let parent = hierarchy.join(PARENT);
        for cgroup in folders(&parent).into_iter().chain([parent]) {
            all &= !cgroup.exists() || fs::remove_dir(&cgroup).is_ok();
        }
    }
    all
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_cgroups_of_each_hierarchy_are_removed_and_others_are_left() {
        let root = tempfile::tempdir().unwrap();
        let path = |path: &str| root.path().join(path);
        for cgroup in ["pids/k8s.io/a", "memory/k8s.io/b", "k8s.io/c", "pids/other"] {
            fs::create_dir_all(path(cgroup)).unwrap();
        }
        // A nonempty folder represents a cgroup in use.
        fs::write(path("memory/k8s.io/b/used"), "").unwrap();
        assert!(!remove_all(root.path()));
        let there =
            ["pids/k8s.io", "memory/k8s.io/b", "k8s.io", "pids/other"].map(|name| path(name).exists());
        assert_eq!(there, [false, true, false, true]);
        fs::remove_file(path("memory/k8s.io/b/used")).unwrap();
        assert!(remove_all(root.path()));
    }
}
