//! Files of Kubernetes objects, and random changes to them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use fastrand::Rng;

use crate::programs::workspace;

/// The folders whose files are read.
const FOLDERS: [&str; 4] = [
    "planner/tests/forms",
    "docs/examples",
    "docs/examples/rollouts",
    "deploy/base",
];
/// Texts that mean something in YAML.
const TOKENS: [&str; 57] = [
    "0200",
    "0x1F",
    "0o17",
    "0b11",
    "1_000",
    "08",
    "1e3",
    ".5",
    "1.",
    "-0",
    "+.inf",
    "yes",
    "Off",
    "y",
    "~",
    "null",
    "Null",
    "''",
    "\"a\\tb\"",
    "'it''s'",
    "\"\\x41\\u00e9\"",
    "|",
    "|-",
    ">",
    ">+",
    "|2",
    "&a x",
    "*a",
    "&b",
    "*b",
    "<<: *a",
    "<<: {k: v}",
    "!!str 1",
    "!!int '3'",
    "!!binary aGk=",
    "!x y",
    "! 5",
    "{",
    "}",
    "[",
    "]",
    "[a, b: c]",
    "{a, b: 1}",
    "? k",
    ": v",
    "- x",
    "- - y",
    "# comment",
    "a#b",
    "a: b: c",
    "@at",
    "%p",
    "`b`",
    "\t",
    "...",
    "---",
    "--- # c",
];

/// A file's path in the workspace and its content.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The path in the workspace.
    pub path: PathBuf,
    /// The content.
    pub content: Vec<u8>,
}

/// Reads the files of Kubernetes objects in this workspace, sorted by path. They include the reader's test files, which
/// hold the same `DaemonSet` and the same node in many forms.
///
/// # Errors
/// When a file can't be read.
pub fn manifests() -> Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    for folder in FOLDERS {
        let folder = workspace().join(folder);
        for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.is_file() {
                let content = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
                manifests.push(Manifest { path, content });
            }
        }
    }
    manifests.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(manifests)
}

/// Returns the content with one or two random changes to its lines.
pub fn mutate(random: &mut Rng, content: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(content);
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    for _ in 0..random.usize(1..=2) {
        mutate_line(random, &mut lines);
    }
    lines.join("\n").into_bytes()
}

fn mutate_line(random: &mut Rng, lines: &mut Vec<String>) {
    let index = random.usize(..lines.len());
    let token = TOKENS
        .get(random.usize(..TOKENS.len()))
        .copied()
        .unwrap_or_default();
    let other = lines
        .get(random.usize(..lines.len()))
        .cloned()
        .unwrap_or_default();
    let count = lines.len();
    let Some(line) = lines.get_mut(index) else {
        return;
    };
    let indent: String = line.chars().take_while(|character| *character == ' ').collect();
    match random.u8(..11) {
        0 if count > 1 => drop(lines.remove(index)),
        0 | 1 => lines.insert(index, other),
        2 => line.insert_str(0, "  "),
        3 => *line = line.get(random.usize(1..=2)..).unwrap_or_default().to_owned(),
        4 => lines.insert(index, format!("{indent}{token}")),
        5 | 6 => {
            // Another value for the same key.
            let key = line.split_once(": ").map_or(line.as_str(), |(key, _)| key);
            *line = format!("{}: {token}", key.trim_end_matches(':'));
        }
        7 => line.extend([" ", token]),
        8 => *line = format!("{indent}{token}: {}", line.trim_start()),
        9 => lines.insert(index, String::new()),
        _ => {
            let at = line
                .char_indices()
                .map(|(at, _)| at)
                .nth(random.usize(..=line.len()));
            let character = *[
                ':', ' ', '-', '"', '\'', '{', '}', '[', ']', ',', '#', '&', '*', '!', '|', '>', '%', '@',
                '\t',
            ]
            .get(random.usize(..19))
            .unwrap_or(&' ');
            line.insert(at.unwrap_or(line.len()), character);
        }
    }
}
