//! What a real node requires of the machine it runs on.
//!
//! A machine is [`Unfit`] if it lacks something that no package provides. That says nothing about Everynode. Every
//! other obstacle, such as a program that can't be installed, is an ordinary error.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use procfs::process::Process;

use super::machine::run;
use crate::debian;

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

/// The controllers whose cgroups kubelet and containerd need.
const CONTROLLERS: [&str; 3] = ["cpu", "cpuset", "memory"];

/// The capabilities that a node needs, each with its bit in the kernel's sets.
const CAPABILITIES: [(&str, u32); 2] = [("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21)];

/// The flags with which `unshare` runs a command in namespaces like the node's.
const NAMESPACES: [&str; 5] = ["--net", "--mount", "--pid", "--fork", "--mount-proc"];

/// What the kernel must be able to do, each with a shell command that does it in namespaces of its own.
const FEATURES: [(&str, &str); 5] = [
    ("network, mount and process namespaces", "true"),
    (
        "virtual network cables (veth)",
        "ip link add test-a type veth peer name test-b",
    ),
    ("network bridges", "ip link add test-c type bridge"),
    (
        "address translation (iptables' table nat)",
        "iptables --wait 10 --table nat --list-rules",
    ),
    (
        "file systems in layers (overlayfs)",
        "mount -t tmpfs tmpfs /mnt && mkdir /mnt/lower /mnt/upper /mnt/work /mnt/merged && \
         mount -t overlay overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work /mnt/merged",
    ),
];

/// What programs print when the kernel doesn't have a feature, or doesn't let this process use it.
const REFUSALS: [&str; 8] = [
    "Function not implemented",
    "No such device",
    "Operation not permitted",
    "Operation not supported",
    "Protocol not supported",
    "Table does not exist",
    "Unknown device type",
    "unknown filesystem type",
];

/// The reasons why this machine can't be a node, whatever is installed on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit(Vec<String>);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this machine can't be a node: {}", self.0.join("; "))
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
/// An [`Unfit`] with every reason when the machine can't be a node. Another error when it could be one, but programs
/// are missing and can't be installed, or a check fails for any other reason.
pub async fn prepare(install: Install) -> Result<()> {
    check_fit(Facts::gather()?.lacking())?;
    let missing = missing(Path::new("/"));
    // Check this first, so that nothing is installed on a machine that can't be a node anyway.
    if !missing.contains(&"util-linux") {
        check_fit(lacking_features(&FEATURES[..1]).await?)?;
    }
    if !missing.is_empty() {
        let names = missing.join(" ");
        if install == Install::Forbidden {
            bail!("Debian packages are missing, and --no-install forbids installing them: {names}");
        }
        if !debian::is_here() {
            bail!(
                "programs are missing, and only Debian packages can be installed automatically; install these first: {names}"
            );
        }
        let installed = tokio::task::spawn_blocking(move || debian::install(&missing));
        installed.await.context("installing what a node needs")??;
    }
    check_fit(lacking_features(&FEATURES).await?)
}

fn check_fit(lacking: Vec<String>) -> Result<()> {
    if lacking.is_empty() {
        return Ok(());
    }
    Err(Unfit(lacking).into())
}

/// The state of this process and of the machine, as the kernel reports it.
#[derive(Debug, Clone)]
struct Facts {
    linux: bool,
    root: bool,
    /// The effective capabilities, as a set of bits.
    capabilities: u64,
    /// The mounted file systems, as /proc/self/mounts lists them.
    mounts: String,
    /// The cgroup controllers, if they all share one hierarchy (version 2).
    controllers: Option<String>,
}

impl Facts {
    fn gather() -> Result<Self> {
        let status = Process::myself().and_then(|process| process.status());
        Ok(Self {
            linux: cfg!(target_os = "linux"),
            root: rustix::process::geteuid().is_root(),
            capabilities: status.context("reading /proc/self/status")?.capeff,
            mounts: fs::read_to_string("/proc/self/mounts").context("reading /proc/self/mounts")?,
            controllers: fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").ok(),
        })
    }

    /// What the machine lacks that no package provides.
    fn lacking(&self) -> Vec<String> {
        let mut lacking = Vec::new();
        if !self.linux {
            lacking.push("it doesn't run Linux".to_owned());
        }
        if !self.root {
            lacking.push(
                "this process isn't root, which a real node needs for namespaces, mounts and cgroups"
                    .to_owned(),
            );
        }
        for (name, bit) in CAPABILITIES {
            // Without root, the reason above is enough.
            if self.root && self.capabilities & (1 << bit) == 0 {
                lacking.push(format!(
                    "this process lacks the capability {name}, as root does in most containers"
                ));
            }
        }
        for controller in CONTROLLERS {
            if !self.has_cgroups_of(controller) {
                lacking.push(format!(
                    "there are no writable cgroups of the controller {controller}"
                ));
            }
        }
        lacking
    }

    fn has_cgroups_of(&self, controller: &str) -> bool {
        let mounts = self.mounts.lines().filter_map(|line| {
            let mut words = line.split(' ').skip(2);
            Some((words.next()?, words.next()?))
        });
        let writable = |kind: &str, needed: &str| {
            mounts.clone().any(|(found, options)| {
                let has = |wanted| options.split(',').any(|option| option == wanted);
                found == kind && has("rw") && has(needed)
            })
        };
        match &self.controllers {
            Some(controllers) => {
                controllers.split_whitespace().any(|found| found == controller) && writable("cgroup2", "rw")
            }
            None => writable("cgroup", controller),
        }
    }
}

/// Returns the features that the kernel lacks. Fails if the command of a feature failed for another reason.
async fn lacking_features(features: &[(&str, &str)]) -> Result<Vec<String>> {
    let mut lacking = Vec::new();
    for (feature, command) in features {
        let args = [&NAMESPACES[..], &["sh", "-c", command]].concat();
        lacking.extend(refused(feature, run("unshare", &args).await)?);
    }
    Ok(lacking)
}

/// Returns the reason if the kernel refused a feature. Fails if using it failed for another reason.
fn refused(feature: &str, used: Result<String>) -> Result<Option<String>> {
    let Err(error) = used else { return Ok(None) };
    let text = format!("{error:#}");
    if REFUSALS.iter().any(|refusal| text.contains(refusal)) {
        Ok(Some(format!("the kernel doesn't allow {feature}: {text}")))
    } else {
        Err(error.context(format!("checking that the kernel has {feature}")))
    }
}

fn missing(root: &Path) -> Vec<&'static str> {
    let there = |file: &str| root.join(file.trim_start_matches('/')).exists();
    PACKAGES
        .iter()
        .filter(|(_, file)| !there(file))
        .map(|(package, _)| *package)
        .collect()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn package_is_missing_when_its_file_is() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(missing(root.path()).len(), PACKAGES.len());
        std::fs::create_dir_all(root.path().join("usr/sbin")).unwrap();
        std::fs::write(root.path().join("usr/sbin/runc"), "").unwrap();
        let missing = missing(root.path());
        assert_eq!(missing.len(), PACKAGES.len() - 1);
        assert!(!missing.contains(&"runc"), "{missing:?}");
    }

    /// A machine that can be a node, with one hierarchy of cgroups for each controller.
    fn fit() -> Facts {
        let mounts = [
            "proc /proc proc rw,relatime 0 0",
            "cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu,cpuacct 0 0",
            "cgroup /sys/fs/cgroup/cpuset cgroup rw,relatime,cpuset 0 0",
            "cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0",
        ];
        Facts {
            linux: true,
            root: true,
            capabilities: u64::MAX,
            mounts: mounts.join("\n"),
            controllers: None,
        }
    }

    /// The same machine with all cgroups in one hierarchy.
    fn fit_with_one_hierarchy() -> Facts {
        Facts {
            mounts: "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0".to_owned(),
            controllers: Some("cpuset cpu io memory pids\n".to_owned()),
            ..fit()
        }
    }

    #[test]
    fn machines_with_root_and_cgroups_of_either_version_lack_nothing() {
        for facts in [fit(), fit_with_one_hierarchy()] {
            assert_eq!(facts.lacking(), Vec::<String>::new());
        }
    }

    #[test]
    fn everything_that_a_machine_lacks_is_a_reason() {
        let (fit, one) = (fit(), fit_with_one_hierarchy());
        let cases = [
            (
                Facts {
                    linux: false,
                    ..fit.clone()
                },
                &["Linux"][..],
            ),
            (
                Facts {
                    root: false,
                    capabilities: 0,
                    ..fit.clone()
                },
                &["root"],
            ),
            (
                Facts {
                    capabilities: !(1 << 21),
                    ..fit.clone()
                },
                &["CAP_SYS_ADMIN"],
            ),
            (
                Facts {
                    capabilities: 0,
                    ..fit.clone()
                },
                &["CAP_NET_ADMIN", "CAP_SYS_ADMIN"],
            ),
            (
                Facts {
                    mounts: fit.mounts.replace(",memory", ""),
                    ..fit.clone()
                },
                &["controller memory"],
            ),
            (
                Facts {
                    mounts: fit.mounts.replace("cpuset cgroup rw", "cpuset cgroup ro"),
                    ..fit.clone()
                },
                &["controller cpuset"],
            ),
            (
                Facts {
                    mounts: String::new(),
                    ..fit.clone()
                },
                &["controller cpu", "controller cpuset", "controller memory"],
            ),
            (
                Facts {
                    controllers: Some("cpu cpuset pids".to_owned()),
                    ..one.clone()
                },
                &["controller memory"],
            ),
            (
                Facts {
                    mounts: one.mounts.replace("rw", "ro"),
                    ..one.clone()
                },
                &["controller cpu", "controller cpuset", "controller memory"],
            ),
        ];
        for (facts, reasons) in cases {
            let lacking = facts.lacking();
            assert_eq!(lacking.len(), reasons.len(), "{lacking:?}");
            for (found, reason) in lacking.iter().zip(reasons) {
                assert!(found.contains(reason), "{found}");
            }
            let unfit = check_fit(lacking).unwrap_err();
            assert!(unfit.is::<Unfit>());
            assert!(
                reasons.iter().all(|reason| unfit.to_string().contains(reason)),
                "{unfit}"
            );
        }
        check_fit(Vec::new()).unwrap();
    }

    #[test]
    fn only_what_the_kernel_refuses_makes_a_machine_unfit() {
        for refusal in [
            "unshare: unshare failed: Operation not permitted",
            "RTNETLINK answers: Operation not supported",
            "Error: Unknown device type.",
            "mount: /mnt/merged: unknown filesystem type 'overlay'.",
            "iptables v1.8.9 (legacy): can't initialize iptables table `nat': Table does not exist (do you need to insmod?)",
            "iptables: Failed to initialize nft: Protocol not supported",
        ] {
            let reason = refused("bridges", Err(anyhow!(refusal))).unwrap().unwrap();
            assert!(reason.contains("bridges") && reason.contains(refusal), "{reason}");
        }
        for fault in [
            "starting unshare: No such file or directory (os error 2)",
            "sh: 1: ip: not found",
            "unshare: unshare failed: No space left on device",
            "unshare: fork failed: Cannot allocate memory",
            "Another app is currently holding the xtables lock",
        ] {
            let error = refused("bridges", Err(anyhow!(fault))).unwrap_err();
            assert!(
                !error.is::<Unfit>() && format!("{error:#}").contains(fault),
                "{error:#}"
            );
        }
    }
}
