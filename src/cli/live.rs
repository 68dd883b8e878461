//! `tellal voice --live`: a voice note that is heard while it is spoken. Ctrl-C and Esc take it back; another signal cuts
//! it off, and what was said is kept.

use anyhow::Result;
use tokio::sync::oneshot;

use super::app::App;
use super::deliver;
use super::failure::{Failure, Interrupted};
use super::output::SentVoice;
use super::record::pressed;
use super::stop::Stop;
use crate::audio::recorder::LIMIT;
use crate::audio::{AudioError, recorder};
use crate::client::{Client, Ending, Events, Message};
use crate::model::Nickname;
use crate::terminal::dictation::{Dictation, Options};
use crate::terminal::floor::Floor;
use crate::terminal::gauge::Gauge;
use crate::terminal::keys::{Keys, Press};
use crate::terminal::line::duration;
use crate::terminal::live::{BLOCK, speak};
use crate::terminal::{progress, unsent};

/// Speaks until Enter, for some seconds, or to the limit; waits until the server has all of it, and prints the
/// message's id.
///
/// # Errors
/// When there is no microphone, or the note is refused or has to wait in the outbox; [`Interrupted`].
pub async fn run(to: &Nickname, recorder: recorder::Options, app: &App) -> Result<()> {
    let client = app.open().await?;
    let cues = app.cues();
    let mut events = client.events();
    unsent::check(&client, &to.clone().into()).await?;
    let options = Options { recorder, trim: false, review: false, even_silent: true };
    // Heeded from here on, that is before anybody is told that it is.
    let stop = Stop::heed();
    let sent = record(app, &client, &mut events, to, options, &stop).await;
    if let Some(interrupted) =
        sent.as_ref().err().and_then(|error| error.downcast_ref::<Interrupted>().copied())
    {
        // What was taken back, or cut off, is told to those who listen.
        deliver::close(client, events).await;
        return Err(interrupted.into());
    }
    let put =
        |message: &Message| app.out.put(&SentVoice { message, converted: None }, || message.id.to_string());
    let address = to.clone().into();
    let told = deliver::tell(app, &cues, &address, &sent, put);
    tokio::join!(deliver::close(client, events), told).1?;
    sent.map(drop)
}

async fn record(
    app: &App,
    client: &Client,
    events: &mut Events,
    to: &Nickname,
    options: Options,
    stop: &Stop,
) -> Result<Message> {
    // Nothing is heard meanwhile, on this terminal or another.
    let floor = Floor::of(&app.home);
    let _taken = floor.take();
    stop.unless(floor.silence()).await?;
    let mut taking = stop.unless(Dictation::start(options)).await?.map_err(Failure::from)?;
    let blocks = taking.sound().blocks(BLOCK);
    let note = client.begin_live(to).await?;
    let mut keys = Keys::watch();
    let how =
        if keys.is_some() { "Enter ends it, Esc or Ctrl-C takes it back" } else { "Ctrl-C takes it back" };
    let device = taking.device();
    app.out.note(&format!("speaking to {to}, from {device}: {how}"));
    let (ending, ends) = oneshot::channel();
    let speaking = speak(note, blocks, ends);
    tokio::pin!(speaking);
    let done: Result<(), Interrupted> = tokio::select! {
        // The core has ended it.
        failed = &mut speaking => return Ok(failed?),
        done = watch(app, &mut taking, &mut keys) => done,
        interrupted = stop.asked() => Err(interrupted),
    };
    drop(keys);
    if let Err(interrupted) = done
        && interrupted.takes_back()
    {
        // Whether it was told is all the same: then it is cut off by being dropped.
        let _ = ending.send(Ending::Withdrawn);
        drop(taking);
        speaking.await?;
        app.out.note("tellal: taken back: what was heard was heard, and nothing is kept");
        return Err(interrupted.into());
    }
    let (finished, message) = tokio::join!(
        async {
            let finished = taking.end().await;
            let whole = finished.as_ref().is_ok_and(|take| take.lost.is_none()) && done.is_ok();
            // It waits for nothing else.
            let _ = ending.send(if whole { Ending::Done } else { Ending::CutOff });
            finished
        },
        speaking
    );
    let (take, message) = (finished.map_err(Failure::from)?, message?);
    let spoken = duration(u64::try_from(take.duration().as_millis()).unwrap_or(u64::MAX));
    if let Err(interrupted) = done {
        app.out.note(&format!("tellal: cut off after {spoken}; what was said is kept and marked"));
        return Err(interrupted.into());
    }
    match take.lost {
        Some(cause) => {
            let cause = format!("{cause}, after {spoken}; what was said is kept and marked");
            app.out.note(&format!("tellal: {}", AudioError::InputLost { cause }));
        }
        None if take.is_silent() => {
            app.out.note(&format!("tellal: nobody is heard in these {spoken}: is the microphone muted?"));
        }
        None => app.out.note(&format!("spoken {spoken}")),
    }
    tokio::select! {
        biased;
        accepted = deliver::accepted(client, events, &message) => accepted,
        interrupted = stop.asked() => Err(interrupted.into()),
    }
}

/// Shows how it goes until it ends.
///
/// # Errors
/// When it is to be taken back.
async fn watch(app: &App, taking: &mut Dictation, keys: &mut Option<Keys>) -> Result<(), Interrupted> {
    let mut gauge = Gauge::new(app.out.lines.plain, keys.is_some());
    let mut ticks = tokio::time::interval(progress::DRAW);
    loop {
        tokio::select! {
            () = taking.ended() => {
                if taking.elapsed() >= LIMIT {
                    app.out.note(&format!("tellal: {}", taking.end_in_words()));
                }
                return Ok(());
            }
            key = pressed(keys) => match key {
                Press::Enter | Press::End => return Ok(()),
                Press::Escape => return Err(Interrupted::default()),
                Press::Char(' ') => {
                    app.out.note("tellal: what is heard while you speak can't be paused: Enter ends it");
                }
                _ => {}
            },
            _ = ticks.tick() => {
                taking.look().iter().for_each(|words| app.out.note(&format!("tellal: {words}")));
                gauge.show(taking).iter().for_each(|words| app.out.note(words));
            }
        }
    }
}
