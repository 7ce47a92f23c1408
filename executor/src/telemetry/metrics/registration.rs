//! The names and help texts of the metrics.

use prometheus_client::registry::Registry;

use super::Metrics;

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        for (name, help, counter) in [
            ("plans", "Plans received", &self.plans),
            (
                "actions_planned",
                "Actions in the received plans",
                &self.actions_planned,
            ),
            ("facts", "Facts sent to planners", &self.facts),
            (
                "planner_sessions",
                "Planner sessions opened",
                &self.planner_sessions,
            ),
            ("planner_losses", "Planner sessions ended", &self.planner_losses),
            ("full_syncs", "Full syncs accepted by a planner", &self.full_syncs),
            ("status_writes", "DaemonSet statuses written", &self.status_writes),
            (
                "events_dropped",
                "Kubernetes events dropped by the rate limit, a full queue or an invalid namespace",
                &self.events_dropped,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        for (name, help, family) in [
            (
                "watch_errors",
                "Watch failures and unreadable watch events",
                &self.watch_errors,
            ),
            (
                "watches_begun",
                "Watches started, including restarts",
                &self.watches,
            ),
            ("lists", "Complete lists of a kind received", &self.lists),
        ] {
            registry.register(name, help, family.clone());
        }
        registry.register(
            "actions",
            "Actions ended, by kind and outcome",
            self.actions.clone(),
        );
        registry.register(
            "event_to_plan_seconds",
            "Time from receiving a watch event to receiving a plan that includes its effect",
            self.event_to_plan.clone(),
        );
        registry.register(
            "event_to_action_seconds",
            "Time from receiving a watch event to the API server's response to an action that follows from it",
            self.event_to_action.clone(),
        );
        registry.register(
            "leader",
            "Whether this executor leads (1) or not (0)",
            self.leader.clone(),
        );
        registry.register(
            "planner_connected",
            "Whether a planner session is open (1) or not (0)",
            self.planner_connected.clone(),
        );
        registry.register(
            "competing_controller",
            "Pods created and statuses written by another controller for DaemonSets of this executor",
            self.competitors.clone(),
        );
        registry.register(
            "plan_violations",
            "Parts of plans that exceeded the executor's limits and were not carried out",
            self.plan_violations.clone(),
        );
        registry.register(
            "view_calls",
            "Calls to the live view, by method",
            self.view_calls.clone(),
        );
        registry.register(
            "view_refused_calls",
            "Calls and connections to the live view that were refused or aborted, by reason",
            self.view_refused_calls.clone(),
        );
        registry.register(
            "caller_reviews",
            "TokenReviews and SubjectAccessReviews for callers of the live view: made, answered from the cache, or refused by a limit",
            self.caller_reviews.clone(),
        );
        self.certificates.register(registry);
        self.queues.register(registry);
        self.rollouts.register(registry);
        if let Some(daemon_sets) = &self.daemon_sets {
            daemon_sets.register(registry);
        }
    }
}
