//! Events as they happen, for as long as the caller likes.

use std::time::Duration;

use everynode_proto::{
    answers::{self, Format, View, exit, live, message},
    executor::v1::{WatchPlansRequest, WatchPlansResponse, watch_plans_response::Event},
};
use tonic::{Code, Request, Status};

use super::{
    args::WatchArgs,
    ask::{Asker, Filter},
    connection::Connection,
    error::Error,
    say,
};
use crate::{backoff::Waits, service::status::is_watch_lasted};

/// The waits between tries to connect again.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How a watch came to an end.
enum End {
    /// The connection, and with it the events from here on.
    Lost(Error),
    /// The watch has lasted as long as one may. Another one goes on where it was.
    Lasted,
    /// Nobody reads what is printed.
    Unread,
}

/// `watch`: returns the exit code, though most often it is ended from outside.
///
/// # Errors
/// There is no watch to begin with, or the user may not watch any more. Once a watch has begun, a lost connection is made
/// again.
pub async fn watch(asker: &Asker, args: &WatchArgs) -> Result<u8, Error> {
    let filter = asker.filter(args.daemon_set.as_deref()).await?;
    let format = args.output.output;
    let mut waits = Waits::between(FIRST_WAIT, LONGEST_WAIT);
    let mut has_begun = false;
    let mut goes_on = false;
    let mut noticed = None;
    loop {
        let end = match asker.connector().leader().await {
            Ok(mut connection) => {
                let mut printer = Printer { format, goes_on };
                follow(&mut connection, &filter, &mut printer, &mut has_begun, || {
                    waits.start_over();
                    noticed = None;
                })
                .await?
            }
            Err(error) => End::Lost(error),
        };
        let lost = match end {
            End::Unread => return Ok(exit::AS_WISHED),
            End::Lasted => None,
            End::Lost(error) if !has_begun => return Err(error),
            End::Lost(error) => Some(error.to_string()),
        };
        goes_on = lost.is_none();
        // The same reason is said once, however often it is met.
        if let Some(lost) = lost.filter(|lost| noticed.as_ref() != Some(lost)) {
            say(&format!("the connection is lost, and made again: {lost}"));
            noticed = Some(lost);
        }
        tokio::time::sleep(waits.next_wait()).await;
    }
}

/// Prints events until the connection is lost; calls `first` at the first one.
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

/// What the end of a watch means. No other watch is to be had by those who may not watch.
fn ended(status: Status) -> Result<End, Error> {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => Err(status.into()),
        _ if is_watch_lasted(&status) => Ok(End::Lasted),
        _ => Ok(End::Lost(status.into())),
    }
}

/// Prints events.
struct Printer {
    format: Format,
    /// Whether the watch goes on with what one before it was about.
    goes_on: bool,
}

impl Printer {
    /// Returns whether anybody reads it. People aren't told that the watch has begun once more; programs are, since they
    /// may have to catch up.
    fn print(&mut self, event: &WatchPlansResponse) -> Result<bool, Error> {
        let begins = matches!(event.event, Some(Event::Began(_)));
        let is_for_people = matches!(self.format, Format::Table | Format::Wide);
        if begins && is_for_people && std::mem::take(&mut self.goes_on) {
            return Ok(true);
        }
        Ok(answers::print(&text(event, self.format)?)?)
    }
}

fn text(event: &WatchPlansResponse, format: Format) -> Result<String, Error> {
    Ok(match format {
        Format::Table | Format::Wide => live::events::line(event, View::of_stdout(format)),
        Format::Json => message::json_line(event)?,
        Format::Yaml => format!("---\n{}", message::yaml(event)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::status::watch_lasted;

    #[test]
    fn watch_goes_on_after_its_time_and_ends_for_those_who_may_not_watch() {
        assert!(matches!(ended(watch_lasted()), Ok(End::Lasted)));
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
