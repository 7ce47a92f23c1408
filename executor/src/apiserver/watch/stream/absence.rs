//! What a watch does while the API server doesn't serve its kind, which is optional.

use std::time::Duration;

use everynode_serving::backoff::Backoff;
use tracing::info;

use super::{MIN_BACKOFF, Watch, WatchEnd};
use crate::apiserver::{objects::Watched, watch::Event};

/// The longest wait between two requests for a kind that the API server doesn't serve. The executor lists a kind within
/// 30 s of the installation of its custom resource definition.
pub(super) const MAX_ABSENCE_BACKOFF: Duration = Duration::from_secs(30);

impl<T: Watched> Watch<'_, T> {
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
                "API server doesn't serve this optional kind; treating it as empty"
            );
            self.send(Event::ListBegins).await?;
            self.send(Event::ListEnds).await?;
        }
        let backoff = absence.get_or_insert_with(|| Backoff::between(MIN_BACKOFF, MAX_ABSENCE_BACKOFF));
        self.checks_passed.send_if_modified(|passed| {
            let is_later = checks_requested > *passed;
            *passed = checks_requested.max(*passed);
            is_later
        });
        tokio::select! {
            () = tokio::time::sleep(backoff.next_wait()) => Ok(()),
            check = self.next_check() => check.map(drop),
            () = self.changes.closed() => Err(WatchEnd::ReceiverClosed),
        }
    }
}
