use super::*;

/// A connection counts as silent if nothing arrives for this long.
const SILENCE: Duration = Duration::from_millis(100);

struct Ends {
    proxy: TcpProxy,
    client: TcpStream,
    server: TcpStream,
    listener: TcpListener,
}

async fn connected() -> Ends {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let proxy = TcpProxy::start(listener.local_addr().unwrap()).await.unwrap();
    let client = TcpStream::connect(proxy.address()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    Ends {
        proxy,
        client,
        server,
        listener,
    }
}

async fn arrives(from: &mut TcpStream, to: &mut TcpStream) -> [u8; 8] {
    from.write_all(b"question").await.unwrap();
    let mut arrived = [0; 8];
    to.read_exact(&mut arrived).await.unwrap();
    arrived
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    tokio::time::timeout(SILENCE, stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn without_faults_everything_arrives_and_the_end_is_relayed() {
    let mut ends = connected().await;
    assert_eq!(&arrives(&mut ends.client, &mut ends.server).await, b"question");
    assert_eq!(&arrives(&mut ends.server, &mut ends.client).await, b"question");
    drop(ends.client);
    assert_eq!(ends.server.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn cut_ends_both_sides_and_allows_new_connections() {
    let mut ends = connected().await;
    ends.proxy.cut();
    assert_eq!(ends.client.read(&mut [0]).await.unwrap_or_default(), 0);
    assert_eq!(ends.server.read(&mut [0]).await.unwrap_or_default(), 0);
    let mut client = TcpStream::connect(ends.proxy.address()).await.unwrap();
    let (mut server, _) = ends.listener.accept().await.unwrap();
    arrives(&mut client, &mut server).await;
}

#[tokio::test]
async fn half_open_connection_ends_only_for_the_server() {
    let mut ends = connected().await;
    ends.proxy.leave_half_open();
    assert_eq!(ends.server.read(&mut [0]).await.unwrap_or_default(), 0);
    ends.client.write_all(b"question").await.unwrap();
    assert!(is_silent(&mut ends.client).await);
}

#[tokio::test]
async fn stalled_bytes_arrive_once_the_stall_ends() {
    let mut ends = connected().await;
    ends.proxy.set_traffic(Traffic::Stalled);
    ends.client.write_all(b"question").await.unwrap();
    assert!(is_silent(&mut ends.server).await);
    ends.proxy.set_traffic(Traffic::Normal);
    let mut arrived = [0; 8];
    ends.server.read_exact(&mut arrived).await.unwrap();
    assert_eq!(&arrived, b"question");
}

#[tokio::test]
async fn corrupted_bytes_are_as_many_as_were_sent() {
    let mut ends = connected().await;
    ends.proxy.set_traffic(Traffic::Corrupted);
    assert_ne!(&arrives(&mut ends.client, &mut ends.server).await, b"question");
    drop(ends.client);
    assert_eq!(ends.server.read(&mut [0]).await.unwrap(), 0, "more bytes arrived");
}

#[tokio::test]
async fn refused_traffic_affects_only_new_connections() {
    let mut ends = connected().await;
    ends.proxy.set_traffic(Traffic::Refused);
    let mut refused = TcpStream::connect(ends.proxy.address()).await.unwrap();
    assert_eq!(refused.read(&mut [0]).await.unwrap_or_default(), 0);
    arrives(&mut ends.client, &mut ends.server).await;
}

#[tokio::test]
async fn delayed_and_limited_bytes_arrive_later() {
    for faults in [
        ConnectionFaults {
            delay: SILENCE,
            ..ConnectionFaults::default()
        },
        ConnectionFaults {
            bytes_per_second: Some(80),
            ..ConnectionFaults::default()
        },
    ] {
        let mut ends = connected().await;
        ends.proxy.set_faults(faults);
        let start = Instant::now();
        assert_eq!(&arrives(&mut ends.client, &mut ends.server).await, b"question");
        assert!(start.elapsed() >= SILENCE, "{faults:?}");
    }
}
