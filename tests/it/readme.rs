//! Checks that the README's `everynode-planner` commands print the output that the README shows.

use everynode_tests::programs::{Profile, Programs, workspace};
use tokio::process::Command;

/// The arguments of the `everynode-planner` commands on a page, each with the output that the page shows.
fn documented_commands(page: &str) -> Vec<(String, String)> {
    let blocks = page.split("```").skip(1).step_by(2);
    let commands = blocks.filter_map(|block| {
        let block = block.split_once('\n').map_or(block, |(_language, rest)| rest);
        let (command, printed) = block.strip_prefix("$ everynode-planner ")?.split_once('\n')?;
        Some((command.to_owned(), printed.to_owned()))
    });
    commands.collect()
}

#[tokio::test]
async fn offline_commands_print_what_the_readme_shows() {
    let programs = Programs::built(Profile::Dev).await.unwrap();
    let page = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let commands = documented_commands(&page);
    assert!(commands.len() >= 2, "{commands:?}");
    for (args, printed) in commands {
        let output = Command::new(&programs.planner)
            .args(args.split_whitespace())
            .current_dir(workspace())
            .output()
            .await
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), printed, "{args}");
    }
}
