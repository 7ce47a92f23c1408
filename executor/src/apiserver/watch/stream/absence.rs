//! What a watch does while the API server doesn't serve its kind, which is optional.

use std::time::Duration;

use everynode_serving::backoff::Backoff;
use tracing::info;

use super::{Ended, FIRST_WAIT, Watch};
use crate::apiserver::{objects::Watched, watch::Event};

/// The longest wait between two requests for a kind that the API server doesn't serve. So the objects of a kind are
/// known within 30 s of the installation of its custom resource definition.
pub(super) const LONGEST_ABSENCE_WAIT: Duration = Duration::from_secs(30);

impl<T: Watched> Watch<'_, T> {
    /// Reports the kind as listed and empty, unless `absence` shows that it has been reported before. Passes the
    /// freshness checks that were `asked` for before the API server's answer: there was nothing to deliver. Then waits
    /// until the kind has to be requested again, which is at once when another check is requested.
    pub(super) async fn while_not_served(
        &self,
        absence: &mut Option<Backoff>,
        asked: u64,
    ) -> Result<(), Ended> {
        if absence.is_none() {
            info!(
                kind = T::KIND,
                "the API server doesn't serve this optional kind; it counts as empty"
            );
            self.say(Event::ListBegins).await?;
            self.say(Event::ListEnds).await?;
        }
        let backoff = absence.get_or_insert_with(|| Backoff::between(FIRST_WAIT, LONGEST_ABSENCE_WAIT));
        self.proof.send_if_modified(|proved| {
            let is_later = asked > *proved;
            *proved = asked.max(*proved);
            is_later
        });
        tokio::select! {
            () = tokio::time::sleep(backoff.next_wait()) => Ok(()),
            question = self.question() => question.map(drop),
            () = self.changes.closed() => Err(Ended::Unwanted),
        }
    }
}
