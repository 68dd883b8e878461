//! `tellal voice --live`: a voice note that is heard while it is spoken.

use std::time::Duration;

use anyhow::Result;
use tokio::sync::oneshot;

use super::app::App;
use super::failure::{Failure, Interrupted};
use super::output::SentVoice;
use super::{deliver, record, voice};
use crate::audio::recorder::{LIMIT, Options};
use crate::audio::{AudioError, Recorder};
use crate::client::{Client, Ending, Events, LiveNote, Message};
use crate::model::Nickname;
use crate::terminal::line::duration;
use crate::terminal::live::{BLOCK, speak};

/// Speaks until Enter, for some seconds, or to the limit; waits until the server has all of it, and prints the
/// message's id. Ctrl-C takes it back.
///
/// # Errors
/// When there is no microphone, or the note is refused or has to wait in the outbox; [`Interrupted`].
pub async fn run(to: &Nickname, input: Option<String>, seconds: Option<Duration>, app: &App) -> Result<()> {
    let client = app.open().await?;
    let speaker = app.speaker();
    let mut events = client.events();
    voice::known(&client, to).await?;
    let sent = record(app, &client, &mut events, to, (input, seconds)).await;
    if sent.as_ref().is_err_and(|error| error.is::<Interrupted>()) {
        // What was taken back is told to those who listen.
        deliver::close(client, events).await;
        return Err(Interrupted.into());
    }
    let put =
        |message: &Message| app.out.put(&SentVoice { message, converted: None }, || message.id.to_string());
    let told = deliver::tell(app, &speaker, &sent, put);
    tokio::join!(deliver::close(client, events), told).1?;
    sent.map(drop)
}

async fn record(
    app: &App,
    client: &Client,
    events: &mut Events,
    to: &Nickname,
    (input, seconds): (Option<String>, Option<Duration>),
) -> Result<Message> {
    let options = Options { input, limit: seconds.unwrap_or(LIMIT), ..Options::default() };
    let mut recording = Recorder::start(options).await.map_err(Failure::from)?;
    let blocks = recording.sound().blocks(BLOCK);
    let note = client.begin_live(to).await?;
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    // Heeded from here on, that is before anybody is told that it is.
    if tokio::time::timeout(Duration::ZERO, &mut interrupted).await.is_ok() {
        return withdraw(app, note).await;
    }
    let end = if seconds.is_some() { "" } else { "Enter ends it, " };
    let device = recording.device();
    app.out.note(&format!("speaking to {to}, from {device}: {end}Ctrl-C takes it back"));
    let (ending, ends) = oneshot::channel();
    let speaking = speak(note, blocks, ends);
    tokio::pin!(speaking);
    let enter = record::enter(seconds.is_none());
    tokio::pin!(enter);
    let withdrawn = tokio::select! {
        // The core has ended it.
        failed = &mut speaking => return Ok(failed?),
        () = recording.ended() => false,
        () = &mut enter => false,
        _ = &mut interrupted => true,
    };
    if withdrawn {
        // Whether it was told is all the same: then it is cut off by being dropped.
        let _ = ending.send(Ending::Withdrawn);
        recording.cancel();
        speaking.await?;
        app.out.note("tellal: taken back: what was heard was heard, and nothing is kept");
        return Err(Interrupted.into());
    }
    let (finished, message) = tokio::join!(
        async {
            let finished = recording.finish().await;
            let lost = match &finished {
                Ok(take) => take.lost.is_some(),
                Err(_) => true,
            };
            // It waits for nothing else.
            let _ = ending.send(if lost { Ending::CutOff } else { Ending::Done });
            finished
        },
        speaking
    );
    let (take, message) = (finished.map_err(Failure::from)?, message?);
    if let Some(cause) = take.lost {
        let spoken = duration(take.samples.len() as u64 / 16);
        let cause = format!("{cause}, after {spoken}; what was said is kept and marked");
        app.out.note(&format!("tellal: {}", AudioError::InputLost { cause }));
    } else {
        app.out.note(&format!("spoken {}", duration(take.samples.len() as u64 / 16)));
    }
    deliver::accepted(client, events, &message).await
}

/// It was interrupted before anything was said.
async fn withdraw(app: &App, note: LiveNote) -> Result<Message> {
    note.withdraw().await?;
    app.out.note("tellal: taken back: nothing was sent");
    Err(Interrupted.into())
}
