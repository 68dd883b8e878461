//! Another speed at the same pitch (WSOLA: overlapping pieces are laid closer together or further apart, each
//! where its waveform fits the one before).

use std::num::NonZero;

use wsola::{Config, TimeStretch};

/// The slowest and the fastest.
pub const SPEEDS: std::ops::RangeInclusive<f32> = 0.5..=2.0;

/// A sound on its way to another speed, channels interleaved.
pub(super) struct Stretch {
    inner: TimeStretch,
    /// Frames that go in before the first one that counts: the library fades in.
    lead: usize,
    /// Samples that come out before the first one that counts.
    skip: usize,
    block: Vec<f32>,
}

impl Stretch {
    /// For a rate and a number of channels.
    pub fn new(rate: NonZero<u32>, channels: NonZero<u16>, speed: f32) -> Option<Self> {
        let mut inner = TimeStretch::with_config(rate, channels, Config::default()).ok()?;
        inner.set_tempo(speed);
        let hop = inner.min_output_buff_size();
        // The first hop only fades in.
        let lead = hop / usize::from(channels.get());
        Some(Self { inner, lead, skip: hop, block: vec![0.0; hop * 4] })
    }

    /// How many frames before the place it is to begin with it has to be given, so that it goes on from there
    /// without a break.
    pub fn lead(&self) -> usize {
        self.lead
    }

    pub fn set_speed(&mut self, speed: f32) {
        self.inner.set_tempo(speed);
    }

    /// Takes samples, in whole frames, and gives what is ready.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.inner.push(samples);
        self.pull(out);
    }

    /// The end: gives the rest, that is what is not ready and some silence.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        let hop = self.inner.min_output_buff_size();
        // Without it the library leaves off up to a window's length before the end.
        self.inner.push(&vec![0.0; hop * 8]);
        self.inner.set_draining();
        self.pull(out);
    }

    fn pull(&mut self, out: &mut Vec<f32>) {
        while let Ok(count @ 1..) = self.inner.pull(&mut self.block) {
            let skipped = self.skip.min(count);
            self.skip -= skipped;
            out.extend(self.block.iter().take(count).skip(skipped));
        }
    }
}
