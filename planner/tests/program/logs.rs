//! Logs that can't be written, and logs of sessions of executors with hostile names.

use std::io::Read as _;

use everynode_proto::planner::v1::{
    Hello, SessionRequest, SessionResponse, planner_service_client::PlannerServiceClient,
    session_response::Message,
};
use everynode_render::text::printable_lines;

use super::Running;

#[test]
fn program_continues_when_the_log_cant_be_written() {
    for redirection in ["2>/dev/full", "2>&-"] {
        for format in ["--log-format=text", "--log-format=json"] {
            let mut planner = Running::start("", redirection, &["--log=debug", format]);
            assert_eq!(planner.stop(), Some(0), "{redirection}");
        }
    }
}

/// A name that looks like another one. Control characters are not allowed in names at all.
const HOSTILE: &str = "a\u{202e}b\u{2066}c\u{200b}d\u{feff}";

/// Opens a session under that name, and waits for its welcome.
async fn begin_session(address: String) {
    let mut client = PlannerServiceClient::connect(address).await.unwrap();
    let first = SessionRequest {
        sequence: 1,
        now: Some(prost_types::Timestamp {
            seconds: 1_000_000,
            nanos: 0,
        }),
        hello: Some(Hello {
            cluster: HOSTILE.to_owned(),
            identity: HOSTILE.to_owned(),
            epoch: 1,
            protocol: 1,
            ..Hello::default()
        }),
        facts: Vec::new(),
    };
    let session = client.session(tokio_stream::iter([first])).await.unwrap();
    let welcome: SessionResponse = session.into_inner().message().await.unwrap().unwrap();
    assert!(matches!(welcome.message, Some(Message::Welcome(_))));
}

/// The log of a planner that has had a session under that name.
fn log(format: &str) -> String {
    let mut planner = Running::start("", "", &["--log=debug,h2=off", format]);
    let mut stderr = planner.child.stderr.take().unwrap();
    let address = format!("http://{}", planner.grpc);
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(begin_session(address));
    assert_eq!(planner.stop(), Some(0));
    let mut log = String::new();
    stderr.read_to_string(&mut log).unwrap();
    log
}

#[test]
fn invisible_characters_in_an_executors_name_are_escaped_in_the_log() {
    let log = log("--log-format=text");
    assert_eq!(printable_lines(&log), log, "{log:?}");
    let shown = r"executor=a\u{202e}b\u{2066}c\u{200b}d\u{feff} epoch=1}";
    assert!(
        log.lines()
            .any(|line| line.contains(shown) && line.contains("session began")),
        "{log}"
    );
}

#[test]
fn json_log_escapes_the_name_without_changing_it() {
    let log = log("--log-format=json");
    assert_eq!(printable_lines(&log), log, "{log:?}");
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let executors: Vec<_> = lines.map(|line| line["span"]["executor"].clone()).collect();
    assert!(executors.iter().any(|executor| executor == HOSTILE), "{log}");
}
