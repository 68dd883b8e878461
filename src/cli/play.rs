//! `tellal play`: a voice note out of the history.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use super::app::App;
use super::file;
use super::output::Saved;
use crate::client::MessageRef;
use crate::terminal::sanitize;

/// Options of `play`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which voice note: its number, its id, or `last`
    #[arg(value_name = "ID")]
    pub which: String,
    /// Save it as a WAV file
    #[arg(long, value_name = "FILE.wav")]
    pub save: PathBuf,
    /// Overwrite the file if it exists
    #[arg(long)]
    pub force: bool,
}

/// Saves the note as it arrived.
///
/// # Errors
/// When there is no such note, or the file exists or can't be written.
pub async fn run(args: Args, app: App) -> Result<()> {
    let which: MessageRef = args.which.parse()?;
    let client = app.open().await?;
    let (message, wav) = client.audio(which).await?;
    file::write(&args.save, args.force, |file| file.write_all(&wav))?;
    let saved = Saved {
        kind: "saved",
        file: args.save.display().to_string(),
        size: wav.len() as u64,
        messages: None,
        id: Some(message.id),
    };
    app.out.put(&saved, || format!("saved in {}", sanitize::line(&saved.file)))?;
    app.out.flush()?;
    client.close().await;
    Ok(())
}
