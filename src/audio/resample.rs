//! What a microphone gives becomes 16 kHz, 16 bits, as it comes.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Indexing, Resampler as _};

/// Samples per second of a recorded note: enough for speech.
pub(super) const RATE: u32 = 16_000;

/// Input samples that are worked on at once, about.
const CHUNK: usize = 1024;

/// Turns a stream of mono samples of some rate into 16-bit samples at [`RATE`].
pub(super) struct Resampler {
    /// `None` where the rate is right already.
    inner: Option<Inner>,
}

struct Inner {
    fft: Fft<f32>,
    waiting: Vec<f32>,
    output: Vec<f32>,
    /// Input samples so far.
    taken: u64,
    rate: u32,
    /// Output samples that are only the filter's delay, still to be dropped.
    delay: usize,
    /// Output samples so far.
    made: usize,
}

impl Resampler {
    /// From a rate.
    ///
    /// # Errors
    /// When the library can't work with it.
    pub fn new(rate: u32) -> Result<Self, String> {
        if rate == RATE {
            return Ok(Self { inner: None });
        }
        let fft = Fft::new(rate as usize, RATE as usize, CHUNK, 1, FixedSync::Input)
            .map_err(|error| error.to_string())?;
        let delay = fft.output_delay();
        let output = vec![0.0; fft.output_frames_max()];
        let inner = Inner { fft, waiting: Vec::new(), output, taken: 0, rate, delay, made: 0 };
        Ok(Self { inner: Some(inner) })
    }

    /// Takes what was recorded since, and adds what is ready to `samples`.
    ///
    /// # Errors
    /// When the library fails, which it has no reason to.
    pub fn push(&mut self, sound: &[f32], samples: &mut Vec<i16>) -> Result<(), String> {
        let Some(inner) = &mut self.inner else {
            samples.extend(sound.iter().copied().map(to_16));
            return Ok(());
        };
        inner.taken += sound.len() as u64;
        inner.waiting.extend_from_slice(sound);
        inner.work(samples, false)
    }

    /// The end: adds the rest, so that everything that was recorded is there, at the new rate.
    ///
    /// # Errors
    /// When the library fails, which it has no reason to.
    pub fn finish(self, samples: &mut Vec<i16>) -> Result<(), String> {
        if let Some(mut inner) = self.inner {
            let wanted = (inner.taken * u64::from(RATE)).div_ceil(u64::from(inner.rate)) as usize;
            while inner.made < wanted {
                inner.work(samples, true)?;
            }
            samples.truncate(samples.len().saturating_sub(inner.made - wanted));
        }
        Ok(())
    }
}

impl Inner {
    /// Works through what waits in whole chunks; at the end, one chunk filled up with silence.
    fn work(&mut self, samples: &mut Vec<i16>, end: bool) -> Result<(), String> {
        let needed = self.fft.input_frames_next();
        while self.waiting.len() >= needed || end {
            let partial = self.waiting.len().min(needed);
            self.waiting.resize(self.waiting.len().max(needed), 0.0);
            let input = InterleavedSlice::new(&self.waiting, 1, self.waiting.len())
                .map_err(|error| error.to_string())?;
            let frames = self.output.len();
            let mut output =
                InterleavedSlice::new_mut(&mut self.output, 1, frames).map_err(|error| error.to_string())?;
            let indexing = Indexing::new().partial_len(partial);
            let (_, made) = self
                .fft
                .process_into_buffer(&input, &mut output, Some(&indexing))
                .map_err(|error| error.to_string())?;
            self.waiting.drain(..needed);
            let dropped = self.delay.min(made);
            self.delay -= dropped;
            samples.extend(self.output.iter().take(made).skip(dropped).copied().map(to_16));
            self.made += made - dropped;
            if end {
                break;
            }
        }
        Ok(())
    }
}

fn to_16(sample: f32) -> i16 {
    // The cast saturates and makes NaN zero.
    (sample * 32768.0).round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(rate: u32, frequency: f64, seconds: f64) -> Vec<f32> {
        let frames = (f64::from(rate) * seconds) as u32;
        let angle = |frame: u32| std::f64::consts::TAU * frequency * f64::from(frame) / f64::from(rate);
        (0..frames).map(|frame| (angle(frame).sin() * 0.5) as f32).collect()
    }

    fn resample(rate: u32, sound: &[f32], at_once: usize) -> Vec<i16> {
        let mut resampler = Resampler::new(rate).unwrap();
        let mut samples = Vec::new();
        sound.chunks(at_once).for_each(|part| resampler.push(part, &mut samples).unwrap());
        resampler.finish(&mut samples).unwrap();
        samples
    }

    #[test]
    fn a_tone_stays_where_it_is_at_every_usual_rate() {
        for rate in [8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000] {
            let samples = resample(rate, &sine(rate, 440.0, 0.5), 441);
            assert_eq!(samples.len(), 8_000, "{rate}");
            let wanted = sine(RATE, 440.0, 0.5);
            let inside = 800..7_200;
            let worst =
                inside.map(|at| (f32::from(samples[at]) / 32768.0 - wanted[at]).abs()).fold(0.0, f32::max);
            // The filter is centred on a sample or between two: 440 Hz at half scale moves 0.044 in half a sample.
            assert!(worst < 0.045, "{rate}: off by {worst}");
        }
    }

    #[test]
    fn what_16_khz_cannot_hold_is_filtered_out_and_the_pieces_do_not_matter() {
        let high = resample(48_000, &sine(48_000, 11_000.0, 0.3), 480);
        assert!(high[800..4_000].iter().all(|sample| sample.unsigned_abs() < 33), "aliased");
        let sound = sine(44_100, 300.0, 0.2);
        assert_eq!(resample(44_100, &sound, 1), resample(44_100, &sound, 5_000));
        assert!(resample(44_100, &[], 1).is_empty());
        assert_eq!(resample(44_100, &sound[..10], 3).len(), 4);
    }
}
