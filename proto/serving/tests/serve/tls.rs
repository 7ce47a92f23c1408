//! TLS: who may connect, what each client may request, and certificates that change while connections are
//! open.

mod handshakes;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use everynode_serving::{
    serve::{Allowed, Authenticated, Authenticator, Clients, Kind, Observer, Peer, Refusal},
    tls::{Condition, Connector, Credentials, Error, Files, handshake},
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

/// The TLS files of one party.
struct Holder {
    _folder: TempDir,
    mount: CertificateMount,
    credentials: Credentials,
}

impl Holder {
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

fn clients() -> Clients {
    let allowed = |flag, name: &str| Allowed {
        flag,
        names: vec![name.to_owned()],
    };
    Clients {
        calls: allowed("--call-clients", "*"),
        streams: allowed("--session-clients", CLIENT),
    }
}

/// Records failed handshakes, forbidden calls and other refusals.
#[derive(Debug, Default)]
struct Refused(Mutex<Vec<Refusal>>);

impl Observer for Refused {
    fn began(&self, _: Kind) {}
    fn ended(&self, _: Kind) {}
    fn refused(&self, why: Refusal) {
        self.0.lock().unwrap().push(why);
    }
}

/// A server with a certificate of an authority, and clients with certificates of the same one.
struct Scene {
    authority: Authority,
    server: Holder,
    refused: Arc<Refused>,
    running: Served,
}

impl Scene {
    async fn new() -> Self {
        let authority = Authority::new("first").unwrap();
        let server = Holder::new(&authority.issue(SERVER).unwrap(), &[&authority]);
        let refused = Arc::new(Refused::default());
        let (credentials, observer) = (server.credentials.clone(), refused.clone());
        let secure = |whole: Server| whole.for_certified(credentials, clients()).observed_by(observer);
        let running = Served::start_as(secure).await;
        Self {
            authority,
            server,
            refused,
            running,
        }
    }

    fn client(&self, name: &str) -> Holder {
        Holder::new(&self.authority.issue(name).unwrap(), &[&self.authority])
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

    async fn ask(&self, config: Arc<ClientConfig>) -> Result<(), String> {
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
async fn both_sides_know_each_other_by_their_certificates() {
    let scene = Scene::new().await;
    scene
        .ask(scene.client("anybody").credentials.client())
        .await
        .unwrap();
    assert!(scene.refused.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_client_without_a_valid_certificate_of_the_authority_is_refused() {
    let scene = Scene::new().await;
    let other = Authority::new("other").unwrap();
    let foreign = Holder::new(&other.issue(CLIENT).unwrap(), &[&scene.authority]);
    let expired = Holder::new(
        &scene.authority.issue_expired(CLIENT).unwrap(),
        &[&scene.authority],
    );
    let mut authorities = RootCertStore::empty();
    let pem = scene.authority.pem.as_bytes();
    authorities.add(PemObject::from_pem_slice(pem).unwrap()).unwrap();
    let nobody = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authorities)
        .with_no_client_auth();
    for (config, word) in [
        (foreign.credentials.client(), "UnknownCA"),
        (expired.credentials.client(), "CertificateExpired"),
        (Arc::new(nobody), "CertificateRequired"),
    ] {
        let error = scene.ask(config).await.unwrap_err();
        assert!(error.contains(word), "{word}: {error}");
        assert_eq!(scene.refused.0.lock().unwrap().pop(), Some(Refusal::Handshake));
    }
    scene
        .ask(scene.client(CLIENT).credentials.client())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_server_that_is_another_one_or_of_another_authority_is_refused_by_the_client() {
    let scene = Scene::new().await;
    let other = Authority::new("other").unwrap();
    let trusts_another = Holder::new(&scene.authority.issue(CLIENT).unwrap(), &[&other]);
    let error = scene.ask(trusts_another.credentials.client()).await.unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(ExecutorServiceServer::new(Fake), LIMITS, CancellationToken::new());
    let server = server.await.unwrap();
    let server = server.for_certified(scene.server.credentials.clone(), clients());
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
    let foreign = Holder::new(&other.issue(CLIENT).unwrap(), &[&scene.authority]);
    let connector = Connector::new(foreign.credentials.clone(), Some(SERVER)).unwrap();
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
    let error = chain(&endpoint.connect_with_connector(connector).await.unwrap_err());
    assert!(error.contains("of no authority that is trusted there"), "{error}");
    assert!(Connector::new(client.credentials.clone(), Some("no name")).is_err());
}

#[tokio::test]
async fn streams_are_for_those_who_are_named_and_health_is_for_all_who_have_a_certificate() {
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
        "a certificate for \"other.test\", \"localhost\", \"spiffe://everynode/other.test\" isn't among those that may \
         open streams here: --session-clients client.test"
    );
    assert_eq!(*scene.refused.0.lock().unwrap(), [Refusal::Forbidden]);
}

#[tokio::test]
async fn certificates_and_authorities_are_renewed_under_an_open_stream() {
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
    assert!(server.renew().unwrap());
    let after = Holder::new(&next.issue(CLIENT).unwrap(), &both);
    scene.ask(after.credentials.client()).await.unwrap();
    mount.write(&next.issue(SERVER).unwrap(), &[&next]).unwrap();
    assert!(server.renew().unwrap());
    assert!(!server.renew().unwrap(), "there is nothing new");
    scene.ask(after.credentials.client()).await.unwrap();
    let error = scene.ask(before.credentials.client()).await.unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");

    open.get_info(GetInfoRequest {}).await.unwrap();
    drop(plans);
}

#[tokio::test]
async fn what_cant_be_used_changes_nothing_and_the_file_is_named() {
    let scene = Scene::new().await;
    let Holder {
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
    for (contents, file, words) in cases {
        mount.write_raw(contents).unwrap();
        let Error { file: named, reason } = credentials.renew().unwrap_err();
        assert_eq!(
            (&named, reason.contains(words)),
            (file, true),
            "{words}: {reason}"
        );
    }
    scene
        .ask(scene.client(CLIENT).credentials.client())
        .await
        .unwrap();
    std::fs::remove_file(&key).unwrap();
    assert!(
        credentials
            .renew()
            .unwrap_err()
            .to_string()
            .contains("can't be read")
    );
    assert!(Credentials::load(files(mount)).is_err());
}

#[tokio::test]
async fn common_name_lets_nobody_in_whose_certificate_has_other_alternative_names() {
    let scene = Scene::new().await;
    let watch = async |issued: IssuedCertificate| {
        let client = Holder::new(&issued, &[&scene.authority]);
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
    for (names, whom) in [(&[other][..], "\"other.test\""), (&[address], "no name at all")] {
        let refused = watch(with(names)).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(
            refused
                .message()
                .starts_with(&format!("a certificate for {whom} isn't among")),
            "{refused}"
        );
    }
    // Without alternative names, the common name counts.
    watch(with(&[])).await.unwrap();
}

#[tokio::test]
async fn renewed_certificate_that_isnt_valid_now_doesnt_replace_a_valid_one() {
    let scene = Scene::new().await;
    let Holder {
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
    for (own, words) in [
        (issue(2001, 2002), "certificate 1 expired at 2002-01-01T00:00:00Z"),
        (
            issue(2090, 2100),
            "certificate 1 isn't valid before 2090-01-01T00:00:00Z",
        ),
        (chained, "certificate 2 expired at 2002-01-01T00:00:00Z"),
    ] {
        mount.write(&own, &[&scene.authority]).unwrap();
        let error = credentials.renew().unwrap_err();
        assert_eq!((error.file, error.reason.as_str()), (certificate.clone(), words));
        // The previous certificate is still in use.
        scene
            .ask(scene.client(CLIENT).credentials.client())
            .await
            .unwrap();
    }
    let expired = Authority::with("old", valid(2001, 2002)).unwrap();
    let good = scene.authority.issue(SERVER).unwrap();
    mount.write(&good, &[&expired]).unwrap();
    let error = credentials.renew().unwrap_err();
    assert_eq!(error.file, authorities);
    assert!(
        error.reason.contains("none of the authorities is valid now"),
        "{error}"
    );
    mount.write(&good, &[&expired, &scene.authority]).unwrap();
    assert!(credentials.renew().unwrap(), "one valid authority is enough");

    // The server accepts it once its validity begins.
    mount.write(&issue(2090, 2100), &[&scene.authority]).unwrap();
    credentials.renew().unwrap_err();
    let later = UNIX_EPOCH + Duration::from_hours(24 * 365 * 125);
    assert!(credentials.renew_at(later).unwrap());
}

#[tokio::test(start_paused = true)]
async fn certificates_that_arent_valid_are_reported_as_unusable_from_the_start() {
    let authority = Authority::new("first").unwrap();
    let expired = Holder::new(&authority.issue_expired(SERVER).unwrap(), &[&authority]);
    let (told, mut conditions) = mpsc::unbounded_channel();
    let observe = move |condition: Condition| told.send(condition.is_usable).unwrap();
    tokio::spawn(expired.credentials.clone().keep_fresh(observe));
    assert_eq!(conditions.recv().await, Some(false));
    assert_eq!(conditions.recv().await, Some(false));
    expired
        .mount
        .write(&authority.issue(SERVER).unwrap(), &[&authority])
        .unwrap();
    while conditions.recv().await == Some(false) {}
    expired
        .mount
        .write(&authority.issue_expired(SERVER).unwrap(), &[&authority])
        .unwrap();
    while conditions.recv().await == Some(true) {}
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
async fn service_knows_when_the_clients_certificate_expires_and_health_needs_no_authentication() {
    let mut scene = Scene::new().await;
    let expiries = Arc::new(Expiries::default());
    let (credentials, authenticator) = (scene.server.credentials.clone(), expiries.clone());
    scene.running = Served::start_as(|whole| {
        whole
            .for_certified(credentials, clients())
            .authenticated_by(authenticator)
    })
    .await;
    let issued = scene.authority.issue_with(CLIENT, |params| {
        params.not_after = rcgen::date_time_ymd(2050, 1, 1);
    });
    let client = Holder::new(&issued.unwrap(), &[&scene.authority]);
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
async fn clients_that_never_end_their_handshakes_keep_nobody_out_and_are_closed() {
    let scene = Scene::new().await;
    let mut silent = Vec::new();
    // More than the limits of connections and of handshakes allow.
    for _ in 0..2 * LIMITS.max_connections() {
        let (client, server) = tokio::io::duplex(64 * 1024);
        scene.running.connections.send(Ok(server)).unwrap();
        silent.push(client);
    }
    let began = Instant::now();
    let client = scene.client(CLIENT);
    scene.ask(client.credentials.client()).await.unwrap();
    scene.ask(client.credentials.client()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "they wait for nobody");
    for mut client in silent {
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
async fn a_caller_who_doesnt_take_its_answer_is_cut_off_under_tls_too() {
    let scene = Scene::new().await;
    let client = scene.client(CLIENT);
    let channel = scene.connect(client.credentials.client()).await.unwrap();
    is_cut_off(channel, scene.connect(client.credentials.client()).await.unwrap()).await;
}
