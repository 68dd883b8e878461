//! Recording a voice note: until Enter, for some seconds, or until the limit; Ctrl-C or Esc throws it away, another
//! signal leaves it as a file. On a terminal, keys pause it and let it be heard before it is sent.

use anyhow::Result;

use super::app::App;
use super::failure::{Failure, Interrupted};
use super::stop::Stop;
use crate::audio::{AudioError, Note, Speaker};
use crate::terminal::dictation::{Dictation, Options, Recorded};
use crate::terminal::floor::Floor;
use crate::terminal::gauge::Gauge;
use crate::terminal::keys::{Keys, Press};
use crate::terminal::listening::time;
use crate::terminal::{line, progress, unsent};

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
pub async fn record(app: &App, speaker: &Speaker, wanted: Wanted, stop: &Stop) -> Result<Note> {
    let Wanted { options, timed } = wanted;
    // Nothing is heard meanwhile, on this terminal or another.
    let floor = Floor::of(&app.home);
    let taken = floor.take();
    stop.unless(floor.silence()).await?;
    let limit = options.recorder.limit;
    let mut taking = stop.unless(Dictation::start(options)).await?.map_err(Failure::from)?;
    let mut keys = Keys::watch();
    let seconds = if timed { format!(" {} s", limit.as_secs_f64()) } else { String::new() };
    let how = if keys.is_some() {
        "Enter sends, space pauses, l listens, Esc or Ctrl-C cancels"
    } else {
        "Ctrl-C cancels"
    };
    app.out.note(&format!("recording{seconds} from {}: {how}", taking.device()));
    let mut booth =
        Booth { app, speaker, gauge: Gauge::new(app.out.lines.plain, keys.is_some()), timed, over: false };
    let end = tokio::select! {
        end = booth.run(&mut taking, &mut keys) => end,
        interrupted = stop.asked() => End::Cancel(interrupted),
    };
    let over = booth.over;
    drop(booth);
    if let End::Cancel(interrupted) = end {
        let words = if interrupted.takes_back() {
            drop(taking);
            "cancelled: nothing was sent".to_owned()
        } else {
            format!("nothing was sent; {}", unsent::left(&app.home, taking).await)
        };
        app.out.note(&format!("tellal: {words}"));
        return Err(interrupted.into());
    }
    let elapsed = taking.elapsed();
    let cut_off = timed && over && !taking.is_full();
    let unheard = taking.unheard().filter(|_| keys.is_none()).cloned();
    let Recorded { note, words, silent } = taking.finish().await.map_err(Failure::from)?;
    drop(taken);
    if cut_off {
        // Whoever said for how long is not there to be asked, but what was said can't be said again.
        let kept = unsent::kept(&app.home, &note.wav);
        let cause = format!("after {}; nothing was sent; {kept}", time(elapsed));
        return Err(Failure::from(AudioError::InputLost { cause }).into());
    }
    if let Some(error) = unheard {
        // Nobody has heard it who could have thrown it away.
        let kept = unsent::kept(&app.home, &note.wav);
        let message = format!("nothing was sent, because it could not be heard before: {error}; {kept}");
        return Err(Failure::new(error.code(), message).into());
    }
    app.out.note(&format!("recorded {}", line::duration(note.duration_ms)));
    words.iter().for_each(|words| app.out.note(&format!("tellal: {words}")));
    if silent {
        tokio::select! {
            kept = keep_silence(app, &mut keys) => kept?,
            interrupted = stop.asked() => {
                let words = if interrupted.takes_back() {
                    "cancelled: nothing was sent".to_owned()
                } else {
                    format!("nothing was sent; {}", unsent::kept(&app.home, &note.wav))
                };
                app.out.note(&format!("tellal: {words}"));
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
    gauge: Gauge,
    timed: bool,
    /// It has ended by itself.
    over: bool,
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
                    self.gauge.show(taking).iter().for_each(|words| self.app.out.note(words));
                    if keys.is_none() && self.over && !taking.is_heard() {
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
