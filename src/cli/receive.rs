//! `tellal receive`: what is new. A message counts as shown once it has left this process.

use std::time::Duration;

use anyhow::Result;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};

use super::app::App;
use super::deliver;
use crate::audio::Speaker;
use crate::client::{Body, Client, ClientError, Event, Events, Message, MessageRef};
use crate::terminal::cues;

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
    /// Play the voice notes that come, one after the other
    #[arg(long)]
    pub play: bool,
}

/// Shows what is new.
///
/// # Errors
/// When the server can't be reached; what had arrived before is shown all the same.
pub async fn run(args: Args, app: App) -> Result<()> {
    let client = app.open().await?;
    let speaker = app.speaker();
    let mut events = client.events();
    let (notes, mut coming) = unbounded_channel();
    let notes = args.play.then_some(notes);
    let shown = Shown { client: &client, app: &app, speaker: &speaker, notes };
    let receiving = async {
        // With it goes the sender of notes: when all are played, there are no more.
        let shown = shown;
        if args.follow {
            shown.follow(&mut events).await
        } else if let Some(wait) = args.wait {
            shown.wait_for_one(&mut events, Instant::now() + wait).await
        } else {
            let drained = client.drain().await;
            shown.show().await?;
            drained.map_err(Into::into)
        }
    };
    let (done, ()) = tokio::join!(receiving, play(&client, &app, &speaker, &mut coming));
    tokio::join!(deliver::close(client, events), app.heard(&speaker));
    done
}

/// What messages are shown with.
struct Shown<'a> {
    client: &'a Client,
    app: &'a App,
    speaker: &'a Speaker,
    /// Voice notes to be played.
    notes: Option<UnboundedSender<Message>>,
}

impl Shown<'_> {
    /// Until at least one message came and nothing more waits on the server, or until the time is over.
    async fn wait_for_one(&self, events: &mut Events, deadline: Instant) -> Result<()> {
        let mut trouble = None;
        loop {
            match timeout_at(deadline, self.client.drain()).await {
                Ok(Ok(())) => trouble = None,
                Ok(Err(error)) if passes(&error) => trouble = Some(error),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {}
            }
            let shown = self.show().await?;
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

    /// Until interrupted. A lost connection is said, and waited for.
    async fn follow(&self, events: &mut Events) -> Result<()> {
        self.show().await?;
        // Who comes and goes is only heard. Where the server can't be asked now, it is once it can be.
        let mut watching = !self.app.mute && self.client.watch_presence().await.is_ok();
        let mut lost = false;
        while let Some(event) = events.next().await {
            match event {
                Event::Message(_) | Event::Drained => {
                    self.show().await?;
                }
                Event::Presence { .. } => {
                    cues::of_event(&event).iter().for_each(|cue| self.speaker.cue(*cue))
                }
                Event::Disconnected { reason, .. } if !lost => {
                    lost = true;
                    self.app.out.note(&format!("tellal: not connected: {reason}; trying again"));
                }
                Event::Connected => {
                    if !watching && !self.app.mute {
                        watching = self.client.watch_presence().await.is_ok();
                    }
                    if std::mem::take(&mut lost) {
                        self.app.out.note("tellal: connected again");
                    }
                }
                _ => {}
            }
            if let Some(trouble) = self.speaker.take_trouble() {
                self.app.out.note(&format!("tellal: {trouble}"));
            }
        }
        Ok(())
    }

    /// Shows what no front end has shown; how many.
    async fn show(&self) -> Result<usize> {
        let messages = self.client.unshown().await?;
        for message in &messages {
            self.app.out.message(message)?;
        }
        // Only what the reader has counts as shown.
        self.app.out.flush()?;
        for message in &messages {
            cues::of_message(message).iter().for_each(|cue| self.speaker.cue(*cue));
        }
        if !messages.is_empty() {
            let numbers: Vec<u64> = messages.iter().map(|message| message.number).collect();
            self.client.mark_shown(&numbers).await?;
        }
        let count = messages.len();
        if let Some(notes) = &self.notes {
            let received = messages.into_iter().filter(|message| message.delivery.is_none());
            for note in received.filter(|message| matches!(message.body, Body::Voice { .. })) {
                // It is read until this is dropped.
                let _ = notes.send(note);
            }
        }
        Ok(count)
    }
}

/// Plays notes in order, until there are no more to come. That one can't be played is said, and no failure.
async fn play(client: &Client, app: &App, speaker: &Speaker, notes: &mut UnboundedReceiver<Message>) {
    while let Some(message) = notes.recv().await {
        // Its own sound is over first.
        speaker.idle().await;
        let played = match client.audio(MessageRef::Id(message.id)).await {
            Ok((_, wav)) => super::play::play(app, speaker, &message, wav).await.map(drop),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = played {
            app.out.note(&format!("tellal: {error:#}"));
            // That is what would be said of its sound too.
            drop(speaker.take_trouble());
        }
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

/// Whether an error may pass by itself.
fn passes(error: &ClientError) -> bool {
    matches!(error, ClientError::Unreachable { .. })
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=1e9).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "a number of seconds".to_owned())
}
