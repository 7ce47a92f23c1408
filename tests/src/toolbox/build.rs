//! The products of the toolbox: what each consists of, and where it comes from.

use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::compile::{BUILD, COMPILER_FLAGS, Compilation, STRIPPED, TEST, print_message, require_go};
use super::ready_made::{Package, REQUIREMENTS};
use super::{BUF, CONFORMANCE, NODE, NODE_PROGRAMS, PROMTOOL, Tool, WEB};

/// The version stamped into the components. Without it they don't know their own version, and kubectl can't parse
/// theirs.
const KUBERNETES_VERSION: &str = "v1.36.3";
const CONTROL_PLANE: &str = "controlplane";
const GRPCURL: &str = "github.com/fullstorydev/grpcurl/cmd/grpcurl";
const BUF_PACKAGE: &str = "github.com/bufbuild/buf/cmd/buf";
const PROMTOOL_PACKAGE: &str = "github.com/prometheus/prometheus/cmd/promtool";
/// The oldest promtool that understands the alerts and their tests.
const MIN_PROMTOOL: (u32, u32) = (2, 42);

/// Programs that are built together, into one folder of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Product {
    /// Every [`Tool`].
    ControlPlane,
    /// Kubernetes' own end-to-end specs. They are separate because they take minutes and gigabytes to build, and only
    /// two tests need them.
    Conformance,
    /// buf, which checks .proto files. It has its own module, so that its dependencies don't have to agree with those
    /// of Kubernetes.
    Buf,
    /// kubelet, kube-proxy and `CoreDNS`. They share the control plane's module, so only the packages that the control
    /// plane doesn't contain are compiled.
    Node,
    /// The web server that runs in pods of a real node. It builds in seconds and uses only the standard library.
    Web,
    /// promtool, which checks metrics and alerts. It has its own module, so that its dependencies don't have to agree
    /// with those of Kubernetes.
    Promtool,
}

impl Product {
    /// The name of its folders in the cache, without the hash.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ControlPlane => CONTROL_PLANE,
            Self::Conformance => CONFORMANCE,
            Self::Buf => BUF,
            Self::Node => NODE,
            Self::Web => WEB,
            Self::Promtool => PROMTOOL,
        }
    }

    /// The folder of its Go module within this package.
    pub(super) fn module(self) -> &'static str {
        match self {
            // One module for everything of Kubernetes: what its programs share is compiled once.
            Self::ControlPlane | Self::Conformance | Self::Node | Self::Web => "",
            Self::Buf => BUF,
            Self::Promtool => PROMTOOL,
        }
    }

    /// The folder of its own sources within the Go module.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::ControlPlane => CONTROL_PLANE,
            Self::Conformance => "controlplane/conformance",
            Self::Node => NODE,
            Self::Web => "node/web",
            Self::Buf | Self::Promtool => "",
        }
    }

    /// The build settings that aren't in the sources. They are part of the cache's hash.
    pub(super) fn recipe(self) -> Vec<String> {
        let mut recipe = vec!["CGO_ENABLED=0".to_owned(), COMPILER_FLAGS.to_owned()];
        for compilation in self.compilations() {
            recipe.extend(compilation.args());
        }
        recipe.extend(self.links().iter().map(|&name| name.to_owned()));
        recipe.extend(self.package().map(|package| format!("{package:?}")));
        recipe
    }

    /// Installs the product's package into `target`, or builds the product there from `sources`.
    pub(super) fn build(self, sources: &Path, target: &Path) -> Result<()> {
        if let Some(package) = self.package() {
            match package.install(&sources.join(REQUIREMENTS), target) {
                Ok(()) => return Ok(()),
                Err(error) => print_message(&format!(
                    "Compiling {}, because the ready-made program can't be installed: {error:#}",
                    self.name()
                )),
            }
        }
        require_go()?;
        for compilation in self.compilations() {
            compilation.run(sources, target)?;
        }
        for name in self.links() {
            symlink(self.name(), target.join(name)).with_context(|| format!("linking {name}"))?;
        }
        Ok(())
    }

    /// The package that contains its program ready-made.
    fn package(self) -> Option<Package> {
        match self {
            Self::Buf => Some(Package::PyPi { program: BUF }),
            Self::Promtool => Some(Package::Debian {
                package: "prometheus",
                program: PROMTOOL,
                min_version: MIN_PROMTOOL,
            }),
            Self::ControlPlane | Self::Conformance | Self::Node | Self::Web => None,
        }
    }

    /// The Go compilations that build the product.
    fn compilations(self) -> Vec<Compilation> {
        let program = Compilation {
            what: "",
            command: BUILD,
            tags: "",
            flags: STRIPPED.to_owned(),
            output: self.name(),
            package: "",
        };
        match self {
            Self::ControlPlane => vec![
                Compilation {
                    what: "etcd, the Kubernetes control plane and kwok",
                    flags: kubernetes_flags(),
                    package: "./controlplane",
                    ..program.clone()
                },
                Compilation {
                    what: "grpcurl",
                    output: Tool::Grpcurl.file_name(),
                    package: GRPCURL,
                    ..program
                },
            ],
            Self::Conformance => vec![Compilation {
                what: "Kubernetes' own specs of DaemonSets",
                command: TEST,
                package: "./controlplane/conformance",
                ..program
            }],
            Self::Buf => vec![Compilation {
                what: "buf, which checks the .proto files",
                package: BUF_PACKAGE,
                ..program
            }],
            Self::Node => vec![Compilation {
                what: "kubelet, kube-proxy and CoreDNS",
                flags: kubernetes_flags(),
                package: "./node",
                ..program
            }],
            Self::Web => vec![Compilation {
                what: "the web server of the pods",
                package: "./node/web",
                ..program
            }],
            Self::Promtool => vec![Compilation {
                what: "promtool, which checks metrics and alerts",
                // Leave out service discovery. Its cloud clients are half of the program, and promtool's checks of
                // metrics and alerts don't need them.
                tags: "remove_all_sd",
                package: PROMTOOL_PACKAGE,
                ..program
            }],
        }
    }

    /// The names by which its program is started, besides its own.
    fn links(self) -> Vec<&'static str> {
        match self {
            Self::ControlPlane => Tool::ALL
                .into_iter()
                .filter(|tool| *tool != Tool::Grpcurl)
                .map(Tool::file_name)
                .collect(),
            Self::Node => NODE_PROGRAMS.to_vec(),
            Self::Conformance | Self::Buf | Self::Web | Self::Promtool => Vec::new(),
        }
    }
}

fn kubernetes_flags() -> String {
    format!("{STRIPPED} -X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_product_has_its_sources_and_pins_its_package() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
        for product in [
            Product::ControlPlane,
            Product::Conformance,
            Product::Buf,
            Product::Node,
            Product::Web,
            Product::Promtool,
        ] {
            let module = sources.join(product.module());
            assert!(module.join("go.mod").exists(), "{product:?}");
            assert!(module.join(product.folder()).is_dir(), "{product:?}");
            assert_eq!(
                std::fs::exists(module.join(REQUIREMENTS)).unwrap(),
                matches!(product.package(), Some(Package::PyPi { .. })),
                "{product:?}"
            );
        }
    }
}
