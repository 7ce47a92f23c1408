//! The clauses of the contract.

/// A group of clauses about one subject.
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Each clause's name and text.
    pub(super) clauses: &'static [(&'static str, &'static str)],
}

/// The clauses of the `DaemonSet` contract: what users, kubectl and Kubernetes' conformance suite expect of a
/// `DaemonSet` controller.
pub(super) const CONTRACT: [Group; 8] = [
    Group {
        name: "Placement (planner)",
        about: "Whether a pod belongs on a node: RUN (a pod should run there), KEEP (no pod is created, an existing \
                one stays) or EXCLUDE (existing pods are deleted).",
        clauses: &[
            (
                "P1",
                "Pods are judged with the tolerations that the controller adds to every pod: not-ready and \
                 unreachable with effect NoExecute; disk-pressure, memory-pressure, pid-pressure and unschedulable \
                 with effect NoSchedule; and, for pods on the host network, network-unavailable with effect \
                 NoSchedule.",
            ),
            (
                "P2",
                "If the template sets spec.nodeName, it must be the node's name.",
            ),
            (
                "P3",
                "nodeSelector and required node affinity must match. A term that can't be parsed matches nothing and \
                 is reported; it makes nothing else fail.",
            ),
            (
                "P4",
                "An untolerated NoSchedule taint keeps new pods off the node (KEEP). An untolerated NoExecute taint \
                 keeps every pod off it (EXCLUDE).",
            ),
            (
                "P5",
                "Only a node's labels, taints and name matter. Its readiness and capacity don't, nor does \
                 spec.unschedulable as such.",
            ),
            (
                "P6",
                "An empty selector selects nothing: the DaemonSet gets no pods, and a Warning event SelectingAll.",
            ),
        ],
    },
    Group {
        name: "One node (planner)",
        about: "Which pods are created and deleted on one node.",
        clauses: &[
            (
                "N1",
                "RUN without a pod: one is created. A terminating pod still counts as present, unless it has also \
                 finished.",
            ),
            ("N2", "EXCLUDE: every pod that isn't terminating is deleted."),
            (
                "N3",
                "A failed pod is deleted (event FailedDaemonPod) with a backoff per DaemonSet and node: 1 s, doubling \
                 to 15 min. A succeeded pod is deleted at once (event SucceededDaemonPod).",
            ),
            (
                "N4",
                "Without surge, the oldest pod stays: bound before unbound, then by creation time, then by name.",
            ),
            (
                "N5",
                "With surge, the oldest current pod and the oldest old pod stay. The old pod is deleted when it isn't \
                 ready, or when the current pod is available.",
            ),
            (
                "N6",
                "Unbound pods of a node that is gone are deleted. Bound ones are left to the pod garbage collector.",
            ),
            (
                "N7",
                "Better than kube-controller-manager: the counters follow at once when a node is deleted, and when a \
                 node gets a taint that lets its existing pod stay.",
            ),
        ],
    },
    Group {
        name: "Created pods (executor)",
        about: "How a pod is made from the template.",
        clauses: &[
            (
                "C1",
                "The pod's name begins with the DaemonSet's name, generateName is NAME-, and the DaemonSet is the \
                 controlling owner.",
            ),
            (
                "C2",
                "Labels, annotations and finalizers are the template's. The label controller-revision-hash is added, \
                 and pod-template-generation if the DaemonSet's annotations give a template generation.",
            ),
            (
                "C3",
                "The tolerations of P1 are added. Required node affinity is replaced by the node's name, and \
                 preferred affinity stays. The scheduler binds the pod.",
            ),
            (
                "C4",
                "Every other field of the template reaches the pod, whether or not Everynode's libraries know it.",
            ),
            (
                "C5",
                "The events SuccessfulCreate, FailedCreate, SuccessfulDelete and FailedDelete report what was done \
                 and, in the server's words, what failed. They are rate-limited.",
            ),
        ],
    },
    Group {
        name: "Rolling update (planner)",
        about: "How pods of an old template are replaced.",
        clauses: &[
            (
                "R1",
                "A pod is current if its controller-revision-hash or its pod-template-generation matches the \
                 template's.",
            ),
            ("R2", "OnDelete: no pod is replaced until somebody deletes it."),
            (
                "R3",
                "maxUnavailable and maxSurge are a number, or a percentage of the desired number rounded up. If both \
                 are 0, maxUnavailable is 1.",
            ),
            (
                "R4",
                "Without surge, unavailable old pods are deleted at once and count against the budget; available ones \
                 are deleted while the budget lasts. A node that lacks its pod counts as unavailable.",
            ),
            (
                "R5",
                "With surge, new pods are created beside available old ones up to maxSurge, and beside unavailable \
                 ones without limit. An old pod is deleted when its new one is available.",
            ),
            (
                "R6",
                "Better than kube-controller-manager: nodes are processed in the order of their names, so the same \
                 state gives the same plan.",
            ),
        ],
    },
    Group {
        name: "Rollout policies (planner)",
        about: "How a DaemonSet to which a rollout policy applies is rolled out. kube-controller-manager has no such \
                policies.",
        clauses: &[
            (
                "T1",
                "Pods of the current revision lack the label pod-template-generation, so they count as old, here and \
                 after a hand-back to kube-controller-manager.",
            ),
            (
                "T2",
                "Every node has a target revision: the update revision once the rollout has released the node, and \
                 the current one before. Placement, tolerations and created pods follow it; the counters of the \
                 status follow the update revision.",
            ),
            (
                "T3",
                "Policies are known, absent or unknown. While they are unknown, invalid or gone, a rollout that has \
                 begun replaces nothing, and missing pods are still created. Leading never waits for them.",
            ),
            (
                "T4",
                "A policy that begins to apply starts nothing: old pods wait for one promotion. An OnDelete \
                 DaemonSet is rolled out only by a policy that names it. Everynode leaves a DaemonSet alone whose \
                 rollouts another program drives.",
            ),
            (
                "T5",
                "A stage opens when the one before it is done. It is updated once when every node that existed when \
                 it opened, and isn't ignored, has an available pod of the update revision. The soak runs once from \
                 then on.",
            ),
            (
                "T6",
                "A stage without an updated and available node waits. A number of nodes is picked when the stage \
                 opens, and a percentage is cumulative.",
            ),
            (
                "T7",
                "Budgets of the rollout, of the stage and of the domain apply at the same time. They count nodes \
                 without an available pod, and under surge nodes in replacement. A percentage is of the nodes that \
                 the budget bounds, rounded up, and at least 1.",
            ),
            (
                "T8",
                "On the way back to the current revision, budgets and order apply, but no stages, soaks and \
                 promotions.",
            ),
            (
                "T9",
                "Verbs name the number of a rollout and count for this rollout only.",
            ),
            (
                "T11",
                "A new template changes the current revision only if every node runs what the last rollout brought. \
                 When no rollout has completed yet, the current revision is what most available pods carry.",
            ),
            (
                "T13",
                "What a rollout does next is written to the DaemonSetRollout first, and done when it has been read \
                 back. Stopping needs no write. Counters are never read back.",
            ),
            (
                "T14",
                "Memory of another DaemonSet of the same name counts as absent, and without memory a rollout that \
                 was under way doesn't continue.",
            ),
            (
                "T16",
                "Every replacement takes a slot. Nodes whose pod was unavailable before the rollout are outside the \
                 budgets; if they are more than 30 %, the rollout stalls.",
            ),
            (
                "T17",
                "To a planner that doesn't know policies, the executor announces OnDelete with the current \
                 revision, so the planner creates missing pods and replaces none.",
            ),
            (
                "T19",
                "An edit of a policy applies at once. Stages are identified by their names, done stays done, and no \
                 node with the update revision goes back.",
            ),
            (
                "T21",
                "Times of rollouts are the API server's, so a failover to a machine with a wrong clock skips no soak.",
            ),
        ],
    },
    Group {
        name: "History (executor)",
        about: "How ControllerRevisions record the templates.",
        clauses: &[
            (
                "H1",
                "Each template has one revision, which is reused when the template returns. Duplicates are merged \
                 when anything else happens to the DaemonSet, and no pod restarts. If the revision's name is taken, \
                 status.collisionCount is raised.",
            ),
            (
                "H2",
                "The data is byte for byte what kube-controller-manager writes, and it is compared by meaning, so \
                 taking over and handing back restart no pod.",
            ),
            (
                "H3",
                "Revisions beyond revisionHistoryLimit are deleted, oldest first, except those that a pod still \
                 carries.",
            ),
            ("H4", "kubectl rollout history, undo, status and restart work."),
        ],
    },
    Group {
        name: "Ownership (executor)",
        about: "Which pods and revisions belong to a DaemonSet.",
        clauses: &[
            (
                "A1",
                "Orphans that match the selector are adopted, after a fresh read of the DaemonSet.",
            ),
            ("A2", "Owned pods that no longer match the selector are released."),
            ("A3", "Pods of another controller are never touched."),
            ("A4", "A DaemonSet that is being deleted is left alone."),
        ],
    },
    Group {
        name: "Status (planner counts, executor writes)",
        about: "What the status reports.",
        clauses: &[
            ("S1", "Each counter considers the oldest pod of each node."),
            (
                "S2",
                "observedGeneration advances only to a generation that has been acted on. collisionCount is kept. The \
                 status is written only when it changes, and again after a conflict.",
            ),
            (
                "S3",
                "With minReadySeconds, the status changes when the time has passed, whatever the clocks say.",
            ),
        ],
    },
];
