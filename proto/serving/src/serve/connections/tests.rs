use super::*;
use crate::serve::Unobserved;

fn slots(most: u32, most_for_one: u32) -> Arc<Slots> {
    Slots::new(most, most_for_one, Arc::new(Unobserved))
}

fn caller(last: u8) -> Caller {
    Caller::Network([10, 0, 0, last].into())
}

fn is_cut(handle: &Handle) -> bool {
    handle.0.cut.is_cancelled()
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_takes_the_slot_of_the_connection_that_has_been_idle_for_longest() {
    let slots = slots(3, 3);
    let handles: Vec<_> = (0..5).map(|_| Handle::default()).collect();
    let mut held = Vec::new();
    for handle in &handles[..3] {
        held.push(slots.admit(None, handle).unwrap());
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    // The first connection has been used, so the second is cut. Then the third is cut, which has never been
    // used, and not the fourth.
    drop(handles[0].open());
    held.push(slots.admit(None, &handles[3]).unwrap());
    drop(handles[3].open());
    held.push(slots.admit(None, &handles[4]).unwrap());
    let cut: Vec<_> = handles.iter().map(is_cut).collect();
    assert_eq!(cut, [false, true, true, false, false]);
    assert_eq!(slots.open.lock().open.len(), 3);
    drop(held);
    assert!(slots.open.lock().open.is_empty());
}

#[tokio::test]
async fn a_connection_with_a_call_or_a_stream_keeps_its_slot() {
    let slots = slots(1, 1);
    let (first, second) = (Handle::default(), Handle::default());
    let _slot = slots.admit(None, &first).unwrap();
    let busy = first.busy();
    assert!(slots.admit(None, &second).is_none());
    drop(busy);
    assert!(slots.admit(None, &second).is_some() && is_cut(&first));
}

#[tokio::test]
async fn a_caller_beyond_its_share_takes_a_slot_of_its_own() {
    let slots = slots(4, 2);
    let handles: Vec<_> = (0..5).map(|_| Handle::default()).collect();
    let _other = slots.admit(Some(caller(1)), &handles[0]).unwrap();
    let _own = (
        slots.admit(Some(caller(2)), &handles[1]),
        slots.admit(Some(caller(2)), &handles[2]),
    );
    let _newest = slots.admit(Some(caller(2)), &handles[3]).unwrap();
    assert!(is_cut(&handles[1]) && !is_cut(&handles[0]) && !is_cut(&handles[2]));
    let _busy = (handles[2].busy(), handles[3].busy());
    assert!(
        slots.admit(Some(caller(2)), &handles[4]).is_none(),
        "both of its own are busy"
    );
    assert!(slots.admit(Some(caller(3)), &handles[4]).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_requests_closes() {
    let handle = Handle::default();
    tokio::time::advance(FIRST_REQUEST_DEADLINE / 2).await;
    assert!(handle.idle_deadline().is_some());
    tokio::time::advance(FIRST_REQUEST_DEADLINE / 2).await;
    assert!(handle.idle_deadline().is_none());
    let open = handle.open();
    tokio::time::advance(Duration::from_hours(3)).await;
    assert!(handle.idle_deadline().is_some(), "a request is in progress");
    drop(open);
    tokio::time::advance(IDLE_DEADLINE / 2).await;
    assert!(handle.idle_deadline().is_some());
    tokio::time::advance(IDLE_DEADLINE / 2).await;
    assert!(handle.idle_deadline().is_none());
}
