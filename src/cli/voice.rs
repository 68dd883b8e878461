//! `tellal voice`: a voice note, to somebody by nickname.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::app::{App, nickname};
use super::deliver;
use super::failure::Failure;
use super::output::SentVoice;
use crate::audio::{Limits, Note, WavError, wav};
use crate::client::VoiceNote;
use crate::terminal::line;

/// Options of `voice`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// To whom
    #[arg(value_name = "NICK")]
    pub to: String,
    /// The WAV file to send: 8 to 32 bits or float, mono or stereo, 8 to 192 kHz
    #[arg(long, value_name = "NOTE.wav")]
    pub file: PathBuf,
}

/// Sends, waits until the server has accepted it, and prints the message's id.
///
/// # Errors
/// When the file is no voice note, or the message can't be stored, is refused, or has to wait in the outbox.
pub async fn run(args: Args, app: App) -> Result<()> {
    let to = nickname(&args.to)?;
    let path = args.file.clone();
    let note = tokio::task::spawn_blocking(move || open(&path)).await??;
    let converted = note.converted.map(|conversion| conversion.to_string());
    let how = converted.as_deref().unwrap_or("sent as it is");
    let shown = args.file.display();
    let client = app.open().await?;
    let mut events = client.events();
    let Note { wav, duration_ms, sample_rate, peaks, .. } = note;
    let queued = client.send_voice(&to, VoiceNote { wav, duration_ms, sample_rate, peaks }).await?;
    app.out.note(&format!("{shown}: {}, {sample_rate} Hz, {how}", line::duration(duration_ms)));
    let sent = deliver::accepted(&client, &mut events, &queued).await;
    if let Ok(message) = &sent {
        app.out.put(&SentVoice { message, converted }, || message.id.to_string())?;
        app.out.flush()?;
    }
    deliver::close(client, events).await;
    sent.map(drop)
}

fn open(path: &Path) -> Result<Note> {
    read(path).map_err(|error| {
        let code = match error {
            WavError::NotWav => "not_wav",
            WavError::Empty => "wav_empty",
            WavError::Truncated { .. } => "wav_truncated",
            WavError::TooLong { .. } | WavError::TooLarge { .. } => "too_large",
            WavError::Io(_) => "file",
            _ => "wav_unsupported",
        };
        // The reasons complete a sentence that begins with the file's name.
        Failure::new(code, format!("{} {error}", path.display())).into()
    })
}

fn read(path: &Path) -> Result<Note, WavError> {
    let limits = Limits::default();
    let mut file = File::open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
    }
    if file.stream_position().is_ok() && kind.is_file() {
        return wav::read(io::BufReader::new(file), limits);
    }
    // A pipe can't be gone back in. What is converted may be twice as large before.
    let mut bytes = Vec::new();
    file.take(2 * limits.bytes + 1024).read_to_end(&mut bytes)?;
    wav::read(Cursor::new(bytes), limits)
}
