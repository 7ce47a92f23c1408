//! Certificate files that change while connections are open, and files that can't be used.

use std::{
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use everynode_proto::executor::v1::{
    GetInfoRequest, WatchPlansRequest, executor_service_client::ExecutorServiceClient,
};
use everynode_serving::tls::{CertificateStatus, Credentials, Error};
use rcgen::CertificateParams;
use tokio::sync::mpsc;

use super::{CLIENT, Party, SERVER, Scene, files};
use crate::certificates::Authority;

#[tokio::test]
async fn certificates_and_authorities_are_reloaded_under_an_open_stream() {
    let scene = Scene::new().await;
    let before = scene.client(CLIENT);
    let channel = scene.connect(before.credentials.client()).await.unwrap();
    let mut open = ExecutorServiceClient::new(channel);
    let plans = open.watch_plans(WatchPlansRequest::default()).await.unwrap();

    // First, the server trusts both authorities. Then a new client and the server in turn use certificates of
    // the new authority.
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

    // The new certificate is accepted once its validity begins.
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
