//! `tellal play`: a voice note out of the history, on the loudspeaker or into a file.

use std::future::pending;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::app::App;
use super::failure::{Failure, Interrupted};
use super::file;
use super::output::{Played, Saved};
use super::stop::Stop;
use crate::audio::{AudioError, Playback, Speaker, Start};
use crate::client::{Body, Client, Message, MessageRef};
use crate::terminal::floor::{Floor, Sounding};
use crate::terminal::keys::{Keys, Press};
use crate::terminal::listening::{self, Control, Standing, left_off, read_speed, read_time};
use crate::terminal::live::listen;
use crate::terminal::progress::{self, Line};
use crate::terminal::{line, sanitize};

/// What can be pressed meanwhile.
const KEYS: &str = "Keys: space pauses and goes on, left and right go 5 s back and ahead, 0 to 9 go to tenths, g goes to a time (65 or \
     1:05, then Enter), < or comma slower, > or full stop faster, n next note, q or Esc stops.";

/// Options of `play`.
#[derive(Debug, clap::Args)]
#[command(after_help = KEYS)]
pub struct Args {
    /// Which voice note: its number, its id, or `last`
    #[arg(value_name = "ID")]
    pub which: String,
    /// How fast, 0.5 to 2; the pitch stays
    #[arg(long, value_name = "SPEED", default_value = "1", value_parser = read_speed)]
    pub speed: f32,
    /// From which time on, as 65 or 1:05 [default: where listening was left off]
    #[arg(long, value_name = "TIME", value_parser = from)]
    pub from: Option<Duration>,
    /// Go on with the next notes of the conversation that were not listened to; on a terminal that is so anyway
    #[arg(long = "continue", conflicts_with = "only")]
    pub go_on: bool,
    /// Play this one alone
    #[arg(long)]
    pub only: bool,
    /// Save it as a WAV file, and don't play it
    #[arg(long, value_name = "FILE.wav", conflicts_with_all = ["speed", "from", "go_on", "only"])]
    pub save: Option<PathBuf>,
    /// Overwrite the file if it exists
    #[arg(long, requires = "save")]
    pub force: bool,
}

/// What became of a note.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// It was heard to its end.
    Heard,
    /// The next one was asked for.
    Next,
    /// It was stopped.
    Stopped,
    /// So was the program.
    Interrupted(Interrupted),
}

/// Plays the note, or saves it as it arrived.
///
/// # Errors
/// When there is no such note, no loudspeaker, or the file exists or can't be written.
pub async fn run(args: Args, app: App) -> Result<()> {
    let which: MessageRef = args.which.parse()?;
    let stop = Stop::heed();
    let fetching = async {
        let client = app.open().await?;
        let (message, wav) = client.audio(which).await?;
        anyhow::Ok((client, message, wav))
    };
    let (client, message, wav) = tokio::select! {
        fetched = fetching => fetched?,
        interrupted = stop.asked() => return Err(interrupted.into()),
    };
    match &args.save {
        Some(path) => {
            file::write(path, args.force, |file| file.write_all(&wav))?;
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
            let speaker = app.speaker();
            let player = Player { app: &app, client: &client, speaker, speed: args.speed, stop };
            player.play_on(&args, message, wav).await?;
        }
    }
    app.out.flush()?;
    client.close().await;
    Ok(())
}

/// Plays one note after the other.
struct Player<'a> {
    app: &'a App,
    client: &'a Client,
    speaker: Speaker,
    speed: f32,
    stop: Stop,
}

impl Player<'_> {
    /// Plays a note, and those that follow it.
    async fn play_on(mut self, args: &Args, mut message: Message, mut wav: Vec<u8>) -> Result<()> {
        let mut keys = Keys::watch();
        let goes_on = args.go_on || (keys.is_some() && !args.only);
        let mut from = args.from;
        loop {
            let next = match self.play(&message, wav, from.take(), &mut keys).await? {
                End::Heard if goes_on => self.client.next_voice(message.number).await?,
                End::Next => {
                    let next = self.client.next_voice(message.number).await?;
                    if next.is_none() {
                        self.app.out.note("that was the last one");
                    }
                    next
                }
                End::Interrupted(interrupted) => return Err(interrupted.into()),
                End::Heard | End::Stopped => None,
            };
            let Some(next) = next else { return Ok(()) };
            (message, wav) = self.client.audio(MessageRef::Number(next.number)).await?;
        }
    }

    /// Plays one note, showing how far it is, and keeps how far it was heard.
    async fn play(
        &mut self,
        message: &Message,
        wav: Vec<u8>,
        from: Option<Duration>,
        keys: &mut Option<Keys>,
    ) -> Result<End> {
        let (left, peaks, live) = match &message.body {
            Body::Voice { position_ms, peaks, live, .. } => (*position_ms, peaks.as_slice(), *live),
            _ => (0, [].as_slice(), false),
        };
        let from = from.unwrap_or(Duration::from_millis(left));
        tokio::select! {
            () = self.app.floor() => {}
            interrupted = self.stop.asked() => return Ok(End::Interrupted(interrupted)),
        }
        let start = Start { from, speed: self.speed };
        let (playback, length) = if live {
            // What has come of it, and then what comes.
            let sound = tokio::select! {
                sound = listen(self.client, MessageRef::Number(message.number)) => sound?,
                interrupted = self.stop.asked() => return Ok(End::Interrupted(interrupted)),
            };
            (self.speaker.play_sound(sound, start), "live".to_owned())
        } else {
            let playback = self.speaker.play_from(wav, start);
            let length = u64::try_from(playback.duration().as_millis()).unwrap_or(u64::MAX);
            (playback, line::duration(length))
        };
        let begin = if from.is_zero() { String::new() } else { format!(", from {}", listening::time(from)) };
        let plain = self.app.out.lines.plain;
        let how = match (keys.is_some(), plain) {
            (false, _) => "",
            (true, false) => HELP,
            (true, true) => HELP_IN_WORDS,
        };
        let sign = if plain { "" } else { "#" };
        let from = sanitize::line(message.from.as_str());
        let words = format!("voice note {sign}{} of {from}, {length}{begin}{how}", message.number);
        let mut screen = Screen::new(self.app, &playback, peaks, words);
        let end = tokio::select! {
            done = screen.show(keys) => done,
            interrupted = self.stop.asked() => Ok(End::Interrupted(interrupted)),
        };
        drop(screen);
        self.speed = playback.speed();
        playback.stop();
        let position = playback.position();
        let heard = matches!(end, Ok(End::Heard));
        // Of one that is still coming there may be more later.
        let left = left_off(position);
        self.client.mark_heard(message.number, left, heard).await?;
        let left = if heard { Duration::ZERO } else { left };
        let end = end.map_err(Failure::from)?;
        if self.app.out.json && !matches!(end, End::Interrupted(_)) {
            let position_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            let played = Played { kind: "played", id: message.id, complete: heard, position_ms };
            self.app.out.put(&played, String::new)?;
        }
        Ok(end)
    }
}

/// What keys do.
const HELP: &str = "; space: pause; ←/→: 5 s; 0-9: tenths; g: go to a time; </>: speed; n: next; q: stop";
/// The same in words alone.
const HELP_IN_WORDS: &str = "; space pauses, left and right go five seconds, 0 to 9 go to tenths, g goes to a time, \
                             comma is slower, full stop is faster, n is next, q stops";

/// One note on a terminal.
struct Screen<'a> {
    app: &'a App,
    playback: &'a Playback,
    peaks: &'a [u8],
    line: Line,
    /// What is said once it is heard.
    words: Option<String>,
    /// A time that is being typed.
    typed: Option<String>,
    floor: Floor,
    /// While it is heard.
    sounding: Option<Sounding>,
    /// It is paused because somebody is recording.
    waits: bool,
}

impl<'a> Screen<'a> {
    fn new(app: &'a App, playback: &'a Playback, peaks: &'a [u8], words: String) -> Self {
        let (line, floor) = (Line::draw(!app.out.lines.plain), Floor::of(&app.home));
        let sounding = floor.sound_now();
        Self { app, playback, peaks, line, words: Some(words), typed: None, floor, sounding, waits: false }
    }

    /// Draws, and heeds the keys, until the end. Without a terminal nothing is drawn.
    async fn show(&mut self, keys: &mut Option<Keys>) -> Result<End, AudioError> {
        let mut ticks = tokio::time::interval(progress::DRAW);
        let end = self.playback.wait();
        tokio::pin!(end);
        loop {
            tokio::select! {
                done = &mut end => {
                    self.draw();
                    return done.map(|()| End::Heard);
                }
                key = pressed(keys) => if let Some(end) = self.obey(key) {
                    return Ok(end);
                },
                _ = ticks.tick() => {
                    self.give_way();
                    self.draw();
                }
            }
        }
    }

    /// Nothing is heard over a recording, on whichever terminal that is.
    fn give_way(&mut self) {
        let free = self.floor.is_free();
        self.sounding = match self.sounding.take() {
            _ if self.playback.is_paused() => None,
            Some(sounding) if free => Some(sounding),
            _ => self.floor.sound_now(),
        };
        if !free && !self.playback.is_paused() {
            self.playback.pause();
            self.waits = true;
            self.app.out.note("tellal: a voice note is being recorded: this waits until that is over");
        } else if free && std::mem::take(&mut self.waits) {
            self.playback.resume();
        }
    }

    fn draw(&mut self) {
        if !self.playback.has_begun() {
            return;
        }
        self.words.take().iter().for_each(|words| self.app.out.note(words));
        let line = Standing::of(self.playback, self.peaks).line(self.app.out.lines.plain);
        self.line.set(match &self.typed {
            Some(typed) => format!("{line}, go to: {typed}_"),
            None => line,
        });
    }

    fn obey(&mut self, key: Press) -> Option<End> {
        if let Some(typed) = &mut self.typed {
            match key {
                Press::Char(c) if c.is_ascii_digit() || ":.".contains(c) => typed.push(c),
                Press::Back => drop(typed.pop()),
                Press::Enter => {
                    let words = match read_time(typed) {
                        Some(to) => Control::To(to).apply(self.playback),
                        None => format!("{typed:?} is no time: write 65 or 1:05"),
                    };
                    self.typed = None;
                    self.say(&words);
                }
                _ => self.typed = None,
            }
        } else if let Some(control) = Control::of_key(key) {
            let words = control.apply(self.playback);
            self.say(&words);
        } else {
            match key {
                Press::Char('g' | 'G') => {
                    self.typed = Some(String::new());
                    self.say("go to which time? 65 or 1:05, then Enter");
                }
                Press::Char('n' | 'N') => return Some(End::Next),
                Press::Char('q' | 'Q') | Press::Escape | Press::End => return Some(End::Stopped),
                _ => {}
            }
        }
        self.draw();
        None
    }

    /// Says what is not drawn.
    fn say(&self, words: &str) {
        if !self.line.is_drawn() {
            self.app.out.note(words);
        }
    }
}

async fn pressed(keys: &mut Option<Keys>) -> Press {
    match keys {
        Some(keys) => keys.press().await,
        None => pending().await,
    }
}

fn from(text: &str) -> Result<Duration, String> {
    read_time(text).ok_or_else(|| "a time is written as 65 or 1:05".to_owned())
}
