//! `tellal voice`: a voice note, to somebody by nickname, or to a room.

use std::fs::File;
use std::io::{self, Cursor, IsTerminal, Read, Seek, stdin};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::error::ErrorKind;

use super::app::{App, address, usage};
use super::failure::{Failure, Interrupted};
use super::meant;
use super::output::SentVoice;
use super::stop::Stop;
use super::{deliver, live, record};
use crate::audio::recorder::{self, LIMIT};
use crate::audio::{Limits, Note, WavError, wav};
use crate::client::{Client, Message, VoiceNote};
use crate::model::Address;
use crate::terminal::dictation::{Options, gain};
use crate::terminal::{line, unsent};

/// What can be pressed meanwhile.
const KEYS: &str = "Keys while it is recorded: Enter sends it, space pauses and goes on, l listens to it, Esc or Ctrl-C forgets it. With --live: \
     Enter ends it, Esc or Ctrl-C takes it back.";

/// Options of `voice`.
#[derive(Debug, clap::Args)]
#[command(after_help = KEYS)]
pub struct Args {
    /// To whom, or to which room: `#garden` or `room:garden`
    #[arg(value_name = "NICK|ROOM")]
    pub to: String,
    /// Send this WAV file: 8 to 32 bits or float, mono or stereo, 8 to 192 kHz
    #[arg(long, value_name = "NOTE.wav", conflicts_with_all = ["seconds", "device", "gain", "no_trim", "review", "even_silent"])]
    pub file: Option<PathBuf>,
    /// Record so many seconds [default: until Enter]
    #[arg(long, value_name = "N", value_parser = seconds)]
    pub seconds: Option<Duration>,
    /// Let it be heard while you speak, by one person; Ctrl-C takes it back
    #[arg(long, conflicts_with_all = ["file", "review", "no_trim", "even_silent"])]
    pub live: bool,
    /// Record from this microphone; a name that none has lists them
    #[arg(long, visible_alias = "input", value_name = "NAME")]
    pub device: Option<String>,
    /// Record so much louder, or quieter: -40 to 40
    #[arg(long, value_name = "DB", default_value_t = 0.0, value_parser = gain, allow_negative_numbers = true)]
    pub gain: f32,
    /// Keep the silence before and after what was said
    #[arg(long)]
    pub no_trim: bool,
    /// Hear it before it is sent
    #[arg(long)]
    pub review: bool,
    /// Send it even if nobody is heard in it
    #[arg(long)]
    pub even_silent: bool,
}

/// Records or reads, sends, waits until the server has accepted it, and prints the message's id.
///
/// # Errors
/// When there is no microphone, the file is no voice note, or the message can't be stored, is refused, or has to
/// wait in the outbox.
pub async fn run(args: Args, app: App) -> Result<()> {
    if args.file.is_none() && args.seconds.is_none() && !stdin().is_terminal() {
        let what = "without a terminal, say what to send: --file NOTE.wav or --seconds N";
        usage(ErrorKind::MissingRequiredArgument, what).exit();
    }
    let to = address(&args.to)?;
    let limit = args.seconds.unwrap_or(LIMIT);
    let recorder = recorder::Options { input: args.device, gain_db: args.gain, limit };
    let timed = args.seconds.is_some();
    if args.live {
        let Some(to) = to.person() else {
            let what = "a room hears a voice note once it is recorded: leave --live out";
            usage(ErrorKind::ArgumentConflict, what).exit();
        };
        return live::run(to, recorder, &app).await;
    }
    match args.file {
        Some(path) => {
            let shown = path.display().to_string();
            let note = tokio::task::spawn_blocking(move || open(&path)).await??;
            let converted = note.converted.map(|conversion| conversion.to_string());
            let how = converted.as_deref().unwrap_or("sent as it is");
            let client = app.open().await?;
            let told =
                format!("{shown}: {}, {} Hz, {how}", line::duration(note.duration_ms), note.sample_rate);
            let stop = Stop::heed();
            send(&app, client, &to, note, Some(FromFile { converted, told }), &stop).await
        }
        None => {
            let client = app.open().await?;
            meant::or(&client, unsent::check(&client, &to).await.map_err(Into::into)).await?;
            let options =
                Options { recorder, trim: !args.no_trim, review: args.review, even_silent: args.even_silent };
            let wanted = record::Wanted { options, timed };
            // Heeded from here on, that is before anybody is told that it is.
            let stop = Stop::heed();
            let note = record::record(&app, &app.speaker(), wanted, &stop).await?;
            send(&app, client, &to, note, None, &stop).await
        }
    }
}

/// A note that was no recording.
struct FromFile {
    /// What was done to make it one.
    converted: Option<String>,
    /// What there is to say about it.
    told: String,
}

/// Sends a note and tells how that ended.
async fn send(
    app: &App,
    client: Client,
    to: &Address,
    note: Note,
    file: Option<FromFile>,
    stop: &Stop,
) -> Result<()> {
    let cues = app.cues();
    let mut events = client.events();
    let Note { wav, duration_ms, sample_rate, peaks, .. } = note;
    let recorded = file.is_none().then(|| wav.clone());
    let storing = client.send_voice(to, VoiceNote { wav, duration_ms, sample_rate, peaks });
    let stored = tokio::select! {
        biased;
        interrupted = stop.asked() => Err(interrupted.into()),
        stored = deliver::stored(storing) => stored.map_err(Into::into),
    };
    let sent = match (stored, recorded) {
        (Ok(queued), _) => {
            file.iter().for_each(|file| app.out.note(&file.told));
            tokio::select! {
                biased;
                accepted = deliver::accepted(&client, &mut events, &queued) => accepted,
                interrupted = stop.asked() => Err(interrupted.into()),
            }
        }
        (Err(error), Some(wav)) => Err(kept(app, error, &wav)),
        (Err(error), None) => meant::or(&client, Err(error)).await,
    };
    if sent.as_ref().is_err_and(anyhow::Error::is::<Interrupted>) {
        return sent.map(drop);
    }
    let converted = file.and_then(|file| file.converted);
    let put = |message: &Message| app.out.put(&SentVoice { message, converted }, || message.id.to_string());
    let told = deliver::tell(app, &cues, to, &sent, put);
    tokio::select! {
        told = async { tokio::join!(deliver::close(client, events), told).1 } => told?,
        interrupted = stop.asked() => return sent.and(Err(interrupted.into())),
    }
    sent.map(drop)
}

/// A recording that could not be put into the outbox is not lost.
fn kept(app: &App, error: anyhow::Error, wav: &[u8]) -> anyhow::Error {
    match unsent::keep(&app.home, wav) {
        Ok(path) if error.is::<Interrupted>() => {
            app.out.note(&format!("tellal: the recording is kept in {}", path.display()));
            error
        }
        Ok(path) => {
            let message = format!("{error:#}; the recording is kept in {}", path.display());
            Failure::new("recording_kept", message).into()
        }
        Err(_) => error,
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let limit = LIMIT.as_secs_f64();
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.1..=limit).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("a number of seconds, at most {limit}"))
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
        let remedy = match error {
            WavError::Io(_) => "; name a WAV file that is there and that you may read",
            _ => "",
        };
        // The reasons complete a sentence that begins with the file's name.
        Failure::new(code, format!("{} {error}{remedy}", path.display())).into()
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
