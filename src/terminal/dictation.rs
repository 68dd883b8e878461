//! A voice note that is being recorded: what may be asked of it, what is said about it, and how it is shown. The
//! same in every front end.

use std::time::Duration;

use super::line;
use super::listening::time;
use crate::audio::recorder::{self, GAINS, LIMIT};
use crate::audio::{AudioError, Note, Playback, Recorder, Recording, Sound, Speaker, Take};

/// What is quieter is nothing.
const NOTHING: f32 = 0.005;
/// How long nothing may be heard until that is said: at the beginning, and later on.
const SILENT_FIRST: Duration = Duration::from_secs(3);
const SILENT_LATER: Duration = Duration::from_secs(15);
/// Samples that are too loud, until that is said.
const CLIPPED: u64 = 160;
/// How long before the limit that is said.
const NEAR: [(Duration, &str); 2] =
    [(Duration::from_secs(60), "one more minute"), (Duration::from_secs(10), "10 more seconds")];
/// Places of the level's bar, 3 dB each.
const PLACES: usize = 16;
/// How long the loudest of late keeps its mark.
const HOLD: Duration = Duration::from_millis(1_500);
/// What is not worth telling that it was cut off.
const LITTLE: Duration = Duration::from_millis(500);

/// How a note is recorded.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// From where, how loud, how long.
    pub recorder: recorder::Options,
    /// Silence at both ends is cut off.
    pub trim: bool,
    /// It is heard before it is sent.
    pub review: bool,
    /// It is sent although nobody is heard in it.
    pub even_silent: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { recorder: recorder::Options::default(), trim: true, review: false, even_silent: false }
    }
}

/// A recording under way. Dropping it forgets it.
#[derive(Debug)]
pub struct Dictation {
    recording: Recording,
    options: Options,
    /// What was recorded is being listened to, and where.
    playback: Option<(Playback, Speaker)>,
    /// Listening has been asked for.
    reviewed: bool,
    /// It could not be heard, and why.
    unheard: Option<AudioError>,
    meter: Meter,
    watch: Watch,
}

/// A note that can be sent.
#[derive(Debug)]
pub struct Recorded {
    /// The note.
    pub note: Note,
    /// What there is to say about it, a line each.
    pub words: Vec<String>,
    /// Nobody is heard in it, and it is to be sent only if that is wanted all the same.
    pub silent: bool,
}

impl Dictation {
    /// Begins; it records once this has returned.
    ///
    /// # Errors
    /// When there is no microphone, or none of that name.
    pub async fn start(options: Options) -> Result<Self, AudioError> {
        let recording = Recorder::start(options.recorder.clone()).await?;
        let watch = Watch::new(options.recorder.limit.min(LIMIT), recording.device());
        let (meter, playback) = (Meter::default(), None);
        Ok(Self { recording, options, playback, reviewed: false, unheard: None, meter, watch })
    }

    /// The microphone's name.
    pub fn device(&self) -> String {
        self.recording.device()
    }

    /// What was recorded so far; it grows.
    pub fn sound(&self) -> Sound {
        self.recording.sound()
    }

    /// How much was recorded.
    pub fn elapsed(&self) -> Duration {
        self.recording.elapsed()
    }

    /// Whether it has reached its limit.
    pub fn is_full(&self) -> bool {
        self.recording.is_full()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.recording.has_ended()
    }

    /// Why it ended by itself, in words.
    pub fn end_in_words(&self) -> String {
        let elapsed = self.recording.elapsed();
        if self.is_full() {
            format!(
                "this is the limit of {}, and the end of the recording",
                line::duration(elapsed.as_millis() as u64)
            )
        } else {
            format!("the microphone stopped after {}", time(elapsed))
        }
    }

    /// Waits until it ends by itself: at its limit, or because there is no microphone any more. Can be dropped and
    /// asked again.
    pub async fn ended(&mut self) {
        self.recording.ended().await;
    }

    /// Pauses, or goes on; in words. Listening ends.
    pub fn toggle(&mut self) -> String {
        self.stop_listening();
        let at = time(self.recording.elapsed());
        if self.recording.is_paused() {
            self.recording.resume();
            format!("recording again from {at}")
        } else {
            self.recording.pause();
            format!("paused at {at}")
        }
    }

    /// Pauses, and lets what was recorded so far be heard as it would be sent; a second time it stops that. In words.
    pub fn listen(&mut self, speaker: &Speaker) -> String {
        self.reviewed = true;
        self.unheard = None;
        if self.stop_listening() {
            return "stopped; the recording is paused".to_owned();
        }
        self.recording.pause();
        let samples = self.recording.sound().read_at(0, usize::MAX);
        let take = self.cut(Take { samples, ..Take::default() });
        let silent = if take.is_silent() { "; nobody is heard in it" } else { "" };
        match take.note() {
            Ok(note) => {
                let words = format!("this is it, {}{silent}", line::duration(note.duration_ms));
                self.playback = Some((speaker.play(note.wav), speaker.clone()));
                words
            }
            Err(error) => error.to_string(),
        }
    }

    /// Whether listening before sending was asked for, and has not been done.
    pub fn wants_review(&self) -> bool {
        self.options.review && !self.reviewed
    }

    /// Whether it is being listened to.
    pub fn is_heard(&self) -> bool {
        self.playback.is_some()
    }

    /// Why it could not be heard the last time, if it could not.
    pub fn unheard(&self) -> Option<&AudioError> {
        self.unheard.as_ref()
    }

    fn stop_listening(&mut self) -> bool {
        let playback = self.playback.take().filter(|(playback, _)| !playback.is_done());
        playback.iter().for_each(|(playback, _)| playback.stop());
        playback.is_some()
    }

    /// Looks at how it goes; to be called ten times a second. What there is to say, a line each.
    pub fn look(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some((playback, speaker)) = self.playback.take_if(|(playback, _)| playback.is_done()) {
            self.unheard = playback.error().cloned();
            words.push(match &self.unheard {
                None => "that was it".to_owned(),
                Some(error) => {
                    // It is told here.
                    drop(speaker.take_trouble());
                    format!("it could not be heard: {error}")
                }
            });
        }
        let seen = Seen {
            elapsed: self.recording.elapsed(),
            loudest: self.recording.take_loudest(),
            clipped: self.recording.clipped(),
            away: self.recording.is_away(),
            device: self.recording.device(),
        };
        self.meter.see(self.recording.level(), seen.loudest, std::time::Instant::now());
        if !self.recording.is_paused() {
            self.watch.look(&seen, &mut words);
        }
        words
    }

    /// How it stands, in one line; `plain`: in words alone.
    pub fn line(&self, plain: bool) -> String {
        let elapsed = time(self.recording.elapsed());
        match &self.playback {
            Some((playback, _)) => {
                format!("listening: {} of {}", time(playback.position()), time(playback.duration()))
            }
            None if self.recording.is_paused() => format!("{elapsed}, paused"),
            None if self.recording.is_away() => format!("{elapsed}, no microphone"),
            None if plain => format!("{elapsed} recorded, {}", self.meter.words()),
            None => format!("{elapsed} {}", self.meter.draw()),
        }
    }

    /// Ends it, and leaves all of it as it is: for what was heard already.
    ///
    /// # Errors
    /// When nothing was recorded.
    pub async fn end(self) -> Result<Take, AudioError> {
        self.recording.finish().await
    }

    /// Ends it.
    ///
    /// # Errors
    /// When nothing was recorded.
    pub async fn finish(mut self) -> Result<Recorded, AudioError> {
        self.stop_listening();
        let whole = self.recording.finish().await?;
        let (length, silent, clipped) = (whole.duration(), whole.is_silent(), whole.is_clipped());
        let mut words = Vec::new();
        for gap in &whole.gaps {
            let (at, lasted) = (time(gap.at), gap.lasted.as_secs_f64());
            words.push(format!("the microphone changed at {at}: about {lasted:.1} s may be missing there"));
        }
        let take = if self.options.trim { whole.trimmed() } else { whole };
        let cut = length.saturating_sub(take.duration());
        if cut >= LITTLE {
            words.push(format!("{:.1} s of silence at the ends cut off", cut.as_secs_f64()));
        }
        if clipped && !silent {
            words.push("it is distorted, because it was too loud for the microphone or the gain".to_owned());
        }
        let silent = silent && !self.options.even_silent;
        Ok(Recorded { note: take.note()?, words, silent })
    }

    fn cut(&self, take: Take) -> Take {
        if self.options.trim { take.trimmed() } else { take }
    }
}

/// What is seen of a recording at a moment.
struct Seen {
    elapsed: Duration,
    loudest: f32,
    clipped: u64,
    away: bool,
    device: String,
}

/// Says each thing once, when it is due.
#[derive(Debug)]
struct Watch {
    limit: Duration,
    device: String,
    away: bool,
    /// When something was last heard, in time recorded, and whether the silence since was said.
    heard: Option<Duration>,
    silence_said: bool,
    /// What was too loud when that was last said.
    clipped: u64,
    near: usize,
}

impl Watch {
    fn new(limit: Duration, device: String) -> Self {
        let near = NEAR.iter().filter(|(before, _)| *before * 2 > limit).count();
        Self { limit, device, away: false, heard: None, silence_said: false, clipped: 0, near }
    }

    fn look(&mut self, seen: &Seen, words: &mut Vec<String>) {
        let back = self.away && !seen.away;
        if seen.away && !self.away {
            words.push("the microphone is gone: waiting for another".to_owned());
        }
        if back || !seen.away && seen.device != self.device {
            self.device.clone_from(&seen.device);
            words.push(format!("recording from {} now", seen.device));
        }
        self.away = seen.away;
        if seen.loudest >= NOTHING {
            (self.heard, self.silence_said) = (Some(seen.elapsed), false);
        }
        let silent = seen.elapsed.saturating_sub(self.heard.unwrap_or_default());
        let patience = if self.heard.is_some() { SILENT_LATER } else { SILENT_FIRST };
        if silent >= patience && !self.silence_said && !seen.away {
            self.silence_said = true;
            words.push("nothing is heard: is the microphone muted, or the wrong one?".to_owned());
        }
        if seen.clipped >= self.clipped + CLIPPED {
            let first = self.clipped == 0;
            // Said again only when it has become much worse.
            self.clipped = seen.clipped * 4;
            let more = if first { "" } else { " still" };
            words.push(format!("too loud{more}: a little further away, or a lower gain"));
        }
        while let Some((before, what)) = NEAR.get(self.near)
            && self.limit.saturating_sub(seen.elapsed) <= *before
        {
            self.near += 1;
            words.push((*what).to_owned());
        }
    }
}

/// A level with a mark at the loudest of late.
#[derive(Debug, Default)]
struct Meter {
    level: f32,
    peak: f32,
    since: Option<std::time::Instant>,
}

impl Meter {
    fn see(&mut self, level: f32, loudest: f32, now: std::time::Instant) {
        self.level = level.max(loudest);
        let fresh = self.since.is_some_and(|since| now.duration_since(since) < HOLD);
        if !fresh || self.level >= self.peak {
            (self.peak, self.since) = (self.level, Some(now));
        }
    }

    /// A bar on a scale of decibels, as loudness is heard.
    fn draw(&self) -> String {
        let (full, peak) = (places(self.level), places(self.peak));
        let bar = (1..=PLACES).map(|place| match place {
            place if place <= full => '#',
            place if place == peak => '|',
            _ => '-',
        });
        let bar: String = bar.collect();
        let loud = if self.peak >= 0.98 { " too loud" } else { "" };
        format!("[{bar}] {}{loud}", decibels(self.peak))
    }

    fn words(&self) -> &'static str {
        level(self.peak)
    }
}

fn places(level: f32) -> usize {
    let above = (20.0 * level.max(1e-6).log10() + 3.0 * PLACES as f32) / 3.0;
    (above.ceil().max(0.0) as usize).min(PLACES)
}

fn decibels(level: f32) -> String {
    // The bar's lower end.
    let db = (20.0 * level.max(1e-6).log10()).max(-3.0 * PLACES as f32);
    format!("{db:>3.0} dB")
}

/// Reads a gain in decibels.
///
/// # Errors
/// With the rule that it breaks, in words.
pub fn gain(text: &str) -> Result<f32, String> {
    let gain = text.parse::<f32>().ok().filter(|gain| GAINS.contains(gain));
    gain.ok_or_else(|| format!("a gain is a number of decibels from {} to {}", GAINS.start(), GAINS.end()))
}

/// A level from 0 to 1, in words.
pub fn level(loudest: f32) -> &'static str {
    match loudest {
        ..NOTHING => "silence: is the microphone muted?",
        ..0.05 => "very quiet: closer to the microphone, perhaps",
        ..0.98 => "level good",
        _ => "too loud: a little further away, perhaps",
    }
}

#[cfg(test)]
#[path = "dictation_tests.rs"]
mod tests;
