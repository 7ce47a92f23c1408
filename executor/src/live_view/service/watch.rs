//! Streams plans and the outcomes of their actions as they happen.

mod lifetime;

use std::{sync::Arc, time::SystemTime};

use everynode_proto::executor::v1::{
    EventsLost, WatchBegan, WatchPlansRequest, WatchPlansResponse, watch_plans_response::Event,
};
use everynode_serving::serve::Peer;
use futures::{Stream, StreamExt, stream};
use tokio::sync::{
    broadcast::{self, error::RecvError},
    watch as state,
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use self::lifetime::Lifetime;
use super::{
    Executor,
    callers::{Caller, access::AccessRequest},
    request::Filter,
    status,
};
use crate::{
    election::leadership::{self, Leadership},
    live_view::{event_bus::SharedEvent, queries::EventSubscription},
};

/// Begins a watch for a caller. `peer` is the caller's end of the connection.
///
/// The watch ends with `UNAVAILABLE` when the executor stops or the watch reaches its maximum duration, and with
/// `FAILED_PRECONDITION` when the executor no longer leads. It ends with `UNAUTHENTICATED` or `PERMISSION_DENIED` when
/// the caller may no longer watch, and with the error of the last check when checking the caller fails repeatedly.
pub(super) async fn watch(
    executor: &Executor,
    caller: Caller,
    peer: Option<Peer>,
    request: WatchPlansRequest,
) -> Result<impl Stream<Item = Result<WatchPlansResponse, Status>> + Send + use<>, Status> {
    let access = AccessRequest::watch(&request.namespace, &request.name);
    let filter = Filter::new(request.namespace, request.name)?;
    executor.authorize(&caller, &access).await?;
    let lifetime = Lifetime::new(executor, caller, access, peer);
    executor.overview().await?;
    let leadership = executor.leadership.clone();
    let now = leadership.borrow().clone();
    if !now.is_us {
        return Err(status::not_leading(&now));
    }
    let EventSubscription { planner, events } = executor
        .query_client
        .subscribe()
        .await
        .map_err(status::loop_unavailable)?;
    let began = response(Event::Began(WatchBegan {
        identity: executor.identity.clone(),
        planner,
    }));
    let stream = EventStream {
        events,
        filter,
        leadership,
        lifetime,
        shutdown: executor.shutdown.clone(),
    };
    let rest = stream::unfold(Some(stream), |stream| async {
        let mut stream = stream?;
        match stream.next().await {
            Ok(event) => Some((Ok(event), Some(stream))),
            Err(end) => Some((Err(end), None)),
        }
    });
    Ok(stream::iter([Ok(began)]).chain(rest))
}

fn response(event: Event) -> WatchPlansResponse {
    WatchPlansResponse {
        time: Some(SystemTime::now().into()),
        event: Some(event),
    }
}

/// The stream of one watch's events. The stream doesn't read ahead: while the transport is full, events stay in the
/// event bus, which drops the oldest ones when its buffer is full.
struct EventStream {
    events: broadcast::Receiver<SharedEvent>,
    filter: Filter,
    leadership: state::Receiver<Leadership>,
    lifetime: Lifetime,
    shutdown: CancellationToken,
}

impl EventStream {
    /// Returns the next event that the filter selects, or why the watch ends.
    async fn next(&mut self) -> Result<WatchPlansResponse, Status> {
        loop {
            // The reasons to end come first, so that many events don't delay the end.
            let event = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Err(status::stopping()),
                now = leadership::until_lost(&mut self.leadership) => return Err(status::not_leading(&now)),
                end = self.lifetime.ended() => return Err(end),
                event = self.events.recv() => event,
            };
            match event {
                Ok(event) if self.is_wanted(&event) => return Ok(Arc::unwrap_or_clone(event)),
                Ok(_) => {}
                Err(RecvError::Lagged(count)) => {
                    return Ok(response(Event::EventsLost(EventsLost { count })));
                }
                Err(RecvError::Closed) => return Err(status::stopping()),
            }
        }
    }

    fn is_wanted(&self, response: &WatchPlansResponse) -> bool {
        match &response.event {
            Some(Event::Plan(plan)) => self.filter.matches_key(&plan.daemon_set),
            Some(Event::ActionEnded(ended)) => self.filter.matches_key(&ended.daemon_set),
            Some(Event::Began(_) | Event::PlannerChanged(_) | Event::EventsLost(_)) | None => true,
        }
    }
}
