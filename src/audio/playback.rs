//! A sound that is being played, as its listener sees it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::AudioError;
use super::stretch::SPEEDS;
use super::track::{Stage, Track};

/// How often waiting looks for an end.
const LOOK: Duration = Duration::from_millis(10);
/// How long a sound may wait for its device: longer than the speaker tries to get one back.
const STALL: Duration = Duration::from_secs(20);

/// Who looks again only after so long was halted meanwhile, as by Ctrl-Z: nothing could move.
const HALTED: Duration = Duration::from_secs(1);

/// How a sound is to be played.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Start {
    /// From which time on.
    pub from: Duration,
    /// How fast, 0.5 to 2, at the same pitch.
    pub speed: f32,
}

impl Default for Start {
    /// From the beginning, as it was recorded.
    fn default() -> Self {
        Self { from: Duration::ZERO, speed: 1.0 }
    }
}

/// A sound that is being played. Clones are the same; dropping it does not stop it.
#[derive(Clone, Debug)]
pub struct Playback {
    pub(super) track: Arc<Track>,
    /// Its length as the file's header has it.
    pub(super) duration: Duration,
}

impl Playback {
    /// Which time of the sound the device has come to.
    pub fn position(&self) -> Duration {
        self.track.position()
    }

    /// How long it is, so far.
    pub fn duration(&self) -> Duration {
        self.track.duration().unwrap_or(self.duration)
    }

    /// Whether it has been heard, was stopped, or failed.
    pub fn is_done(&self) -> bool {
        self.track.stage() == Stage::Over
    }

    /// Whether a device has taken anything of it, be it silence.
    pub fn has_begun(&self) -> bool {
        self.track.taken() > 0
    }

    /// Why it was not heard to its end, if it failed.
    pub fn error(&self) -> Option<&AudioError> {
        self.track.error()
    }

    /// Stops it at once.
    pub fn stop(&self) {
        self.track.stop();
    }

    /// Falls silent, until [`Playback::resume`] goes on with the very next sample.
    pub fn pause(&self) {
        self.track.pause(true);
    }

    /// Goes on after [`Playback::pause`].
    pub fn resume(&self) {
        self.track.pause(false);
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.track.is_paused()
    }

    /// Goes on from another time; from the end when that is beyond it.
    pub fn seek(&self, to: Duration) {
        self.track.seek(to.min(self.duration()));
    }

    /// Goes back or ahead by so many seconds.
    pub fn skip(&self, seconds: f64) {
        let to = self.position().as_secs_f64() + seconds;
        self.seek(Duration::try_from_secs_f64(to).unwrap_or_default());
    }

    /// How fast it is played.
    pub fn speed(&self) -> f32 {
        self.track.speed()
    }

    /// Plays it at another speed from now on, 0.5 to 2, at the same pitch.
    pub fn set_speed(&self, speed: f32) {
        self.track.set_speed(in_bounds(speed));
    }

    /// Waits until it has been heard or was stopped.
    ///
    /// # Errors
    /// When there is no loudspeaker, it went away, or the file can't be played.
    pub async fn wait(&self) -> Result<(), AudioError> {
        let mut patience = Patience::new();
        while !self.is_done() {
            if self.is_paused() {
                patience = Patience::new();
            }
            if patience.since(self.track.taken()) > STALL {
                self.track.fail(AudioError::OutputLost { cause: "it takes no sound".to_owned() });
            }
            tokio::time::sleep(LOOK).await;
        }
        self.error().cloned().map_or(Ok(()), Err)
    }
}

/// A speed that can be played.
pub(super) fn in_bounds(speed: f32) -> f32 {
    if speed.is_finite() { speed.clamp(*SPEEDS.start(), *SPEEDS.end()) } else { 1.0 }
}

/// Waits for something that ought to move. To be asked again and again.
pub(super) struct Patience {
    last: u64,
    since: Instant,
    looked: Instant,
}

impl Patience {
    pub fn new() -> Self {
        let now = Instant::now();
        Self { last: 0, since: now, looked: now }
    }

    /// How long it has not moved, although it could.
    pub fn since(&mut self, at: u64) -> Duration {
        let now = Instant::now();
        let looked = std::mem::replace(&mut self.looked, now);
        if at != self.last || now.duration_since(looked) > HALTED {
            (self.last, self.since) = (at, now);
        }
        now.duration_since(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_move_while_the_process_was_halted_is_waited_for_anew() {
        let now = Instant::now();
        let long = now.checked_sub(STALL).unwrap();
        let mut waiting = Patience { last: 5, since: long, looked: now };
        assert!(waiting.since(5) >= STALL);
        assert!(waiting.since(6) < STALL);
        let mut halted = Patience { last: 5, since: long, looked: long };
        assert!(halted.since(5) < STALL);
    }
}
