//! The step that rolls out in stages: a canary, its soak, a promotion, and the other nodes.

use std::time::Instant;

use anyhow::{Result, ensure};
use everynode_executor::rollouts::kinds::DaemonSetRolloutStatus;
use serde_json::json;

use super::{DEADLINE, NAME, Walkthrough};
use crate::daemonsets::{self, image};
use crate::rollouts;

/// The stage of the policy.
const CANARY: &str = "canary";

const POLICY: &str = "\
apiVersion: everynode.io/v1alpha1
kind: DaemonSetRolloutPolicy
metadata: {name: nginx-ds}
spec:
  targetRefs: [{name: nginx-ds}]
  stages:
    - {name: canary, nodes: 1, soak: 5s, promotion: Manual}
";

/// The image that the rollout brings.
const IMAGE: &str = "nginx:1.29.1-alpine";

impl Walkthrough<'_> {
    pub(super) async fn roll_out_in_stages(&mut self) -> Result<()> {
        self.terminal
            .step("Roll out in stages: a canary, its soak, a promotion");
        self.terminal.print(
            "A policy says how rollouts go. By this one, a new template goes to one node first, waits for 5 s there,\n\
             and then for a promotion.",
        );
        self.attach_policy().await?;
        let rollout = self.soak_canary().await?;
        self.promote_canary(rollout).await
    }

    async fn attach_policy(&mut self) -> Result<()> {
        // This command also makes kubectl learn the short names of the kinds.
        self.kubectl(&["api-resources", "--api-group=everynode.io"])
            .await?;
        let start = Instant::now();
        self.kubectl_with_input(&["create", "-f", "-"], POLICY).await?;
        let policy = format!("dsrp/{NAME}");
        self.kubectl(&["wait", "--for=condition=Accepted", &policy, "--timeout=30s"])
            .await?;
        self.wait_rollout("nothing to do", is_completed).await?;
        self.report_done(start, "The policy applies to the DaemonSet");
        Ok(())
    }

    /// Changes the image, and waits until the soak of the canary is over. Returns the number of the rollout.
    async fn soak_canary(&mut self) -> Result<i64> {
        let start = Instant::now();
        self.kubectl(&["set", "image", "ds", NAME, &format!("nginx={IMAGE}")])
            .await?;
        self.wait_rollout("the canary soaks", |rollout| {
            rollout.stage == CANARY && rollout.phase == "Soaking"
        })
        .await?;
        let node = self.updated_node().await?;
        self.report_done(start, format!("Only {node} runs {IMAGE}, and the canary soaks"));
        self.kubectl(&["get", "dsr", NAME]).await?;
        let columns =
            "-ocustom-columns=POD:.metadata.name,NODE:.spec.nodeName,IMAGE:.spec.containers[0].image";
        self.kubectl(&["get", "po", columns]).await?;
        let start = Instant::now();
        let waiting = self
            .wait_rollout("the canary waits for its promotion", |rollout| {
                rollout.stage == CANARY && rollout.reason == "WaitingForPromotion"
            })
            .await?;
        let still = self.updated_node().await?;
        ensure!(
            still == node,
            "the canary ran on {node}, and {still} has the new image"
        );
        self.report_done(
            start,
            "The soak is over, and the other nodes wait for the promotion",
        );
        self.kubectl(&["get", "dsr", NAME]).await?;
        Ok(waiting.rollout)
    }

    /// Promotes the canary of the rollout with this number.
    async fn promote_canary(&mut self, rollout: i64) -> Result<()> {
        let start = Instant::now();
        let promotion = json!({"spec": {"promote": {"rollout": rollout, "stage": CANARY}}}).to_string();
        self.kubectl(&["patch", "dsr", NAME, "--type=merge", "-p", &promotion])
            .await?;
        self.wait_rollout("completed", |found| {
            found.rollout == rollout && is_completed(found)
        })
        .await?;
        self.check_updated(IMAGE).await?;
        self.report_done(start, format!("All four pods run {IMAGE}"));
        self.kubectl(&["get", "dsr", NAME]).await?;
        Ok(())
    }

    /// Waits until `wanted` accepts the status of the rollout.
    async fn wait_rollout(
        &self,
        what: &str,
        wanted: impl Fn(&DaemonSetRolloutStatus) -> bool,
    ) -> Result<DaemonSetRolloutStatus> {
        rollouts::wait_status(&self.client, &self.namespace, NAME, DEADLINE, what, wanted).await
    }

    /// The node whose pod has the new image.
    ///
    /// # Errors
    /// When there isn't exactly one such node.
    async fn updated_node(&self) -> Result<String> {
        let mut pods = daemonsets::pods(&self.client, &self.namespace, NAME).await?;
        pods.retain(|pod| image(pod) == Some(IMAGE));
        let mut nodes: Vec<_> = daemonsets::by_node(&pods).into_keys().collect();
        ensure!(nodes.len() == 1, "the nodes with the new image are {nodes:?}");
        Ok(nodes.remove(0))
    }
}

/// Whether every node has the update revision.
fn is_completed(status: &DaemonSetRolloutStatus) -> bool {
    status.phase == "Completed" && status.state == "Completed"
}
