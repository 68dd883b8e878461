//! An open microphone: what it gives, as it comes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{
    BufferSize, Data, ErrorKind, FromSample, SampleFormat, SizedSample, Stream, StreamConfig,
    SupportedBufferSize, SupportedStreamConfig,
};

use super::AudioError;
use super::device;
use super::ring::{Reader, Writer, ring};
use super::speaker::plain;

/// How much sound its reader may be behind: two seconds at the highest usual rate.
const ROOM: usize = 2 * 192_000;
/// How long a sound server may take to open it.
pub(super) const OPENING: Duration = Duration::from_secs(5);

/// An open microphone.
pub(super) struct Microphone {
    /// What it is called.
    pub name: String,
    /// Samples per second.
    pub rate: u32,
    /// What it gives, its channels mixed.
    pub sound: Reader,
    lost: Arc<OnceLock<String>>,
    _stream: Stream,
}

impl Microphone {
    /// The microphone of this name or id, or the default one.
    pub fn open(input: Option<&str>) -> Result<Self, AudioError> {
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

    /// Why there is no more sound from it.
    pub fn lost(&self) -> Option<String> {
        self.lost.get().cloned()
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
