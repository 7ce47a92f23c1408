//! Tests of connections through kubectl, which is a shell script here.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use everynode_proto::executor::v1::{DaemonSet, GetInfoResponse, ListDaemonSetsResponse, WatchPlansResponse};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    fake::{Answers, FakeExecutor},
    program::{Run, finish, folder, plugin, wait_for_content, wait_until_exited},
};

/// A kubectl that logs its arguments, lists the objects in the file of their kind, or else in the file `pods`, and
/// forwards to each pod for which there is a file `port-POD`. The first patch fails if there is a file `conflict`, which
/// has the object as somebody else has changed it.
const SCRIPT: &str = r#"#!/bin/sh
cd "${0%/*}" || exit 9
printf '%s\n' "$*" >> invocations
case "$1" in
config)
    if [ -f refuse ]; then echo 'error: context "nowhere" does not exist' >&2; exit 1; fi
    printf '%s' "$(cat namespace)" ;;
get)
    if [ -f refuse ]; then echo 'error: you must be logged in' >&2; exit 1; fi
    if [ -f "$2" ]; then cat "$2"; else cat pods; fi ;;
patch)
    if [ -f conflict ]; then
        mv conflict "$2"
        echo 'Error from server (Conflict): the object has been modified' >&2
        exit 1
    fi ;;
port-forward)
    if [ ! -f "port-${6#pod/}" ]; then
        echo 'error: unable to forward port because pod is not running.' >&2
        echo 'Current status=Failed' >&2
        exit 1
    fi
    echo "Forwarding from 127.0.0.1:$(cat "port-${6#pod/}") -> 50052"
    echo "$$" > pid
    exec sleep 600 ;;
esac
"#;

/// The script, in a folder of its own.
pub(crate) struct Kubectl {
    folder: PathBuf,
}

impl Kubectl {
    pub(crate) fn new(test: &str, pods: &[&str]) -> Self {
        let folder = folder(test);
        let path = folder.join("kubectl");
        fs::write(&path, SCRIPT).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.join("namespace"), "").unwrap();
        fs::write(folder.join("pods"), pods.join("\n")).unwrap();
        Self { folder }
    }

    /// Lets the script forward a pod's port to an executor.
    fn forward(&self, pod: &str, fake: &FakeExecutor) {
        fs::write(self.file(&format!("port-{pod}")), fake.port.to_string()).unwrap();
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn invocations(&self) -> Vec<String> {
        let invocations = fs::read_to_string(self.file("invocations")).unwrap();
        invocations.lines().map(str::to_owned).collect()
    }

    pub(crate) fn command(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = plugin(args);
        command.env("PATH", path(&self.folder));
        command
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Run {
        finish(self.command(args).spawn().unwrap()).await
    }
}

/// A `PATH` on which the script comes first.
fn path(folder: &Path) -> String {
    format!("{}:/usr/bin:/bin", folder.display())
}

fn executor(identity: &str, leader: &str) -> Answers {
    Answers {
        info: GetInfoResponse {
            identity: identity.to_owned(),
            leader: leader.to_owned(),
            cluster_is_listed: true,
            ..GetInfoResponse::default()
        },
        ..Answers::default()
    }
}

#[tokio::test]
async fn port_of_an_executor_pod_is_forwarded_and_released() {
    let kubectl = Kubectl::new("found", &["executor-a"]);
    fs::write(kubectl.file("namespace"), "team-a").unwrap();
    let fake = FakeExecutor::start(executor("executor-a", "executor-a")).await;
    kubectl.forward("executor-a", &fake);
    let run = kubectl
        .run(&["status", "--kubeconfig", "a file", "--context", "c"])
        .await;
    assert_eq!(
        run.err,
        "kubectl everynode: there are no DaemonSets in namespace team-a\n"
    );
    assert_eq!(run.code, 0, "{run:?}");
    let flags = "--kubeconfig a file --context c";
    assert_eq!(
        kubectl.invocations(),
        [
            format!("config view --minify -o jsonpath={{.contexts[0].context.namespace}} {flags}"),
            format!(
                "get pods -n everynode-system -l app.kubernetes.io/name=everynode-executor \
                 --field-selector=status.phase=Running -o jsonpath={{range .items[*]}}{{.metadata.name}} \
                 {{.spec.containers[*].ports[*].name}}{{\"\\n\"}}{{end}} {flags}"
            ),
            format!("port-forward -n everynode-system --address 127.0.0.1 pod/executor-a :50052 {flags}"),
        ]
    );
    wait_until_exited(wait_for_content(&kubectl.file("pid")).await.trim()).await;
}

#[tokio::test]
async fn flags_and_environment_set_kubectl_namespace_and_port() {
    let kubectl = Kubectl::new("named", &["executor-a"]);
    let fake = FakeExecutor::start(executor("executor-a", "executor-a")).await;
    kubectl.forward("executor-a", &fake);
    let args = [
        "status",
        "-n",
        "x",
        "--everynode-namespace",
        "daemons",
        "--everynode-port",
        "grpc",
    ];
    let mut command = plugin(&args);
    command.env("KUBECTL_PATH", kubectl.file("kubectl"));
    command.env("PATH", "/usr/bin:/bin");
    let run = finish(command.spawn().unwrap()).await;
    assert_eq!(run.code, 0, "{run:?}");
    let invocations = kubectl.invocations();
    assert!(
        invocations[0].starts_with("get pods -n daemons "),
        "{invocations:?}"
    );
    assert_eq!(
        invocations[1],
        "port-forward -n daemons --address 127.0.0.1 pod/executor-a :grpc"
    );
}

#[tokio::test]
async fn plain_text_port_beside_tls_is_found_by_its_name() {
    let kubectl = Kubectl::new("local", &["executor-a grpc local admin"]);
    let fake = FakeExecutor::start(executor("executor-a", "executor-a")).await;
    kubectl.forward("executor-a", &fake);
    let run = kubectl.run(&["status", "-A"]).await;
    assert_eq!(run.code, 0, "{run:?}");
    let forwarded = "port-forward -n everynode-system --address 127.0.0.1 pod/executor-a :local";
    assert_eq!(kubectl.invocations().last().unwrap(), forwarded);
}

#[tokio::test]
async fn next_pod_is_tried_when_one_cant_be_reached() {
    let kubectl = Kubectl::new("next", &["executor-a", "executor-b"]);
    let fake = FakeExecutor::start(executor("executor-b", "executor-b")).await;
    kubectl.forward("executor-b", &fake);
    let run = kubectl.run(&["status", "-A"]).await;
    assert_eq!(run.err, "kubectl everynode: there are no DaemonSets\n");
    assert_eq!(run.code, 0);
}

#[tokio::test]
async fn error_lists_the_attempts_when_no_executor_can_be_reached() {
    let kubectl = Kubectl::new("none", &["executor-a"]);
    let run = kubectl.run(&["status", "-A"]).await;
    assert_eq!(
        run.err,
        "kubectl everynode: no executor can be reached: pod everynode-system/executor-a: kubectl port-forward \
         pod/executor-a failed: error: unable to forward port because pod is not running.; Current status=Failed; \
         --everynode-port sets another port, --server an executor's address\n"
    );
    assert_eq!(run.code, 69);
    let kubectl = Kubectl::new("nobody", &[]);
    let run = kubectl.run(&["status", "-A"]).await;
    assert_eq!(
        run.err,
        "kubectl everynode: no executor can be reached: namespace everynode-system has no running pod with the label \
         app.kubernetes.io/name=everynode-executor; --everynode-namespace sets another namespace, --server an \
         executor's address\n"
    );
    assert_eq!(run.code, 69);
}

#[tokio::test]
async fn names_are_completed_from_kubectl_output() {
    let kubectl = Kubectl::new("complete", &["a", "b"]);
    for (words, expected) in [
        (&["explain", ""][..], "ds/a\nds/b\nnode/a\nnode/b\n:4\n"),
        (&["explain", "ds/a", "node/"], "node/a\nnode/b\n:4\n"),
        (&["status", "-n", "x", "ds/b"], "ds/b\n:4\n"),
        (&["overhead", ""], "node/a\nnode/b\n:4\n"),
    ] {
        let run = kubectl.run(&[&["complete", "--"], words].concat()).await;
        assert_eq!(
            (run.out.as_str(), run.err.as_str(), run.code),
            (expected, "", 0),
            "{words:?}"
        );
    }
    let invocations = kubectl.invocations();
    let expected = "get daemonsets -o jsonpath={.items[*].metadata.name} -n x".to_owned();
    assert!(invocations.contains(&expected), "{invocations:?}");
}

#[tokio::test]
async fn labels_and_wildcards_are_looked_up_by_kubectl() {
    let kubectl = Kubectl::new("look-up", &["executor-a"]);
    let mut answers = executor("executor-a", "executor-a");
    answers.daemon_sets.daemon_sets = ["x", "y"]
        .map(|name| DaemonSet {
            namespace: "a".to_owned(),
            name: name.to_owned(),
            ..DaemonSet::default()
        })
        .into();
    let fake = FakeExecutor::start(answers).await;
    kubectl.forward("executor-a", &fake);
    fs::write(kubectl.file("daemonsets"), "a/y\n").unwrap();
    fs::write(kubectl.file("nodes"), "worker-1 worker-2 control").unwrap();
    let run = kubectl
        .run(&["status", "-n", "a", "-l", "tier in (test)", "-o", "csv"])
        .await;
    let rows: Vec<_> = run.out.lines().skip(1).collect();
    assert!(
        matches!(rows.as_slice(), [row] if row.starts_with("a/y,")),
        "{run:?}"
    );
    assert_eq!(
        kubectl.invocations()[0],
        "get daemonsets --selector=tier in (test) -n a -o jsonpath={range \
         .items[*]}{.metadata.namespace}/{.metadata.name}{\"\\n\"}{end}"
    );
    let none = kubectl.run(&["status", "-n", "b", "-l", "tier=none"]).await;
    assert_eq!(
        none.err,
        "kubectl everynode: there are no DaemonSets in namespace b that match --selector tier=none\n"
    );
    assert_eq!(none.code, 0);
    let run = kubectl.run(&["overhead", "--node", "worker-*"]).await;
    assert_eq!(run.code, 1, "{run:?}");
    let overheads: Vec<_> = fake
        .requests()
        .into_iter()
        .filter(|request| request.starts_with("GetNodeOverhead"))
        .collect();
    assert_eq!(overheads.len(), 2, "{overheads:?}");
    fs::write(kubectl.file("refuse"), "").unwrap();
    let run = kubectl.run(&["status", "-n", "a", "-l", "tier=test"]).await;
    assert_eq!(
        run.err,
        "kubectl everynode: --selector: can't look up DaemonSets by their labels: kubectl get daemonsets failed: error: \
         you must be logged in\n"
    );
    assert_eq!(run.code, 69);
}

#[tokio::test]
async fn missing_kubectl_is_reported_with_remedies() {
    let run = finish(
        plugin(&["status", "-A"])
            .env("PATH", "/nonexistent")
            .spawn()
            .unwrap(),
    )
    .await;
    assert!(
        run.err
            .starts_with("kubectl everynode: can't run kubectl (install kubectl, ")
            && run.err.contains("KUBECTL_PATH")
            && run.err.contains("--server"),
        "{run:?}"
    );
    assert_eq!(run.code, 69);
}

#[tokio::test]
async fn errors_of_kubectl_are_shown() {
    let kubectl = Kubectl::new("context", &[]);
    fs::write(kubectl.file("refuse"), "").unwrap();
    let run = kubectl.run(&["status", "--context", "nowhere"]).await;
    assert_eq!(
        run.err,
        "kubectl everynode: kubectl config view failed: error: context \"nowhere\" does not exist\n"
    );
    assert_eq!(run.code, 69);
    let run = kubectl.run(&["status", "-A"]).await;
    assert_eq!(
        run.err,
        "kubectl everynode: no executor can be reached (--server sets an executor's address): can't list executor pods \
         in namespace everynode-system: kubectl get pods failed: error: you must be logged in\n"
    );
    assert_eq!(run.code, 69);
}

#[tokio::test]
async fn leader_is_queried_for_what_only_it_knows() {
    let kubectl = Kubectl::new("leader", &["executor-a", "executor-b"]);
    let mut follower = executor("executor-a", "executor-b");
    follower.daemon_sets = ListDaemonSetsResponse {
        ask_leader: "executor-b".to_owned(),
        ..ListDaemonSetsResponse::default()
    };
    let (follower, leader) = (
        FakeExecutor::start(follower).await,
        FakeExecutor::start(executor("executor-b", "executor-b")).await,
    );
    kubectl.forward("executor-a", &follower);
    kubectl.forward("executor-b", &leader);
    let run = kubectl.run(&["status", "-A"]).await;
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!((follower.requests().len(), leader.requests().len()), (1, 1));

    leader.change_answers(|answers| answers.watches = [vec![Ok(WatchPlansResponse::default())]].into());
    let mut watch = kubectl.command(&["watch", "-A"]).spawn().unwrap();
    let mut out = tokio::io::BufReader::new(watch.stdout.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut out, &mut line)
        .await
        .unwrap();
    assert!(line.contains("unknown"), "{line}");
    assert_eq!(follower.requests().len(), 1);
}

#[tokio::test]
async fn leader_is_found_when_its_name_differs_from_its_pods() {
    let kubectl = Kubectl::new("alias", &["pod-a", "pod-b"]);
    let mut follower = executor("a", "b");
    follower.daemon_sets.ask_leader = "b".to_owned();
    let (follower, leader) = (
        FakeExecutor::start(follower).await,
        FakeExecutor::start(executor("b", "b")).await,
    );
    kubectl.forward("pod-a", &follower);
    kubectl.forward("pod-b", &leader);
    let run = kubectl.run(&["status", "-A"]).await;
    assert_eq!(run.err, "kubectl everynode: there are no DaemonSets\n");
    assert_eq!(leader.requests().len(), 1);
}

#[tokio::test]
async fn answer_is_printed_without_plans_when_the_leader_cant_be_reached() {
    let kubectl = Kubectl::new("lost-leader", &["executor-a"]);
    let mut follower = executor("executor-a", "executor-b");
    follower.daemon_sets.ask_leader = "executor-b".to_owned();
    let follower = FakeExecutor::start(follower).await;
    kubectl.forward("executor-a", &follower);
    let run = kubectl.run(&["status", "-A"]).await;
    let note = "kubectl everynode: note: waits and problems that follow from plans are missing; only the leader \
                executor-b knows them: the leader executor-b can't be reached: ";
    let expected = format!("{note}pod executor-a is the executor executor-a\n");
    assert!(run.err.starts_with(&expected), "{run:?}");
    fs::write(kubectl.file("pods"), "executor-a\nexecutor-b").unwrap();
    let run = kubectl.run(&["status", "-A"]).await;
    let expected = format!("{note}pod executor-b: kubectl port-forward pod/executor-b failed: error: unable");
    assert!(run.err.starts_with(&expected), "{run:?}");
    assert_eq!(run.code, 0);
}

#[tokio::test]
async fn port_forward_ends_when_a_signal_stops_the_plugin() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let kubectl = Kubectl::new(&format!("signal-{code}"), &["executor-a"]);
        let fake = FakeExecutor::start(executor("executor-a", "executor-a")).await;
        kubectl.forward("executor-a", &fake);
        let watch = kubectl.command(&["watch", "-A"]).spawn().unwrap();
        let forward = wait_for_content(&kubectl.file("pid")).await;
        let plugin = Pid::from_raw(watch.id().unwrap().try_into().unwrap()).unwrap();
        kill_process(plugin, signal).unwrap();
        assert_eq!(finish(watch).await.code, code);
        wait_until_exited(forward.trim()).await;
    }
}
