//! The API server's audit log: which requests it received, when and from whom.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

use crate::child_process::WorkDir;
use crate::control_plane::Component;

/// An API server's audit log, prepared before the API server starts.
#[derive(Debug)]
pub struct AuditLog {
    files: WorkDir,
    policy: PathBuf,
}

impl AuditLog {
    /// Creates the files for a log under the given audit policy.
    ///
    /// # Errors
    /// When the policy can't be written into a folder of its own.
    pub fn new(policy: &str) -> Result<Self> {
        let files = WorkDir::new("audit")?;
        Ok(Self {
            policy: files.write("policy.yaml", policy)?,
            files,
        })
    }

    /// The API server flags that enable the log.
    pub fn flags(&self) -> Vec<(Component, String)> {
        let flags = [
            format!("--audit-policy-file={}", self.policy.display()),
            format!("--audit-log-path={}", self.path().display()),
            // In megabytes. The limit is so high that the log is never rotated.
            "--audit-log-maxsize=100000".to_owned(),
        ];
        flags.map(|flag| (Component::ApiServer, flag)).into()
    }

    /// Reads the log from its beginning.
    pub fn read(&self) -> Audit {
        Audit::new(&self.path())
    }

    fn path(&self) -> PathBuf {
        self.files.file("audit.log")
    }
}

/// A request that was answered, or a watch that has begun.
#[derive(Debug, Clone)]
pub struct Request {
    /// The user who sent the request.
    pub user: String,
    /// The verb, such as `create`.
    pub verb: String,
    /// The resource's API group; empty for the core group.
    pub group: String,
    /// The resource and, after a slash, its subresource: `pods`, `daemonsets/status`.
    pub resource: String,
    /// The object's namespace; empty for requests across all namespaces and for resources without one.
    pub namespace: String,
    /// The object's name; empty if the request named none.
    pub name: String,
    /// Whether the authorizer refused the request. Admission can refuse an authorized request with the same status.
    pub is_unauthorized: bool,
    /// The HTTP status.
    pub code: u16,
    /// When the API server received the request.
    pub received: Timestamp,
    /// When the API server had answered the request or, for a watch, began to answer it.
    pub answered: Timestamp,
}

impl Request {
    /// Whether the request created a pod.
    pub fn is_pod_creation(&self) -> bool {
        self.verb == "create" && self.resource == "pods" && self.code == 201
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    stage: String,
    verb: String,
    user: User,
    object_ref: Option<ObjectRef>,
    response_status: Option<Status>,
    #[serde(default)]
    annotations: Annotations,
    request_received_timestamp: Timestamp,
    stage_timestamp: Timestamp,
}

#[derive(Deserialize, Default)]
struct Annotations {
    #[serde(rename = "authorization.k8s.io/decision", default)]
    decision: String,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

/// Reads an audit log in steps: each read continues where the last one ended.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    offset: u64,
}

impl Audit {
    /// Starts at the beginning of a log, which need not exist yet.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            offset: 0,
        }
    }

    /// The requests that were logged since the last call.
    ///
    /// # Errors
    /// When the log can't be read or parsed.
    pub fn read(&mut self) -> Result<Vec<Request>> {
        let mut requests = Vec::new();
        if !self.path.exists() {
            return Ok(requests);
        }
        let mut file = File::open(&self.path).context("opening the audit log")?;
        file.seek(SeekFrom::Start(self.offset))
            .context("reading the audit log")?;
        let mut reader = BufReader::new(file);
        let mut line = String::new();
        while reader.read_line(&mut line).context("reading the audit log")? > 0 {
            // The API server may not have finished writing the last line.
            if !line.ends_with('\n') {
                break;
            }
            self.offset += line.len() as u64;
            requests.extend(parse(&line)?);
            line.clear();
        }
        Ok(requests)
    }
}

fn parse(line: &str) -> Result<Option<Request>> {
    let line: Line = serde_json::from_str(line).with_context(|| format!("parsing the audit event {line}"))?;
    let watch = line.verb == "watch";
    // A watch is logged when it begins and when it ends. Only its beginning counts.
    if watch != (line.stage == "ResponseStarted") {
        return Ok(None);
    }
    let object = line.object_ref.unwrap_or_default();
    let resource = if object.subresource.is_empty() {
        object.resource
    } else {
        format!("{}/{}", object.resource, object.subresource)
    };
    Ok(Some(Request {
        user: line.user.username,
        verb: line.verb,
        group: object.api_group,
        resource,
        namespace: object.namespace,
        name: object.name,
        is_unauthorized: line.annotations.decision == "forbid",
        code: line.response_status.map_or(0, |status| status.code),
        received: line.request_received_timestamp,
        answered: line.stage_timestamp,
    }))
}

/// Counts a user's requests by verb and resource, such as `create pods`.
pub fn by_verb(requests: &[Request], user: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for request in requests.iter().filter(|request| request.user == user) {
        *counts
            .entry(format!("{} {}", request.verb, request.resource))
            .or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn event(stage: &str, verb: &str, user: &str, resource: &str) -> String {
        format!(
            r#"{{"stage":"{stage}","verb":"{verb}","user":{{"username":"{user}"}},"objectRef":{{"resource":"{resource}"}},"responseStatus":{{"code":201}},"requestReceivedTimestamp":"2026-01-01T00:00:00.000001Z","stageTimestamp":"2026-01-01T00:00:00.000003Z"}}"#
        )
    }

    #[test]
    fn each_request_counts_once_and_an_incomplete_line_is_read_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let mut audit = Audit::new(&path);
        assert!(audit.read().unwrap().is_empty());
        let whole = [
            event("ResponseStarted", "watch", "contender", "pods"),
            event("ResponseComplete", "watch", "contender", "pods"),
            event("ResponseComplete", "create", "contender", "pods"),
            event("ResponseComplete", "create", "admin", "nodes"),
            event("ResponseComplete", "create", "contender", "pods"),
        ]
        .join("\n");
        let (first, rest) = whole.split_at(whole.len() - 20);
        fs::write(&path, first).unwrap();
        let requests = audit.read().unwrap();
        let expected = [("create pods".to_owned(), 1), ("watch pods".to_owned(), 1)];
        assert_eq!(by_verb(&requests, "contender"), BTreeMap::from(expected));
        assert_eq!(requests.len(), 3);
        fs::write(&path, format!("{first}{rest}\n")).unwrap();
        let requests = audit.read().unwrap();
        assert!(matches!(&requests[..], [request] if request.is_pod_creation()));
    }
}
