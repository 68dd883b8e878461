//! The loudspeaker: cues and notes, mixed, on a thread of its own.
//!
//! The device is opened when there is something to play and closed a while after, so that a program that stays
//! open for days holds none, and uses the one that is the default then.

use std::io::Cursor;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use cpal::traits::DeviceTrait;
use cpal::{ErrorKind, SupportedBufferSize};
use rodio::{DeviceSinkBuilder, MixerDeviceSink};

use super::cue::{Cue, Sounds};
use super::device::{self, Quiet};
use super::sound::{Playing, Progress, Sound, Stage};
use super::{AudioError, wav};

/// How long a device that has nothing to play stays open.
const LINGER: Duration = Duration::from_secs(5);
/// How often the thread looks after an open device, and how often waiting looks for an end.
const LOOK: Duration = Duration::from_millis(10);
/// The device's buffers in a second.
const BUFFERS: u32 = 8;
/// After a device could not be opened, cues don't try it again for so long.
const RETRY: Duration = Duration::from_secs(10);
/// How long a device may take nothing before a sound counts as failed.
const STALL: Duration = Duration::from_secs(5);
/// How long [`Speaker::idle`] waits for a device that takes nothing. Some need a while to wake up: wireless ones,
/// and measured here, PulseAudio's null sink up to two seconds.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// The loudspeaker. Clones are the same one.
#[derive(Clone)]
pub struct Speaker {
    shared: Arc<Shared>,
    orders: Sender<Order>,
    sounds: Sounds,
    muted: bool,
}

/// A note that is being played. Dropping it does not stop it.
#[derive(Clone, Debug)]
pub struct Playback {
    progress: Arc<Progress>,
    duration: Duration,
}

#[derive(Default)]
struct Shared {
    /// What is not over. Callbacks never take this lock.
    sounding: Mutex<Vec<(Option<Cue>, Arc<Progress>)>>,
    trouble: Mutex<Trouble>,
}

/// What went wrong, to be told once.
#[derive(Default)]
struct Trouble {
    waiting: Option<AudioError>,
    told: bool,
}

enum Order {
    Cue(Sound, Arc<Progress>),
    Note(Vec<u8>, Arc<Progress>),
}

impl Default for Speaker {
    fn default() -> Self {
        Self::new()
    }
}

impl Speaker {
    /// The default loudspeaker, with the built-in sounds.
    pub fn new() -> Self {
        Self::with_sounds(Sounds::built_in())
    }

    /// One that plays notes, which were asked for, and no cues.
    pub fn muted() -> Self {
        Self { muted: true, ..Self::new() }
    }

    /// The default loudspeaker, with these sounds.
    pub fn with_sounds(sounds: Sounds) -> Self {
        let shared = Arc::new(Shared::default());
        let (orders, coming) = channel();
        let device = Device { shared: shared.clone(), sink: None, failed: None };
        let thread = std::thread::Builder::new().name("speaker".to_owned());
        if let Err(error) = thread.spawn(move || device.run(&coming)) {
            shared.tell(AudioError::NoOutput { cause: error.to_string() });
        }
        Self { shared, orders, sounds, muted: false }
    }

    /// Plays a sound of the program's own, without waiting for it. One that sounds already is not begun again: a
    /// hundred messages at once are heard as one.
    pub fn cue(&self, cue: Cue) {
        if self.muted {
            return;
        }
        let Some(sound) = self.sounds.get(cue) else { return };
        let progress = Arc::new(Progress::default());
        {
            let mut sounding = self.shared.sounding();
            if sounding
                .iter()
                .any(|(other, progress)| *other == Some(cue) && progress.stage() < Stage::Leaving)
            {
                return;
            }
            sounding.push((Some(cue), progress.clone()));
        }
        self.order(Order::Cue(sound, progress));
    }

    /// Plays a WAV file at once, beside whatever sounds already.
    pub fn play(&self, wav: Vec<u8>) -> Playback {
        let progress = Arc::new(Progress::default());
        self.shared.sounding().push((None, progress.clone()));
        let playback = Playback { duration: wav::duration(Cursor::new(&wav)), progress: progress.clone() };
        self.order(Order::Note(wav, progress));
        playback
    }

    /// Waits until everything has been heard, or the device takes nothing. Without a device that is at once.
    pub async fn idle(&self) {
        let mut patience = Patience::new(PATIENCE);
        loop {
            let taken = {
                let sounding = self.shared.sounding();
                if sounding.is_empty() {
                    return;
                }
                sounding.iter().map(|(_, progress)| progress.taken()).sum()
            };
            if patience.is_over(taken) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Stops every note and cue at once.
    pub fn stop(&self) {
        self.shared.sounding().iter().for_each(|(_, progress)| progress.stop());
    }

    /// What went wrong with the loudspeaker. Told once: after the first time there is nothing more to tell.
    pub fn take_trouble(&self) -> Option<AudioError> {
        let mut trouble = self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = trouble.waiting.take();
        trouble.told |= waiting.is_some();
        waiting
    }

    fn order(&self, order: Order) {
        if let Err(unsent) = self.orders.send(order) {
            // The thread could not be started.
            unsent.0.progress().fail(AudioError::NoOutput { cause: "its thread does not run".to_owned() });
        }
    }
}

impl Playback {
    /// How much of it was played.
    pub fn position(&self) -> Duration {
        self.progress.position()
    }

    /// How long it is.
    pub fn duration(&self) -> Duration {
        self.progress.duration().unwrap_or(self.duration)
    }

    /// Whether it has been heard, was stopped, or failed.
    pub fn is_done(&self) -> bool {
        self.progress.stage() == Stage::Over
    }

    /// Stops it at once.
    pub fn stop(&self) {
        self.progress.stop();
    }

    /// Waits until it has been heard or was stopped.
    ///
    /// # Errors
    /// When there is no loudspeaker, it went away, or the file can't be played.
    pub async fn wait(&self) -> Result<(), AudioError> {
        let mut patience = Patience::new(STALL);
        while !self.is_done() {
            if patience.is_over(self.progress.taken()) {
                self.progress.fail(AudioError::OutputLost { cause: "it takes no sound".to_owned() });
            }
            tokio::time::sleep(LOOK).await;
        }
        self.progress.error().cloned().map_or(Ok(()), Err)
    }
}

/// Waits for something that ought to move.
struct Patience {
    last: u64,
    since: Instant,
    most: Duration,
}

impl Patience {
    fn new(most: Duration) -> Self {
        Self { last: 0, since: Instant::now(), most }
    }

    fn is_over(&mut self, now: u64) -> bool {
        if now != self.last {
            (self.last, self.since) = (now, Instant::now());
        }
        self.since.elapsed() > self.most
    }
}

impl Shared {
    /// What is not over.
    fn sounding(&self) -> MutexGuard<'_, Vec<(Option<Cue>, Arc<Progress>)>> {
        let mut sounding = self.sounding.lock().unwrap_or_else(PoisonError::into_inner);
        sounding.retain(|(_, progress)| progress.stage() < Stage::Over);
        sounding
    }

    fn tell(&self, error: AudioError) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if !trouble.told && trouble.waiting.is_none() {
            trouble.waiting = Some(error);
        }
    }
}

impl Order {
    fn progress(&self) -> &Arc<Progress> {
        match self {
            Self::Cue(_, progress) | Self::Note(_, progress) => progress,
        }
    }
}

/// What the thread owns.
struct Device {
    shared: Arc<Shared>,
    sink: Option<Open>,
    /// When it could not be opened the last time, and why.
    failed: Option<(Instant, AudioError)>,
}

struct Open {
    sink: MixerDeviceSink,
    /// Why there is no more sound from it.
    lost: Arc<OnceLock<String>>,
    /// When it was last seen playing.
    used: Instant,
}

impl Device {
    /// Until the last [`Speaker`] is dropped.
    fn run(mut self, orders: &Receiver<Order>) {
        let _quiet = Quiet::here();
        loop {
            let order = match &self.sink {
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(_) => orders.recv_timeout(LOOK),
            };
            self.look_after();
            match order {
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn obey(&mut self, order: Order) {
        let progress = order.progress().clone();
        let (sound, patient) = match order {
            Order::Cue(sound, _) => (Ok(sound), false),
            Order::Note(wav, _) => (Sound::read(wav), true),
        };
        let sound = match sound {
            Ok(sound) => sound,
            Err(error) => return progress.fail(AudioError::Unreadable(error.to_string())),
        };
        match self.open(patient) {
            Ok(open) => {
                open.used = Instant::now();
                open.sink.mixer().add(Playing::new(sound, progress));
            }
            Err(error) => {
                self.shared.tell(error.clone());
                progress.fail(error);
            }
        }
    }

    /// Closes the device when it is lost, or not used any more.
    fn look_after(&mut self) {
        let Some(open) = &mut self.sink else { return };
        if let Some(cause) = open.lost.get() {
            let error = AudioError::OutputLost { cause: cause.clone() };
            self.shared.tell(error.clone());
            self.shared.sounding().iter().for_each(|(_, progress)| progress.fail(error.clone()));
            self.sink = None;
        } else if !self.shared.sounding().is_empty() {
            open.used = Instant::now();
        } else if open.used.elapsed() > LINGER {
            self.sink = None;
        }
    }

    fn open(&mut self, patient: bool) -> Result<&mut Open, AudioError> {
        if let Some((when, error)) = &self.failed
            && !patient
            && when.elapsed() < RETRY
        {
            return Err(error.clone());
        }
        if self.sink.is_none() {
            match open() {
                Ok(open) => self.sink = Some(open),
                Err(error) => {
                    self.failed = Some((Instant::now(), error.clone()));
                    return Err(error);
                }
            }
        }
        self.failed = None;
        self.sink.as_mut().ok_or_else(|| AudioError::NoOutput { cause: "it was closed".to_owned() })
    }
}

fn open() -> Result<Open, AudioError> {
    let lost = Arc::new(OnceLock::new());
    let reported = lost.clone();
    let on_error = move |error: cpal::Error| match error.kind() {
        ErrorKind::Xrun | ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => {}
        // It may come hundreds of times.
        _ => drop(reported.set(error.to_string())),
    };
    let none = |error: &dyn std::error::Error| {
        let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        AudioError::NoOutput { cause: plain(&cause) }
    };
    let device = device::output()?;
    let config = device.default_output_config();
    let builder = DeviceSinkBuilder::from_device(device).map_err(|error| none(&error))?;
    // Two of them are on their way: a machine under load does not stutter, and all of it fits into the silence
    // that follows every sound.
    let buffer = config.map_or(cpal::BufferSize::Default, |config| {
        let frames = config.sample_rate() / BUFFERS;
        match config.buffer_size() {
            SupportedBufferSize::Range { min, max } if min <= max => {
                cpal::BufferSize::Fixed(frames.clamp(*min, *max))
            }
            _ => cpal::BufferSize::Default,
        }
    });
    let builder = builder.with_buffer_size(buffer).with_error_callback(on_error);
    let mut sink = builder.open_sink_or_fallback().map_err(|error| none(&error))?;
    sink.log_on_drop(false);
    Ok(Open { sink, lost, used: Instant::now() })
}

/// A system's message as part of a sentence.
pub(super) fn plain(cause: &str) -> String {
    cause.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}
