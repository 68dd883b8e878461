//! `tellal receive`: what is new. A message counts as shown once it has left this process.

use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, timeout_at};

use super::app::App;
use super::deliver;
use super::hearing::Hearing;
use super::meant;
use super::output::LiveEnded;
use super::reply;
use crate::client::settings::Quiet;
use crate::client::{Client, ClientError, Event, Events, Message, Role};
use crate::model::Address;
use crate::terminal::{Cues, aloud, cues, known};

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
    /// Read the texts that come aloud, each after its sender's name
    #[arg(long)]
    pub speak: bool,
}

/// Shows what is new, and with `--play` and `--speak` lets it be heard.
///
/// # Errors
/// When the server can't be reached; what had arrived before is shown all the same.
pub async fn run(args: Args, app: App) -> Result<()> {
    run_as(Role::Command, args, Which::default(), app).await
}

/// What `listen` wants otherwise.
#[derive(Debug, Default)]
pub struct Which {
    /// Quiet hours in place of those of the settings.
    pub quiet: Option<Quiet>,
    /// Messages of this conversation alone.
    pub from: Option<Address>,
    /// What was to be heard before and was not, too.
    pub unheard: bool,
}

/// The same, as what it says.
///
/// # Errors
/// As for [`run`]; when the profile has no place for another front end of this role.
pub async fn run_as(role: Role, args: Args, which: Which, app: App) -> Result<()> {
    let client = app.open_as(role).await?;
    let left = reply::Left;
    let mut events = client.events();
    let cues = app.cues_with(which.quiet);
    let mut hearing = Hearing::new(&app, &client, cues.speaker(), args.play, args.speak);
    if args.follow {
        hearing.arrivals(which.quiet);
    }
    hearing.learn(&client).await?;
    let from = which.from.as_ref();
    let asked = args.play || args.speak;
    if args.follow && asked {
        let before = client.to_hear(None).await?.len();
        if before > 0 {
            app.out
                .note(&format!("({before} from before not heard yet: `tellal listen --unread`, or u here)"));
        }
    }
    let unheard = which.unheard;
    let reader = Reader { client: &client, app: &app, cues: &cues, hearing: &hearing, from, unheard, asked };
    let work = async {
        let done = if args.follow {
            reader.follow(&mut events).await
        } else if let Some(wait) = args.wait {
            reader.wait_for_one(&mut events, Instant::now() + wait).await
        } else {
            let drained = client.drain().await;
            let shown = reader.show().await?;
            match (drained, from) {
                (Ok(()), Some(from)) if shown == 0 => {
                    meant::or(&client, known::check(&client, from).await.map_err(Into::into)).await
                }
                (drained, _) => drained.map_err(Into::into),
            }
        };
        hearing.idle().await;
        done
    };
    let done = tokio::select! {
        done = work => done,
        () = hearing.keys(&app, &client, &cues) => Ok(()),
    };
    drop(hearing);
    aloud::all_kept().await;
    let speaker = cues.speaker();
    let heard = async { if asked { app.heard(speaker).await } else { speaker.idle().await } };
    tokio::join!(deliver::close(client, events), heard);
    left.told().await;
    done
}

/// What messages are shown with.
struct Reader<'a> {
    client: &'a Client,
    app: &'a App,
    cues: &'a Cues,
    hearing: &'a Hearing,
    from: Option<&'a Address>,
    /// Whether what was to be heard before and was not comes with it.
    unheard: bool,
    /// Whether anything was asked to be heard: only then a loudspeaker is missed.
    asked: bool,
}

impl Reader<'_> {
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
                let pause = match &trouble {
                    Some(ClientError::Limited { retry_in_ms, .. }) => {
                        Instant::now() + PAUSE.max(Duration::from_millis(*retry_in_ms))
                    }
                    Some(_) => Instant::now() + PAUSE,
                    None => deadline,
                };
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

    /// Until interrupted, or locked from outside. A lost connection is said, and waited for.
    async fn follow(&self, events: &mut Events) -> Result<()> {
        match self.read_on(events).await {
            // Told as an event, unless something asked of the profile shows it before.
            Err(error) if error.downcast_ref().is_some_and(ClientError::is_of_a_locked_profile) => {
                self.app.out.note("tellal: the profile is locked now");
                Ok(())
            }
            followed => followed,
        }
    }

    async fn read_on(&self, events: &mut Events) -> Result<()> {
        self.show().await?;
        // What is here is shown meanwhile: sound may take its time.
        let mut drained = pin!(self.client.drain());
        let (mut draining, mut lost) = (true, false);
        loop {
            let event = tokio::select! {
                drained = &mut drained, if draining => {
                    draining = false;
                    self.show().await?;
                    match drained {
                        // The event that told of it may have come before anybody listened.
                        Err(error) if passes(&error) && !lost => {
                            self.app.out.note(&format!("tellal: {error}; trying again"));
                            // What was asked too often may be so on a connection that holds.
                            lost = !self.client.status().await.is_ok_and(|status| status.connected);
                        }
                        Err(error) if !passes(&error) => return Err(error.into()),
                        _ => {}
                    }
                    self.watch_presence();
                    continue;
                }
                event = events.next() => event,
            };
            let Some(event) = event else { break };
            match event {
                Event::Message(_) | Event::Drained => {
                    self.show().await?;
                }
                Event::LiveEnded(message) if message.delivery.is_none() => {
                    let ended = LiveEnded::of(&message);
                    self.app.out.put(&ended, || self.app.out.lines.ended(&message))?;
                    self.app.out.flush()?;
                    self.hearing.ended(&message).await?;
                }
                Event::Presence { .. } => self.cues.play_event(&event),
                Event::Disconnected { reason, .. } if !lost => {
                    lost = true;
                    self.app.out.note(&format!("tellal: {reason}; trying again"));
                }
                Event::Locked => break,
                Event::Connected => {
                    self.watch_presence();
                    if std::mem::take(&mut lost) {
                        self.app.out.note("tellal: connected again");
                    }
                }
                _ => {}
            }
            self.app.warn(self.cues);
            if self.asked
                && let Some(trouble) = self.cues.speaker().take_trouble()
            {
                self.app.out.note(&format!("tellal: {trouble}"));
            }
        }
        // Why nothing happens any more.
        self.client.status().await?;
        Ok(())
    }

    /// Begins to hear who comes and goes, beside what is shown. Asked on each connection: it may be another process's than
    /// the one before, which nobody has asked yet. Where the server can't be asked now, it is on the next.
    fn watch_presence(&self) {
        if !self.app.mute {
            let client = self.client.clone();
            tokio::spawn(async move { drop(client.watch_presence().await) });
        }
    }

    /// Shows what no front end has shown, and puts it in the queue of what is heard; how many.
    async fn show(&self) -> Result<usize> {
        let mut messages = self.client.unshown().await?;
        messages.retain(|message| self.from.is_none_or(|from| message.conversation() == *from));
        let new: HashSet<u64> = messages.iter().map(|message| message.number).collect();
        if self.unheard {
            let kept = self.client.to_hear(self.from).await?;
            messages.extend(kept.into_iter().filter(|message| !new.contains(&message.number)));
            messages.sort_by_key(|message| message.number);
        }
        for message in &messages {
            self.app.out.message(message)?;
        }
        // Only what the reader has counts as shown.
        self.app.out.flush()?;
        let (hearing, announces_itself) = (self.hearing, self.hearing.announcing());
        let is_new = |message: &Message| new.contains(&message.number);
        let cue = |message: &Message| {
            let (cue, from, cues) = (cues::of_message(message), message.from.clone(), self.cues.clone());
            move || cue.into_iter().for_each(|cue| cues.play(cue, Some(&from)))
        };
        let announced = messages.iter().filter(|message| is_new(message) && !announces_itself(message));
        announced.for_each(|message| cue(message)());
        let numbers = |wanted: &dyn Fn(&Message) -> bool| -> Vec<u64> {
            messages.iter().filter(|message| wanted(message)).map(|message| message.number).collect()
        };
        let to_hear = numbers(&|message| hearing.is_wanted(message));
        if !to_hear.is_empty() {
            // What is shown and has not been heard is not forgotten, however this ends.
            self.client.mark_to_hear(&to_hear, true).await?;
        }
        let shown = numbers(&is_new);
        if !shown.is_empty() {
            self.client.mark_shown(&shown).await?;
        }
        for message in &messages {
            let turn = hearing.hear(message);
            if let Some(turn) = turn.filter(|_| is_new(message) && announces_itself(message)) {
                self.hearing.otherwise(turn, cue(message));
            }
        }
        Ok(messages.len())
    }
}

/// Waits for something that makes another look worth while.
async fn arrival(events: &mut Events) {
    while let Some(event) = events.next().await {
        // Why nothing happens any more is told when it is asked for again.
        if matches!(event, Event::Message(_) | Event::Connected | Event::Locked) {
            return;
        }
    }
}

/// Whether an error may pass by itself.
fn passes(error: &ClientError) -> bool {
    matches!(error, ClientError::Unreachable { .. } | ClientError::Limited { .. })
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=1e9).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "a number of seconds".to_owned())
}
