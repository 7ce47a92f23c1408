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
pub(super) const CONTRACT: [Group; 7] = [
    Group {
        name: "Placement (planner)",
        about: "whether a pod belongs on a node: RUN, KEEP (none is made, one that is there stays) or EXCLUDE",
        clauses: &[
            (
                "P1",
                "Pods are judged with the tolerations that are added to each: NoExecute not-ready and unreachable; NoSchedule \
                 disk-pressure, memory-pressure, pid-pressure, unschedulable, and on the host's network network-unavailable.",
            ),
            (
                "P2",
                "spec.nodeName of the template, if set, must be the node's name.",
            ),
            (
                "P3",
                "nodeSelector and required node affinity must match. A term that can't be parsed matches nothing, is reported, and \
                 fails nothing else.",
            ),
            (
                "P4",
                "An untolerated NoSchedule taint keeps new pods away (KEEP), an untolerated NoExecute taint every pod (EXCLUDE).",
            ),
            (
                "P5",
                "Only labels, taints and the name of a node matter: not readiness, capacity or spec.unschedulable as such.",
            ),
            (
                "P6",
                "An empty selector selects nothing: no pods, and a Warning event SelectingAll.",
            ),
        ],
    },
    Group {
        name: "One node (planner)",
        about: "what is done on a node",
        clauses: &[
            (
                "N1",
                "RUN and no pod: one is created. A terminating pod still counts as there, unless it is over as well.",
            ),
            ("N2", "EXCLUDE: every pod that isn't terminating is deleted."),
            (
                "N3",
                "A failed pod is deleted (event FailedDaemonPod) with a backoff of 1 s, doubling to 15 min, for each DaemonSet and \
                 node; a succeeded one at once (event SucceededDaemonPod).",
            ),
            (
                "N4",
                "Without surge the oldest pod stays: bound before unbound, then by creation, then by name.",
            ),
            (
                "N5",
                "With surge the oldest current and the oldest old pod stay, until one makes the other needless.",
            ),
            (
                "N6",
                "Unbound pods of a node that is gone are deleted; bound ones are the pod garbage collector's.",
            ),
            (
                "N7",
                "Better than kube-controller-manager: the counters follow at once when a node is deleted, and when a taint comes that \
                 the pod there may stay with.",
            ),
        ],
    },
    Group {
        name: "Created pods (executor)",
        about: "what pods are made of",
        clauses: &[
            (
                "C1",
                "The name begins with the DaemonSet's, generateName is NAME-, and the DaemonSet is the controlling owner.",
            ),
            (
                "C2",
                "Labels, annotations and finalizers are the template's, plus controller-revision-hash, plus pod-template-generation \
                 where the DaemonSet has that annotation.",
            ),
            (
                "C3",
                "The tolerations of P1 are added; required node affinity is replaced by the node's name; preferred affinity stays; \
                 the scheduler binds the pod.",
            ),
            (
                "C4",
                "Everything else of the template reaches the pod, known to our libraries or not.",
            ),
            (
                "C5",
                "Events SuccessfulCreate, FailedCreate, SuccessfulDelete, FailedDelete, in the server's words, rate limited.",
            ),
        ],
    },
    Group {
        name: "Rolling update (planner)",
        about: "how pods of an old template give way",
        clauses: &[
            (
                "R1",
                "A pod is current by its controller-revision-hash, or by its pod-template-generation.",
            ),
            ("R2", "OnDelete: nothing is replaced until somebody deletes it."),
            (
                "R3",
                "maxUnavailable and maxSurge: a number or a percentage of desired, rounded up; both 0 means maxUnavailable 1.",
            ),
            (
                "R4",
                "Without surge, unavailable old pods go at once and count; available ones go while the budget lasts. A node that \
                 lacks its pod counts as unavailable.",
            ),
            (
                "R5",
                "With surge, new pods come beside available old ones up to maxSurge, beside unavailable ones without limit; an old \
                 pod goes when its new one is available.",
            ),
            (
                "R6",
                "Better than kube-controller-manager: nodes are served in the order of their names, so the same state gives the same \
                 plan.",
            ),
        ],
    },
    Group {
        name: "History (executor)",
        about: "ControllerRevisions",
        clauses: &[
            (
                "H1",
                "One revision a template, reused when the template comes back; duplicates are merged; a taken name raises \
                 status.collisionCount.",
            ),
            (
                "H2",
                "The data is byte for byte what kube-controller-manager writes, and is compared by meaning: taking over and handing \
                 back restarts no pod.",
            ),
            (
                "H3",
                "Revisions beyond revisionHistoryLimit go, oldest first, but none that a pod still carries.",
            ),
            ("H4", "kubectl rollout history, undo, status and restart work."),
        ],
    },
    Group {
        name: "Ownership (executor)",
        about: "whose pods and revisions they are",
        clauses: &[
            (
                "A1",
                "Orphans that match the selector are adopted, after a fresh read of the DaemonSet.",
            ),
            ("A2", "Owned pods that don't match any more are released."),
            ("A3", "Pods of another controller are never touched."),
            ("A4", "A DaemonSet that is being deleted is left alone."),
        ],
    },
    Group {
        name: "Status (planner counts, executor writes)",
        about: "what the status says",
        clauses: &[
            ("S1", "Each counter, by the oldest pod of each node."),
            (
                "S2",
                "observedGeneration rises only to what has been acted on; collisionCount is kept; written only on change, and again on a \
                 conflict.",
            ),
            (
                "S3",
                "With minReadySeconds the status changes when the time has passed, whatever the clocks say.",
            ),
        ],
    },
];
