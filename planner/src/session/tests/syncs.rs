//! Answers to an executor's full sync.

use super::*;

#[test]
fn full_sync_is_accepted_once_before_the_first_plan() {
    let mut session = Session::default();
    session.take(request(1, vec![node("a"), daemon_set()])).unwrap();
    let outcome = session.take(request(2, vec![node(""), synced()])).unwrap();
    let kinds: Vec<_> = outcome
        .responses
        .iter()
        .map(|response| match response.message.as_ref().unwrap() {
            Message::Welcome(_) => "welcome".to_owned(),
            Message::Plan(plan) => format!("plan {}", plan.id),
            Message::Problem(_) => "problem".to_owned(),
            Message::RolloutPolicyStatus(_) => "policy".to_owned(),
            Message::SyncAccepted(accepted) => format!("accepted {}", accepted.sequence),
        })
        .collect();
    assert_eq!(kinds, ["problem", "accepted 2", "plan 1"]);
    let again = session.take(request(3, vec![synced()])).unwrap();
    assert!(again.responses.is_empty(), "{again:?}");
}

#[test]
fn executor_without_a_byte_limit_gets_a_lower_fact_limit() {
    let mut first = request(1, Vec::new());
    first.hello.as_mut().unwrap().capabilities.clear();
    let mut session = Session::default();
    let outcome = session.take(first).unwrap();
    let Some(Message::Welcome(welcome)) = &outcome.responses[0].message else {
        panic!("{outcome:?}")
    };
    assert_eq!(welcome.max_facts_per_request, 100);
    session.take(request(2, vec![node("a"); MAX_FACTS])).unwrap();
}
