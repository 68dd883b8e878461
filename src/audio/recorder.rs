//! The microphone: a recording on a thread of its own, at 16 kHz, mono, 16 bits.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{
    BufferSize, Data, ErrorKind, FromSample, SampleFormat, SizedSample, Stream, StreamConfig,
    SupportedBufferSize, SupportedStreamConfig,
};
use tokio::sync::oneshot;

use super::AudioError;
use super::device::{self, Quiet};
use super::resample::{RATE, Resampler};
use super::ring::{Reader, Writer, ring};
use super::speaker::plain;
use super::wav::{self, Note};

/// The longest note.
pub const LIMIT: Duration = Duration::from_secs(600);
/// How often the thread fetches what the callback left.
const LOOK: Duration = Duration::from_millis(10);
/// How much sound the thread may be behind: two seconds at the highest usual rate.
const ROOM: usize = 2 * 192_000;
/// How long a microphone may give nothing before it counts as lost.
const STALL: Duration = Duration::from_secs(5);
/// How long a sound server may take to open it.
const OPENING: Duration = Duration::from_secs(5);

/// The microphone.
#[derive(Debug)]
pub struct Recorder;

/// A recording under way. Dropping it cancels it.
#[derive(Debug)]
pub struct Recording {
    state: Arc<State>,
    done: oneshot::Receiver<Result<Note, AudioError>>,
    outcome: Option<Result<Note, AudioError>>,
    device: String,
}

/// What both sides see.
#[derive(Debug, Default)]
struct State {
    /// Loudest sample of late, as bits of an `f32`.
    level: AtomicU32,
    /// Samples so far, at [`RATE`].
    samples: AtomicU64,
    finish: AtomicBool,
    cancel: AtomicBool,
}

impl Recorder {
    /// Begins to record: from the default microphone, or the one of this name or id, up to a length of at most
    /// [`LIMIT`]. It records once this has returned.
    ///
    /// # Errors
    /// [`AudioError::NoInput`], [`AudioError::UnknownInput`].
    pub async fn start(input: Option<&str>, limit: Duration) -> Result<Recording, AudioError> {
        let none = |cause: String| AudioError::NoInput { cause };
        let (input, state) = (input.map(str::to_owned), Arc::new(State::default()));
        let (started, opened) = oneshot::channel();
        let (ended, done) = oneshot::channel();
        let shared = state.clone();
        let limit = limit.min(LIMIT);
        let work = move || {
            let _quiet = Quiet::here();
            match Source::open(input.as_deref()) {
                Ok(source) => {
                    if started.send(Ok(source.name.clone())).is_ok() {
                        // Nobody to tell: it was cancelled.
                        let _ = ended.send(source.record(&shared, limit));
                    }
                }
                Err(error) => drop(started.send(Err(error))),
            }
        };
        let thread = std::thread::Builder::new().name("recorder".to_owned());
        thread.spawn(work).map_err(|error| none(error.to_string()))?;
        let device = tokio::time::timeout(OPENING, opened)
            .await
            .map_err(|_| none("the sound server does not answer".to_owned()))?
            .map_err(|_| none("its thread ended".to_owned()))??;
        Ok(Recording { state, done, outcome: None, device })
    }
}

impl Recording {
    /// The microphone's name.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// How loud it is now, 0 (silence) to 1 (full scale).
    pub fn level(&self) -> f32 {
        f32::from_bits(self.state.level.load(Ordering::Relaxed))
    }

    /// How much was recorded.
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(self.state.samples.load(Ordering::Relaxed) * 1_000_000 / u64::from(RATE))
    }

    /// Waits until it ends by itself: at its limit, or because the microphone is gone. Can be dropped and asked
    /// again; [`Recording::finish`] gives the note.
    pub async fn ended(&mut self) {
        if self.outcome.is_none() {
            let outcome = (&mut self.done).await;
            self.outcome = Some(outcome.unwrap_or_else(|_| Err(gone())));
        }
    }

    /// Ends it, and makes a note of it. What was recorded before a microphone went away is not lost.
    ///
    /// # Errors
    /// [`AudioError::NothingRecorded`], [`AudioError::InputLost`] when nothing had come by then.
    pub async fn finish(mut self) -> Result<Note, AudioError> {
        self.state.finish.store(true, Ordering::Relaxed);
        self.ended().await;
        self.outcome.take().unwrap_or_else(|| Err(gone()))
    }

    /// Throws it away.
    pub fn cancel(self) {}
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.state.cancel.store(true, Ordering::Relaxed);
    }
}

fn gone() -> AudioError {
    AudioError::InputLost { cause: "its thread ended".to_owned() }
}

/// An open microphone.
struct Source {
    name: String,
    rate: u32,
    sound: Reader,
    lost: Arc<OnceLock<String>>,
    _stream: Stream,
}

impl Source {
    fn open(input: Option<&str>) -> Result<Self, AudioError> {
        let device = device::input(input)?;
        let none = |error: cpal::Error| AudioError::NoInput { cause: plain(&error.to_string()) };
        let config = device.default_input_config().map_err(none)?;
        let (writer, sound) = ring(ROOM);
        let lost = Arc::new(OnceLock::new());
        let reported = lost.clone();
        let on_error = move |error: cpal::Error| match error.kind() {
            ErrorKind::Xrun | ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => {}
            // It may come hundreds of times.
            _ => drop(reported.set(plain(&error.to_string()))),
        };
        let mut take = taker(config.sample_format(), config.channels(), writer).ok_or_else(|| {
            AudioError::NoInput { cause: format!("samples of {} are not understood", config.sample_format()) }
        })?;
        let shape = StreamConfig { buffer_size: buffer(&config), ..config.config() };
        let format = config.sample_format();
        let stream = device
            .build_input_stream_raw(shape, format, move |data, _| take(data), on_error, Some(OPENING))
            .map_err(none)?;
        stream.play().map_err(none)?;
        Ok(Self { name: device::name(&device), rate: config.sample_rate(), sound, lost, _stream: stream })
    }

    fn record(mut self, state: &State, limit: Duration) -> Result<Note, AudioError> {
        let failed = |cause: String| AudioError::InputLost { cause };
        let most = (limit.as_micros() * u128::from(RATE) / 1_000_000) as usize;
        let mut resampler = Resampler::new(self.rate).map_err(failed)?;
        let (mut sound, mut level) = (Vec::new(), 0.0f32);
        let mut heard = Instant::now();
        let mut trouble = None;
        while trouble.is_none() && resampler.len() < most {
            if state.cancel.load(Ordering::Relaxed) {
                return Err(AudioError::NothingRecorded);
            }
            // Asked before the last look, so that what came until then is in it.
            let finish = state.finish.load(Ordering::Relaxed);
            sound.clear();
            self.sound.drain(&mut sound);
            if !sound.is_empty() {
                heard = Instant::now();
            }
            resampler.push(&sound).map_err(failed)?;
            // Falls by half in about a tenth of a second, so that a meter is calm.
            level = sound.iter().fold(level * 0.93, |level, sample| level.max(sample.abs()));
            state.level.store(level.min(1.0).to_bits(), Ordering::Relaxed);
            state.samples.store(resampler.len().min(most) as u64, Ordering::Relaxed);
            if finish {
                break;
            }
            trouble = self.lost.get().cloned();
            if heard.elapsed() > STALL {
                trouble = Some("it gives no sound".to_owned());
            }
            std::thread::sleep(LOOK);
        }
        if self.sound.lost() > 0 {
            tracing::warn!(samples = self.sound.lost(), "the machine was too slow to record everything");
        }
        let mut samples = resampler.finish().map_err(failed)?;
        samples.truncate(most);
        match (samples.is_empty(), trouble) {
            (true, Some(cause)) => Err(failed(cause)),
            (true, None) => Err(AudioError::NothingRecorded),
            _ => wav::recorded(&samples, RATE).map_err(|error| failed(error.to_string())),
        }
    }
}

/// So much at a time that the level follows the voice: sound servers left alone hand over seconds at once. And not
/// less, because the server keeps no more than this, and a machine under load is late now and then.
fn buffer(config: &SupportedStreamConfig) -> BufferSize {
    match config.buffer_size() {
        SupportedBufferSize::Range { min, max } if min <= max => {
            BufferSize::Fixed((config.sample_rate() / 8).clamp(*min, *max))
        }
        _ => BufferSize::Default,
    }
}

/// What a callback does with what the device hands over.
type Taker = Box<dyn FnMut(&Data) + Send>;

/// What a callback does with data of a format: the mean of the channels goes into the queue.
fn taker(format: SampleFormat, channels: u16, writer: Writer) -> Option<Taker> {
    Some(match format {
        SampleFormat::I8 => taker_of::<i8>(channels, writer),
        SampleFormat::I16 => taker_of::<i16>(channels, writer),
        SampleFormat::I24 => taker_of::<cpal::I24>(channels, writer),
        SampleFormat::I32 => taker_of::<i32>(channels, writer),
        SampleFormat::U8 => taker_of::<u8>(channels, writer),
        SampleFormat::U16 => taker_of::<u16>(channels, writer),
        SampleFormat::F32 => taker_of::<f32>(channels, writer),
        SampleFormat::F64 => taker_of::<f64>(channels, writer),
        _ => return None,
    })
}

fn taker_of<T>(channels: u16, mut writer: Writer) -> Taker
where
    T: SizedSample,
    f32: FromSample<T>,
{
    let channels = usize::from(channels.max(1));
    Box::new(move |data| {
        for frame in data.as_slice::<T>().unwrap_or_default().chunks_exact(channels) {
            let sum: f32 = frame.iter().map(|sample| f32::from_sample_(*sample)).sum();
            writer.push(sum / channels as f32);
        }
    })
}
