//! Handshakes that never complete.

use std::time::Duration;

use everynode_serving::serve::Refusal;
use tokio::{io::AsyncReadExt as _, time::Instant};

use super::{CLIENT, Scene};
use crate::LIMITS;

/// The server's limit of concurrent handshakes.
const MAX_HANDSHAKES: usize = 64;

#[tokio::test]
async fn evicted_handshake_is_counted_once() {
    let scene = Scene::new().await;
    let mut stalled = Vec::new();
    for _ in 0..=MAX_HANDSHAKES {
        let (client, server) = tokio::io::duplex(64);
        scene.running.connections.send(Ok(server)).unwrap();
        stalled.push(client);
    }
    let mut rest = Vec::new();
    stalled[0].read_to_end(&mut rest).await.unwrap();
    // When another call is complete, the server has also finished its work for the evicted handshake.
    drop(stalled);
    scene
        .get_info(scene.client(CLIENT).credentials.client())
        .await
        .unwrap();
    assert_eq!(*scene.refusals.0.lock().unwrap(), [Refusal::Connections]);
}

#[tokio::test(start_paused = true)]
async fn stalled_handshakes_block_no_clients_and_time_out() {
    let scene = Scene::new().await;
    let mut stalled = Vec::new();
    // More connections than the limits on connections and handshakes allow.
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
