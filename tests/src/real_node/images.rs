//! Builds images without a registry or a network, and hands them to containerd as files.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::config::SOCKET;
use super::machine::{Machine, run};
use crate::programs::workspace;

/// An image to build.
#[derive(Debug, Clone, Copy)]
pub(super) struct Image<'a> {
    /// The image's name and tag, in the full form that containerd uses.
    pub(super) name: &'a str,
    /// The Dockerfile, relative to the workspace's root.
    pub(super) dockerfile: &'a str,
    /// The Dockerfile's target.
    pub(super) target: &'a str,
    /// The folder that the Dockerfile copies from.
    pub(super) context: &'a Path,
}

impl Image<'_> {
    /// Builds the image and imports it into the machine's containerd.
    pub(super) async fn install(self, machine: &Machine) -> Result<()> {
        let archive = self.build(machine.home().path()).await?;
        let file = archive.to_string_lossy();
        let args = [
            "--address",
            SOCKET,
            "--namespace",
            "k8s.io",
            "images",
            "import",
            &file,
        ];
        machine.run("ctr", &args).await?;
        std::fs::remove_file(&archive).with_context(|| format!("removing {}", archive.display()))
    }

    async fn build(self, home: &Path) -> Result<PathBuf> {
        let archive = home.join("image.tar");
        let dockerfile = workspace().join(self.dockerfile);
        let buildah = |args: &[&str]| {
            let mut all: Vec<String> = ["root", "runroot"]
                .map(|folder| format!("--{folder}={}", home.join("buildah").join(folder).display()))
                .into();
            // The storage driver vfs works on any file system.
            all.push("--storage-driver=vfs".to_owned());
            all.extend(args.iter().map(|&arg| arg.to_owned()));
            all
        };
        let (dockerfile, context) = (dockerfile.to_string_lossy(), self.context.to_string_lossy());
        let build = [
            "build",
            "--isolation=chroot",
            "--target",
            self.target,
            "--file",
            &dockerfile,
            "--tag",
            self.name,
            &context,
        ];
        run("buildah", &buildah(&build)).await?;
        let to = format!("docker-archive:{}:{}", archive.display(), self.name);
        run("buildah", &buildah(&["push", self.name, &to])).await?;
        Ok(archive)
    }
}
