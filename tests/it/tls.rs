//! TLS between the programs and to their callers: who is admitted, and certificates that are renewed while everything
//! runs.

use std::fs;

use everynode_proto::executor::v1::executor_service_client::ExecutorServiceClient;
use everynode_proto::executor::v1::{GetInfoRequest, ListDaemonSetsRequest};
use everynode_serving::tls::{Connector, Credentials, Files};
use everynode_tests::certificates::{Authority, CertificateMount};
use everynode_tests::daemonsets::DaemonSetBuilder;
use everynode_tests::ports::Port;
use everynode_tests::service::{Role, Service, ServiceOptions};
use everynode_tests::wait::eventually;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::world::{DEADLINE, World};

/// The message that a program logs each time it loads new certificates.
const RENEWED: &str = "certificates reloaded";

/// The certificates of all parties, issued by one authority at first.
pub(crate) struct Certificates {
    authority: Authority,
    pub(crate) planner: CertificateMount,
    pub(crate) executor: CertificateMount,
    pub(crate) caller: CertificateMount,
    _folder: TempDir,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("first").unwrap();
        let mount = |name: &str| {
            let mount = CertificateMount::new(&folder.path().join(name)).unwrap();
            mount
                .write(&authority.issue(name).unwrap(), &[&authority])
                .unwrap();
            mount
        };
        Self {
            planner: mount("everynode-planner"),
            executor: mount("everynode-executor"),
            caller: mount("somebody"),
            authority,
            _folder: folder,
        }
    }

    async fn world(&self, node_count: usize, executor_flags: &[&str]) -> World {
        let options = |mount: &CertificateMount, flags: &[&str]| ServiceOptions {
            certificates: Some(mount.clone()),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            ..ServiceOptions::default()
        };
        let planner = options(&self.planner, &[]);
        World::with_options(node_count, planner, options(&self.executor, executor_flags)).await
    }
}

/// Connects with the certificates in `mount`.
pub(crate) async fn connect(mount: &CertificateMount, url: &str) -> Result<Channel, tonic::transport::Error> {
    let [certificate, key, authorities] = mount.files();
    let files = Files {
        certificate,
        key,
        authorities,
    };
    let credentials = Credentials::load(files).unwrap();
    let connector = Connector::new(credentials, None).unwrap();
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    endpoint.connect_with_connector(connector).await
}

async fn wait_renewed<R: Role>(service: &Service<R>, times: usize) {
    let renewed = eventually(
        DEADLINE,
        format!("{} to use new certificates", R::NAME),
        async || {
            let log = fs::read_to_string(service.log())?;
            let seen = log.matches(RENEWED).count();
            anyhow::ensure!(seen == times, "reloaded {seen} of {times} times");
            Ok(())
        },
    );
    renewed.await.unwrap();
}

async fn assert_serving(admin_address: String) {
    let endpoint = Endpoint::from_shared(format!("http://{admin_address}")).unwrap();
    let mut health = HealthClient::new(endpoint.connect().await.unwrap());
    let answer = health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
}

#[tokio::test]
async fn certificates_and_authority_are_rotated_during_a_rollout_without_losing_a_session() {
    let certificates = Certificates::new();
    let mut world = certificates.world(4, &[]).await;
    assert_serving(world.planner.admin_address()).await;
    assert_serving(world.executor.admin_address()).await;
    world.create(DaemonSetBuilder::new("agent")).await;
    world.wait_placed("agent").await;
    world.set_image("agent:2").await;

    let (old, new) = (&certificates.authority, Authority::new("second").unwrap());
    let steps = [(old, &[old, &new][..]), (&new, &[old, &new]), (&new, &[&new])];
    for (index, (issuer, trusted)) in steps.into_iter().enumerate() {
        for (name, mount) in [
            ("everynode-planner", &certificates.planner),
            ("everynode-executor", &certificates.executor),
        ] {
            mount.write(&issuer.issue(name).unwrap(), trusted).unwrap();
        }
        wait_renewed(&world.planner, index + 1).await;
        wait_renewed(&world.executor, index + 1).await;
        world.set_image(&format!("agent:{}", index + 3)).await;
    }
    world.wait_rolled_out().await;
    let losses = world
        .executor
        .metric("everynode_executor_planner_losses_total", "");
    assert!(losses.await.unwrap() < 1.0, "a session was lost");

    // New connections use the current certificates, both to the planner and to the executor.
    assert!(
        connect(&certificates.caller, &world.executor.url())
            .await
            .is_err()
    );
    let caller = new.issue("somebody").unwrap();
    certificates.caller.write(&caller, &[&new]).unwrap();
    let channel = connect(&certificates.caller, &world.executor.url())
        .await
        .unwrap();
    let mut client = ExecutorServiceClient::new(channel);
    let request = everynode_proto::executor::v1::ExplainRequest {
        node: "node-01".to_owned(),
        ..everynode_proto::executor::v1::ExplainRequest::default()
    };
    let answer = client.explain(request).await.unwrap().into_inner();
    assert_eq!(answer.placements.len(), 1);
    world.planner.restart().await.unwrap();
    world.set_image("agent:last").await;
    world.wait_rolled_out().await;
}

#[tokio::test]
async fn executor_with_a_wrong_certificate_gets_no_session_and_logs_why() {
    let certificates = Certificates::new();
    let mut world = certificates.world(1, &[]).await;
    // The executor first has another client's certificate, then one from an authority that the planner doesn't trust.
    let foreign = Authority::new("foreign").unwrap();
    for (own, text) in [
        (certificates.authority.issue("somebody"), "--session-clients"),
        (
            foreign.issue("everynode-executor"),
            "the server doesn't trust the authority of this program's certificate",
        ),
    ] {
        certificates
            .executor
            .write(&own.unwrap(), &[&certificates.authority])
            .unwrap();
        world.executor.stop().await.unwrap();
        world.executor.launch().unwrap();
        let logged = eventually(DEADLINE, format!("the executor to log {text:?}"), async || {
            let log = world.executor.log_tail(20);
            anyhow::ensure!(log.contains(text), "{log}");
            Ok(())
        });
        logged.await.unwrap();
        let (_, metrics) = world.executor.get("/metrics").await.unwrap();
        let mut metrics = metrics.lines();
        let is_disconnected = metrics.any(|line| line == "everynode_executor_planner_connected 0");
        assert!(is_disconnected, "the executor has a session");
    }
    let log = world.planner.log_tail(20);
    assert!(log.contains("TLS handshake failed"), "{log}");
}

/// Lists the `DaemonSet`s of a namespace, with a bearer token if one is given. Returns how many the executor shows.
async fn list(channel: Channel, token: Option<&str>, namespace: &str) -> Result<usize, Status> {
    let mut request = Request::new(ListDaemonSetsRequest {
        namespace: namespace.to_owned(),
        ..ListDaemonSetsRequest::default()
    });
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    let answer = ExecutorServiceClient::new(channel)
        .list_daemon_sets(request)
        .await?;
    Ok(answer.into_inner().daemon_sets.len())
}

#[tokio::test]
async fn callers_with_a_token_see_only_what_their_rights_allow() {
    let certificates = Certificates::new();
    let local = Port::claim().unwrap();
    let local_listen = format!("--local-listen={}", local.address());
    let world = certificates.world(1, &["--callers=tokens", &local_listen]).await;
    world.create(DaemonSetBuilder::new("agent")).await;
    world.wait_placed("agent").await;
    let kubectl = world.claim.kubectl().unwrap();
    let namespace = world.namespace.as_str();
    let account = format!("--serviceaccount={namespace}:reader");
    for command in [
        &["create", "serviceaccount", "reader"][..],
        &["create", "serviceaccount", "nobody"],
        &[
            "create",
            "role",
            "reads",
            "--verb=list",
            "--resource=daemonsets.apps",
        ],
        &["create", "rolebinding", "reads", "--role=reads", &account],
    ] {
        kubectl.run(command).await.unwrap();
    }
    let token = async |name: &str| {
        let token = kubectl.run(["create", "token", name]).await.unwrap();
        token.trim().to_owned()
    };
    let channel = connect(&certificates.caller, &world.executor.url())
        .await
        .unwrap();
    let list_as = async |token: Option<&str>, namespace: &str| list(channel.clone(), token, namespace).await;

    let reader = token("reader").await;
    assert_eq!(list_as(Some(&reader), namespace).await.unwrap(), 1);
    let refused = list_as(Some(&reader), "").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let message = format!(
        "daemonsets.apps is forbidden: User \"system:serviceaccount:{namespace}:reader\" cannot list resource \
         \"daemonsets\" in API group \"apps\" at the cluster scope"
    );
    assert_eq!(refused.message(), message);
    let refused = list_as(Some(&token("nobody").await), namespace)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(refused.message().contains(":nobody\" cannot list"), "{refused}");
    let refused = list_as(Some("garbage"), namespace).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = list_as(None, namespace).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("authorization: Bearer"), "{refused}");

    let endpoint = Endpoint::from_shared(format!("http://{}", local.address())).unwrap();
    let mut nearby = ExecutorServiceClient::new(endpoint.connect().await.unwrap());
    nearby.get_info(GetInfoRequest {}).await.unwrap();
}
