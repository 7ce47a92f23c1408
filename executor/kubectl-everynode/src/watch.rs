//! The `watch` command: prints events as they happen, until the user stops it.

use std::time::Duration;

use everynode_proto::executor::v1::{WatchPlansRequest, WatchPlansResponse, watch_plans_response::Event};
use everynode_proto::status::is_watch_expired;
use everynode_render::{ErrorChain, OutputFormat, TableStyle, live, message};
use everynode_serving::backoff::Backoff;
use everynode_serving::program::exit::Exit;
use tonic::{Code, Request, Status};

use super::{
    args::WatchArgs,
    commands::CommandRunner,
    connection::Connection,
    error::Error,
    names::Name,
    print_message,
    selection::{Filter, Selection},
};

/// Bounds of the backoff between attempts to reconnect.
const MIN_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// Why a watch ended.
enum WatchEnd {
    /// The connection was lost. Events may be missed until a new watch begins.
    ConnectionLost(Error),
    /// The watch reached its maximum duration. A new watch continues it.
    Expired,
    /// Nobody reads the output any more.
    OutputClosed,
}

/// Runs `watch` and returns the exit code. Usually the user ends it with a signal instead.
///
/// # Errors
/// The first watch can't be opened, or the user has no right to watch or loses it. Once a watch has begun, a lost
/// connection is not an error: the program reconnects.
pub(crate) async fn watch(runner: &CommandRunner, args: &WatchArgs) -> Result<Exit, Error> {
    let argument = args.daemon_set.as_deref().map(Name::daemon_set).transpose()?;
    let selection = Selection::of_command(runner.connector(), argument, &args.filter).await?;
    let format = args.output.output;
    let mut backoff = Backoff::between(MIN_BACKOFF, MAX_BACKOFF);
    let mut has_begun = false;
    let mut is_continuation = false;
    let mut last_reported = None;
    if format == OutputFormat::Csv && !everynode_render::print(&live::events::csv_header())? {
        return Ok(Exit::Success);
    }
    loop {
        let end = match runner.connector().connect_leader().await {
            Ok(mut connection) => {
                let mut printer = Printer {
                    format,
                    selection: &selection,
                    is_continuation,
                };
                print_events(&mut connection, &mut printer, &mut has_begun, || {
                    backoff.reset();
                    last_reported = None;
                })
                .await?
            }
            Err(error) => WatchEnd::ConnectionLost(error),
        };
        let error = match end {
            WatchEnd::OutputClosed => return Ok(Exit::Success),
            WatchEnd::Expired => None,
            WatchEnd::ConnectionLost(error) if !has_begun => return Err(error),
            WatchEnd::ConnectionLost(error) => Some(ErrorChain(&error).to_string()),
        };
        is_continuation = error.is_none();
        // Print the same error only once until an event arrives.
        if let Some(error) = error.filter(|error| last_reported.as_ref() != Some(error)) {
            print_message(&format!("connection lost; reconnecting: {error}"));
            last_reported = Some(error);
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

/// Prints events until the watch ends. Calls `on_event` for each event.
async fn print_events(
    connection: &mut Connection,
    printer: &mut Printer<'_>,
    has_begun: &mut bool,
    mut on_event: impl FnMut(),
) -> Result<WatchEnd, Error> {
    let Filter { namespace, name } = printer.selection.request();
    let request = Request::new(WatchPlansRequest { namespace, name });
    let mut events = match connection.client.watch_plans(request).await {
        Ok(response) => response.into_inner(),
        Err(status) => return watch_end(status),
    };
    loop {
        match events.message().await {
            Ok(Some(event)) => {
                on_event();
                *has_begun = true;
                if !printer.print(&event)? {
                    return Ok(WatchEnd::OutputClosed);
                }
            }
            Ok(None) => {
                let status = tonic::Status::unavailable("the executor ended the watch");
                return Ok(WatchEnd::ConnectionLost(status.into()));
            }
            Err(status) => return watch_end(status),
        }
    }
}

/// Returns why a watch ended, from its status. Returns an error if the user isn't allowed to watch, because a new watch
/// would be refused too.
fn watch_end(status: Status) -> Result<WatchEnd, Error> {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => Err(status.into()),
        _ if is_watch_expired(&status) => Ok(WatchEnd::Expired),
        _ => Ok(WatchEnd::ConnectionLost(status.into())),
    }
}

/// Prints events in one format.
struct Printer<'s> {
    format: OutputFormat,
    /// The DaemonSets whose events are printed.
    selection: &'s Selection,
    /// Whether this watch continues one that reached its maximum duration.
    is_continuation: bool,
}

impl Printer<'_> {
    /// Prints an event and returns whether anybody reads the output. It skips the events of DaemonSets that aren't
    /// selected. In the formats for people, it skips the first event of a watch that continues another. Programs get
    /// that event, because they may have to catch up.
    fn print(&mut self, event: &WatchPlansResponse) -> Result<bool, Error> {
        let is_begin = matches!(event.event, Some(Event::Began(_)));
        if is_begin && self.format.is_for_people() && std::mem::take(&mut self.is_continuation) {
            return Ok(true);
        }
        if daemon_set(event).is_some_and(|key| !self.selection.contains(key)) {
            return Ok(true);
        }
        Ok(everynode_render::print(&format_event(event, self.format)?)?)
    }
}

/// Returns the DaemonSet that an event is about, as namespace/name. `None` for other events.
fn daemon_set(event: &WatchPlansResponse) -> Option<&str> {
    match event.event.as_ref()? {
        Event::Plan(plan) => Some(&plan.daemon_set),
        Event::ActionEnded(ended) => Some(&ended.daemon_set),
        Event::Began(_) | Event::PlannerChanged(_) | Event::EventsLost(_) => None,
    }
}

fn format_event(event: &WatchPlansResponse, format: OutputFormat) -> Result<String, Error> {
    Ok(match format {
        OutputFormat::Table | OutputFormat::Wide => {
            live::events::event_line(event, TableStyle::for_stdout(format))
        }
        OutputFormat::Json => message::json_line(event)?,
        OutputFormat::Yaml => message::yaml_document(event)?,
        OutputFormat::Csv => live::events::csv_line(event),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use everynode_proto::status::watch_expired;

    #[test]
    fn watch_continues_after_its_maximum_duration_and_ends_when_access_is_denied() {
        assert!(matches!(watch_end(watch_expired()), Ok(WatchEnd::Expired)));
        let stopping = Status::unavailable("the executor is shutting down");
        assert!(matches!(watch_end(stopping), Ok(WatchEnd::ConnectionLost(_))));
        for status in [
            Status::unauthenticated("no token"),
            Status::permission_denied("no right"),
        ] {
            assert!(matches!(watch_end(status), Err(Error::Call(_))));
        }
    }
}
