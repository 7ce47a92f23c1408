//! TLS: who may connect, and what each client may request.

mod handshakes;
mod reload;

use std::time::{SystemTime, UNIX_EPOCH};

use everynode_serving::{
    serve::{AllowedClients, AllowedNames, Authenticated, Authenticator, Peer},
    tls::{Connector, Credentials, Files, handshake},
};
use http::HeaderMap;
use rcgen::SanType;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::pem::PemObject};

use super::{
    certificates::{Authority, CertificateMount, IssuedCertificate},
    *,
};

const SERVER: &str = "server.test";
const CLIENT: &str = "client.test";

/// The certificate files of a client or of the server.
struct Party {
    _folder: TempDir,
    mount: CertificateMount,
    credentials: Credentials,
}

impl Party {
    fn new(own: &IssuedCertificate, authorities: &[&Authority]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mount = CertificateMount::new(&folder.path().join("tls")).unwrap();
        mount.write(own, authorities).unwrap();
        let credentials = Credentials::load(files(&mount)).unwrap();
        Self {
            _folder: folder,
            mount,
            credentials,
        }
    }
}

fn files(mount: &CertificateMount) -> Files {
    let [certificate, key, authorities] = mount.files();
    Files {
        certificate,
        key,
        authorities,
    }
}

fn clients() -> AllowedClients {
    let allowed = |flag, name: &str| AllowedNames {
        flag,
        names: vec![name.to_owned()],
    };
    AllowedClients {
        calls: allowed("--call-clients", "*"),
        streams: allowed("--session-clients", CLIENT),
    }
}

/// A server, and the authority that issues the certificates of the server and its clients.
struct Scene {
    authority: Authority,
    server: Party,
    refusals: Arc<RecordedRefusals>,
    running: RunningServer,
}

impl Scene {
    async fn new() -> Self {
        let authority = Authority::new("first").unwrap();
        let server = Party::new(&authority.issue(SERVER).unwrap(), &[&authority]);
        let refusals = Arc::new(RecordedRefusals::default());
        let (credentials, observer) = (server.credentials.clone(), refusals.clone());
        let secure = |server: Server| {
            server
                .with_mutual_tls(credentials, clients())
                .with_observer(observer)
        };
        let running = RunningServer::start_with(secure).await;
        Self {
            authority,
            server,
            refusals,
            running,
        }
    }

    fn client(&self, name: &str) -> Party {
        Party::new(&self.authority.issue(name).unwrap(), &[&self.authority])
    }

    async fn connect(&self, config: Arc<ClientConfig>) -> Result<Channel, tonic::transport::Error> {
        let connections = self.running.connections.clone();
        let connect = move |_| {
            let (client, server) = tokio::io::duplex(64 * 1024);
            connections.send(Ok(server)).unwrap();
            let tls = handshake(config.clone(), SERVER.try_into().unwrap(), client);
            async { Ok::<_, io::Error>(TokioIo::new(tls.await?)) }
        };
        Endpoint::from_static("https://executor")
            .initial_stream_window_size(65_535)
            .connect_with_connector(tower::service_fn(connect))
            .await
    }

    async fn get_info(&self, config: Arc<ClientConfig>) -> Result<(), String> {
        let channel = self.connect(config).await.map_err(|error| chain(&error))?;
        let mut client = ExecutorServiceClient::new(channel);
        let answer = client.get_info(GetInfoRequest {}).await;
        answer.map(drop).map_err(|status| chain(&status))
    }
}

/// An error and all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn client_and_server_authenticate_each_other() {
    let scene = Scene::new().await;
    scene
        .get_info(scene.client("anybody").credentials.client())
        .await
        .unwrap();
    assert!(scene.refusals.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn client_without_a_valid_certificate_of_the_authority_is_refused() {
    let scene = Scene::new().await;
    let other = Authority::new("other").unwrap();
    let foreign = Party::new(&other.issue(CLIENT).unwrap(), &[&scene.authority]);
    let expired = Party::new(
        &scene.authority.issue_expired(CLIENT).unwrap(),
        &[&scene.authority],
    );
    let mut authorities = RootCertStore::empty();
    let pem = scene.authority.pem.as_bytes();
    authorities.add(PemObject::from_pem_slice(pem).unwrap()).unwrap();
    let without_certificate = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authorities)
        .with_no_client_auth();
    for (config, alert) in [
        (foreign.credentials.client(), "UnknownCA"),
        (expired.credentials.client(), "CertificateExpired"),
        (Arc::new(without_certificate), "CertificateRequired"),
    ] {
        let error = scene.get_info(config).await.unwrap_err();
        assert!(error.contains(alert), "{alert}: {error}");
        assert_eq!(scene.refusals.0.lock().unwrap().pop(), Some(Refusal::Handshake));
    }
    scene
        .get_info(scene.client(CLIENT).credentials.client())
        .await
        .unwrap();
}

#[tokio::test]
async fn client_refuses_a_server_with_another_name_or_authority() {
    let scene = Scene::new().await;
    let other = Authority::new("other").unwrap();
    let trusts_another = Party::new(&scene.authority.issue(CLIENT).unwrap(), &[&other]);
    let error = scene
        .get_info(trusts_another.credentials.client())
        .await
        .unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(ExecutorServiceServer::new(Fake), LIMITS, CancellationToken::new());
    let server = server.await.unwrap();
    let server = server.with_mutual_tls(scene.server.credentials.clone(), clients());
    tokio::spawn(server.serve_tcp(listener));
    let client = scene.client(CLIENT);
    let connect = async |host: &str, name: Option<&str>| {
        let connector = Connector::new(client.credentials.clone(), name).unwrap();
        let url = format!("https://{host}:{}", address.port());
        let endpoint = Endpoint::from_shared(url).unwrap();
        let channel = endpoint.connect_with_connector(connector).await;
        channel
            .map(ExecutorServiceClient::new)
            .map_err(|error| chain(&error))
    };
    for (host, name) in [
        ("localhost", None),
        ("127.0.0.1", None),
        ("127.0.0.1", Some(SERVER)),
    ] {
        let mut client = connect(host, name).await.unwrap();
        client.get_info(GetInfoRequest {}).await.unwrap();
    }
    let error = connect("127.0.0.1", Some("other.test")).await.unwrap_err();
    assert!(error.contains("other.test") && error.contains(SERVER), "{error}");
    let foreign = Party::new(&other.issue(CLIENT).unwrap(), &[&scene.authority]);
    let connector = Connector::new(foreign.credentials.clone(), Some(SERVER)).unwrap();
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
    let error = chain(&endpoint.connect_with_connector(connector).await.unwrap_err());
    assert!(
        error.contains("the server doesn't trust the authority of this program's certificate"),
        "{error}"
    );
    assert!(Connector::new(client.credentials.clone(), Some("no name")).is_err());
}

#[tokio::test]
async fn streams_need_an_allowed_name_and_health_needs_any_certificate() {
    let scene = Scene::new().await;
    let watch = async |name: &str| {
        let channel = scene
            .connect(scene.client(name).credentials.client())
            .await
            .unwrap();
        let mut health = HealthClient::new(channel.clone());
        health.check(HealthCheckRequest::default()).await.unwrap();
        let mut client = ExecutorServiceClient::new(channel);
        client.get_info(GetInfoRequest {}).await.unwrap();
        client.watch_plans(WatchPlansRequest::default()).await.map(drop)
    };
    watch(CLIENT).await.unwrap();
    let refused = watch("other.test").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(
        refused.message(),
        "the client certificate with the names \"other.test\", \"localhost\", \"spiffe://everynode/other.test\" is not \
         allowed to open streams; --session-clients allows client.test"
    );
    assert_eq!(*scene.refusals.0.lock().unwrap(), [Refusal::Forbidden]);
}

#[tokio::test]
async fn common_name_is_ignored_if_the_certificate_has_alternative_names() {
    let scene = Scene::new().await;
    let watch = async |issued: IssuedCertificate| {
        let client = Party::new(&issued, &[&scene.authority]);
        let channel = scene.connect(client.credentials.client()).await.unwrap();
        let mut client = ExecutorServiceClient::new(channel);
        client.watch_plans(WatchPlansRequest::default()).await.map(drop)
    };
    let with = |names: &[SanType]| {
        let names = names.to_vec();
        let issued = scene
            .authority
            .issue_with(CLIENT, |params| params.subject_alt_names = names);
        issued.unwrap()
    };
    let other = SanType::DnsName("other.test".try_into().unwrap());
    let address = SanType::IpAddress([127, 0, 0, 1].into());
    for (names, described) in [
        (&[other][..], "the names \"other.test\""),
        (&[address], "no names"),
    ] {
        let refused = watch(with(names)).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(
            refused
                .message()
                .starts_with(&format!("the client certificate with {described} is not allowed")),
            "{refused}"
        );
    }
    // Without alternative names, the common name counts.
    watch(with(&[])).await.unwrap();
}

/// Refuses everybody and records when their certificates expire.
#[derive(Debug, Default)]
struct Expiries(Mutex<Vec<Option<SystemTime>>>);

#[tonic::async_trait]
impl Authenticator for Expiries {
    async fn authenticate(&self, _: &HeaderMap, peer: Option<&Peer>) -> Result<Authenticated, Status> {
        self.0.lock().unwrap().push(peer.unwrap().not_after());
        Err(Status::unauthenticated("as always"))
    }
}

#[tokio::test]
async fn authenticator_sees_certificate_expiry_and_health_needs_no_authentication() {
    let mut scene = Scene::new().await;
    let expiries = Arc::new(Expiries::default());
    let (credentials, authenticator) = (scene.server.credentials.clone(), expiries.clone());
    scene.running = RunningServer::start_with(|server| {
        server
            .with_mutual_tls(credentials, clients())
            .with_authenticator(authenticator)
    })
    .await;
    let issued = scene.authority.issue_with(CLIENT, |params| {
        params.not_after = rcgen::date_time_ymd(2050, 1, 1);
    });
    let client = Party::new(&issued.unwrap(), &[&scene.authority]);
    let channel = scene.connect(client.credentials.client()).await.unwrap();
    let refused = ExecutorServiceClient::new(channel.clone())
        .get_info(GetInfoRequest {})
        .await;
    assert_eq!(refused.unwrap_err().message(), "as always");
    let mut health = HealthClient::new(channel);
    health.check(HealthCheckRequest::default()).await.unwrap();
    let expiry = UNIX_EPOCH + Duration::from_hours(701_280);
    assert_eq!(*expiries.0.lock().unwrap(), [Some(expiry)]);
}

#[tokio::test(start_paused = true)]
async fn unread_answer_closes_a_tls_connection_at_the_deadline() {
    let scene = Scene::new().await;
    let client = scene.client(CLIENT);
    let channel = scene.connect(client.credentials.client()).await.unwrap();
    assert_unread_answer_closes_connection(
        channel,
        scene.connect(client.credentials.client()).await.unwrap(),
    )
    .await;
}
