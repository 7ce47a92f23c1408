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
