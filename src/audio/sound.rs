//! Sound in memory: all of it, or as much as there is so far of one that still grows.

use std::io::{Cursor, Read};
use std::num::NonZero;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use super::wav::{self, Limits, WavError};

/// Samples per second that are kept: no loudspeaker gives more, and no ear misses them.
const ENOUGH: u32 = 48_000;

/// A sound: 16-bit samples, channels interleaved. Clones are the same one, and grow together.
#[derive(Clone, Debug)]
pub struct Sound {
    inner: Arc<Inner>,
    channels: NonZero<u16>,
    rate: NonZero<u32>,
}

#[derive(Debug)]
struct Inner {
    samples: RwLock<Vec<i16>>,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// How many samples there are.
    samples: usize,
    /// No more will come.
    complete: bool,
}

/// What makes a sound grow. Dropping it completes the sound.
#[derive(Debug)]
pub struct Feed(Sound);

/// A growing sound in pieces of equal size, as it comes.
#[derive(Debug)]
pub struct Blocks {
    sound: Sound,
    next: usize,
    size: usize,
}

impl Sound {
    /// One that has all its samples. In whole frames: what is left over is dropped.
    pub fn new(mut samples: Vec<i16>, channels: NonZero<u16>, rate: NonZero<u32>) -> Self {
        samples.truncate(samples.len() / usize::from(channels.get()) * usize::from(channels.get()));
        let state = watch::Sender::new(State { samples: samples.len(), complete: true });
        Self { inner: Arc::new(Inner { samples: RwLock::new(samples), state }), channels, rate }
    }

    /// A mono one that has no samples yet, and what makes it grow.
    pub fn growing(rate: NonZero<u32>) -> (Feed, Self) {
        let state = watch::Sender::new(State { samples: 0, complete: false });
        let inner = Arc::new(Inner { samples: RwLock::default(), state });
        let sound = Self { inner, channels: NonZero::<u16>::MIN, rate };
        (Feed(sound.clone()), sound)
    }

    /// Any WAV file that can be sent. Rates that nobody hears are brought down.
    pub(super) fn read(wav: impl AsRef<[u8]>) -> Result<Self, WavError> {
        let limits = Limits { duration: Duration::MAX, bytes: u64::MAX };
        Self::from_wav(Cursor::new(wav::read(Cursor::new(wav), limits)?.wav))
    }

    /// A file of 16 bits, as notes are.
    pub(super) fn from_wav(wav: impl Read) -> Result<Self, WavError> {
        let odd = |what: &str| WavError::Unsupported { what: what.to_owned() };
        let reader = hound::WavReader::new(wav).map_err(|error| odd(&error.to_string()))?;
        let spec = reader.spec();
        let channels = NonZero::new(spec.channels).ok_or_else(|| odd("no channels"))?;
        let rate = NonZero::new(spec.sample_rate).ok_or_else(|| odd("no samples per second"))?;
        let samples = reader.into_samples::<i16>().collect::<Result<Vec<_>, _>>();
        let samples = samples.map_err(|error| odd(&error.to_string()))?;
        let times = rate.get().div_ceil(ENOUGH);
        match NonZero::new(rate.get() / times) {
            Some(lower) if times > 1 => Ok(Self::new(mean(&samples, channels, times), channels, lower)),
            _ => Ok(Self::new(samples, channels, rate)),
        }
    }

    /// What there is of it now, at so many percent of its amplitude.
    pub(super) fn at_volume(&self, percent: u8) -> Self {
        let part =
            |sample: i16| i16::try_from(i32::from(sample) * i32::from(percent) / 100).unwrap_or(sample);
        let samples = self.read_at(0, usize::MAX).into_iter().map(part).collect();
        if percent == 100 { self.clone() } else { Self::new(samples, self.channels, self.rate) }
    }

    /// Whether the two are one and the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Samples per second of each channel.
    pub fn rate(&self) -> NonZero<u32> {
        self.rate
    }

    /// Channels.
    pub fn channels(&self) -> NonZero<u16> {
        self.channels
    }

    /// How many samples of each channel there are so far.
    pub fn frames(&self) -> usize {
        self.inner.state.borrow().samples / usize::from(self.channels.get())
    }

    /// Whether no more will come.
    pub fn is_complete(&self) -> bool {
        self.inner.state.borrow().complete
    }

    /// Its length in time, so far.
    pub fn duration(&self) -> Duration {
        self.time(self.frames() as f64)
    }

    /// The samples from a frame on, as many frames at most.
    pub fn read_at(&self, frame: usize, most: usize) -> Vec<i16> {
        let channels = usize::from(self.channels.get());
        let samples = self.inner.samples.read().unwrap_or_else(PoisonError::into_inner);
        let begin = frame.saturating_mul(channels).min(samples.len());
        let end = begin.saturating_add(most.saturating_mul(channels)).min(samples.len());
        samples.get(begin..end).unwrap_or_default().to_vec()
    }

    /// Waits until there is more than so many frames, or it is complete. `false`: there is no more and will be none.
    pub async fn grows_beyond(&self, frames: usize) -> bool {
        let wanted = frames.saturating_mul(usize::from(self.channels.get()));
        let mut state = self.inner.state.subscribe();
        // The other end lives as long as this does.
        let _ = state.wait_for(|state| state.samples > wanted || state.complete).await;
        self.inner.state.borrow().samples > wanted
    }

    /// All of it from the beginning, in pieces of so many frames, each as soon as it is there; the last may be
    /// shorter. However slowly they are read, none is lost.
    pub fn blocks(&self, frames: usize) -> Blocks {
        Blocks { sound: self.clone(), next: 0, size: frames.max(1) }
    }

    /// The time of a place given in frames.
    pub(super) fn time(&self, frames: f64) -> Duration {
        Duration::try_from_secs_f64(frames / f64::from(self.rate.get())).unwrap_or_default()
    }

    /// The frame at a time.
    pub(super) fn frame(&self, time: Duration) -> usize {
        (time.as_secs_f64() * f64::from(self.rate.get())).round() as usize
    }
}

impl Feed {
    /// Adds samples.
    pub fn push(&self, more: &[i16]) {
        let inner = &self.0.inner;
        let mut samples = inner.samples.write().unwrap_or_else(PoisonError::into_inner);
        samples.extend_from_slice(more);
        let count = samples.len();
        drop(samples);
        inner.state.send_modify(|state| state.samples = count);
    }

    /// The sound.
    pub fn sound(&self) -> &Sound {
        &self.0
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.0.inner.state.send_modify(|state| state.complete = true);
    }
}

impl Blocks {
    /// Whether no piece has been read yet.
    pub fn is_empty(&self) -> bool {
        self.next == 0
    }

    /// The next piece; `None` at the end. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Vec<i16>> {
        self.sound.grows_beyond(self.next.saturating_add(self.size - 1)).await;
        let block = self.sound.read_at(self.next, self.size);
        self.next += block.len() / usize::from(self.sound.channels.get());
        (!block.is_empty()).then_some(block)
    }
}

/// The mean of each so many frames.
fn mean(samples: &[i16], channels: NonZero<u16>, times: u32) -> Vec<i16> {
    let channels = usize::from(channels.get());
    let times = times as usize;
    let mut lower = Vec::with_capacity(samples.len() / times + channels);
    for part in samples.chunks(channels * times) {
        for channel in 0..channels {
            let of_it = || part.iter().skip(channel).step_by(channels);
            let sum: i64 = of_it().map(|sample| i64::from(*sample)).sum();
            let count = i64::try_from(of_it().count()).unwrap_or(1).max(1);
            lower.push(i16::try_from(sum / count).unwrap_or_default());
        }
    }
    lower
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(rate: u32) -> NonZero<u32> {
        NonZero::new(rate).unwrap()
    }

    #[tokio::test]
    async fn a_growing_sound_is_read_in_blocks_as_it_comes() {
        let (feed, sound) = Sound::growing(rate(1000));
        let mut blocks = sound.blocks(4);
        feed.push(&[1, 2, 3]);
        assert_eq!((sound.frames(), sound.is_complete()), (3, false));
        assert!(tokio::time::timeout(Duration::ZERO, blocks.next()).await.is_err(), "it is too short yet");
        feed.push(&[4, 5, 6]);
        assert_eq!(blocks.next().await, Some(vec![1, 2, 3, 4]));
        assert!(!tokio::time::timeout(Duration::ZERO, sound.grows_beyond(6)).await.is_ok_and(|more| more));
        drop(feed);
        assert_eq!(blocks.next().await, Some(vec![5, 6]));
        assert_eq!(blocks.next().await, None);
        assert!(sound.is_complete() && !sound.grows_beyond(6).await);
        assert_eq!((sound.duration(), sound.read_at(4, 9)), (Duration::from_millis(6), vec![5, 6]));
    }

    #[test]
    fn rates_that_nobody_hears_are_brought_down() {
        let stereo = NonZero::new(2).unwrap();
        assert_eq!(mean(&[10, -10, 30, -30, 5, 7], stereo, 2), [20, -20, 5, 7]);
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 192_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
        (0..1920).for_each(|_| writer.write_sample(99i16).unwrap());
        writer.finalize().unwrap();
        let sound = Sound::read(file.into_inner()).unwrap();
        assert_eq!((sound.rate().get(), sound.frames()), (48_000, 480));
        assert_eq!(sound.duration(), Duration::from_millis(10));
    }
}
