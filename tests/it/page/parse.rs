//! Finds the command blocks of a page.

use std::ops::Range;

/// The fence of a block with commands.
const FENCE: &str = "```sh";
/// The prefix of a command.
const PROMPT: &str = "$ ";
/// The mark that starts a command's input on the lines below it, and the line that ends the input.
const INPUT: (&str, &str) = ("<<EOF", "EOF");

/// The commands between two fences.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) steps: Vec<Step>,
}

/// A command, and the range of lines on the page that hold its output.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) command: String,
    pub(super) answer: Range<usize>,
}

/// Finds all blocks that hold commands.
pub(super) fn blocks(lines: &[String]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let Some(tag) = lines[at].strip_prefix("```") else {
            at += 1;
            continue;
        };
        let end = lines[at + 1..].iter().position(|line| line == "```");
        let inside = at + 1..at + 1 + end.expect("the block has a closing fence");
        let prompts = lines[inside.clone()].iter().any(|line| line.starts_with(PROMPT));
        assert_eq!(
            prompts,
            lines[at] == FENCE,
            "the block with the tag {tag:?} in line {}: only blocks with {FENCE} hold commands, each after `{PROMPT}`",
            at + 1
        );
        at = inside.end + 1;
        if prompts {
            blocks.push(Block {
                steps: steps(lines, inside),
            });
        }
    }
    blocks
}

fn steps(lines: &[String], inside: Range<usize>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut at = inside.start;
    while at < inside.end {
        if let Some(first) = lines[at].strip_prefix(PROMPT) {
            let mut command = first.to_owned();
            while command.ends_with('\\')
                || command.contains(INPUT.0) && lines[at] != INPUT.1 && at + 1 < inside.end
            {
                at += 1;
                command = [&command, lines[at].as_str()].join("\n");
            }
            steps.push(Step {
                command,
                answer: at + 1..at + 1,
            });
        } else {
            let step = steps.last_mut().expect("a block begins with a command");
            step.answer.end = at + 1;
        }
        at += 1;
    }
    steps
}

#[test]
fn commands_are_separated_from_their_output() {
    let page = "words\n```sh\n$ one \\\n    two\n{\n}\n$ cat <<EOF\n$(three)\nEOF\nfour\n$ watch &\n```\n```json\n{}\n```";
    let lines: Vec<_> = page.lines().map(str::to_owned).collect();
    let step = |command: &str, answer| Step {
        command: command.to_owned(),
        answer,
    };
    let steps = vec![
        step("one \\\n    two", 4..6),
        step("cat <<EOF\n$(three)\nEOF", 9..10),
        step("watch &", 11..11),
    ];
    assert_eq!(blocks(&lines), [Block { steps }]);
}
