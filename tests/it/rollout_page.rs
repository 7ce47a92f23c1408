//! Runs the commands below the policies at the beginning of `docs/rollouts.md`.
//!
//! Each of these policies is a block with the tag `yaml`, and equals a file in `docs/examples/rollouts`. A block with the
//! tag `console` follows it, with commands after `$ `. The page doesn't show their output, because most of it depends on
//! how far a rollout is.

use std::fs;
use std::path::Path;

use everynode_tests::daemonsets::DaemonSetBuilder;
use everynode_tests::nodes;
use everynode_tests::programs::workspace;
use everynode_tests::rollouts::{self, revision};
use kube::ResourceExt;

use crate::page::Shell;
use crate::world::{DEADLINE, World};

const PAGE: &str = "docs/rollouts.md";
/// The folder of the policies' files.
const EXAMPLES: &str = "docs/examples/rollouts";
/// The names of the files, in the order of the page.
const POLICIES: [&str; 3] = ["canary", "zones", "manual"];
const NODES: usize = 6;
const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];
const CANARIES: usize = 2;

/// A policy, and the commands below it.
#[derive(Debug, PartialEq, Eq)]
struct Section {
    policy: String,
    commands: Vec<String>,
}

/// The policies that commands follow, in the order of the page.
fn sections(page: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut policy = None;
    for block in page.split("```").skip(1).step_by(2) {
        let (tag, content) = block.split_once('\n').unwrap_or((block, ""));
        match tag {
            "yaml" => policy = Some(content.to_owned()),
            "console" => sections.extend(policy.take().map(|policy| Section {
                policy,
                commands: commands(content),
            })),
            _ => {}
        }
    }
    sections
}

/// The commands of a block. A command continues on the next line after a `\`.
fn commands(block: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(command.to_owned());
            continue;
        }
        let command = commands.last_mut().filter(|command| command.ends_with('\\'));
        let command = command.unwrap_or_else(|| panic!("{line:?} is no part of a command"));
        command.push('\n');
        command.push_str(line);
    }
    commands
}

/// The first sections of the page, one for each file.
fn documented_sections() -> Vec<Section> {
    let page = fs::read_to_string(workspace().join(PAGE)).unwrap();
    let mut sections = sections(&page);
    assert!(sections.len() >= POLICIES.len(), "{sections:?}");
    sections.truncate(POLICIES.len());
    sections
}

#[test]
fn commands_follow_the_policy_above_them() {
    let page =
        "```yaml\na: 1\n```\ntext\n```console\n$ one \\\n    two\n$ three\n```\n```console\n$ four\n```\n";
    let section = Section {
        policy: "a: 1\n".to_owned(),
        commands: vec!["one \\\n    two".to_owned(), "three".to_owned()],
    };
    assert_eq!(sections(page), [section]);
}

#[test]
fn policies_on_rollout_page_are_the_example_files() {
    for (section, name) in documented_sections().iter().zip(POLICIES) {
        let file = format!("{EXAMPLES}/{name}.yaml");
        let content = fs::read_to_string(workspace().join(&file)).unwrap();
        assert_eq!(section.policy, content, "{file}");
        let applies = section.commands.iter().any(|command| command.contains(&file));
        assert!(applies, "no command applies {file}: {:?}", section.commands);
    }
}

/// A cluster with six nodes in three zones, two of them in the pool `canary`, and the `DaemonSet` `agent`.
async fn start() -> World {
    let world = World::with_policies(NODES).await;
    for (node, zone) in world.nodes.iter().zip(ZONES.iter().cycle()) {
        nodes::label(&world.client, node, "topology.kubernetes.io/zone", Some(zone))
            .await
            .unwrap();
    }
    for node in &world.nodes[..CANARIES] {
        nodes::label(&world.client, node, "pool", Some("canary"))
            .await
            .unwrap();
    }
    world.create(DaemonSetBuilder::new("agent")).await;
    world.wait_placed("agent").await;
    world
}

/// A shell in a folder with the examples, whose kubectl has the plugin and uses the test's namespace.
async fn shell_in(folder: &Path, world: &mut World) -> Shell {
    let examples = folder.join(EXAMPLES);
    fs::create_dir_all(&examples).unwrap();
    for name in POLICIES {
        let file = format!("{name}.yaml");
        let policy = fs::read_to_string(workspace().join(EXAMPLES).join(&file)).unwrap();
        // With the soaks of the page, the test would take most of an hour.
        fs::write(examples.join(file), policy.replace("soak: 10m", "soak: 2s")).unwrap();
    }
    let kubeconfig = folder.join("kubeconfig");
    let control_plane = world.claim.control_plane();
    fs::copy(control_plane.kubeconfig(), &kubeconfig).unwrap();
    let shell = Shell::new(folder)
        .programs(control_plane.toolbox().folder())
        .variable("KUBECONFIG", kubeconfig)
        .variable("KUBECACHEDIR", folder.join("kubectl-cache"))
        .variable("KUBERC", "off")
        .programs(world.programs.plugin.parent().unwrap());
    let namespace = &world.namespace;
    run(
        &shell,
        &format!("kubectl config set-context --current --namespace={namespace}"),
    )
    .await;
    shell
}

async fn run(shell: &Shell, command: &str) {
    let (succeeded, printed) = shell.run(command).await;
    assert!(succeeded, "`{command}` failed:\n{printed}");
}

#[tokio::test]
async fn every_policy_on_rollout_page_rolls_out_with_the_commands_below_it() {
    let mut world = start().await;
    let folder = tempfile::tempdir().unwrap();
    let shell = shell_in(folder.path(), &mut world).await;
    let mut before = 0;
    for (section, name) in documented_sections().iter().zip(POLICIES) {
        for command in &section.commands {
            run(&shell, command).await;
            if command.starts_with("kubectl apply ") {
                // People don't type the next command before the planner knows the policy.
                run(
                    &shell,
                    "kubectl wait --for=condition=Accepted daemonsetrolloutpolicies --all --timeout=60s",
                )
                .await;
            }
        }
        let (client, namespace) = (&world.client, &world.namespace);
        let what = format!("rolled out by the policy {name}");
        let status = rollouts::wait_status(client, namespace, "agent", DEADLINE, &what, |status| {
            status.rollout > before && status.state == "Completed" && status.phase == "Completed"
        });
        let status = status
            .await
            .unwrap_or_else(|error| panic!("{error:#}\n{}", world.logs()));
        before = status.rollout;
        let pods = world.wait_placed("agent").await;
        let old: Vec<_> = pods
            .iter()
            .filter(|pod| revision(pod) != status.update_revision)
            .map(ResourceExt::name_any)
            .collect();
        assert!(old.is_empty(), "{name}: {old:?} have an old revision");
    }
}
