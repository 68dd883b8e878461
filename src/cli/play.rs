//! `tellal play`: a voice note out of the history, on the loudspeaker or into a file.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use super::app::App;
use super::failure::{Failure, Interrupted};
use super::file;
use super::output::{Played, Saved};
use crate::audio::Speaker;
use crate::client::{Message, MessageRef};
use crate::terminal::keys::Keys;
use crate::terminal::{line, progress, sanitize};

/// Options of `play`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which voice note: its number, its id, or `last`
    #[arg(value_name = "ID")]
    pub which: String,
    /// Save it as a WAV file, and don't play it
    #[arg(long, value_name = "FILE.wav")]
    pub save: Option<PathBuf>,
    /// Overwrite the file if it exists
    #[arg(long, requires = "save")]
    pub force: bool,
}

/// Plays the note until its end or a key, or saves it as it arrived.
///
/// # Errors
/// When there is no such note, no loudspeaker, or the file exists or can't be written.
pub async fn run(args: Args, app: App) -> Result<()> {
    tokio::select! {
        result = serve(args, &app) => result,
        Ok(()) = tokio::signal::ctrl_c() => Err(Interrupted.into()),
    }
}

async fn serve(args: Args, app: &App) -> Result<()> {
    let which: MessageRef = args.which.parse()?;
    let client = app.open().await?;
    let (message, wav) = client.audio(which).await?;
    match args.save {
        Some(path) => {
            file::write(&path, args.force, |file| file.write_all(&wav))?;
            let saved = Saved {
                kind: "saved",
                file: path.display().to_string(),
                size: wav.len() as u64,
                messages: None,
                id: Some(message.id),
            };
            app.out.put(&saved, || format!("saved in {}", sanitize::line(&saved.file)))?;
        }
        None => {
            let heard = play(app, &app.speaker(), &message, wav).await?;
            if app.out.json {
                let played = Played { kind: "played", id: message.id, complete: heard };
                app.out.put(&played, String::new)?;
            }
        }
    }
    app.out.flush()?;
    client.close().await;
    Ok(())
}

/// Plays one note, showing how far it is; any key stops it. Whether it was heard to its end.
///
/// # Errors
/// When it can't be played.
async fn play(app: &App, speaker: &Speaker, message: &Message, wav: Vec<u8>) -> Result<bool> {
    let playback = speaker.play(wav);
    let length = line::duration(u64::try_from(playback.duration().as_millis()).unwrap_or(u64::MAX));
    let mut keys = Keys::watch();
    let how = if keys.is_some() { "; any key stops it" } else { "" };
    app.out.note(&format!("voice note #{} of {}, {length}{how}", message.number, message.from));
    let stopped = tokio::select! {
        done = progress::show(&playback) => done.map(|()| false).map_err(Failure::from)?,
        () = key(&mut keys) => {
            playback.stop();
            true
        }
    };
    Ok(!stopped)
}

async fn key(keys: &mut Option<Keys>) {
    match keys {
        Some(keys) => drop(keys.pressed().await),
        None => std::future::pending().await,
    }
}
