//! The components of a control plane, and the flags that each is started with.

use std::path::Path;
use std::time::Duration;

use super::identity::Identity;
use super::{Options, Ports};
use crate::ports::Port;
use crate::toolbox::Tool;

/// A process of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// The store.
    Etcd,
    /// The API server.
    ApiServer,
    /// kube-controller-manager. Its `DaemonSet` controller is off unless [`Options::daemonset_controller`] is set.
    ControllerManager,
    /// The scheduler.
    Scheduler,
    /// The fake kubelet of every node.
    Kwok,
}

impl Component {
    /// All components, in the order in which they are started. They are stopped in reverse order.
    pub const ALL: [Self; 5] = [
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kwok,
    ];

    /// The component's program.
    pub fn tool(self) -> Tool {
        match self {
            Self::Etcd => Tool::Etcd,
            Self::ApiServer => Tool::ApiServer,
            Self::ControllerManager => Tool::ControllerManager,
            Self::Scheduler => Tool::Scheduler,
            Self::Kwok => Tool::Kwok,
        }
    }

    /// The name of its program and of its log.
    pub fn name(self) -> &'static str {
        self.tool().file_name()
    }

    /// How long it may take to shut down gracefully.
    pub(super) fn grace(self) -> Duration {
        match self {
            // The API server would wait up to a minute for its clients to disconnect, which they never do.
            Self::ApiServer => Duration::from_secs(1),
            _ => Duration::from_secs(10),
        }
    }

    /// The component's command-line flags. Everything that they depend on lives as long as the control plane, so a
    /// restarted component gets the same flags.
    pub(super) fn flags(
        self,
        work_dir: &Path,
        ports: &Ports,
        identity: &Identity,
        options: &Options,
    ) -> Vec<String> {
        let kubeconfig = format!("--kubeconfig={}", identity.kubeconfig.display());
        let mut flags = match self {
            Self::Etcd => etcd(work_dir, ports),
            Self::ApiServer => api_server(work_dir, ports, identity, options),
            Self::ControllerManager => controller_manager(identity, options),
            Self::Scheduler => scheduler(ports, identity),
            Self::Kwok => {
                let file = |name: &str| format!("--config={}", work_dir.join(name).display());
                vec![file("kwok.yaml"), file("node.yaml"), file("pod.yaml")]
            }
        };
        if !matches!(self, Self::Etcd | Self::ApiServer) {
            flags.push(kubeconfig);
        }
        // These come last: when a flag is given twice, the last one counts.
        flags.extend(
            options
                .flags
                .iter()
                .filter(|(component, _)| *component == self)
                .map(|(_, flag)| flag.clone()),
        );
        flags
    }
}

fn url(port: &Port) -> String {
    format!("http://{}", port.address())
}

fn etcd(work_dir: &Path, ports: &Ports) -> Vec<String> {
    let (client, peer) = (url(&ports.etcd), url(&ports.etcd_peer));
    vec![
        format!("--data-dir={}", work_dir.join(super::STORE).display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        // After a power failure nobody needs the data, and waiting for the disk is most of the cost of a write.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

fn api_server(work_dir: &Path, ports: &Ports, identity: &Identity, options: &Options) -> Vec<String> {
    vec![
        format!("--etcd-servers={}", url(&ports.etcd)),
        format!("--bind-address={}", options.address),
        format!("--advertise-address={}", options.address),
        format!("--secure-port={}", ports.api_server.number()),
        format!("--cert-dir={}", work_dir.display()),
        format!("--tls-cert-file={}", identity.certificate.display()),
        format!("--tls-private-key-file={}", identity.key.display()),
        format!("--token-auth-file={}", identity.tokens.display()),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!(
            "--service-account-key-file={}",
            identity.service_account_public_key.display()
        ),
        format!(
            "--service-account-signing-key-file={}",
            identity.service_account_key.display()
        ),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--allow-privileged=true".to_owned(),
        // The benchmark creates thousands of nodes and pods. The API server's limits must not hold back the controllers
        // that the benchmark measures.
        "--max-requests-inflight=2000".to_owned(),
        "--max-mutating-requests-inflight=1000".to_owned(),
        "--profiling=false".to_owned(),
        // The endpoints of the Service `kubernetes` must not be loopback addresses. Without this flag, the server would
        // log errors about that constantly.
        "--endpoint-reconciler-type=none".to_owned(),
    ]
}

fn controller_manager(identity: &Identity, options: &Options) -> Vec<String> {
    let controllers = if options.daemonset_controller {
        "*"
    } else {
        "*,-daemonset"
    };
    vec![
        format!("--controllers={controllers}"),
        format!("--root-ca-file={}", identity.authority.display()),
        format!(
            "--service-account-private-key-file={}",
            identity.service_account_key.display()
        ),
        "--use-service-account-credentials=false".to_owned(),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        "--kube-api-qps=2000".to_owned(),
        "--kube-api-burst=4000".to_owned(),
        // kwok renews the nodes' leases every 10 s. On a busy machine, renewals may come late, and the default grace
        // period of 50 s would taint the nodes of a test in its middle. Tests that need a node that isn't ready patch
        // its status.
        "--node-monitor-grace-period=10m".to_owned(),
        "--profiling=false".to_owned(),
    ]
}

fn scheduler(ports: &Ports, identity: &Identity) -> Vec<String> {
    vec![
        "--leader-elect=false".to_owned(),
        "--kube-api-qps=2000".to_owned(),
        "--kube-api-burst=4000".to_owned(),
        "--profiling=false".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={}", ports.scheduler.number()),
        format!("--tls-cert-file={}", identity.certificate.display()),
        format!("--tls-private-key-file={}", identity.key.display()),
        "--authentication-skip-lookup".to_owned(),
    ]
}
