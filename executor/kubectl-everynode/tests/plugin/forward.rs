//! Tests of the way through kubectl. A shell script replaces kubectl here.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use everynode_proto::executor::v1::{GetInfoResponse, ListDaemonSetsResponse, WatchPlansResponse};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    fake::{Answers, Fake},
    program::{Run, content, finish, folder, gone, plugin},
};

/// Logs its arguments, lists the pods in the file `pods`, and forwards to each pod that has a file with a port.
const SCRIPT: &str = r#"#!/bin/sh
cd "${0%/*}" || exit 9
printf '%s\n' "$*" >> asked
case "$1" in
config)
    if [ -f refuse ]; then echo 'error: context "nowhere" does not exist' >&2; exit 1; fi
    printf '%s' "$(cat namespace)" ;;
get)
    if [ -f refuse ]; then echo 'error: you must be logged in' >&2; exit 1; fi
    cat pods ;;
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
struct Kubectl {
    folder: PathBuf,
}

impl Kubectl {
    fn new(test: &str, pods: &[&str]) -> Self {
        let folder = folder(test);
        let path = folder.join("kubectl");
        fs::write(&path, SCRIPT).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.join("namespace"), "").unwrap();
        fs::write(folder.join("pods"), pods.join("\n")).unwrap();
        Self { folder }
    }

    /// Lets the script forward a pod's port to an executor.
    fn forward(&self, pod: &str, fake: &Fake) {
        fs::write(self.file(&format!("port-{pod}")), fake.port.to_string()).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn asked(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.file("asked")).unwrap();
        asked.lines().map(str::to_owned).collect()
    }

    fn command(&self, args: &[&str]) -> tokio::process::Command {
        let mut command = plugin(args);
        command.env("PATH", path(&self.folder));
        command
    }

    async fn run(&self, args: &[&str]) -> Run {
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
async fn an_executors_pod_is_found_and_its_port_forwarded_and_given_up_again() {
    let kubectl = Kubectl::new("found", &["executor-a"]);
    fs::write(kubectl.file("namespace"), "team-a").unwrap();
    let fake = Fake::start(executor("executor-a", "executor-a")).await;
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
        kubectl.asked(),
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
    gone(content(&kubectl.file("pid")).await.trim()).await;
}

#[tokio::test]
async fn another_kubectl_another_namespace_and_another_port_can_be_named() {
    let kubectl = Kubectl::new("named", &["executor-a"]);
    let fake = Fake::start(executor("executor-a", "executor-a")).await;
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
    let asked = kubectl.asked();
    assert!(asked[0].starts_with("get pods -n daemons "), "{asked:?}");
    assert_eq!(
        asked[1],
        "port-forward -n daemons --address 127.0.0.1 pod/executor-a :grpc"
    );
}

#[tokio::test]
async fn the_port_in_plain_text_beside_tls_is_found_by_its_name() {
    let kubectl = Kubectl::new("local", &["executor-a grpc local admin"]);
    let fake = Fake::start(executor("executor-a", "executor-a")).await;
    kubectl.forward("executor-a", &fake);
    let run = kubectl.run(&["status", "-A"]).await;
    assert_eq!(run.code, 0, "{run:?}");
    let forwarded = "port-forward -n everynode-system --address 127.0.0.1 pod/executor-a :local";
    assert_eq!(kubectl.asked().last().unwrap(), forwarded);
}

#[tokio::test]
async fn a_pod_that_cant_be_reached_is_passed_over_for_the_next() {
    let kubectl = Kubectl::new("next", &["executor-a", "executor-b"]);
    let fake = Fake::start(executor("executor-b", "executor-b")).await;
    kubectl.forward("executor-b", &fake);
    let run = kubectl.run(&["status", "-A"]).await;
    assert_eq!(run.err, "kubectl everynode: there are no DaemonSets\n");
    assert_eq!(run.code, 0);
}

#[tokio::test]
async fn when_none_can_be_reached_it_is_said_what_was_tried_in_kubectls_words() {
    let kubectl = Kubectl::new("none", &["executor-a"]);
    let run = kubectl.run(&["status", "-A"]).await;
    assert_eq!(
        run.err,
        "kubectl everynode: no executor can be reached: pod everynode-system/executor-a: kubectl port-forward \
         pod/executor-a: error: unable to forward port because pod is not running.; Current status=Failed; \
         --everynode-port names another port, --server an executor's address\n"
    );
    assert_eq!(run.code, 69);
    let kubectl = Kubectl::new("nobody", &[]);
    let run = kubectl.run(&["status", "-A"]).await;
    assert_eq!(
        run.err,
        "kubectl everynode: no executor can be reached: in namespace everynode-system no pod with the label \
         app.kubernetes.io/name=everynode-executor runs; --everynode-namespace names another namespace, --server an \
         executor's address\n"
    );
    assert_eq!(run.code, 69);
}

#[tokio::test]
async fn names_are_completed_by_what_kubectl_knows() {
    let kubectl = Kubectl::new("complete", &["a", "b"]);
    for (words, wanted) in [
        (&["explain", ""][..], "ds/a\nds/b\nnode/a\nnode/b\n:4\n"),
        (&["explain", "ds/a", "node/"], "node/a\nnode/b\n:4\n"),
        (&["status", "-n", "x", "ds/b"], "ds/b\n:4\n"),
        (&["overhead", ""], "node/a\nnode/b\n:4\n"),
    ] {
        let run = kubectl.run(&[&["complete", "--"], words].concat()).await;
        assert_eq!(
            (run.out.as_str(), run.err.as_str(), run.code),
            (wanted, "", 0),
            "{words:?}"
        );
    }
    let asked = kubectl.asked();
    let wanted = "get daemonsets -o jsonpath={.items[*].metadata.name} -n x".to_owned();
    assert!(asked.contains(&wanted), "{asked:?}");
}

#[tokio::test]
async fn without_kubectl_the_remedies_are_said() {
    let run = finish(
        plugin(&["status", "-A"])
            .env("PATH", "/nonexistent")
            .spawn()
            .unwrap(),
    )
    .await;
    assert!(
        run.err.starts_with("kubectl everynode: kubectl can't be run: ")
            && run.err.contains("KUBECTL_PATH")
            && run.err.contains("--server"),
        "{run:?}"
    );
    assert_eq!(run.code, 69);
}

#[tokio::test]
async fn what_kubectl_refuses_is_said_in_its_own_words() {
    let kubectl = Kubectl::new("context", &[]);
    fs::write(kubectl.file("refuse"), "").unwrap();
    let run = kubectl.run(&["status", "--context", "nowhere"]).await;
    assert_eq!(
        run.err,
        "kubectl everynode: kubectl config view: error: context \"nowhere\" does not exist\n"
    );
    assert_eq!(run.code, 69);
    let run = kubectl.run(&["status", "-A"]).await;
    assert_eq!(
        run.err,
        "kubectl everynode: no executor can be reached: its pods in namespace everynode-system can't be found: kubectl get \
         pods: error: you must be logged in; --server names an executor's address\n"
    );
    assert_eq!(run.code, 69);
}

#[tokio::test]
async fn what_only_the_leader_knows_is_asked_of_the_leader() {
    let kubectl = Kubectl::new("leader", &["executor-a", "executor-b"]);
    let mut follower = executor("executor-a", "executor-b");
    follower.daemon_sets = ListDaemonSetsResponse {
        ask_leader: "executor-b".to_owned(),
        ..ListDaemonSetsResponse::default()
    };
    let (follower, leader) = (
        Fake::start(follower).await,
        Fake::start(executor("executor-b", "executor-b")).await,
    );
    kubectl.forward("executor-a", &follower);
    kubectl.forward("executor-b", &leader);
    let run = kubectl.run(&["status", "-A"]).await;
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!((follower.asked().len(), leader.asked().len()), (1, 1));

    leader.change(|answers| answers.watches = [vec![Ok(WatchPlansResponse::default())]].into());
    let mut watch = kubectl.command(&["watch", "-A"]).spawn().unwrap();
    let mut out = tokio::io::BufReader::new(watch.stdout.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut out, &mut line)
        .await
        .unwrap();
    assert!(line.contains("unknown"), "{line}");
    assert_eq!(follower.asked().len(), 1);
}

#[tokio::test]
async fn a_leader_may_have_another_name_than_its_pod() {
    let kubectl = Kubectl::new("alias", &["pod-a", "pod-b"]);
    let mut follower = executor("a", "b");
    follower.daemon_sets.ask_leader = "b".to_owned();
    let (follower, leader) = (Fake::start(follower).await, Fake::start(executor("b", "b")).await);
    kubectl.forward("pod-a", &follower);
    kubectl.forward("pod-b", &leader);
    let run = kubectl.run(&["status", "-A"]).await;
    assert_eq!(run.err, "kubectl everynode: there are no DaemonSets\n");
    assert_eq!(leader.asked().len(), 1);
}

#[tokio::test]
async fn a_leader_that_cant_be_reached_leaves_the_rest_of_the_answer() {
    let kubectl = Kubectl::new("lost-leader", &["executor-a"]);
    let mut follower = executor("executor-a", "executor-b");
    follower.daemon_sets.ask_leader = "executor-b".to_owned();
    let follower = Fake::start(follower).await;
    kubectl.forward("executor-a", &follower);
    let run = kubectl.run(&["status", "-A"]).await;
    let note = "kubectl everynode: note: what follows from plans is missing, because only executor-b knows them: \
                executor-b, which leads, can't be reached: ";
    let words = format!("{note}pod executor-a is executor-a\n");
    assert!(run.err.starts_with(&words), "{run:?}");
    fs::write(kubectl.file("pods"), "executor-a\nexecutor-b").unwrap();
    let run = kubectl.run(&["status", "-A"]).await;
    let words = format!("{note}kubectl port-forward pod/executor-b: error: unable");
    assert!(run.err.starts_with(&words), "{run:?}");
    assert_eq!(run.code, 0);
}

#[tokio::test]
async fn the_port_forward_ends_with_the_plugin_when_it_is_told_to_stop() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let kubectl = Kubectl::new(&format!("signal-{code}"), &["executor-a"]);
        let fake = Fake::start(executor("executor-a", "executor-a")).await;
        kubectl.forward("executor-a", &fake);
        let watch = kubectl.command(&["watch", "-A"]).spawn().unwrap();
        let forward = content(&kubectl.file("pid")).await;
        let plugin = Pid::from_raw(watch.id().unwrap().try_into().unwrap()).unwrap();
        kill_process(plugin, signal).unwrap();
        assert_eq!(finish(watch).await.code, code);
        gone(forward.trim()).await;
    }
}
