use super::*;
use crate::serve::observer::NoopObserver;

fn slots(max: u32, max_per_caller: u32) -> Arc<ConnectionSlots> {
    ConnectionSlots::new(max, max_per_caller, Arc::new(NoopObserver))
}

fn caller(last: u8) -> Caller {
    Caller::Network([10, 0, 0, last].into())
}

#[tokio::test(start_paused = true)]
async fn new_connection_evicts_the_one_that_has_been_idle_for_longest() {
    let slots = slots(3, 3);
    let handles: Vec<_> = (0..5).map(|_| Handle::default()).collect();
    let mut held = Vec::new();
    for handle in &handles[..3] {
        held.push(slots.acquire(None, handle).unwrap());
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    // The first connection has been used, so the second one is evicted. The third one has never been used, so
    // it is evicted before the fourth.
    drop(handles[0].begin_call());
    held.push(slots.acquire(None, &handles[3]).unwrap());
    drop(handles[3].begin_call());
    held.push(slots.acquire(None, &handles[4]).unwrap());
    let closed: Vec<_> = handles.iter().map(Handle::is_closed).collect();
    assert_eq!(closed, [false, true, true, false, false]);
    assert_eq!(slots.registry.lock().connections.len(), 3);
    drop(held);
    assert!(slots.registry.lock().connections.is_empty());
}

#[tokio::test]
async fn connection_with_an_admitted_call_keeps_its_slot() {
    let slots = slots(1, 1);
    let (first, second) = (Handle::default(), Handle::default());
    let _slot = slots.acquire(None, &first).unwrap();
    let busy = first.mark_busy();
    assert!(slots.acquire(None, &second).is_none());
    drop(busy);
    assert!(slots.acquire(None, &second).is_some() && first.is_closed());
}

#[tokio::test]
async fn caller_at_its_limit_evicts_its_own_connection() {
    let slots = slots(4, 2);
    let handles: Vec<_> = (0..5).map(|_| Handle::default()).collect();
    let _other = slots.acquire(Some(caller(1)), &handles[0]).unwrap();
    let _own = (
        slots.acquire(Some(caller(2)), &handles[1]),
        slots.acquire(Some(caller(2)), &handles[2]),
    );
    let _newest = slots.acquire(Some(caller(2)), &handles[3]).unwrap();
    assert!(handles[1].is_closed() && !handles[0].is_closed() && !handles[2].is_closed());
    let _busy = (handles[2].mark_busy(), handles[3].mark_busy());
    assert!(
        slots.acquire(Some(caller(2)), &handles[4]).is_none(),
        "both connections of the caller are busy"
    );
    assert!(slots.acquire(Some(caller(3)), &handles[4]).is_some());
}

#[tokio::test(start_paused = true)]
async fn idle_deadline_passes_unless_a_call_is_open() {
    let handle = Handle::default();
    tokio::time::advance(FIRST_REQUEST_TIMEOUT / 2).await;
    assert!(handle.idle_deadline().is_some());
    tokio::time::advance(FIRST_REQUEST_TIMEOUT / 2).await;
    assert!(handle.idle_deadline().is_none());
    let open = handle.begin_call();
    tokio::time::advance(Duration::from_hours(3)).await;
    assert!(handle.idle_deadline().is_some(), "a request is in progress");
    drop(open);
    tokio::time::advance(IDLE_TIMEOUT / 2).await;
    assert!(handle.idle_deadline().is_some());
    tokio::time::advance(IDLE_TIMEOUT / 2).await;
    assert!(handle.idle_deadline().is_none());
}
