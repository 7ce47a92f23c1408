use std::io::ErrorKind;

use http::Uri;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Duration, advance},
};
use tower::ServiceExt;

use crate::election::lease::{
    Claim, Moment,
    connection::{ClaimedStream, Connector},
};

/// A connection under the claim, and its peer.
async fn connection(claim: &Claim) -> (ClaimedStream<TcpStream>, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let connector = Connector::new(HttpConnector::new(), claim.clone());
    let uri: Uri = format!("http://{address}").parse().unwrap();
    let (ours, theirs) = tokio::join!(connector.oneshot(uri), listener.accept());
    (TokioIo::into_inner(ours.unwrap()), theirs.unwrap().0)
}

fn claim() -> Claim {
    Claim::none(Duration::from_secs(5))
}

#[tokio::test]
async fn connection_used_under_a_claim_ends_with_the_claim() {
    let claim = claim();
    claim.hold(Moment::now(), Duration::from_mins(1));
    let (mut ours, mut theirs) = connection(&claim).await;
    ours.write_all(b"create").await.unwrap();
    let reading = tokio::spawn(async move {
        let error = ours.read_u8().await.unwrap_err();
        (error.kind(), ours.write_all(b"delete").await.unwrap_err().kind())
    });
    let mut text = [0; 6];
    theirs.read_exact(&mut text).await.unwrap();
    claim.give_up();
    let aborted = ErrorKind::ConnectionAborted;
    assert_eq!(reading.await.unwrap(), (aborted, aborted));
    // The peer sees a reset, not a regular end: data that hasn't been sent is discarded.
    let error = theirs.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_after_the_claim_expires() {
    let claim = claim();
    claim.hold(Moment::now(), Duration::from_secs(1));
    let (ours, _theirs) = tokio::io::duplex(64);
    let mut ours = ClaimedStream::new(ours, claim.clone());
    ours.write_all(b"create").await.unwrap();
    advance(Duration::from_secs(1)).await;
    assert!(ours.write_all(b"delete").await.is_err());
    // The executor gives up the expired claim and is elected again. The connection still ends, so data in its buffers
    // isn't sent.
    claim.give_up();
    claim.hold(Moment::now(), Duration::from_secs(1));
    assert!(ours.read_u8().await.is_err());
}

#[tokio::test]
async fn connection_used_only_for_reads_outlives_the_claim() {
    let claim = claim();
    let (mut ours, mut theirs) = connection(&claim).await;
    for _ in 0..2 {
        ours.write_all(b"g").await.unwrap();
        claim.give_up();
        assert_eq!(theirs.read_u8().await.unwrap(), b'g');
        theirs.write_all(b"a").await.unwrap();
        assert_eq!(ours.read_u8().await.unwrap(), b'a');
    }
}
