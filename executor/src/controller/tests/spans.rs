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
struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for Notes {
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
async fn a_plan_is_a_span_that_lasts_as_long_as_its_actions() {
    let notes = Notes::default();
    let _noted = tracing::subscriber::set_default(tracing_subscriber::registry().with(notes.clone()));
    let (mut rig, mut planner) = Rig::synced(&["n1", "n2"], &[]).await;
    planner.plan(Vec::new()).await;
    planner.plan(vec![create(1, "n1"), create(2, "n2")]).await;
    let call = rig.api.expect("POST", PODS).await;
    assert_eq!(
        notes.take(),
        ["plan begins in nothing", "create pod begins in plan"],
        "a plan that asks for nothing is none"
    );
    accept(call, 20);
    let call = rig.api.expect("POST", PODS).await;
    assert_eq!(notes.take(), ["create pod ends", "create pod begins in plan"]);
    let (code, body) = forbidden("exceeded quota: pods");
    call.answer_with(code, &body);
    rig.events().await;
    assert_eq!(notes.take(), ["create pod ends", "plan ends"]);
}
