use serde_json::json;

use super::*;
use crate::testing::server;

#[tokio::test]
async fn invalid_name_is_an_error_and_sends_no_call() {
    let (client, mut server) = server();
    let api = Api::new(client);
    let empty = json!({});
    for bad in ["", "..", "a/b", "a?gracePeriodSeconds=0", "a%2Fb", "a#b"] {
        let failures = [
            api.get_node(bad).await.err(),
            api.get_namespace(bad).await.err(),
            api.get_runtime_class(bad).await.err(),
            api.create_pod(bad, Vec::new()).await.err(),
            api.get_pod(bad, "p").await.err(),
            api.get_pod("n", bad).await.err(),
            api.patch_pod(bad, "p", PatchKind::Merge, &empty).await.err(),
            api.patch_pod("n", bad, PatchKind::Strategic, &empty).await.err(),
            api.delete_pod(bad, "p", "u").await.err(),
            api.delete_pod("n", bad, "u").await.err(),
            api.get_daemon_set(bad, "d").await.err(),
            api.get_daemon_set("n", bad).await.err(),
            api.patch_daemon_set_status(bad, "d", &empty).await.err(),
            api.patch_daemon_set_status("n", bad, &empty).await.err(),
            api.create_revision(bad, Vec::new()).await.err(),
            api.get_revision(bad, "r").await.err(),
            api.get_revision("n", bad).await.err(),
            api.patch_revision(bad, "r", PatchKind::Merge, &empty).await.err(),
            api.patch_revision("n", bad, PatchKind::Merge, &empty).await.err(),
            api.delete_revision(bad, "r", "u").await.err(),
            api.delete_revision("n", bad, "u").await.err(),
        ];
        for failure in failures {
            let failure = failure.unwrap();
            assert!(matches!(failure, ApiError::Name(_)), "{bad:?}: {failure}");
            assert!(failure.is_final(), "{bad:?}: it would be retried");
        }
    }
    drop(api);
    assert!(server.call().await.is_none(), "nothing was sent");
}
