//! Trace spans of plans.

use std::sync::Mutex;

use everynode_serving::serve::trace::EXPORT_TARGET;
use tracing::{Subscriber, span};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

use super::*;

/// Records when exported spans begin and end.
#[derive(Debug, Clone, Default)]
struct SpanLog(Arc<Mutex<Vec<String>>>);

impl SpanLog {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for SpanLog {
    fn on_new_span(&self, _: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        if span.metadata().target() == EXPORT_TARGET {
            let parent = span.parent().map_or("nothing", |parent| parent.name());
            let note = format!("{} begins in {parent}", span.name());
            self.0.lock().unwrap().push(note);
        }
    }

    fn on_close(&self, id: span::Id, context: Context<'_, S>) {
        let metadata = context.metadata(&id).unwrap();
        if metadata.target() == EXPORT_TARGET {
            self.0.lock().unwrap().push(format!("{} ends", metadata.name()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn span_of_a_plan_lasts_as_long_as_its_actions() {
    let log = SpanLog::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(log.clone()));
    // While there is only one subscriber, tracing asks the subscriber of the thread that first reaches a span whether
    // anybody wants it. That thread may run another test, without a subscriber. With two, tracing asks both.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let (mut rig, mut planner) = Rig::synced(&["n1", "n2"], &[]).await;
    planner.send_actions(Vec::new()).await;
    planner.send_actions(vec![create(1, "n1"), create(2, "n2")]).await;
    let call = rig.api.expect("POST", PODS).await;
    assert_eq!(
        log.take(),
        ["plan begins in nothing", "create pod begins in plan"],
        "a plan without actions has no span"
    );
    accept(call, 20);
    let call = rig.api.expect("POST", PODS).await;
    assert_eq!(log.take(), ["create pod ends", "create pod begins in plan"]);
    let (code, body) = forbidden("exceeded quota: pods");
    call.answer_with(code, &body);
    rig.events().await;
    assert_eq!(log.take(), ["create pod ends", "plan ends"]);
}
