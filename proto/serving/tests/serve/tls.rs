//! TLS: who may connect, what each client may request, and certificates that change while connections are
//! open.

mod handshakes;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use everynode_serving::{
    serve::{AllowedClients, AllowedNames, Authenticated, Authenticator, CallKind, Observer, Peer, Refusal},
    tls::{CertificateStatus, Connector, Credentials, Error, Files, handshake},
};
use http::HeaderMap;
use rcgen::{CertificateParams, SanType};
use tempfile::TempDir;
use tokio::{io::AsyncReadExt, net::TcpListener};
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

/// Records all refusals.
#[derive(Debug, Default)]
struct RecordedRefusals(Mutex<Vec<Refusal>>);

impl Observer for RecordedRefusals {
    fn on_call_started(&self, _: CallKind) {}
    fn on_call_ended(&self, _: CallKind) {}
    fn on_refused(&self, reason: Refusal) {
        self.0.lock().unwrap().push(reason);
    }
}

/// A server with a certificate of an authority, and clients with certificates of the same one.
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
         allowed to open streams; allowed are the names in --session-clients client.test"
    );
    assert_eq!(*scene.refusals.0.lock().unwrap(), [Refusal::Forbidden]);
}

#[tokio::test]
async fn certificates_and_authorities_are_reloaded_under_an_open_stream() {
    let scene = Scene::new().await;
    let before = scene.client(CLIENT);
    let channel = scene.connect(before.credentials.client()).await.unwrap();
    let mut open = ExecutorServiceClient::new(channel);
    let plans = open.watch_plans(WatchPlansRequest::default()).await.unwrap();

    // First, all sides trust both authorities. Then the client and the server in turn switch to certificates
    // of the new one.
    let next = Authority::new("next").unwrap();
    let both = [&scene.authority, &next];
    let (server, mount) = (&scene.server.credentials, &scene.server.mount);
    mount
        .write(&scene.authority.issue(SERVER).unwrap(), &both)
        .unwrap();
    assert!(server.reload().unwrap());
    let after = Party::new(&next.issue(CLIENT).unwrap(), &both);
    scene.get_info(after.credentials.client()).await.unwrap();
    mount.write(&next.issue(SERVER).unwrap(), &[&next]).unwrap();
    assert!(server.reload().unwrap());
    assert!(!server.reload().unwrap(), "there is nothing new");
    scene.get_info(after.credentials.client()).await.unwrap();
    let error = scene.get_info(before.credentials.client()).await.unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");

    open.get_info(GetInfoRequest {}).await.unwrap();
    drop(plans);
}

#[tokio::test]
async fn unusable_files_change_nothing_and_the_error_names_the_file() {
    let scene = Scene::new().await;
    let Party {
        mount, credentials, ..
    } = &scene.server;
    let [certificate, key, authorities] = mount.files();
    let good = scene.authority.issue(SERVER).unwrap();
    let other = scene.authority.issue(SERVER).unwrap();
    let (own, secret, pem) = (&*good.certificate, &*good.key, &*scene.authority.pem);
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cases: [([&str; 3], &PathBuf, &str); 8] = [
        (["", secret, pem], &certificate, "holds no certificate"),
        (["garbage", secret, pem], &certificate, "holds no certificate"),
        ([garbage, secret, pem], &certificate, "can't be read"),
        ([own, "", pem], &key, "holds no private key"),
        ([own, own, pem], &key, "holds no private key"),
        ([own, &other.key, pem], &certificate, "can't be used with the key"),
        ([own, secret, ""], &authorities, "holds no certificate"),
        (
            [own, secret, garbage],
            &authorities,
            "certificate 1 can't be an authority",
        ),
    ];
    for (contents, file, message) in cases {
        mount.write_raw(contents).unwrap();
        let Error { file: named, reason } = credentials.reload().unwrap_err();
        assert_eq!(
            (&named, reason.contains(message)),
            (file, true),
            "{message}: {reason}"
        );
    }
    scene
        .get_info(scene.client(CLIENT).credentials.client())
        .await
        .unwrap();
    std::fs::remove_file(&key).unwrap();
    assert!(
        credentials
            .reload()
            .unwrap_err()
            .to_string()
            .contains("can't be read")
    );
    assert!(Credentials::load(files(mount)).is_err());
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

#[tokio::test]
async fn renewed_certificate_that_isnt_valid_now_doesnt_replace_a_valid_one() {
    let scene = Scene::new().await;
    let Party {
        mount, credentials, ..
    } = &scene.server;
    let [certificate, _, authorities] = mount.files();
    let valid = |from: i32, until: i32| {
        move |params: &mut CertificateParams| {
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(until, 1, 1);
        }
    };
    let issue = |from, until| scene.authority.issue_with(SERVER, valid(from, until)).unwrap();
    let intermediate = issue(2001, 2002);
    let mut chained = issue(2001, 2100);
    chained.certificate += &intermediate.certificate;
    for (own, message) in [
        (issue(2001, 2002), "certificate 1 expired at 2002-01-01T00:00:00Z"),
        (
            issue(2090, 2100),
            "certificate 1 isn't valid before 2090-01-01T00:00:00Z",
        ),
        (chained, "certificate 2 expired at 2002-01-01T00:00:00Z"),
    ] {
        mount.write(&own, &[&scene.authority]).unwrap();
        let error = credentials.reload().unwrap_err();
        assert_eq!(
            (error.file, error.reason.as_str()),
            (certificate.clone(), message)
        );
        // The previous certificate is still in use.
        scene
            .get_info(scene.client(CLIENT).credentials.client())
            .await
            .unwrap();
    }
    let expired = Authority::with("old", valid(2001, 2002)).unwrap();
    let good = scene.authority.issue(SERVER).unwrap();
    mount.write(&good, &[&expired]).unwrap();
    let error = credentials.reload().unwrap_err();
    assert_eq!(error.file, authorities);
    assert!(
        error.reason.contains("none of the authorities is valid now"),
        "{error}"
    );
    mount.write(&good, &[&expired, &scene.authority]).unwrap();
    assert!(credentials.reload().unwrap(), "one valid authority is enough");

    // The server accepts it once its validity begins.
    mount.write(&issue(2090, 2100), &[&scene.authority]).unwrap();
    credentials.reload().unwrap_err();
    let later = UNIX_EPOCH + Duration::from_hours(24 * 365 * 125);
    assert!(credentials.reload_at(later).unwrap());
}

#[tokio::test(start_paused = true)]
async fn certificates_that_arent_valid_are_reported_as_unusable_from_the_start() {
    let authority = Authority::new("first").unwrap();
    let expired = Party::new(&authority.issue_expired(SERVER).unwrap(), &[&authority]);
    let (sender, mut statuses) = mpsc::unbounded_channel();
    let observe = move |status: CertificateStatus| sender.send(status.is_usable).unwrap();
    tokio::spawn(expired.credentials.clone().reload_periodically(observe));
    assert_eq!(statuses.recv().await, Some(false));
    assert_eq!(statuses.recv().await, Some(false));
    expired
        .mount
        .write(&authority.issue(SERVER).unwrap(), &[&authority])
        .unwrap();
    while statuses.recv().await == Some(false) {}
    expired
        .mount
        .write(&authority.issue_expired(SERVER).unwrap(), &[&authority])
        .unwrap();
    while statuses.recv().await == Some(true) {}
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
async fn stalled_handshakes_block_no_clients_and_time_out() {
    let scene = Scene::new().await;
    let mut stalled = Vec::new();
    // More than the limits of connections and of handshakes allow.
    for _ in 0..2 * LIMITS.max_connections() {
        let (client, server) = tokio::io::duplex(64 * 1024);
        scene.running.connections.send(Ok(server)).unwrap();
        stalled.push(client);
    }
    let began = Instant::now();
    let client = scene.client(CLIENT);
    scene.get_info(client.credentials.client()).await.unwrap();
    scene.get_info(client.credentials.client()).await.unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "they must not wait for stalled handshakes"
    );
    for mut client in stalled {
        assert_eq!(
            client.read(&mut [0; 16]).await.unwrap(),
            0,
            "the connection is closed"
        );
    }
    let took = began.elapsed().as_secs();
    assert!((5..7).contains(&took), "after {took} s");
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
