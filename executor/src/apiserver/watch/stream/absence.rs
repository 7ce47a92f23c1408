//! What the watch of a supplementary kind does while it fails, and while the API server doesn't serve the kind.

use std::time::Duration;

use everynode_serving::backoff::Backoff;
use http::{Request, header::ACCEPT};
use kube::client::Body;
use serde::Deserialize;
use tracing::info;

use super::{CHECK_DEADLINE, MIN_BACKOFF, Watch, WatchEnd, read_body};
use crate::apiserver::{
    failure::ApiError,
    objects::Watched,
    watch::{Change, Event, Presence, WatchState},
};

/// The longest wait between two requests for a kind that the API server doesn't serve. The executor lists a kind within
/// 30 s of the installation of its custom resource definition.
pub(super) const MAX_ABSENCE_BACKOFF: Duration = Duration::from_secs(30);

/// The kinds of a group and version, as discovery lists them.
#[derive(Debug, Deserialize)]
struct ResourceList {
    resources: Vec<Resource>,
}

/// A kind in a list of kinds.
#[derive(Debug, Deserialize)]
struct Resource {
    /// The name in paths, such as pods.
    name: String,
}

impl<T: Watched> Watch<'_, T> {
    /// Asks discovery whether a supplementary kind exists if its watch has ended with a refusal. An API server may refuse
    /// a kind that it doesn't serve with 403, and 404 alone doesn't show that the kind isn't installed (T3).
    pub(super) async fn confirm_absence(&self, ended: WatchEnd) -> WatchEnd {
        let is_refusal = matches!(
            &ended,
            WatchEnd::NotServed | WatchEnd::Failed(ApiError::Refused(_))
        );
        if self.presence != Presence::Supplementary || !is_refusal {
            return ended;
        }
        match self.is_served().await {
            Ok(false) => WatchEnd::NotServed,
            Ok(true) if matches!(ended, WatchEnd::NotServed) => WatchEnd::Failed(ApiError::Server {
                code: 404,
                message: "the kind is listed by discovery, but not served".to_owned(),
            }),
            Ok(true) => ended,
            Err(error) => WatchEnd::Failed(error),
        }
    }

    /// Whether discovery lists the kind.
    async fn is_served(&self) -> Result<bool, ApiError> {
        let Some((version, plural)) = T::PATH.rsplit_once('/') else {
            return Ok(true);
        };
        let request = Request::get(version)
            .header(ACCEPT, "application/json")
            .body(Body::empty())
            .map_err(|error| ApiError::Encode(kube::core::request::Error::BuildRequest(error)))?;
        let answer = async {
            let (head, body) = self.client.send(request).await?.into_parts();
            Ok::<_, ApiError>((head, read_body(body).await?))
        };
        let answer = tokio::time::timeout(CHECK_DEADLINE, answer).await;
        let (head, body) = answer.map_err(|_| ApiError::Timeout(CHECK_DEADLINE))??;
        if head.status.as_u16() == 404 {
            return Ok(false);
        }
        if !head.status.is_success() {
            return Err(ApiError::from_response(&head, &body));
        }
        let list: ResourceList =
            serde_json::from_slice(&body).map_err(|error| ApiError::Decode(error.into()))?;
        Ok(list.resources.iter().any(|resource| resource.name == plural))
    }

    /// Reports that the watch of a supplementary kind fails. Passes the freshness checks up to number `checks_requested`:
    /// the failure has been delivered, and leading doesn't wait for the kind.
    pub(super) async fn on_failure(&self, checks_requested: u64) -> Result<(), WatchEnd> {
        if self.presence == Presence::Supplementary {
            self.report_state(WatchState::Failing).await?;
            self.pass_checks(checks_requested);
        }
        Ok(())
    }

    /// Reports the state of the watch, if its kind is supplementary.
    pub(super) async fn report_state(&self, state: WatchState) -> Result<(), WatchEnd> {
        if self.presence != Presence::Supplementary {
            return Ok(());
        }
        let sent = self.changes.send(Change::State(T::KIND, state).into()).await;
        sent.map_err(|_| WatchEnd::ReceiverClosed)
    }

    fn pass_checks(&self, checks_requested: u64) {
        self.checks_passed.send_if_modified(|passed| {
            let is_later = checks_requested > *passed;
            *passed = checks_requested.max(*passed);
            is_later
        });
    }

    /// Reports the kind as listed and empty, unless `absence` shows that this has been reported before. Passes the
    /// freshness checks up to number `checks_requested`, because the API server's response, which came after them,
    /// shows that there is nothing to deliver. Then waits until it is time to request the kind again. A new freshness
    /// check ends that wait.
    pub(super) async fn while_not_served(
        &self,
        absence: &mut Option<Backoff>,
        checks_requested: u64,
    ) -> Result<(), WatchEnd> {
        if absence.is_none() {
            info!(
                kind = T::KIND,
                "API server doesn't serve this kind; treating it as empty"
            );
            self.send(Event::ListBegins).await?;
            self.send(Event::ListEnds).await?;
            self.report_state(WatchState::NotServed).await?;
        }
        let backoff = absence.get_or_insert_with(|| Backoff::between(MIN_BACKOFF, MAX_ABSENCE_BACKOFF));
        self.pass_checks(checks_requested);
        tokio::select! {
            () = tokio::time::sleep(backoff.next_wait()) => Ok(()),
            check = self.next_check() => check.map(drop),
            () = self.changes.closed() => Err(WatchEnd::ReceiverClosed),
        }
    }
}
