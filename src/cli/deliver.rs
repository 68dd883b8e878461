//! Waiting for the server's word: on messages, which are safe in the outbox before the wait begins, and on what takes
//! its time where the server takes only so much.

use std::future::Future;
use std::io::{self, Write as _};
use std::pin::pin;
use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, timeout_at};

use super::app::App;
use super::failure::Failure;
use crate::audio::Cue;
use crate::client::{Client, ClientError, Delivery, Event, Events, Message, MessageRef};
use crate::model::Address;
use crate::terminal::{Cues, sanitize};

/// How long an outbox that does not get shorter holds up the end. Messages to somebody whose key changed stay in it.
const STILL: Duration = Duration::from_secs(2);

/// How long the profile may take to be closed: longer than others who ask through this process have to finish.
const LEAVE: Duration = Duration::from_secs(15);

/// Stores a message in the outbox. Where that is given up, it is said.
///
/// # Errors
/// What the core says.
pub async fn stored(
    storing: impl Future<Output = Result<Message, ClientError>>,
) -> Result<Message, ClientError> {
    let words = "it was not in the outbox yet; if it is sent all the same, `tellal history` shows it";
    or_say(words, storing).await
}

/// Waits until the server has accepted a message; how it stands then. Where that is given up, it is said that the
/// message waits.
///
/// A connection that is lost on the way is waited for; one that can't be made is not.
///
/// # Errors
/// When the server refuses it, or can't be reached: then the message waits in the outbox.
pub async fn accepted(client: &Client, events: &mut Events, message: &Message) -> Result<Message> {
    let answer = async {
        let reason = tokio::select! {
            biased;
            reason = unreachable(client, events, message) => reason,
            accepted = client.accepted(message.id) => return Ok(accepted?),
        };
        // The server's last word may have been about this message.
        if let Ok(Message { delivery: Some(Delivery::Accepted | Delivery::Refused { .. }), .. }) =
            client.message(MessageRef::Id(message.id)).await
        {
            return Ok(client.accepted(message.id).await?);
        }
        let message = Failure {
            code: "queued",
            message: format!(
                "{reason}; the message waits in the outbox, and leaves when a command next reaches the server"
            ),
            id: Some(message.id),
        };
        Err(anyhow::Error::from(message))
    };
    or_say(
        "not at the server yet: it waits in the outbox, and leaves when a command next reaches it",
        answer,
    )
    .await?;
    Ok(client.message(MessageRef::Id(message.id)).await?)
}

/// Tells how it ended, in a line of the result and in a sound, and waits until the sound has been heard.
///
/// # Errors
/// When stdout can't be written to.
pub async fn tell(
    app: &App,
    cues: &Cues,
    to: &Address,
    sent: &Result<Message>,
    put: impl FnOnce(&Message) -> io::Result<()>,
) -> io::Result<()> {
    match sent {
        Ok(message) => {
            cues.play(Cue::Sent, to.person());
            put(message)?;
            app.out.flush()?;
        }
        Err(_) => cues.play(Cue::Error, to.person()),
    }
    // Nobody asked for a sound: that there is no loudspeaker is not said.
    app.warn(cues);
    cues.speaker().idle().await;
    Ok(())
}

/// Gives what waits in the outbox from earlier the time to leave, as long as it moves; then closes the profile. How many
/// messages wait still.
pub async fn close(client: Client, mut events: Events) -> u64 {
    let mut deadline = Instant::now() + STILL;
    let (mut fewest, mut queued) = (u64::MAX, 0);
    while let Ok(status) = client.status().await {
        queued = status.queued;
        // Looked at before the time: the answer itself may take its own.
        if queued < fewest {
            fewest = queued;
            deadline = Instant::now() + STILL;
        }
        if !status.connected || queued == 0 || Instant::now() >= deadline {
            break;
        }
        match timeout_at(deadline, events.next()).await {
            Ok(Some(Event::Uploading { .. })) => deadline = Instant::now() + STILL,
            Ok(None) | Err(_) => break,
            // What was told long ago may be among it: how it stands is asked above.
            Ok(Some(_)) => {}
        }
    }
    // What is stored is safe: nobody waits for ever for a polite end.
    let _ = timeout_at(Instant::now() + LEAVE, client.close()).await;
    queued
}

/// Waits until the core has done what it was asked, and says what that waits for.
///
/// # Errors
/// What the core says.
pub async fn patiently<T>(
    events: &mut Events,
    asked: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let mut asked = pin!(asked);
    loop {
        tokio::select! {
            done = &mut asked => return done,
            event = events.next() => match event {
                Some(Event::Waits { reason }) => say_waits(&reason),
                Some(_) => {}
                None => return asked.await,
            }
        }
    }
}

/// Awaits something, and says this where it is given up: a signal drops it, wherever it is then.
async fn or_say<T>(words: &'static str, awaited: impl Future<Output = T>) -> T {
    let mut given_up = GivenUp(Some(words));
    let done = awaited.await;
    given_up.0 = None;
    done
}

/// What is said when this is dropped.
struct GivenUp(Option<&'static str>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.into_iter().for_each(say);
    }
}

fn say_waits(reason: &str) {
    say(&format!("waits: {reason}"));
}

fn say(words: &str) {
    let line = format!("tellal: {words}");
    // Where stderr is closed, nobody wants to know.
    let _ = writeln!(io::stderr(), "{}", sanitize::line(&line));
}

/// Ends once the server can't be reached or can't take mail now, with the reason.
async fn unreachable(client: &Client, events: &mut Events, message: &Message) -> String {
    let (mut losses, mut said) = (0, false);
    loop {
        // Waits for the attempt to connect that is under way, and begins one where none is.
        match client.drain().await {
            Ok(()) => {}
            Err(ClientError::Unreachable { server, cause }) => {
                return format!("can't reach {server}: {cause}");
            }
            Err(error) => return error.to_string(),
        }
        loop {
            match events.next().await {
                // Somebody else's conversation waits, not this one.
                Some(Event::Delayed { to: Some(to), .. }) if to != message.to => {}
                Some(Event::Delayed { reason, limited: true, .. }) => {
                    // It leaves by itself, and soon.
                    if !said {
                        say_waits(&reason);
                        said = true;
                    }
                    losses = 0;
                }
                Some(Event::Delayed { reason, .. }) => return reason,
                Some(Event::Uploading { .. }) => losses = 0,
                // Told while somebody spoke, and over since.
                Some(Event::Disconnected { .. })
                    if client.status().await.is_ok_and(|status| status.connected) => {}
                Some(Event::Disconnected { reason, .. }) if losses > 0 => return reason,
                // Why is told when it is asked for again.
                Some(Event::Disconnected { .. } | Event::Locked) | None => break,
                Some(_) => {}
            }
        }
        losses += 1;
    }
}
