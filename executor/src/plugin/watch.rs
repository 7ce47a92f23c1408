//! Events as they happen, for as long as the caller likes.

use std::time::Duration;

use everynode_proto::{
    answers::{self, Format, View, exit, live, message},
    executor::v1::{WatchPlansRequest, WatchPlansResponse},
};
use tonic::Request;

use super::{
    args::WatchArgs,
    ask::{Asker, Filter},
    connection::Connection,
    error::Error,
    say,
};
use crate::backoff::Waits;

/// The waits between tries to connect again.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How a watch came to an end.
enum End {
    /// The connection, and with it the events from here on.
    Lost(Error),
    /// Nobody reads what is printed.
    Unread,
}

/// `watch`: returns the exit code, though most often it is ended from outside.
///
/// # Errors
/// There is no watch to begin with. Once one has begun, a lost connection is made again.
pub async fn watch(asker: &Asker, args: &WatchArgs) -> Result<u8, Error> {
    let filter = asker.filter(args.daemon_set.as_deref()).await?;
    let format = args.output.output;
    let mut waits = Waits::between(FIRST_WAIT, LONGEST_WAIT);
    let mut has_begun = false;
    let mut noticed = None;
    loop {
        let end = match asker.connector().leader().await {
            Ok(mut connection) => {
                follow(&mut connection, &filter, format, &mut has_begun, || {
                    waits.start_over();
                    noticed = None;
                })
                .await?
            }
            Err(error) => End::Lost(error),
        };
        let lost = match end {
            End::Unread => return Ok(exit::AS_WISHED),
            End::Lost(error) if !has_begun => return Err(error),
            End::Lost(error) => error.to_string(),
        };
        // The same reason is said once, however often it is met.
        if noticed.as_ref() != Some(&lost) {
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
    format: Format,
    has_begun: &mut bool,
    mut first: impl FnMut(),
) -> Result<End, Error> {
    let Filter { namespace, name } = filter.clone();
    let question = Request::new(WatchPlansRequest { namespace, name });
    let mut events = match connection.client.watch_plans(question).await {
        Ok(response) => response.into_inner(),
        Err(status) => return Ok(End::Lost(status.into())),
    };
    loop {
        match events.message().await {
            Ok(Some(event)) => {
                first();
                *has_begun = true;
                if !answers::print(&text(&event, format)?)? {
                    return Ok(End::Unread);
                }
            }
            Ok(None) => {
                let status = tonic::Status::unavailable("the executor has ended the watch");
                return Ok(End::Lost(status.into()));
            }
            Err(status) => return Ok(End::Lost(status.into())),
        }
    }
}

fn text(event: &WatchPlansResponse, format: Format) -> Result<String, Error> {
    Ok(match format {
        Format::Table | Format::Wide => live::events::line(event, View::of_stdout(format)),
        Format::Json => message::json_line(event)?,
        Format::Yaml => format!("---\n{}", message::yaml(event)?),
    })
}
