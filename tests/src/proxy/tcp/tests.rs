use super::*;

/// How long nothing may arrive until that counts as silence.
const SILENCE: Duration = Duration::from_millis(100);

struct Ends {
    line: Line,
    client: TcpStream,
    server: TcpStream,
    listener: TcpListener,
}

async fn connected() -> Ends {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let line = Line::start(listener.local_addr().unwrap()).await.unwrap();
    let client = TcpStream::connect(line.address()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    Ends {
        line,
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
async fn in_fair_weather_everything_arrives_and_an_end_is_passed_on() {
    let mut ends = connected().await;
    assert_eq!(&arrives(&mut ends.client, &mut ends.server).await, b"question");
    assert_eq!(&arrives(&mut ends.server, &mut ends.client).await, b"question");
    drop(ends.client);
    assert_eq!(ends.server.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_cut_ends_both_sides_and_new_connections_can_be_made() {
    let mut ends = connected().await;
    ends.line.cut();
    assert_eq!(ends.client.read(&mut [0]).await.unwrap_or_default(), 0);
    assert_eq!(ends.server.read(&mut [0]).await.unwrap_or_default(), 0);
    let mut client = TcpStream::connect(ends.line.address()).await.unwrap();
    let (mut server, _) = ends.listener.accept().await.unwrap();
    arrives(&mut client, &mut server).await;
}

#[tokio::test]
async fn a_stranded_connection_ends_for_the_server_only() {
    let mut ends = connected().await;
    ends.line.strand();
    assert_eq!(ends.server.read(&mut [0]).await.unwrap_or_default(), 0);
    ends.client.write_all(b"question").await.unwrap();
    assert!(is_silent(&mut ends.client).await);
}

#[tokio::test]
async fn silence_holds_back_and_ends_without_a_loss() {
    let mut ends = connected().await;
    ends.line.set_traffic(Traffic::Silent);
    ends.client.write_all(b"question").await.unwrap();
    assert!(is_silent(&mut ends.server).await);
    ends.line.set_traffic(Traffic::Flows);
    let mut arrived = [0; 8];
    ends.server.read_exact(&mut arrived).await.unwrap();
    assert_eq!(&arrived, b"question");
}

#[tokio::test]
async fn noise_is_as_long_as_what_was_sent() {
    let mut ends = connected().await;
    ends.line.set_traffic(Traffic::Noise);
    assert_ne!(&arrives(&mut ends.client, &mut ends.server).await, b"question");
}

#[tokio::test]
async fn whoever_connects_is_turned_away_while_others_stay() {
    let mut ends = connected().await;
    ends.line.set_traffic(Traffic::Refused);
    let mut refused = TcpStream::connect(ends.line.address()).await.unwrap();
    assert_eq!(refused.read(&mut [0]).await.unwrap_or_default(), 0);
    arrives(&mut ends.client, &mut ends.server).await;
}

#[tokio::test]
async fn what_is_delayed_or_slow_arrives_later() {
    for weather in [
        Weather {
            delay: SILENCE,
            ..Weather::default()
        },
        Weather {
            bytes_per_second: Some(80),
            ..Weather::default()
        },
    ] {
        let mut ends = connected().await;
        ends.line.set(weather);
        let begun = Instant::now();
        assert_eq!(&arrives(&mut ends.client, &mut ends.server).await, b"question");
        assert!(begun.elapsed() >= SILENCE, "{weather:?}");
    }
}
