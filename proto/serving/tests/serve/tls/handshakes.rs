//! Handshakes that never complete.

use super::*;

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
    // After one more complete call, the server has finished its work for the ended handshake.
    drop(stalled);
    scene
        .get_info(scene.client(CLIENT).credentials.client())
        .await
        .unwrap();
    assert_eq!(*scene.refusals.0.lock().unwrap(), [Refusal::Connections]);
}
