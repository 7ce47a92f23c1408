//! The `watch` command: prints events as they happen until the user stops it.

use std::time::Duration;

use everynode_proto::executor::v1::{WatchPlansRequest, WatchPlansResponse, watch_plans_response::Event};
use everynode_proto::status::is_watch_expired;
use everynode_render::{OutputFormat, TableStyle, live, message};
use everynode_serving::backoff::Backoff;
use everynode_serving::program::exit::Exit;
use tonic::{Code, Request, Status};

use super::{
    args::WatchArgs,
    ask::{Asker, Filter},
    connection::Connection,
    error::Error,
    say,
};

/// Backoff between attempts to reconnect.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The reason why a watch has ended.
enum End {
    /// The connection is lost, and later events with it.
    Lost(Error),
    /// The watch has reached its maximum duration. A new watch continues it.
    Lasted,
    /// Nobody reads the output any more.
    Unread,
}

/// Runs `watch` and returns the exit code. Usually the user ends it with a signal instead.
///
/// # Errors
/// The first watch can't be opened, or the user doesn't have, or no longer has, the right to watch. Once a watch has
/// begun, a lost connection isn't an error: the program reconnects.
pub async fn watch(asker: &Asker, args: &WatchArgs) -> Result<Exit, Error> {
    let filter = asker.filter(args.daemon_set.as_deref()).await?;
    let format = args.output.output;
    let mut backoff = Backoff::between(FIRST_WAIT, LONGEST_WAIT);
    let mut has_begun = false;
    let mut goes_on = false;
    let mut noticed = None;
    loop {
        let end = match asker.connector().leader().await {
            Ok(mut connection) => {
                let mut printer = Printer { format, goes_on };
                follow(&mut connection, &filter, &mut printer, &mut has_begun, || {
                    backoff.reset();
                    noticed = None;
                })
                .await?
            }
            Err(error) => End::Lost(error),
        };
        let lost = match end {
            End::Unread => return Ok(Exit::Success),
            End::Lasted => None,
            End::Lost(error) if !has_begun => return Err(error),
            End::Lost(error) => Some(error.to_string()),
        };
        goes_on = lost.is_none();
        // Print the same reason only once until an event arrives.
        if let Some(lost) = lost.filter(|lost| noticed.as_ref() != Some(lost)) {
            say(&format!("the connection is lost, and made again: {lost}"));
            noticed = Some(lost);
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

/// Prints events until the watch ends. Calls `first` whenever an event arrives.
async fn follow(
    connection: &mut Connection,
    filter: &Filter,
    printer: &mut Printer,
    has_begun: &mut bool,
    mut first: impl FnMut(),
) -> Result<End, Error> {
    let Filter { namespace, name } = filter.clone();
    let question = Request::new(WatchPlansRequest { namespace, name });
    let mut events = match connection.client.watch_plans(question).await {
        Ok(response) => response.into_inner(),
        Err(status) => return ended(status),
    };
    loop {
        match events.message().await {
            Ok(Some(event)) => {
                first();
                *has_begun = true;
                if !printer.print(&event)? {
                    return Ok(End::Unread);
                }
            }
            Ok(None) => {
                let status = tonic::Status::unavailable("the executor has ended the watch");
                return Ok(End::Lost(status.into()));
            }
            Err(status) => return ended(status),
        }
    }
}

/// Interprets the status that a watch ended with. It is an error when the user may not watch, since a new watch would
/// be refused too.
fn ended(status: Status) -> Result<End, Error> {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => Err(status.into()),
        _ if is_watch_expired(&status) => Ok(End::Lasted),
        _ => Ok(End::Lost(status.into())),
    }
}

/// Prints events in one format.
struct Printer {
    format: OutputFormat,
    /// Whether this watch continues an earlier one that has reached its maximum duration.
    goes_on: bool,
}

impl Printer {
    /// Prints an event and returns whether anybody reads the output. In the formats for people, the first event of a
    /// watch that continues another is skipped. Programs get it, because they may have to catch up.
    fn print(&mut self, event: &WatchPlansResponse) -> Result<bool, Error> {
        let begins = matches!(event.event, Some(Event::Began(_)));
        let is_for_people = matches!(self.format, OutputFormat::Table | OutputFormat::Wide);
        if begins && is_for_people && std::mem::take(&mut self.goes_on) {
            return Ok(true);
        }
        Ok(everynode_render::print(&text(event, self.format)?)?)
    }
}

fn text(event: &WatchPlansResponse, format: OutputFormat) -> Result<String, Error> {
    Ok(match format {
        OutputFormat::Table | OutputFormat::Wide => {
            live::events::event_line(event, TableStyle::for_stdout(format))
        }
        OutputFormat::Json => message::json_line(event)?,
        OutputFormat::Yaml => format!("---\n{}", message::yaml(event)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use everynode_proto::status::watch_expired;

    #[test]
    fn watch_goes_on_after_its_time_and_ends_for_those_who_may_not_watch() {
        assert!(matches!(ended(watch_expired()), Ok(End::Lasted)));
        let stopping = Status::unavailable("the executor is shutting down");
        assert!(matches!(ended(stopping), Ok(End::Lost(_))));
        for status in [
            Status::unauthenticated("no token"),
            Status::permission_denied("no right"),
        ] {
            assert!(matches!(ended(status), Err(Error::Call(_))));
        }
    }
}
