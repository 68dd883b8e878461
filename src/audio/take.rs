//! What was recorded, before it is a note: whether it is silent or too loud, and what of it is worth sending.

use std::time::Duration;

use super::AudioError;
use super::resample::RATE;
use super::wav::{self, Note};

/// What loudness is looked at in, in samples: a hundredth of a second.
const PART: usize = RATE as usize / 100;
/// So many parts in a row are somebody speaking; fewer are a click.
const SPOKEN: usize = 3;
/// What is quieter is silence, whatever else there is: -50 dB of full scale (root of the mean square).
const SILENCE: f32 = 0.003;
/// So much louder than the room is somebody speaking: 12 dB.
const ABOVE: f32 = 4.0;
/// And so much quieter than the loudest still is: 26 dB. A voice that never pauses is not taken for the room.
const BELOW: f32 = 0.05;
/// What is kept before and after somebody speaks, in parts.
const BEFORE: usize = 20;
const AFTER: usize = 30;

/// What was recorded: 16 kHz, mono.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Take {
    /// All of it.
    pub samples: Vec<i16>,
    /// How many samples were too loud.
    pub clipped: u64,
    /// Where a microphone went away and another took over.
    pub gaps: Vec<Gap>,
    /// Why it ended, when no microphone was left.
    pub lost: Option<String>,
}

/// Something is missing, because the microphone was another afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// After so much of the recording.
    pub at: Duration,
    /// How long there was none.
    pub lasted: Duration,
}

impl Take {
    /// Its length in time.
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.samples.len() as u64 * 1_000_000 / u64::from(RATE))
    }

    /// Whether nobody is heard in it.
    pub fn is_silent(&self) -> bool {
        self.spoken().is_none()
    }

    /// Whether it is so loud that it is distorted: more than a click or two is.
    pub fn is_clipped(&self) -> bool {
        // A thousandth of it, or a hundredth of a second.
        self.clipped > (self.samples.len() as u64 / 1000).max(PART as u64)
    }

    /// Without the silence at both ends; as it is when nobody is heard in it.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        let Some(spoken) = self.spoken() else { return self };
        let begin = spoken.start.saturating_sub(BEFORE) * PART;
        let end = ((spoken.end + AFTER) * PART).min(self.samples.len());
        self.samples.truncate(end);
        self.samples.drain(..begin);
        let cut = Duration::from_millis(begin as u64 * 1000 / u64::from(RATE));
        self.gaps.iter_mut().for_each(|gap| gap.at = gap.at.saturating_sub(cut));
        self
    }

    /// The note that is sent.
    ///
    /// # Errors
    /// [`AudioError::NothingRecorded`].
    pub fn note(&self) -> Result<Note, AudioError> {
        if self.samples.is_empty() {
            return Err(AudioError::NothingRecorded);
        }
        wav::recorded(&self.samples, RATE).map_err(|error| AudioError::Unreadable(error.to_string()))
    }

    /// From the first part in which somebody speaks to behind the last.
    fn spoken(&self) -> Option<std::ops::Range<usize>> {
        let parts: Vec<f32> = self.samples.chunks(PART).map(loudness).collect();
        let mut sorted = parts.clone();
        sorted.sort_by(f32::total_cmp);
        let at = |share: usize| sorted.get(sorted.len() * share / 100).copied().unwrap_or(0.0);
        // The quietest tenth is the room, the loudest twentieth a voice.
        let threshold = (at(10) * ABOVE).min(at(95) * BELOW).max(SILENCE);
        let loud: Vec<bool> = parts.iter().map(|part| *part >= threshold).collect();
        let speaks = |window: &[bool]| window.iter().all(|loud| *loud);
        let first = loud.windows(SPOKEN).position(speaks)?;
        let last = loud.windows(SPOKEN).rposition(speaks)? + SPOKEN;
        Some(first..last)
    }
}

/// Root of the mean square, of 1.
fn loudness(samples: &[i16]) -> f32 {
    let sum: f64 = samples.iter().map(|sample| (f64::from(*sample) / 32768.0).powi(2)).sum();
    (sum / samples.len().max(1) as f64).sqrt() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: usize = RATE as usize;

    /// Noise of a loudness, the same each time.
    fn noise(samples: usize, loud: f32) -> Vec<i16> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..samples).map(|_| (next() * loud * 1.732 * 32768.0) as i16).collect()
    }

    fn voice(samples: usize, loud: f32) -> Vec<i16> {
        (0..samples).map(|at| ((at as f32 * 0.07).sin() * loud * 32767.0) as i16).collect()
    }

    fn take(parts: &[Vec<i16>]) -> Take {
        Take { samples: parts.concat(), ..Take::default() }
    }

    #[test]
    fn silence_at_both_ends_goes_and_a_little_of_it_stays() {
        for room in [0.0, 0.001, 0.01] {
            let said = take(&[noise(SECOND, room), voice(SECOND, 0.3), noise(2 * SECOND, room)]);
            let trimmed = said.clone().trimmed();
            let length = trimmed.samples.len();
            assert_eq!(length, SECOND + (BEFORE + AFTER) * PART, "room of {room}");
            assert_eq!(trimmed.samples[..], said.samples[SECOND - BEFORE * PART..][..length]);
            assert!(!said.is_silent());
            assert_eq!(trimmed.clone().trimmed(), trimmed, "a second time changes nothing");
        }
    }

    #[test]
    fn pauses_inside_quiet_voices_and_voices_without_a_pause_stay() {
        let pause = take(&[voice(SECOND, 0.3), noise(5 * SECOND, 0.001), voice(SECOND, 0.02)]);
        assert_eq!(pause.clone().trimmed(), pause);
        let steady = take(&[voice(3 * SECOND, 0.3)]);
        assert_eq!(steady.clone().trimmed(), steady);
        let quiet = take(&[noise(SECOND, 0.0005), voice(SECOND, 0.01), noise(SECOND, 0.0005)]);
        assert!(!quiet.is_silent());
        assert_eq!(quiet.trimmed().samples.len(), SECOND + (BEFORE + AFTER) * PART);
    }

    #[test]
    fn silence_is_not_trimmed_to_nothing() {
        for silent in [take(&[vec![0; SECOND]]), take(&[noise(SECOND, 0.001)]), take(&[vec![9; 7]])] {
            assert!(silent.is_silent());
            assert_eq!(silent.clone().trimmed(), silent);
            assert!(silent.note().is_ok());
        }
        let mut click = vec![0; SECOND];
        click[500] = 20_000;
        assert!(take(&[click]).is_silent());
        assert!(take(&[]).is_silent() && take(&[]).note().is_err());
    }

    #[test]
    fn a_few_loud_samples_are_no_distortion_and_gaps_move_with_what_is_cut() {
        let mut take = take(&[vec![0; SECOND], voice(SECOND, 0.5)]);
        take.clipped = 100;
        assert!(!take.is_clipped());
        take.clipped = 500;
        assert!(take.is_clipped());
        take.gaps = vec![Gap { at: Duration::from_millis(1_500), lasted: Duration::from_secs(1) }];
        assert_eq!(take.trimmed().gaps[0].at, Duration::from_millis(700));
    }
}
