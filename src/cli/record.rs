//! Recording a voice note: until Enter, for some seconds, or until the limit; Ctrl-C or Esc throws it away.
//! On a terminal, keys pause it and let it be heard before it is sent.

use std::time::Duration;

use anyhow::Result;

use super::app::App;
use super::failure::{Failure, Interrupted};
use super::stop;
use crate::audio::{AudioError, Note, Speaker};
use crate::terminal::dictation::{Dictation, Options, Recorded};
use crate::terminal::floor::Floor;
use crate::terminal::keys::{Keys, Press};
use crate::terminal::line;
use crate::terminal::listening::time;
use crate::terminal::progress::{self, Line};
use crate::terminal::unsent;

/// Without anything that is drawn: when the level is first said, and how often after that.
const FIRST: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_secs(30);

/// How a recording is made from the command line.
pub struct Wanted {
    /// How it is recorded.
    pub options: Options,
    /// It ends by itself after the limit that `options` has, and is sent then.
    pub timed: bool,
}

/// What ended a recording.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is to be sent.
    Send,
    /// It is not.
    Cancel(Interrupted),
}

/// Records, and says so.
///
/// # Errors
/// When there is no microphone, or nobody is heard in it; [`Interrupted`] when it was cancelled, which has been said
/// then.
pub async fn record(app: &App, speaker: &Speaker, wanted: Wanted) -> Result<Note> {
    let Wanted { options, timed } = wanted;
    // Nothing is heard meanwhile, on this terminal or another.
    let taken = Floor::of(&app.home).take();
    let limit = options.recorder.limit;
    let mut taking = Dictation::start(options).await.map_err(Failure::from)?;
    let stop = stop::asked();
    tokio::pin!(stop);
    // Heeded from here on, that is before anybody is told that it is.
    if let Ok(interrupted) = tokio::time::timeout(Duration::ZERO, &mut stop).await {
        return Err(interrupted.into());
    }
    let mut keys = Keys::watch();
    let seconds = if timed { format!(" {} s", limit.as_secs_f64()) } else { String::new() };
    let how = if keys.is_some() {
        "Enter sends, space pauses, l listens, Esc or Ctrl-C cancels"
    } else {
        "Ctrl-C cancels"
    };
    app.out.note(&format!("recording{seconds} from {}: {how}", taking.device()));
    let mut booth = Booth {
        app,
        speaker,
        drawn: Line::draw(!app.out.lines.plain),
        timed,
        over: false,
        say: FIRST,
        spoken: keys.is_some(),
    };
    let end = tokio::select! {
        end = booth.run(&mut taking, &mut keys) => end,
        interrupted = &mut stop => End::Cancel(interrupted),
    };
    let over = booth.over;
    drop(booth);
    if let End::Cancel(interrupted) = end {
        drop(taking);
        app.out.note("tellal: cancelled: nothing was sent");
        return Err(interrupted.into());
    }
    let elapsed = taking.elapsed();
    let cut_off = timed && over && elapsed < limit;
    let Recorded { note, words, silent } = taking.finish().await.map_err(Failure::from)?;
    drop(taken);
    if cut_off {
        // Whoever said for how long is not there to be asked, but what was said can't be said again.
        let kept = unsent::kept(&app.home, &note.wav);
        let cause = format!("after {}; nothing was sent; {kept}", time(elapsed));
        return Err(Failure::from(AudioError::InputLost { cause }).into());
    }
    app.out.note(&format!("recorded {}", line::duration(note.duration_ms)));
    words.iter().for_each(|words| app.out.note(&format!("tellal: {words}")));
    if silent {
        tokio::select! {
            kept = keep_silence(app, &mut keys) => kept?,
            interrupted = &mut stop => {
                app.out.note("tellal: cancelled: nothing was sent");
                return Err(interrupted.into());
            }
        }
    }
    Ok(note)
}

/// Nobody is heard: it is sent only when that is wanted all the same.
async fn keep_silence(app: &App, keys: &mut Option<Keys>) -> Result<()> {
    let Some(keys) = keys else {
        let message = "the recording is silent, and was not sent: check that the microphone is not muted, choose \
                       another with --device, or make it louder with --gain; --even-silent sends it all the same";
        return Err(Failure::new("silent", message).into());
    };
    app.out.note("tellal: the recording is silent: Enter sends it all the same, Esc or Ctrl-C forgets it");
    loop {
        match keys.press().await {
            Press::Enter | Press::End => return Ok(()),
            Press::Escape => {
                app.out.note("tellal: cancelled: nothing was sent");
                return Err(Interrupted::default().into());
            }
            _ => {}
        }
    }
}

/// Where a recording is watched.
struct Booth<'a> {
    app: &'a App,
    speaker: &'a Speaker,
    drawn: Line,
    timed: bool,
    /// It has ended by itself.
    over: bool,
    /// When the level is said next, where nothing is drawn and somebody is there.
    say: Duration,
    spoken: bool,
}

impl Booth<'_> {
    async fn run(&mut self, taking: &mut Dictation, keys: &mut Option<Keys>) -> End {
        let mut ticks = tokio::time::interval(progress::DRAW);
        loop {
            tokio::select! {
                () = taking.ended(), if !self.over => {
                    self.over = true;
                    if self.timed && keys.is_none() && !taking.wants_review() {
                        return End::Send;
                    }
                    if let Some(end) = self.ended(taking, keys.is_some()) {
                        return end;
                    }
                }
                key = pressed(keys) => if let Some(end) = self.obey(key, taking) {
                    return end;
                },
                _ = ticks.tick() => {
                    taking.look().iter().for_each(|words| self.say(words));
                    self.show(taking);
                    if keys.is_none() && self.over && taking.playback().is_none() {
                        return End::Send;
                    }
                }
            }
        }
    }

    /// It has ended by itself.
    fn ended(&mut self, taking: &mut Dictation, keys: bool) -> Option<End> {
        if taking.wants_review() {
            let words = taking.listen(self.speaker);
            self.say(&words);
            // Without keys it is sent once it was heard.
            return None;
        }
        if self.timed || !keys {
            return Some(End::Send);
        }
        let what = taking.end_in_words();
        self.say(&format!("{what}: Enter sends it, l listens, Esc or Ctrl-C cancels"));
        None
    }

    /// Does what a key says.
    fn obey(&mut self, key: Press, taking: &mut Dictation) -> Option<End> {
        let words = match key {
            Press::Enter | Press::End if !taking.wants_review() => return Some(End::Send),
            Press::Escape => return Some(End::Cancel(Interrupted::default())),
            Press::Char(' ') if self.over => "it has ended: Enter sends it, l listens".to_owned(),
            Press::Char(' ') => taking.toggle(),
            Press::Char('l' | 'L') | Press::Enter | Press::End => {
                format!(
                    "{}: Enter sends, l listens again, space goes on recording",
                    taking.listen(self.speaker)
                )
            }
            _ => return None,
        };
        self.say(&words);
        None
    }

    /// Draws how it stands; where nothing is drawn, says it now and then.
    fn show(&mut self, taking: &Dictation) {
        let plain = self.app.out.lines.plain;
        self.drawn.set(taking.line(plain));
        if self.spoken && !self.drawn.is_drawn() && taking.elapsed() >= self.say {
            self.say = taking.elapsed() + AGAIN;
            self.app.out.note(&taking.line(true));
        }
    }

    fn say(&self, words: &str) {
        self.app.out.note(&format!("tellal: {words}"));
    }
}

/// The next key; never where there are none.
pub(super) async fn pressed(keys: &mut Option<Keys>) -> Press {
    match keys {
        Some(keys) => keys.press().await,
        None => std::future::pending().await,
    }
}
