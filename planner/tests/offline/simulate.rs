//! `simulate`: requests, conflicts, and unknown labels of a node template.

use std::fs;

use super::{folder, run};

/// Two `DaemonSet`s that want the same host port, and more memory than a small node has.
const DEMANDING: &str = "
kind: DaemonSet
metadata: {name: a}
spec:
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}}
    spec:
      runtimeClassName: sandboxed
      containers:
      - {name: a, resources: {requests: {cpu: 100m, memory: 1Gi}}, ports: [{containerPort: 80, hostPort: 9100}]}
---
kind: DaemonSet
metadata: {name: b}
spec:
  selector: {matchLabels: {app: b}}
  template:
    metadata: {labels: {app: b}}
    spec:
      nodeSelector: {zone: z1}
      containers:
      - {name: b, resources: {requests: {cpu: 1, memory: 3Gi}}, ports: [{containerPort: 80, hostPort: 9100}]}
---
kind: RuntimeClass
apiVersion: node.k8s.io/v1
metadata: {name: sandboxed}
handler: sandboxed
overhead: {podFixed: {cpu: 50m}}
";

const TEMPLATE: &str = "
kind: Node
metadata: {name: small, labels: {zone: z1}}
status: {allocatable: {cpu: 2, memory: 3Gi, pods: 110}}
";

#[test]
fn simulate_shows_requests_and_conflicts() {
    let folder = folder("simulate");
    fs::write(folder.join("demanding.yaml"), DEMANDING).unwrap();
    let run = run(
        &folder,
        &["simulate", "-f", "demanding.yaml", "-f", "-"],
        TEMPLATE,
    );
    assert_eq!(
        run.out,
        "\
Node template small
DAEMONSET   CPU     MEMORY   PODS   HOST PORTS
default/a   150m    1Gi      1      9100/TCP
default/b   1       3Gi      1      9100/TCP
requested   1150m   4Gi      2
percent     57%     133%     1%
capacity    2       3Gi      110
left        850m    -1Gi     108
exceeded: memory
conflict: host port 9100/TCP is requested by default/a, default/b
"
    );
    assert_eq!((run.err.as_str(), run.code), ("", 1));
}

#[test]
fn simulate_shows_what_depends_on_unknown_labels() {
    let folder = folder("unknown");
    fs::write(folder.join("demanding.yaml"), DEMANDING).unwrap();
    let args = [
        "simulate",
        "-f",
        "demanding.yaml",
        "-f",
        "-",
        "--unknown-label",
        "zone",
    ];
    let run = run(&folder, &args, TEMPLATE);
    assert_eq!(
        run.out,
        "\
Node template small
DAEMONSET   CPU     MEMORY   PODS   HOST PORTS
default/a   150m    1Gi      1      9100/TCP
requested   150m    1Gi      1
percent     7%      33%      0%
capacity    2       3Gi      110
left        1850m   2Gi      109
undecided: default/b: runs if and only if the node has zone=z1
"
    );
    assert_eq!((run.err.as_str(), run.code), ("", 1));
}

#[test]
fn simulate_exits_with_0_when_everything_fits_and_is_decided() {
    let folder = folder("fits");
    fs::write(folder.join("demanding.yaml"), DEMANDING).unwrap();
    let other_zone = TEMPLATE.replace("zone: z1", "zone: z2");
    let run = run(
        &folder,
        &["simulate", "-f", "demanding.yaml", "-f", "-"],
        &other_zone,
    );
    assert_eq!((run.err.as_str(), run.code), ("", 0), "{run:?}");
}

#[test]
fn several_templates_share_a_table_with_a_row_for_each_kind() {
    let folder = folder("several-templates");
    fs::write(folder.join("demanding.yaml"), DEMANDING).unwrap();
    let template = |name: &str, memory: &str| {
        TEMPLATE
            .replace("name: small", &format!("name: {name}"))
            .replace("3Gi", memory)
    };
    let templates = [
        template("big-2", "64Gi"),
        template("big-1", "64Gi"),
        template("small", "3Gi"),
    ]
    .join("---");
    let args = ["simulate", "-f", "demanding.yaml", "-f", "-"];
    let shared = run(&folder, &args, &templates);
    assert_eq!(
        shared.out,
        "\
NODE TEMPLATES       DAEMONSETS   CPU     %     MEMORY   %      PODS   LEFT (CPU / MEMORY / PODS)
2 nodes like big-1   2            1150m   57%   4Gi      6%     2      850m / 60Gi / 108
small                2            1150m   57%   4Gi      133%   2      850m / -1Gi / 108
conflict: host port 9100/TCP is requested by default/a, default/b (on 3 nodes)
exceeded: memory (on small)
"
    );
    let sorted = run(&folder, &[&args[..], &["--sort", "memory"]].concat(), &templates);
    assert!(
        sorted.out.lines().nth(1).unwrap().starts_with("small"),
        "{sorted:?}"
    );
    let wide = run(&folder, &[&args[..], &["-o", "wide"]].concat(), &templates);
    assert_eq!(wide.out.matches("Node template ").count(), 3, "{wide:?}");
    let csv = run(
        &folder,
        &[&args[..], &["-o", "csv", "--node", "small"]].concat(),
        &templates,
    );
    assert_eq!(
        csv.out.lines().nth(1).unwrap(),
        "small,2,1.15,2,4294967296,3221225472,2,110,0.85,-1073741824,108,memory,\"host port 9100/TCP is requested by \
         default/a, default/b\",,"
    );
}

/// A Node as the API server has it, with a taint that goes away.
const NODE: &str = "
kind: Node
metadata: {name: worker-1, uid: n1, labels: {zone: z2, kubernetes.io/hostname: worker-1}}
spec: {taints: [{key: node.cilium.io/agent-not-ready, effect: NoExecute}]}
status: {allocatable: {cpu: 2, memory: 3Gi, pods: 110}}
";

#[test]
fn transient_taints_and_host_names_of_nodes_are_set_aside() {
    let folder = folder("transient");
    fs::write(folder.join("demanding.yaml"), DEMANDING).unwrap();
    let args = ["simulate", "-f", "demanding.yaml", "-f", "-"];
    let without = run(&folder, &args, NODE);
    assert!(without.out.contains("default/a   150m"), "{without:?}");
    assert_eq!(
        without.err,
        "everynode-planner: note: set aside, because a new node of the same kind doesn't have it: label \
         kubernetes.io/hostname (1 node), taint node.cilium.io/agent-not-ready:NoExecute (1 node); --keep-transient \
         keeps it\n"
    );
    let with = run(&folder, &[&args[..], &["--keep-transient"]].concat(), NODE);
    assert!(
        with.out.contains("No DaemonSet would run on this node."),
        "{with:?}"
    );
    assert_eq!(with.err, "");
}

#[test]
fn pods_say_what_the_next_pod_requests() {
    let folder = folder("pod-requests");
    fs::write(folder.join("demanding.yaml"), DEMANDING).unwrap();
    let pod = "
kind: Pod
metadata:
  name: a-x1
  namespace: default
  ownerReferences: [{apiVersion: apps/v1, kind: DaemonSet, name: a, uid: u1, controller: true}]
spec:
  containers: [{name: a, resources: {requests: {cpu: 300m, memory: 1Gi}}}]
";
    let input = format!("{}---{pod}", TEMPLATE.replace("zone: z1", "zone: z2"));
    let run = run(&folder, &["simulate", "-f", "demanding.yaml", "-f", "-"], &input);
    assert!(run.out.contains("default/a   350m    1Gi"), "{run:?}");
    assert_eq!(
        run.err,
        "everynode-planner: note: requests are those of the newest pod, which differ from the template's: default/a \
         (pod a-x1)\n"
    );
    assert_eq!(run.code, 0);
}
