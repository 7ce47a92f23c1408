//! Handshakes that never complete.

use super::*;

/// The server's limit of concurrent handshakes.
const MAX_HANDSHAKES: usize = 64;

#[tokio::test]
async fn handshake_that_gives_up_its_slot_is_counted_once() {
    let scene = Scene::new().await;
    let mut silent = Vec::new();
    for _ in 0..=MAX_HANDSHAKES {
        let (client, server) = tokio::io::duplex(64);
        scene.running.connections.send(Ok(server)).unwrap();
        silent.push(client);
    }
    let mut rest = Vec::new();
    silent[0].read_to_end(&mut rest).await.unwrap();
    // After one more complete call, the server has finished its work for the ended handshake.
    drop(silent);
    scene
        .ask(scene.client(CLIENT).credentials.client())
        .await
        .unwrap();
    assert_eq!(*scene.refused.0.lock().unwrap(), [Refusal::Connections]);
}
