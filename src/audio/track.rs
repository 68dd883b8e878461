//! A sound on its way through the loudspeaker: what the callback and everybody else know of it.
//!
//! The speaker's thread prepares it ahead of time and leaves it in a ring, from which the callback takes it. So
//! the callback neither waits nor computes, and everything that may be asked of a sound while it plays is done
//! on the thread: a seek begins another ring, a change of device too.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rodio::Source;

use super::AudioError;
use super::ring::Reader;
use super::sound::Sound;

/// Silence after every sound: what a device still holds when it is closed is not heard, and this is more than
/// devices hold.
const TAIL: Duration = Duration::from_millis(350);

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

/// How far a sound has come, and what is asked of it.
#[derive(Debug)]
pub(super) struct Track {
    stage: AtomicU8,
    stop: AtomicBool,
    pause: AtomicBool,
    /// Samples that a device took, silence included.
    taken: AtomicU64,
    sound: OnceLock<Sound>,
    error: OnceLock<AudioError>,
    place: Mutex<Place>,
}

/// Where it is. Callbacks never take this lock.
#[derive(Debug)]
struct Place {
    flow: Arc<Flow>,
    /// Which place of the sound each part of the flow begins with.
    marks: Vec<Mark>,
    seek: Option<Duration>,
    speed: f32,
}

/// From so many frames of a flow on, it gives the sound from a frame on at a speed.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: u64,
    frame: f64,
    speed: f32,
}

/// One ring on its way to a device.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Frames of the sound that the device took.
    taken: AtomicU64,
    /// All there will be is in the ring.
    ended: AtomicBool,
    /// Another one has taken its place.
    void: AtomicBool,
}

impl Track {
    /// One that begins at a time, at a speed.
    pub fn new(from: Duration, speed: f32) -> Arc<Self> {
        let seek = (!from.is_zero()).then_some(from);
        let place = Place { flow: Arc::default(), marks: Vec::new(), seek, speed };
        Arc::new(Self {
            stage: AtomicU8::new(Stage::Waiting as u8),
            stop: AtomicBool::new(false),
            pause: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            sound: OnceLock::new(),
            error: OnceLock::new(),
            place: Mutex::new(place),
        })
    }

    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Waiting,
            1 => Stage::Playing,
            2 => Stage::Leaving,
            _ => Stage::Over,
        }
    }

    /// Goes to a stage; from the last one there is no way back.
    fn enter(&self, stage: Stage) {
        let now = self.stage.load(Ordering::Relaxed);
        if now != stage as u8 && now != Stage::Over as u8 {
            // Whoever was faster said that it is over.
            let _ = self.stage.compare_exchange(now, stage as u8, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// Something that changes as long as a device takes what it is given.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// What is played, once it is known. The first one stays.
    pub fn set_sound(&self, sound: &Sound) {
        let _ = self.sound.set(sound.clone());
    }

    pub fn duration(&self) -> Option<Duration> {
        self.sound.get().map(Sound::duration)
    }

    /// Which time of the sound the device has come to.
    pub fn position(&self) -> Duration {
        let place = self.place();
        let Some(sound) = self.sound.get() else { return place.seek.unwrap_or_default() };
        place.seek.unwrap_or_else(|| sound.time(place.frame())).min(sound.duration())
    }

    /// The frame of the sound that the device has come to.
    pub fn frame(&self) -> f64 {
        self.place().frame()
    }

    /// The frame of the sound that so many frames of the flow lead to.
    pub fn frame_at(&self, at: u64) -> f64 {
        self.place().frame_at(at)
    }

    pub fn pause(&self, pause: bool) {
        self.pause.store(pause, Ordering::Relaxed);
    }

    pub fn is_paused(&self) -> bool {
        self.pause.load(Ordering::Relaxed)
    }

    /// Goes on from another time.
    pub fn seek(&self, to: Duration) {
        self.place().seek = Some(to);
    }

    pub fn set_speed(&self, speed: f32) {
        self.place().speed = speed;
    }

    pub fn speed(&self) -> f32 {
        self.place().speed
    }

    /// Where it is to go on from, if that was asked since it began the last time.
    pub fn sought(&self) -> Option<Duration> {
        self.place().seek
    }

    /// Another flow takes the place of the one before, and begins with a frame of the sound: the one that was sought,
    /// if one was. Until then what was sought is where it is.
    pub fn begin(&self, frame: usize, sought: Option<Duration>) -> Arc<Flow> {
        let mut place = self.place();
        // What was asked for meanwhile comes next.
        place.seek = place.seek.filter(|seek| Some(*seek) != sought);
        place.flow.void.store(true, Ordering::Relaxed);
        place.flow = Arc::default();
        let speed = place.speed;
        place.marks = vec![Mark { at: 0, frame: frame as f64, speed }];
        place.flow.clone()
    }

    /// From so many frames of the flow on it has another speed.
    pub fn mark(&self, at: u64, speed: f32) {
        let mut place = self.place();
        let frame = place.frame_at(at);
        place.marks.push(Mark { at, frame, speed });
    }

    /// Ends it. What the device already holds is a moment long.
    pub fn stop(&self) {
        // One that has ended already was not stopped.
        if self.stage.swap(Stage::Over as u8, Ordering::AcqRel) != Stage::Over as u8 {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was ended before its end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
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

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn frame(&self) -> f64 {
        self.frame_at(self.flow.taken.load(Ordering::Relaxed))
    }

    fn frame_at(&self, at: u64) -> f64 {
        let mark = self.marks.iter().rev().find(|mark| mark.at <= at);
        mark.map_or(0.0, |mark| mark.frame + (at - mark.at) as f64 * f64::from(mark.speed))
    }
}

impl Flow {
    /// Nothing will be added to the ring.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

/// The callback's end of a flow. Nothing in it is large: what it holds is held elsewhere too.
pub(super) struct Voice {
    track: Arc<Track>,
    flow: Arc<Flow>,
    ring: Reader,
    channels: NonZero<u16>,
    rate: NonZero<u32>,
    /// Samples that are left of the frame that was begun, and whether they come from the ring.
    within: u16,
    sounding: bool,
    /// Frames of silence that are left after the end.
    tail: u64,
    over: bool,
}

impl Voice {
    pub fn new(track: Arc<Track>, flow: Arc<Flow>, ring: Reader, sound: &Sound) -> Self {
        let rate = sound.rate();
        let tail = TAIL.as_millis() as u64 * u64::from(rate.get()) / 1000;
        let channels = sound.channels();
        Self { track, flow, ring, channels, rate, within: 0, sounding: false, tail, over: false }
    }

    /// What the next frame is made of; `false` when there is none.
    fn begin_frame(&mut self) -> bool {
        if self.over || self.flow.void.load(Ordering::Relaxed) || self.track.stop.load(Ordering::Relaxed) {
            self.over = true;
            return false;
        }
        // Asked before the ring is looked at: what came until then is in it.
        let ended = self.flow.ended.load(Ordering::Acquire);
        self.sounding = false;
        if self.track.is_paused() {
            // Silence, and nothing is lost.
        } else if self.ring.len() >= usize::from(self.channels.get()) {
            self.sounding = true;
            self.track.enter(Stage::Playing);
            self.flow.taken.fetch_add(1, Ordering::Relaxed);
        } else if ended {
            self.track.enter(Stage::Leaving);
            if self.tail == 0 {
                self.track.enter(Stage::Over);
                self.over = true;
                return false;
            }
            self.tail -= 1;
        }
        self.within = self.channels.get();
        true
    }
}

impl Iterator for Voice {
    type Item = f32;

    fn next(&mut self) -> Option<f32> {
        if self.within == 0 && !self.begin_frame() {
            return None;
        }
        self.within -= 1;
        self.track.taken.fetch_add(1, Ordering::Relaxed);
        Some(if self.sounding { self.ring.pop().unwrap_or(0.0) } else { 0.0 })
    }
}

impl Source for Voice {
    fn current_span_len(&self) -> Option<usize> {
        None
    }

    fn channels(&self) -> NonZero<u16> {
        self.channels
    }

    fn sample_rate(&self) -> NonZero<u32> {
        self.rate
    }

    fn total_duration(&self) -> Option<Duration> {
        None
    }
}
