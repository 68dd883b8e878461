//! The microphone: a recording on a thread of its own, at 16 kHz, mono, 16 bits.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::AudioError;
use super::device::Quiet;
use super::microphone::{Microphone, OPENING};
use super::resample::{RATE, Resampler};
use super::sound::{Feed, Sound};
use super::take::{Gap, Take};

/// The longest note.
pub const LIMIT: Duration = Duration::from_secs(600);
/// The gain that may be chosen, in decibels.
pub const GAINS: std::ops::RangeInclusive<f32> = -40.0..=40.0;
/// How often the thread fetches what the callback left.
const LOOK: Duration = Duration::from_millis(10);
/// How long a microphone may give nothing before it counts as lost: at first, and once it has given something. Not
/// every sound system tells that it is gone.
const STALL: Duration = Duration::from_secs(5);
const HALT: Duration = Duration::from_secs(2);
/// How long another microphone is looked for when one went away, and how often. What is paused waits as long as need be.
const RESCUE: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(200);
/// From here on a sample counts as clipped, of 1.
const CLIPPED: f32 = 0.999;

/// The microphone.
#[derive(Debug)]
pub struct Recorder;

/// How to record.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// From the microphone of this name or id; from the default one if none is named.
    pub input: Option<String>,
    /// Louder or quieter by so many decibels; see [`GAINS`].
    pub gain_db: f32,
    /// At most so long; see [`LIMIT`].
    pub limit: Duration,
}

impl Default for Options {
    /// From the default microphone, as it comes, up to the limit.
    fn default() -> Self {
        Self { input: None, gain_db: 0.0, limit: LIMIT }
    }
}

impl Options {
    /// At most so many samples: whole ones.
    fn most(&self) -> usize {
        (self.limit.min(LIMIT).as_micros() * u128::from(RATE) / 1_000_000) as usize
    }
}

/// A recording under way. Dropping it cancels it.
#[derive(Debug)]
pub struct Recording {
    state: Arc<State>,
    /// So many samples, and no more.
    most: usize,
    sound: Sound,
    done: oneshot::Receiver<Take>,
    outcome: Option<Take>,
}

/// What both sides see.
#[derive(Debug, Default)]
struct State {
    /// Loudness of late, as bits of an `f32`, and the loudest since it was asked for.
    level: AtomicU32,
    loudest: AtomicU32,
    clipped: AtomicU64,
    pause: AtomicBool,
    finish: AtomicBool,
    cancel: AtomicBool,
    device: Mutex<Device>,
}

#[derive(Debug, Default)]
struct Device {
    /// What the microphone is called.
    name: String,
    /// It went away, and another is looked for.
    away: bool,
    gaps: Vec<Gap>,
}

impl Recorder {
    /// Begins to record. It records once this has returned.
    ///
    /// # Errors
    /// [`AudioError::NoInput`], [`AudioError::UnknownInput`].
    pub async fn start(options: Options) -> Result<Recording, AudioError> {
        let none = |cause: String| AudioError::NoInput { cause };
        let state = Arc::new(State::default());
        let rate = NonZero::new(RATE).ok_or_else(|| none("no rate".to_owned()))?;
        let (feed, sound) = Sound::growing(rate);
        let (started, opened) = oneshot::channel();
        let (ended, done) = oneshot::channel();
        let (shared, most) = (state.clone(), options.most());
        let work = move || {
            let _quiet = Quiet::here();
            match Microphone::open(options.input.as_deref()) {
                Ok(microphone) => {
                    shared.device().name.clone_from(&microphone.name);
                    if started.send(Ok(())).is_ok() {
                        // Nobody to tell: it was cancelled.
                        let _ = ended.send(Work { state: &shared, feed, options }.record(microphone));
                    }
                }
                Err(error) => drop(started.send(Err(error))),
            }
        };
        let thread = std::thread::Builder::new().name("recorder".to_owned());
        thread.spawn(work).map_err(|error| none(error.to_string()))?;
        tokio::time::timeout(OPENING, opened)
            .await
            .map_err(|_| none("the sound server does not answer".to_owned()))?
            .map_err(|_| none("its thread ended".to_owned()))??;
        Ok(Recording { state, most, sound, done, outcome: None })
    }
}

impl Recording {
    /// The microphone's name. It may be another one once one went away.
    pub fn device(&self) -> String {
        self.state.device().name.clone()
    }

    /// Whether the microphone went away, and another is looked for.
    pub fn is_away(&self) -> bool {
        self.state.device().away
    }

    /// How loud it is now, 0 (silence) to 1 (full scale).
    pub fn level(&self) -> f32 {
        f32::from_bits(self.state.level.load(Ordering::Relaxed))
    }

    /// The loudest sample since this was asked the last time, 0 to 1.
    pub fn take_loudest(&self) -> f32 {
        f32::from_bits(self.state.loudest.swap(0, Ordering::Relaxed))
    }

    /// How many samples were too loud so far.
    pub fn clipped(&self) -> u64 {
        self.state.clipped.load(Ordering::Relaxed)
    }

    /// How much was recorded.
    pub fn elapsed(&self) -> Duration {
        self.sound.duration()
    }

    /// Whether it has reached its limit.
    pub fn is_full(&self) -> bool {
        self.sound.frames() >= self.most
    }

    /// What was recorded so far; it grows. For who wants it as it comes: [`Sound::blocks`].
    pub fn sound(&self) -> Sound {
        self.sound.clone()
    }

    /// Nothing is recorded until [`Recording::resume`].
    pub fn pause(&self) {
        self.state.pause.store(true, Ordering::Relaxed);
    }

    /// Goes on after [`Recording::pause`].
    pub fn resume(&self) {
        self.state.pause.store(false, Ordering::Relaxed);
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.state.pause.load(Ordering::Relaxed)
    }

    /// Waits until it ends by itself: at its limit, or because there is no microphone any more. Can be dropped and
    /// asked again; [`Recording::finish`] gives what was recorded.
    pub async fn ended(&mut self) {
        if self.outcome.is_none() {
            self.outcome = Some((&mut self.done).await.unwrap_or_else(|_| gone(&self.sound)));
        }
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        if self.outcome.is_none() {
            match self.done.try_recv() {
                Ok(take) => self.outcome = Some(take),
                Err(oneshot::error::TryRecvError::Empty) => {}
                Err(oneshot::error::TryRecvError::Closed) => self.outcome = Some(gone(&self.sound)),
            }
        }
        self.outcome.is_some()
    }

    /// Ends it. What was recorded before a microphone went away is not lost.
    ///
    /// # Errors
    /// [`AudioError::NothingRecorded`], [`AudioError::InputLost`] when nothing had come by then.
    pub async fn finish(mut self) -> Result<Take, AudioError> {
        self.state.finish.store(true, Ordering::Relaxed);
        self.ended().await;
        match self.outcome.take() {
            Some(take) if !take.samples.is_empty() => Ok(take),
            Some(Take { lost: Some(cause), .. }) => Err(AudioError::InputLost { cause }),
            _ => Err(AudioError::NothingRecorded),
        }
    }

    /// Throws it away.
    pub fn cancel(self) {}
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.state.cancel.store(true, Ordering::Relaxed);
    }
}

impl State {
    fn device(&self) -> MutexGuard<'_, Device> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gone(sound: &Sound) -> Take {
    let samples = sound.read_at(0, usize::MAX);
    Take { samples, lost: Some("its thread ended".to_owned()), ..Take::default() }
}

/// What the thread works with.
struct Work<'a> {
    state: &'a State,
    feed: Feed,
    options: Options,
}

/// What ended a microphone's part of a recording.
enum End {
    Asked,
    Lost(String),
}

impl Work<'_> {
    fn record(self, microphone: Microphone) -> Take {
        let most = self.options.most();
        let mut microphone = Some(microphone);
        let lost = loop {
            let Some(open) = microphone.take() else { break None };
            match self.follow(open, most) {
                Ok(End::Asked) => break None,
                Ok(End::Lost(cause)) => match self.another() {
                    Some(other) => microphone = Some(other),
                    None => break Some(cause),
                },
                Err(cause) => break Some(cause),
            }
        };
        let samples = self.feed.sound().read_at(0, most);
        let gaps = std::mem::take(&mut self.state.device().gaps);
        Take { samples, clipped: self.state.clipped.load(Ordering::Relaxed), gaps, lost }
    }

    /// Takes what a microphone gives until there is enough, or no more.
    fn follow(&self, mut microphone: Microphone, most: usize) -> Result<End, String> {
        let gain = 10f32.powf(self.options.gain_db.clamp(*GAINS.start(), *GAINS.end()) / 20.0);
        let mut resampler = Resampler::new(microphone.rate)?;
        let (mut sound, mut samples, mut level) = (Vec::new(), Vec::new(), 0.0f32);
        let (mut heard, mut woken) = (Instant::now(), false);
        let end = loop {
            if self.state.cancel.load(Ordering::Relaxed) {
                break End::Asked;
            }
            // Asked before the last look, so that what came until then is in it.
            let finish = self.state.finish.load(Ordering::Relaxed);
            let pause = self.state.pause.load(Ordering::Relaxed);
            sound.clear();
            microphone.sound.drain(&mut sound);
            if !sound.is_empty() {
                (heard, woken) = (Instant::now(), true);
            }
            // What was too loud for the microphone does not become better when it is made quieter.
            let clips = |sample: &&f32| sample.abs() >= CLIPPED || (**sample * gain).abs() >= CLIPPED;
            let clipped = sound.iter().filter(clips).count() as u64;
            sound.iter_mut().for_each(|sample| *sample *= gain);
            let loudest = sound.iter().fold(0.0f32, |loudest, sample| loudest.max(sample.abs())).min(1.0);
            // Falls by half in about a tenth of a second, so that a meter is calm.
            level = loudest.max(level * 0.93);
            self.state.level.store(level.to_bits(), Ordering::Relaxed);
            // Of numbers that are not negative, the bits are in the same order.
            self.state.loudest.fetch_max(loudest.to_bits(), Ordering::Relaxed);
            if !pause {
                let clipped = clipped * u64::from(RATE) / u64::from(microphone.rate.max(1));
                self.state.clipped.fetch_add(clipped, Ordering::Relaxed);
                resampler.push(&sound, &mut samples)?;
                self.keep(&mut samples, most);
            }
            if finish || self.feed.sound().frames() >= most {
                break End::Asked;
            }
            if let Some(cause) = microphone.lost() {
                break End::Lost(cause);
            }
            let most = if woken { HALT } else { STALL };
            if heard.elapsed() > most {
                break End::Lost("it gives no sound".to_owned());
            }
            std::thread::sleep(LOOK);
        };
        if microphone.sound.lost() > 0 {
            tracing::warn!(
                samples = microphone.sound.lost(),
                "the machine was too slow to record everything"
            );
        }
        resampler.finish(&mut samples)?;
        self.keep(&mut samples, most);
        if let End::Lost(_) = end {
            // Closing a device that is gone may take for ever.
            std::thread::spawn(move || drop(microphone));
        }
        Ok(end)
    }

    fn keep(&self, samples: &mut Vec<i16>, most: usize) {
        samples.truncate(most.saturating_sub(self.feed.sound().frames()));
        if !samples.is_empty() {
            self.feed.push(samples);
        }
        samples.clear();
    }

    /// The microphone went away: the one to go on with, as soon as there is one.
    fn another(&self) -> Option<Microphone> {
        let at = self.feed.sound().duration();
        let (mut looked, mut since, mut lasted) = (Instant::now(), Instant::now(), Duration::ZERO);
        self.state.device().away = true;
        self.state.level.store(0, Ordering::Relaxed);
        let asked = || [&self.state.cancel, &self.state.finish].iter().any(|end| end.load(Ordering::Relaxed));
        let found = loop {
            // The one that was chosen, if it is still there or there again.
            let chosen = self.options.input.as_deref().map(|input| Microphone::open(Some(input)));
            match chosen.and_then(Result::ok).map_or_else(|| Microphone::open(None), Ok) {
                Ok(microphone) => break Some(microphone),
                Err(_) if since.elapsed() > RESCUE || asked() => break None,
                Err(_) => std::thread::sleep(AGAIN),
            }
            // Of what is paused nothing is missing.
            if self.state.pause.load(Ordering::Relaxed) {
                since = Instant::now();
            } else {
                lasted += looked.elapsed();
            }
            looked = Instant::now();
        };
        if !self.state.pause.load(Ordering::Relaxed) {
            lasted += looked.elapsed();
        }
        // Where none is found it stays away, until it is told that this is the end.
        if let Some(microphone) = &found {
            let mut device = self.state.device();
            device.away = false;
            device.name.clone_from(&microphone.name);
            if !lasted.is_zero() {
                device.gaps.push(Gap { at, lasted });
            }
        }
        found
    }
}
