//! `tellal speak`: a text out of the history, read aloud.

use anyhow::Result;
use serde::Serialize;

use super::app::App;
use super::deliver;
use super::failure::Failure;
use super::hearing::Hearing;
use super::reply;
use crate::client::{Body, MessageRef};
use crate::model::MessageId;
use crate::terminal::aloud::Outcome;

/// Options of `speak`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which text: its number, its id, or `last`
    #[arg(value_name = "ID")]
    pub which: String,
}

/// The result of `speak`.
#[derive(Debug, Serialize)]
pub struct Spoken {
    /// `spoken`.
    pub kind: &'static str,
    /// The message.
    pub id: MessageId,
    /// Whether it was heard to its end; otherwise it was stopped.
    pub complete: bool,
}

/// Reads it aloud, its sender's name first, in a voice of its language.
///
/// # Errors
/// When there is no such text, or nothing to read it with.
pub async fn run(args: Args, app: App) -> Result<()> {
    let which: MessageRef = args.which.parse()?;
    let client = app.open().await?;
    let (left, events) = (reply::Left, client.events());
    let message = client.message(which).await?;
    if matches!(message.body, Body::Voice { .. }) {
        let what = "that message is a voice note: `tellal play` plays it";
        return Err(Failure::new("not_text", what).into());
    }
    let hearing = Hearing::quiet(&app, &client);
    hearing.learn(&client).await?;
    if !app.out.json {
        app.out.message(&message)?;
        app.out.flush()?;
    }
    let turn = hearing.hear(&message);
    let heard = async {
        match turn {
            Some(turn) => {
                let outcome = turn.done().await;
                // Keys may have asked for more.
                hearing.idle().await;
                outcome
            }
            None => Outcome::Stopped,
        }
    };
    let cues = app.cues();
    let outcome = tokio::select! {
        outcome = heard => outcome,
        () = hearing.keys(&app, &client, &cues) => Outcome::Stopped,
    };
    drop(hearing);
    deliver::close(client, events).await;
    left.told().await;
    if let Outcome::Unavailable(why) = outcome {
        return Err(Failure { code: "no_speech", message: why, id: Some(message.id) }.into());
    }
    if app.out.json {
        let spoken = Spoken { kind: "spoken", id: message.id, complete: outcome == Outcome::Heard };
        app.out.put(&spoken, String::new)?;
        app.out.flush()?;
    }
    Ok(())
}
