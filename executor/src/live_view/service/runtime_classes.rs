//! Reads the `RuntimeClass`es that templates name. They aren't watched: no decision of a session reads them, and few
//! templates name one.

use std::{collections::BTreeSet, time::Duration};

use everynode_proto::facts::RawStruct;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use tokio::time::{Instant, timeout_at};

use super::Executor;
use crate::apiserver::{failure::ApiError, names::is_name};

/// Maximum number of `RuntimeClass`es that one call reads. Clusters have a handful.
const MAX_CLASSES: usize = 100;
/// Maximum number of concurrent reads of one call.
const CONCURRENT_READS: usize = 8;
/// How long the reads of one call may take together.
const DEADLINE: Duration = Duration::from_secs(5);

/// The result of reading `RuntimeClass`es.
#[derive(Debug, Default)]
pub(super) struct RuntimeClasses {
    pub(super) found: Vec<RawStruct>,
    /// The name of the first one whose read failed but may succeed later, and the error.
    pub(super) failure: Option<(String, ApiError)>,
}

/// Reads the `RuntimeClass`es with these names. Skips those that don't exist or that this executor may not read; the
/// planner treats them as unknown.
pub(super) async fn read(executor: &Executor, names: BTreeSet<String>) -> RuntimeClasses {
    let deadline = Instant::now() + DEADLINE;
    let reads: Vec<BoxFuture<'_, _>> = names
        .into_iter()
        .filter(|name| is_name(name))
        .take(MAX_CLASSES)
        .map(|name| {
            let read = async move {
                let found = timeout_at(deadline, executor.api.get_runtime_class(&name)).await;
                (name, found.unwrap_or(Err(ApiError::Timeout(DEADLINE))))
            };
            read.boxed()
        })
        .collect();
    let mut answers = stream::iter(reads).buffered(CONCURRENT_READS);
    let mut classes = RuntimeClasses::default();
    while let Some((name, answer)) = answers.next().await {
        match answer {
            Ok(object) => classes.found.push(RawStruct::from(&object)),
            Err(error) if error.is_final() => {}
            Err(error) => {
                classes.failure.get_or_insert((name, error));
            }
        }
    }
    classes
}
