//! `tellal receive`: what is new. A message counts as shown once it has left this process.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, timeout_at};

use super::app::App;
use super::deliver;
use crate::client::{Client, ClientError, Event, Events};

/// How long to let be after the server could not be asked, if nothing happens.
const PAUSE: Duration = Duration::from_secs(1);

/// Options of `receive`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Wait up to so many seconds for a message
    #[arg(long, value_name = "SECS", value_parser = seconds, conflicts_with = "follow")]
    pub wait: Option<Duration>,
    /// Go on until Ctrl-C
    #[arg(long)]
    pub follow: bool,
}

/// Shows what is new.
///
/// # Errors
/// When the server can't be reached; what had arrived before is shown all the same.
pub async fn run(args: Args, app: App) -> Result<()> {
    let client = app.open().await?;
    let mut events = client.events();
    let done = if args.follow {
        follow(&client, &mut events, &app).await
    } else if let Some(wait) = args.wait {
        wait_for_one(&client, &mut events, &app, Instant::now() + wait).await
    } else {
        let drained = client.drain().await;
        show(&client, &app).await?;
        drained.map_err(Into::into)
    };
    deliver::close(client, events).await;
    done
}

/// Until at least one message came and nothing more waits on the server, or until the time is over.
async fn wait_for_one(client: &Client, events: &mut Events, app: &App, deadline: Instant) -> Result<()> {
    let mut trouble = None;
    loop {
        match timeout_at(deadline, client.drain()).await {
            Ok(Ok(())) => trouble = None,
            Ok(Err(error)) if passes(&error) => trouble = Some(error),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {}
        }
        let shown = show(client, app).await?;
        if shown == 0 && Instant::now() < deadline {
            let pause = if trouble.is_some() { Instant::now() + PAUSE } else { deadline };
            // That the time is over is seen above.
            let _ = timeout_at(pause.min(deadline), arrival(events)).await;
            continue;
        }
        return match trouble {
            Some(error) => Err(error.into()),
            None => Ok(()),
        };
    }
}

/// Waits for something that makes another look worth while.
async fn arrival(events: &mut Events) {
    while let Some(event) = events.next().await {
        if matches!(event, Event::Message(_) | Event::Connected) {
            return;
        }
    }
    // Closed: nothing will come any more.
    std::future::pending().await
}

/// Until interrupted. A lost connection is said, and waited for.
async fn follow(client: &Client, events: &mut Events, app: &App) -> Result<()> {
    let drained = client.drain().await;
    show(client, app).await?;
    let mut lost = false;
    match drained {
        Ok(()) => {}
        Err(error) if passes(&error) => {
            lost = true;
            app.out.note(&format!("tellal: {error}; trying again"));
        }
        Err(error) => return Err(error.into()),
    }
    while let Some(event) = events.next().await {
        match event {
            Event::Message(_) | Event::Drained => {
                show(client, app).await?;
            }
            Event::Disconnected { reason, .. } if !lost => {
                lost = true;
                app.out.note(&format!("tellal: {reason}; trying again"));
            }
            Event::Connected if lost => {
                lost = false;
                app.out.note("tellal: connected again");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Shows what no front end has shown; how many.
async fn show(client: &Client, app: &App) -> Result<usize> {
    let messages = client.unshown().await?;
    for message in &messages {
        app.out.message(message)?;
    }
    // Only what the reader has counts as shown.
    app.out.flush()?;
    if !messages.is_empty() {
        let numbers: Vec<u64> = messages.iter().map(|message| message.number).collect();
        client.mark_shown(&numbers).await?;
    }
    Ok(messages.len())
}

/// Whether an error may pass by itself.
fn passes(error: &ClientError) -> bool {
    matches!(error, ClientError::Unreachable { .. })
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=1e9).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "a number of seconds".to_owned())
}
