//! What a machine has to be for a real node to run on it.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};
use tokio::process::Command;

use super::machine::run;

/// What is installed where it is missing, and the file by which that is seen.
const PACKAGES: [(&str, &str); 9] = [
    ("buildah", "/usr/bin/buildah"),
    ("conntrack", "/usr/sbin/conntrack"),
    ("containerd", "/usr/bin/containerd"),
    ("containernetworking-plugins", "/usr/lib/cni/bridge"),
    ("iproute2", "/usr/sbin/ip"),
    ("iptables", "/usr/sbin/iptables"),
    ("mount", "/usr/bin/mount"),
    ("runc", "/usr/sbin/runc"),
    ("util-linux", "/usr/bin/unshare"),
];

/// Why this machine is no ground for a real node.
#[derive(Debug)]
pub struct Unfit(String);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

/// Whether what is missing may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Install {
    /// From Debian's packages.
    Allowed,
    /// What is missing is named, and that is all.
    Forbidden,
}

/// Looks whether this machine can run a real node, and installs the programs that are missing if that is allowed.
///
/// # Errors
/// When it can't, an [`Unfit`] that says what is missing; when installing fails, with the words of apt-get.
pub async fn prepare(install: Install) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(
            Unfit("a real node takes root: namespaces, mounts and cgroups are made".to_owned()).into(),
        );
    }
    may_make_namespaces().await?;
    let missing = missing(Path::new("/"));
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !Path::new("/etc/debian_version").exists() {
        return Err(Unfit(format!(
            "these have to be installed, which is only known how to do on Debian: {names}"
        ))
        .into());
    }
    if install == Install::Forbidden {
        return Err(Unfit(format!(
            "Debian packages are missing, and none may be installed: {names}"
        ))
        .into());
    }
    apt_get(&["update"]).await?;
    let arguments = ["install", "--yes", "--no-install-recommends"];
    apt_get(&[&arguments[..], &missing].concat()).await
}

/// Root in a container often may not.
async fn may_make_namespaces() -> Result<()> {
    let tried = run(
        "unshare",
        &["--net", "--mount", "--pid", "--fork", "--mount-proc", "true"],
    );
    let tried = tried.await;
    tried.map(drop).map_err(|error| {
        Unfit(format!(
            "this root may not make namespaces (CAP_SYS_ADMIN): {error:#}"
        ))
        .into()
    })
}

fn missing(root: &Path) -> Vec<&'static str> {
    let there = |file: &str| root.join(file.trim_start_matches('/')).exists();
    PACKAGES
        .iter()
        .filter(|(_, file)| !there(file))
        .map(|(package, _)| *package)
        .collect()
}

async fn apt_get(args: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // A package that starts a service of its own would change the machine beyond being there.
        .env("RUNLEVEL", "1")
        .kill_on_drop(true)
        .output()
        .await
        .context("starting apt-get")?;
    anyhow::ensure!(
        output.status.success(),
        "`apt-get {}` failed: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_missing_when_its_file_is() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(missing(root.path()).len(), PACKAGES.len());
        std::fs::create_dir_all(root.path().join("usr/sbin")).unwrap();
        std::fs::write(root.path().join("usr/sbin/runc"), "").unwrap();
        let missing = missing(root.path());
        assert_eq!(missing.len(), PACKAGES.len() - 1);
        assert!(!missing.contains(&"runc"), "{missing:?}");
    }
}
