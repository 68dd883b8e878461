//! A WAV file becomes a voice note: sent as it is when every player reads it, otherwise as 16-bit PCM.
//!
//! Rates and channels are kept; only the depth of samples changes, by plain rounding, without dither.
//! The file's own layout is checked first (`container`), because a recorder that was killed leaves a header
//! that promises more, or less, than there is. Samples are read and written by `hound`.

mod container;

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::time::Duration;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use container::Container;

/// How many values [`Note::peaks`] has.
pub const PEAKS: usize = 64;
/// Samples per second that are understood.
pub const RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;
/// Bytes before the sound in a WAV file written here.
const HEADER: u64 = 44;

/// A voice note, ready to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// The WAV file as it is to arrive: 16-bit PCM, mono or stereo.
    pub wav: Vec<u8>,
    /// Length in time, in milliseconds.
    pub duration_ms: u64,
    /// Samples per second of each channel.
    pub sample_rate: u32,
    /// Loudness over time: [`PEAKS`] evenly spaced values, 0 (silence) to 255 (full scale).
    pub peaks: Vec<u8>,
    /// What was changed; `None` when `wav` is the file as it was given.
    pub converted: Option<Conversion>,
}

/// What a file was and what it became.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conversion {
    /// As it was given.
    pub from: Format,
    /// As it is sent.
    pub to: Format,
}

/// How samples are written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Integers of so many bits.
    Int(u16),
    /// IEEE 754 floating point of so many bits.
    Float(u16),
}

impl Note {
    /// Whether nothing in it is louder than the noise of a good microphone, about -48 dB of full scale.
    pub fn is_silent(&self) -> bool {
        self.peaks.iter().all(|peak| *peak == 0)
    }
}

/// How long and how large a note may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Length in time.
    pub duration: Duration,
    /// Bytes of the file that is sent.
    pub bytes: u64,
}

/// Why a file can't be sent as a voice note. Each text completes a sentence that begins with the file's name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WavError {
    /// Some other kind of file.
    #[error("is not a WAV file: convert it first, for example with `ffmpeg -i FILE note.wav`")]
    NotWav,
    /// A WAV file without a single sample.
    #[error("holds no sound: record it again")]
    Empty,
    /// The header and the file's length contradict each other.
    #[error("is cut off ({what}): copy or record it again")]
    Truncated {
        /// How that shows.
        what: String,
    },
    /// A WAV file of a kind that is not understood.
    #[error(
        "is a WAV file of an unsupported kind ({what}): \
         convert it first, for example with `ffmpeg -i FILE -c:a pcm_s16le note.wav`"
    )]
    Unsupported {
        /// What about it.
        what: String,
    },
    /// Over [`Limits::duration`].
    #[error("is {length} long: the limit is {limit}")]
    TooLong {
        /// Its length in time.
        length: String,
        /// The limit.
        limit: String,
    },
    /// Over [`Limits::bytes`].
    #[error("takes {size} as a note: the limit is {limit}")]
    TooLarge {
        /// Its size.
        size: String,
        /// The limit.
        limit: String,
    },
    /// The system could not read it.
    #[error("can't be read: {0}")]
    Io(#[from] io::Error),
}

impl Default for Limits {
    /// 10 minutes, 64 MiB.
    fn default() -> Self {
        Self { duration: Duration::from_secs(600), bytes: 64 * 1024 * 1024 }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(bits) => write!(f, "{bits}-bit"),
            Self::Float(bits) => write!(f, "{bits}-bit float"),
        }
    }
}

/// "sent as it is" or "converted from 24-bit to 16-bit".
impl std::fmt::Display for Conversion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.from == self.to {
            write!(f, "sound unchanged, header rewritten")
        } else {
            write!(f, "converted from {} to {}", self.from, self.to)
        }
    }
}

/// Reads a WAV file: PCM of 8 to 32 bits or 32-bit float, mono or stereo, 8 to 192 kHz.
///
/// The limits are checked on the header, before any sound is read.
///
/// # Errors
/// [`WavError`], each with its reason.
pub fn read<R: Read + Seek>(mut source: R, limits: Limits) -> Result<Note, WavError> {
    let container = Container::find(&mut source)?;
    let shape = Shape::of(&WavReader::new(Cursor::new(container.header())).map_err(unreadable)?)?;
    if shape.format != Format::Int(16) {
        limits.check(&shape, shape.converted_len())?;
        return convert(source, &container, &shape);
    }
    limits.check(&shape, container.file_len)?;
    source.seek(SeekFrom::Start(0))?;
    let mut wav = Vec::new();
    source.take(container.file_len).read_to_end(&mut wav)?;
    match plain_samples(&wav, &shape) {
        Some(samples) => Ok(shape.note(wav, &samples, None)),
        // Players that are as particular as `hound` would stumble over the chunks before the sound.
        None => convert(Cursor::new(wav), &container, &shape),
    }
}

/// A note of mono samples that were recorded.
pub(super) fn recorded(samples: &[i16], rate: u32) -> Result<Note, WavError> {
    let frames = u32::try_from(samples.len()).unwrap_or(u32::MAX);
    let shape = Shape { format: Format::Int(16), channels: 1, rate, frames };
    let wav = write(&shape, samples).map_err(unreadable)?;
    Ok(shape.note(wav, samples, None))
}

/// Its length in time as the header has it, zero for what has no header to be understood.
pub(super) fn duration<R: Read>(wav: R) -> Duration {
    let shape = WavReader::new(wav).ok().and_then(|reader| Shape::of(&reader).ok());
    shape.map_or(Duration::ZERO, |shape| Duration::from_millis(shape.duration_ms()))
}

/// The samples of a file that `hound` reads without our help.
fn plain_samples(wav: &[u8], shape: &Shape) -> Option<Vec<i16>> {
    let reader = WavReader::new(Cursor::new(wav)).ok()?;
    if Shape::of(&reader).ok()? != *shape {
        return None;
    }
    reader.into_samples::<i16>().collect::<Result<_, _>>().ok()
}

fn convert<R: Read + Seek>(mut source: R, container: &Container, shape: &Shape) -> Result<Note, WavError> {
    source.seek(SeekFrom::Start(container.data_at))?;
    let sound = Cursor::new(container.header()).chain(source.take(container.data_len));
    let reader = WavReader::new(io::BufReader::new(sound)).map_err(unreadable)?;
    let samples = samples_16(reader, shape.format).map_err(unreadable)?;
    let wav = write(shape, &samples).map_err(unreadable)?;
    Ok(shape.note(wav, &samples, Some(Conversion { from: shape.format, to: Format::Int(16) })))
}

/// Every sample as 16 bits, rounded to the nearest.
fn samples_16<R: Read>(reader: WavReader<R>, format: Format) -> Result<Vec<i16>, hound::Error> {
    match format {
        Format::Float(_) => reader.into_samples::<f32>().map(|sample| sample.map(from_float)).collect(),
        Format::Int(bits) => {
            reader.into_samples::<i32>().map(|sample| sample.map(|value| from_int(value, bits))).collect()
        }
    }
}

/// Full scale is 1.0; beyond it is clipped, and what is not a number is silence.
fn from_float(value: f32) -> i16 {
    // The cast saturates and makes NaN zero.
    (f64::from(value) * 32768.0).round() as i16
}

fn from_int(value: i32, bits: u16) -> i16 {
    let value = i64::from(value);
    let value = match bits {
        17.. => (value + (1 << (bits - 17))) >> (bits - 16),
        _ => value << (16 - bits),
    };
    i16::try_from(value).unwrap_or(if value < 0 { i16::MIN } else { i16::MAX })
}

fn write(shape: &Shape, samples: &[i16]) -> Result<Vec<u8>, hound::Error> {
    let spec = WavSpec {
        channels: shape.channels,
        sample_rate: shape.rate,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::with_capacity(samples.len() * 2 + 44));
    let mut writer = WavWriter::new(&mut file, spec)?;
    for sample in samples {
        writer.write_sample(*sample)?;
    }
    writer.finalize()?;
    Ok(file.into_inner())
}

/// What a header says about the sound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shape {
    format: Format,
    channels: u16,
    rate: u32,
    /// Samples of one channel.
    frames: u32,
}

impl Shape {
    fn of<R: Read>(reader: &WavReader<R>) -> Result<Self, WavError> {
        let spec = reader.spec();
        let format = match spec.sample_format {
            SampleFormat::Int => Format::Int(spec.bits_per_sample),
            SampleFormat::Float => Format::Float(spec.bits_per_sample),
        };
        let unsupported = |what: String| Err(WavError::Unsupported { what });
        match format {
            Format::Int(8 | 16 | 24 | 32) | Format::Float(32) => {}
            other => return unsupported(other.to_string()),
        }
        if !(1..=2).contains(&spec.channels) {
            return unsupported(format!("{} channels", spec.channels));
        }
        if !RATES.contains(&spec.sample_rate) {
            return unsupported(format!("{} samples per second", spec.sample_rate));
        }
        let frames = reader.duration();
        if frames == 0 {
            return Err(WavError::Empty);
        }
        Ok(Self { format, channels: spec.channels, rate: spec.sample_rate, frames })
    }

    fn converted_len(&self) -> u64 {
        u64::from(self.frames) * u64::from(self.channels) * 2 + HEADER
    }

    fn duration_ms(&self) -> u64 {
        (u64::from(self.frames) * 1000).div_ceil(u64::from(self.rate))
    }

    fn note(&self, wav: Vec<u8>, samples: &[i16], converted: Option<Conversion>) -> Note {
        let peaks = peaks(samples, self.channels);
        Note { wav, duration_ms: self.duration_ms(), sample_rate: self.rate, peaks, converted }
    }
}

/// The loudest sample of each of [`PEAKS`] equal parts; a part shorter than a sample has that sample's.
fn peaks(samples: &[i16], channels: u16) -> Vec<u8> {
    let channels = usize::from(channels.max(1));
    let frames = samples.len() / channels;
    let part = |place: usize| {
        let start = place * frames / PEAKS;
        let end = ((place + 1) * frames / PEAKS).max(start + 1);
        let part = samples.get(start * channels..end * channels).unwrap_or_default();
        let loudest = part.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
        u8::try_from(u32::from(loudest) * 255 / 32768).unwrap_or(u8::MAX)
    };
    (0..PEAKS).map(part).collect()
}

impl Limits {
    fn check(&self, shape: &Shape, size: u64) -> Result<(), WavError> {
        let duration = Duration::from_millis(shape.duration_ms());
        if duration > self.duration {
            return Err(WavError::TooLong { length: minutes(duration), limit: minutes(self.duration) });
        }
        if size > self.bytes {
            return Err(WavError::TooLarge { size: mebibytes(size), limit: mebibytes(self.bytes) });
        }
        Ok(())
    }
}

/// In whole seconds, rounded up.
fn minutes(time: Duration) -> String {
    let seconds = time.as_millis().div_ceil(1000);
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

fn mebibytes(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if bytes.is_multiple_of(MIB) {
        format!("{} MiB", bytes / MIB)
    } else {
        format!("{:.1} MiB", bytes as f64 / MIB as f64)
    }
}

/// What `hound` has against a file whose layout is in order.
fn unreadable(error: hound::Error) -> WavError {
    match error {
        // `hound` reports the end of the input as an error of kind `Other`.
        hound::Error::IoError(error) if matches!(error.kind(), io::ErrorKind::Other) => {
            WavError::Truncated { what: "it ends too early".to_owned() }
        }
        hound::Error::IoError(error) => WavError::Io(error),
        hound::Error::FormatError(what) => WavError::Unsupported { what: what.to_owned() },
        hound::Error::Unsupported => WavError::Unsupported { what: "not PCM".to_owned() },
        other => WavError::Unsupported { what: other.to_string() },
    }
}

#[cfg(test)]
#[path = "wav_tests.rs"]
mod tests;
