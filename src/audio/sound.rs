//! A sound in memory, and its way through the loudspeaker's callback.

use std::io::{Cursor, Read};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rodio::Source;

use super::AudioError;
use super::wav::{self, Limits, WavError};

/// Silence after every sound: what a device still holds when it is closed is not heard, and this is more than
/// devices hold.
const TAIL: Duration = Duration::from_millis(350);

/// A sound, decoded.
#[derive(Clone, Debug)]
pub(super) struct Sound {
    samples: Arc<[i16]>,
    channels: NonZero<u16>,
    rate: NonZero<u32>,
}

impl Sound {
    /// Any WAV file that can be sent.
    pub fn read(wav: impl AsRef<[u8]>) -> Result<Self, WavError> {
        let limits = Limits { duration: Duration::MAX, bytes: u64::MAX };
        Self::from_wav(Cursor::new(wav::read(Cursor::new(wav), limits)?.wav))
    }

    /// A file of 16 bits, as notes are.
    pub fn from_wav(wav: impl Read) -> Result<Self, WavError> {
        let odd = |what: &str| WavError::Unsupported { what: what.to_owned() };
        let reader = hound::WavReader::new(wav).map_err(|error| odd(&error.to_string()))?;
        let spec = reader.spec();
        let channels = NonZero::new(spec.channels).ok_or_else(|| odd("no channels"))?;
        let rate = NonZero::new(spec.sample_rate).ok_or_else(|| odd("no samples per second"))?;
        let samples = reader.into_samples::<i16>().collect::<Result<_, _>>();
        Ok(Self { samples: samples.map_err(|error| odd(&error.to_string()))?, channels, rate })
    }

    /// Its length in time.
    pub fn duration(&self) -> Duration {
        self.time(self.samples.len() as u64)
    }

    fn time(&self, samples: u64) -> Duration {
        let frames = samples / u64::from(self.channels.get());
        Duration::from_nanos(frames.saturating_mul(1_000_000_000) / u64::from(self.rate.get()))
    }
}

/// How far a sound has come. The callback writes it, everybody else reads it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    stage: AtomicU8,
    /// Samples that were taken, the silence after it included.
    taken: AtomicU64,
    stop: AtomicBool,
    sound: OnceLock<Sound>,
    error: OnceLock<AudioError>,
}

/// Where a sound is. The order is that of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub(super) enum Stage {
    /// Not begun.
    Waiting = 0,
    /// It sounds.
    Playing = 1,
    /// All of it was taken, and some of it may still be on its way.
    Leaving = 2,
    /// Heard, stopped or failed.
    Over = 3,
}

impl Progress {
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Waiting,
            1 => Stage::Playing,
            2 => Stage::Leaving,
            _ => Stage::Over,
        }
    }

    fn enter(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
    }

    /// Something that changes as long as sound is taken.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// How much of it was taken.
    pub fn position(&self) -> Duration {
        self.sound.get().map_or(Duration::ZERO, |sound| sound.time(self.taken()).min(sound.duration()))
    }

    pub fn duration(&self) -> Option<Duration> {
        self.sound.get().map(Sound::duration)
    }

    /// Ends it. What the device already holds is a moment long.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.enter(Stage::Over);
    }

    pub fn fail(&self, error: AudioError) {
        if self.stage() < Stage::Over {
            // The first one stays.
            let _ = self.error.set(error);
        }
        self.stop();
    }

    pub fn error(&self) -> Option<&AudioError> {
        self.error.get()
    }
}

/// A sound on its way through a callback. It holds clones of what [`Progress`] holds, so that nothing large is
/// freed there.
pub(super) struct Playing {
    sound: Sound,
    progress: Arc<Progress>,
    next: usize,
    /// Samples with the silence after it.
    end: usize,
}

impl Playing {
    pub fn new(sound: Sound, progress: Arc<Progress>) -> Self {
        // The first one stays.
        let _ = progress.sound.set(sound.clone());
        let a_second = u128::from(sound.rate.get()) * u128::from(sound.channels.get());
        // In whole frames: channels must not be swapped for what follows.
        let channels = usize::from(sound.channels.get());
        let tail = (TAIL.as_millis() * a_second / 1000) as usize / channels * channels;
        let end = sound.samples.len() + tail;
        Self { sound, progress, next: 0, end }
    }
}

impl Iterator for Playing {
    type Item = f32;

    fn next(&mut self) -> Option<f32> {
        if self.next >= self.end || self.progress.stop.load(Ordering::Relaxed) {
            self.progress.enter(Stage::Over);
            return None;
        }
        let sample = match self.sound.samples.get(self.next) {
            Some(sample) => {
                if self.next == 0 {
                    self.progress.enter(Stage::Playing);
                }
                f32::from(*sample) / 32768.0
            }
            None => {
                if self.next == self.sound.samples.len() {
                    self.progress.enter(Stage::Leaving);
                }
                0.0
            }
        };
        self.next += 1;
        self.progress.taken.store(self.next as u64, Ordering::Relaxed);
        Some(sample)
    }
}

impl Source for Playing {
    fn current_span_len(&self) -> Option<usize> {
        None
    }

    fn channels(&self) -> NonZero<u16> {
        self.sound.channels
    }

    fn sample_rate(&self) -> NonZero<u32> {
        self.sound.rate
    }

    fn total_duration(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(samples: &[i16]) -> Sound {
        Sound {
            samples: samples.into(),
            channels: NonZero::new(2).unwrap(),
            rate: NonZero::new(1000).unwrap(),
        }
    }

    #[test]
    fn a_sound_is_over_only_after_the_silence_behind_it() {
        let progress = Arc::new(Progress::default());
        let mut playing = Playing::new(sound(&[16384, -16384, 1, 2]), progress.clone());
        assert_eq!((progress.stage(), progress.duration()), (Stage::Waiting, Some(Duration::from_millis(2))));
        assert_eq!((playing.next(), playing.next()), (Some(0.5), Some(-0.5)));
        assert_eq!((progress.stage(), progress.position()), (Stage::Playing, Duration::from_millis(1)));
        let rest: Vec<f32> = playing.by_ref().skip(2).collect();
        assert_eq!(rest, vec![0.0; 700]);
        assert_eq!((progress.stage(), progress.position()), (Stage::Over, Duration::from_millis(2)));
        assert!(progress.error().is_none());
    }

    #[test]
    fn a_stopped_sound_ends_with_the_next_sample() {
        let progress = Arc::new(Progress::default());
        let mut playing = Playing::new(sound(&[1; 1000]), progress.clone());
        playing.next();
        progress.stop();
        assert_eq!((playing.next(), progress.stage()), (None, Stage::Over));
        progress.fail(AudioError::NothingRecorded);
        assert!(progress.error().is_none(), "it was over already");
    }
}
