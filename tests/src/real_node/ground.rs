//! What a real node requires of the machine it runs on.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};
use tokio::process::Command;

use super::machine::run;

/// The packages to install if missing, each with the file whose presence shows that it is installed.
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

/// The reason why this machine can't run a real node.
#[derive(Debug)]
pub struct Unfit(String);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

/// Whether missing programs may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Install {
    /// They are installed from Debian's packages.
    Allowed,
    /// Nothing is installed; the error names what is missing.
    Forbidden,
}

/// Checks whether this machine can run a real node, and installs missing programs if that is allowed.
///
/// # Errors
/// An [`Unfit`] that says what is missing when the machine can't run a real node. The output of apt-get when installing
/// fails.
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

/// Fails when this root can't make namespaces, which is common for root in a container.
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
        // Keeps a package from starting its own service, which would change the machine beyond installing files.
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
