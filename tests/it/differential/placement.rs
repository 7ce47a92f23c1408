//! Differential scenarios for placement: which nodes get a pod.

use anyhow::Result;
use everynode_tests::daemonsets::DaemonSetBuilder;
use everynode_tests::differential::{Lockstep, side::Side, state::State};
use everynode_tests::nodes::{self, NodeBuilder, taint};
use serde_json::json;

use super::agent;
use super::steps::begin;

pub(super) async fn p1_host_network(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 2, &agent().pod_spec(&json!({"hostNetwork": true}))).await?;
    let change = async |side: &Side| {
        side.patch_template("agent", &json!({"spec": {"hostNetwork": null}}))
            .await
    };
    lockstep
        .step("leave the host network", change, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await
}

pub(super) async fn p1_explicit_default_tolerations(lockstep: &mut Lockstep) -> Result<()> {
    lockstep.plain_nodes(2).await?;
    let create = async |side: &Side| {
        let known =
            json!({"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"});
        let brief = json!({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9});
        let wide = json!({"key": "node.kubernetes.io/disk-pressure", "operator": "Exists"});
        let other = json!({"key": "dedicated", "value": "daemons", "effect": "NoSchedule"});
        let set = [known, brief, wide, other]
            .iter()
            .fold(agent(), DaemonSetBuilder::tolerate);
        side.create(set).await
    };
    lockstep
        .step("create with tolerations that are added anyway", create, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await?;
    let taints = [taint("dedicated", "daemons", "NoSchedule")];
    let change = async |side: &Side| {
        nodes::set_taints(side.client(), &side.node(1), &taints).await?;
        side.delete_pod(&side.pod_on("agent", 1).await?).await
    };
    lockstep
        .step("taint a node and delete its pod", change, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await
}

pub(super) async fn p2_node_name(lockstep: &mut Lockstep) -> Result<()> {
    lockstep.plain_nodes(3).await?;
    let create = async |side: &Side| {
        side.create(agent().pod_spec(&json!({"nodeName": side.node(2)})))
            .await
    };
    lockstep
        .step("select a node by name", create, |state| {
            state.check_rolled_out("agent", 1)
        })
        .await?;
    let change = async |side: &Side| {
        side.patch_template("agent", &json!({"spec": {"nodeName": side.node(3)}}))
            .await
    };
    lockstep
        .step("select another node by name", change, |state| {
            state.check_rolled_out("agent", 1)
        })
        .await
}

pub(super) async fn p3_node_selector(lockstep: &mut Lockstep) -> Result<()> {
    let node = |lockstep: &Lockstep, number| NodeBuilder::new(&lockstep.node(number));
    let labeled = [1, 2].map(|number| node(lockstep, number).label("disk", "ssd"));
    lockstep.nodes(labeled).await?;
    lockstep.nodes([node(lockstep, 3).label("disk", "")]).await?;
    let create = async |side: &Side| side.create(agent().node_selector("disk", "ssd")).await;
    lockstep
        .step("select two of three nodes", create, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await?;
    let gain = async |side: &Side| {
        nodes::label(side.client(), &side.node(3), "disk", Some("ssd")).await?;
        Ok(())
    };
    lockstep
        .step("label the third node", gain, |state| {
            state.check_rolled_out("agent", 3)
        })
        .await?;
    let lose = async |side: &Side| {
        nodes::label(side.client(), &side.node(1), "disk", None).await?;
        Ok(())
    };
    lockstep
        .step("remove the label of the first node", lose, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await
}

pub(super) async fn p3_node_affinity(lockstep: &mut Lockstep) -> Result<()> {
    let node = |number| NodeBuilder::new(&lockstep.node(number));
    let builders = [
        node(1).label("zone", "a").label("disk", ""),
        node(2).label("zone", "a"),
        node(3),
        node(4).label("zone", "b").label("disk", "ssd"),
    ];
    lockstep.nodes(builders).await?;
    let create = async |side: &Side| {
        let terms = json!([
            {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "c"]}, {"key": "disk", "operator": "Exists"}]},
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [side.node(3)]}]},
        ]);
        let preferred = json!([
            {"weight": 5, "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}},
        ]);
        let affinity = json!({"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms},
            "preferredDuringSchedulingIgnoredDuringExecution": preferred,
        }});
        side.create(agent().pod_spec(&json!({"affinity": affinity})))
            .await
    };
    lockstep
        .step("create with two terms", create, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await?;
    let change = async |side: &Side| {
        let terms = json!([
            {"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]},
            {"matchExpressions": [{"key": "disk", "operator": "DoesNotExist"}, {"key": "zone", "operator": "Exists"}]},
        ]);
        let required =
            json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
        side.patch_template(
            "agent",
            &json!({"spec": {"affinity": {"nodeAffinity": required}}}),
        )
        .await
    };
    lockstep
        .step("change the terms", change, |state| {
            state.check_rolled_out("agent", 3)
        })
        .await
}

pub(super) async fn p3_gt_and_lt(lockstep: &mut Lockstep) -> Result<()> {
    let node = |number, cores: &str| NodeBuilder::new(&lockstep.node(number)).label("cores", cores);
    lockstep
        .nodes([node(1, "2"), node(2, "16"), node(3, "many"), node(4, "007")])
        .await?;
    let create = async |side: &Side| {
        let terms = json!([
            {"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["4"]}, {"key": "cores", "operator": "Lt", "values": ["32"]}]},
        ]);
        let required =
            json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
        side.create(agent().pod_spec(&json!({"affinity": {"nodeAffinity": required}})))
            .await
    };
    lockstep
        .step("create with a range", create, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await
}

pub(super) async fn p4_no_schedule(lockstep: &mut Lockstep) -> Result<()> {
    begin(lockstep, 3, &agent()).await?;
    let taints = [
        taint("dedicated", "x", "NoSchedule"),
        taint("soft", "", "PreferNoSchedule"),
    ];
    let change = async |side: &Side| {
        nodes::set_taints(side.client(), &side.node(1), &taints).await?;
        side.trigger_reconcile("agent").await
    };
    lockstep
        .step("taint a node and keep its pod", change, |state| {
            check_counts(state, 2, 1)
        })
        .await?;
    let delete = async |side: &Side| side.delete_pod(&side.pod_on("agent", 1).await?).await;
    lockstep
        .step("delete its pod without replacement", delete, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await?;
    let free = async |side: &Side| {
        nodes::set_taints(side.client(), &side.node(1), &[]).await?;
        Ok(())
    };
    lockstep
        .step("remove the taint", free, |state| {
            state.check_rolled_out("agent", 3)
        })
        .await
}

pub(super) async fn p4_no_execute(lockstep: &mut Lockstep) -> Result<()> {
    // The taint eviction controller also deletes the pod, and the controller that comes second emits no event.
    lockstep.ignore_event("SuccessfulDelete");
    begin(lockstep, 3, &agent()).await?;
    let change = async |side: &Side| {
        nodes::set_taints(side.client(), &side.node(2), &[taint("broken", "", "NoExecute")]).await?;
        Ok(())
    };
    lockstep
        .step("taint a node and delete its pod", change, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await?;
    let tolerate = async |side: &Side| {
        let tolerations = json!([{"key": "broken", "operator": "Exists", "effect": "NoExecute"}]);
        side.patch_template("agent", &json!({"spec": {"tolerations": tolerations}}))
            .await
    };
    lockstep
        .step("tolerate the taint", tolerate, |state| {
            state.check_rolled_out("agent", 3)
        })
        .await
}

pub(super) async fn p5_cordoned(lockstep: &mut Lockstep) -> Result<()> {
    lockstep.plain_nodes(2).await?;
    let create = async |side: &Side| {
        side.kubectl(&["cordon", &side.node(1)]).await?;
        side.create(agent()).await
    };
    lockstep
        .step("create with a cordoned node", create, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await?;
    let delete = async |side: &Side| {
        side.delete_pod(&side.pod_on("agent", 1).await?).await?;
        side.kubectl(&["uncordon", &side.node(1)]).await.map(drop)
    };
    lockstep
        .step("delete its pod and uncordon the node", delete, |state| {
            state.check_rolled_out("agent", 2)
        })
        .await
}

/// Checks how many nodes should run a pod, and how many others have one.
fn check_counts(state: &State, desired: i64, misscheduled: i64) -> Result<()> {
    state.check_counts(
        "agent",
        &[
            ("desiredNumberScheduled", desired),
            ("numberAvailable", desired),
            ("updatedNumberScheduled", desired),
            ("numberMisscheduled", misscheduled),
        ],
    )?;
    state.check_pod_count("agent", usize::try_from(desired + misscheduled)?)
}
