//! Prepares sounds for the device ahead of time: on the speaker's thread, never in a callback.

use std::sync::Arc;
use std::time::Duration;

use super::ring::{Writer, ring};
use super::sound::Sound;
use super::stretch::Stretch;
use super::track::{Flow, Stage, Track, Voice};

/// How much is prepared: a machine under load does not stutter.
const AHEAD: Duration = Duration::from_millis(400);
/// Frames that are prepared at once.
const BLOCK: usize = 1024;
/// What a device holds at most: it is played again where a device went away.
const HELD: Duration = Duration::from_millis(300);
/// Of a sound that still grows, how much has to be there beyond what is prepared so that it may be played faster than it
/// comes: otherwise there is a hole in each word.
const SPARE: Duration = Duration::from_secs(1);

/// One sound that is being played.
pub(super) struct Player {
    pub track: Arc<Track>,
    sound: Sound,
    /// The frame that is prepared next.
    next: usize,
    /// How many frames the flow has been given.
    given: u64,
    speed: f32,
    stretch: Option<Stretch>,
    flow: Arc<Flow>,
    ring: Option<Writer>,
    /// Rings of before that a callback may still hold.
    before: Vec<Writer>,
}

impl Player {
    /// Nothing is prepared yet.
    pub fn new(track: Arc<Track>, sound: Sound) -> Self {
        track.set_sound(&sound);
        let speed = track.speed();
        Self {
            track,
            sound,
            next: 0,
            given: 0,
            speed,
            stretch: None,
            flow: Arc::default(),
            ring: None,
            before: Vec::new(),
        }
    }

    /// What is to be given to a device that was just opened. It goes on where the one before left off, and rather
    /// says something again than leaves something out.
    pub fn enter(&mut self) -> Voice {
        let sought = self.track.sought();
        let from = match sought {
            Some(time) => self.sound.frame(time),
            None => (self.track.frame() as usize).saturating_sub(self.sound.frame(HELD)),
        };
        self.begin(from, sought)
    }

    /// Another place was asked for: what is to be given to the device from now on.
    pub fn turn(&mut self) -> Option<Voice> {
        let time = self.track.sought()?;
        Some(self.begin(self.sound.frame(time), Some(time)))
    }

    fn begin(&mut self, frame: usize, sought: Option<Duration>) -> Voice {
        let frame = if self.sound.is_complete() { frame.min(self.sound.frames()) } else { frame };
        self.before.extend(self.ring.take());
        let room = self.sound.frame(AHEAD).max(BLOCK) * 2 * usize::from(self.sound.channels().get());
        let (writer, reader) = ring(room);
        self.ring = Some(writer);
        self.flow = self.track.begin(frame, sought);
        self.speed = self.track.speed();
        (self.next, self.given, self.stretch) = (frame, 0, None);
        self.prepare();
        Voice::new(self.track.clone(), self.flow.clone(), reader, &self.sound)
    }

    /// Prepares what there is, as far ahead as is good.
    pub fn prepare(&mut self) {
        let channels = usize::from(self.sound.channels().get());
        let ahead = self.sound.frame(AHEAD).max(BLOCK) * channels;
        while !self.flow.is_ended() && self.ring.as_ref().is_some_and(|ring| ring.waiting() < ahead) {
            if !self.step() {
                break;
            }
        }
        self.before.retain(|ring| !ring.is_alone());
    }

    /// Prepares some more; whether there was any.
    fn step(&mut self) -> bool {
        self.heed_speed();
        let complete = self.sound.is_complete();
        let samples = self.sound.read_at(self.next, BLOCK);
        if samples.is_empty() && !complete {
            return false;
        }
        self.next += samples.len() / usize::from(self.sound.channels().get());
        let samples = samples.iter().map(|sample| f32::from(*sample) / 32768.0).collect::<Vec<_>>();
        let end = samples.is_empty();
        match &mut self.stretch {
            None => self.give(&samples),
            Some(stretch) => {
                let mut out = Vec::new();
                if end {
                    stretch.finish(&mut out)
                } else {
                    stretch.push(&samples, &mut out)
                }
                if end {
                    out.truncate(self.left());
                }
                self.give(&out);
            }
        }
        if end {
            self.flow.end();
        }
        true
    }

    /// How many samples there are left to give, at this speed.
    fn left(&self) -> usize {
        let frames = self.sound.frames() as f64 - self.track.frame_at(self.given);
        (frames.max(0.0) / f64::from(self.speed)).round() as usize * usize::from(self.sound.channels().get())
    }

    fn heed_speed(&mut self) {
        let speed = self.speed_now();
        if speed != self.speed {
            self.speed = speed;
            self.track.mark(self.given, speed);
            self.stretch.iter_mut().for_each(|stretch| stretch.set_speed(speed));
        }
        if self.stretch.is_none() && speed != 1.0 {
            self.begin_to_stretch();
        }
    }

    /// The speed that was asked for; of what is only just being spoken, not more than that of its speaker.
    fn speed_now(&self) -> f32 {
        let speed = self.track.speed();
        let grows = !self.sound.is_complete();
        let spare = self.sound.frames().saturating_sub(self.next);
        if grows && spare < self.sound.frame(SPARE) { speed.min(1.0) } else { speed }
    }

    fn begin_to_stretch(&mut self) {
        let channels = usize::from(self.sound.channels().get());
        let Some(mut stretch) = Stretch::new(self.sound.rate(), self.sound.channels(), self.speed) else {
            return;
        };
        // At the very beginning there is nothing before it.
        let missing = stretch.lead().saturating_sub(self.next);
        self.next = self.next.saturating_sub(stretch.lead());
        stretch.push(&vec![0.0; missing * channels], &mut Vec::new());
        self.stretch = Some(stretch);
    }

    fn give(&mut self, samples: &[f32]) {
        let Some(ring) = &mut self.ring else { return };
        samples.iter().for_each(|sample| ring.push(*sample));
        self.given += (samples.len() / usize::from(self.sound.channels().get())) as u64;
    }

    /// Whether it is over and no callback holds anything of it.
    pub fn is_gone(&self) -> bool {
        let held = |ring: &Writer| !ring.is_alone();
        self.track.stage() == Stage::Over && !self.ring.iter().chain(&self.before).any(held)
    }
}

#[cfg(test)]
#[path = "player_tests.rs"]
mod tests;
