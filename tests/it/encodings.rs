//! Decoding of the API server's two encodings, Protobuf and JSON.

use std::time::Duration;

use everynode_executor::apiserver::objects::{Encoding, PROTOBUF_OR_JSON, Page, Watched, page};
use everynode_proto::facts::{Node, Pod};
use everynode_tests::daemonsets::{self, DaemonSetBuilder};
use everynode_tests::nodes;
use kube::client::Body;
use serde_json::json;

use crate::world::World;

const DEADLINE: Duration = Duration::from_secs(30);

/// Lists all objects of a kind, in the encoding that the server chooses from `accept`.
async fn list<T: Watched>(world: &World, accept: &str) -> (Encoding, Page<T>) {
    let request = http::Request::get(T::PATH)
        .header("accept", accept)
        .body(Body::empty())
        .unwrap();
    let (head, body) = world.client.send(request).await.unwrap().into_parts();
    let encoding = Encoding::of(&head.headers);
    let body = body.collect_bytes().await.unwrap();
    (encoding, page(&body, encoding).unwrap())
}

/// Checks that both encodings of each object decode to the same value. Returns how many objects were compared.
async fn compare_encodings<T: Watched>(world: &World) -> usize {
    // Objects may change between the two lists, so only those with the same version in both are compared.
    let (encoding, messages) = list::<T>(world, PROTOBUF_OR_JSON).await;
    assert_eq!(encoding, Encoding::Protobuf);
    let (encoding, text) = list::<T>(world, "application/json").await;
    assert_eq!(encoding, Encoding::Json);
    let mut compared = 0;
    for message in &messages.items {
        if let Some(same) = text
            .items
            .iter()
            .find(|other| other.version() == message.version())
        {
            assert_eq!(format!("{message:?}"), format!("{same:?}"));
            compared += 1;
        }
    }
    compared
}

#[tokio::test]
async fn nodes_and_pods_decode_the_same_from_protobuf_and_json() {
    let world = World::new(3).await;
    let taint = nodes::taint("example.com/odd", "v", "PreferNoSchedule");
    nodes::set_taints(&world.client, &world.nodes[0], &[taint])
        .await
        .unwrap();
    let preferred =
        json!([{"weight": 1, "preference": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}]);
    let affinity =
        json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}});
    world
        .create(
            DaemonSetBuilder::new("agent")
                .pod_spec(&affinity)
                .pod_annotation("example.com/long", &"x".repeat(1_000)),
        )
        .await;
    daemonsets::wait_placed(&world.client, &world.namespace, "agent", &world.nodes, DEADLINE)
        .await
        .unwrap();
    assert!(compare_encodings::<Node>(&world).await >= 2);
    assert!(compare_encodings::<Pod>(&world).await >= 2);
}
