//! Tests of `watch`, which prints events as they happen.

use everynode_proto::{
    executor::v1::{ActionEnded, WatchBegan, WatchPlansResponse, watch_plans_response::Event},
    planner::v1::ActionOutcome,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines},
    time::timeout,
};
use tonic::Status;

use crate::{
    fake::{Answers, FakeExecutor},
    program::{DEADLINE, finish, plugin, run},
};

fn event(event: Event) -> WatchPlansResponse {
    WatchPlansResponse {
        time: Some(prost_types::Timestamp {
            seconds: 1_700_000_000,
            nanos: 0,
        }),
        event: Some(event),
    }
}

fn began() -> WatchPlansResponse {
    event(Event::Began(WatchBegan {
        identity: "executor-a".to_owned(),
        planner: None,
    }))
}

fn ended(message: &str) -> WatchPlansResponse {
    event(Event::ActionEnded(ActionEnded {
        daemon_set: "default/agent".to_owned(),
        action_id: 7,
        outcome: ActionOutcome::Done.into(),
        message: message.to_owned(),
    }))
}

async fn next(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>) -> String {
    timeout(DEADLINE, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn each_event_is_a_line_and_a_lost_connection_is_reported_and_reopened() {
    let answers = Answers {
        watches: [
            vec![
                Ok(began()),
                Ok(ended("first")),
                Err(Status::unavailable("the executor is shutting down")),
            ],
            vec![Ok(began()), Ok(ended("second"))],
        ]
        .into(),
        ..Answers::default()
    };
    let fake = FakeExecutor::start(answers).await;
    let mut watch = plugin(&["watch", "ds/agent", "--server", &fake.address()])
        .spawn()
        .unwrap();
    let mut out = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut err = BufReader::new(watch.stderr.take().unwrap()).lines();
    for expected in [
        "2023-11-14T22:13:20Z   began     executor executor-a, planner none",
        "2023-11-14T22:13:20Z   done      default/agent: first",
        "2023-11-14T22:13:20Z   began     executor executor-a, planner none",
        "2023-11-14T22:13:20Z   done      default/agent: second",
    ] {
        assert_eq!(next(&mut out).await, expected);
    }
    assert_eq!(
        next(&mut err).await,
        "kubectl everynode: connection lost; reconnecting: the executor is shutting down"
    );
    assert_eq!(
        next(&mut err).await,
        "kubectl everynode: connection lost; reconnecting: the executor ended the watch"
    );
    assert_eq!(
        fake.requests()[0],
        "WatchPlansRequest { namespace: \"default\", name: \"agent\" }"
    );
}

#[tokio::test]
async fn json_and_yaml_events_are_printed_one_by_one() {
    for (format, expected) in [
        (
            "json",
            &[r#"{"time":"2023-11-14T22:13:20Z","began":{"identity":"executor-a"}}"#][..],
        ),
        (
            "yaml",
            &[
                "---",
                "time: \"2023-11-14T22:13:20Z\"",
                "began:",
                "  identity: executor-a",
            ],
        ),
    ] {
        let answers = Answers {
            watches: [vec![Ok(began())]].into(),
            ..Answers::default()
        };
        let fake = FakeExecutor::start(answers).await;
        let mut watch = plugin(&["watch", "-A", "-o", format, "--server", &fake.address()])
            .spawn()
            .unwrap();
        let mut out = BufReader::new(watch.stdout.take().unwrap()).lines();
        for line in expected {
            assert_eq!(next(&mut out).await, *line);
        }
    }
}

#[tokio::test]
async fn watch_that_is_refused_at_the_start_is_not_retried() {
    let refusal = Status::failed_precondition("this executor isn't the leader; ask executor-b");
    let answers = Answers {
        watches: [vec![Err(refusal)]].into(),
        ..Answers::default()
    };
    let fake = FakeExecutor::start(answers).await;
    let run = run(&["watch", "-A", "--server", &fake.address()]).await;
    assert_eq!(
        run.err,
        "kubectl everynode: this executor isn't the leader; ask executor-b\n"
    );
    assert_eq!((run.out.as_str(), run.code), ("", 69));
}

#[tokio::test]
async fn watch_ends_when_its_output_is_closed() {
    let many = std::iter::once(began()).chain((0..10_000).map(|_| ended("once more")));
    let answers = Answers {
        watches: [many.map(Ok).collect()].into(),
        ..Answers::default()
    };
    let fake = FakeExecutor::start(answers).await;
    let mut watch = plugin(&["watch", "-A", "--server", &fake.address()])
        .spawn()
        .unwrap();
    drop(watch.stdout.take());
    assert_eq!(finish(watch).await.code, 0);
}
