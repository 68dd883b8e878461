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

use super::device::{self, Quiet};
use super::playback::{Patience, Playback, Start, in_bounds};
use super::player::Player;
use super::sound::Sound;
use super::track::{Stage, Track};
use super::{AudioError, wav};

/// How long a device that has nothing to play stays open.
const LINGER: Duration = Duration::from_secs(5);
/// How often the thread looks after an open device.
const LOOK: Duration = Duration::from_millis(10);
/// The device's buffers in a second.
const BUFFERS: u32 = 8;
/// After a device could not be opened, cues don't try it again for so long.
const RETRY: Duration = Duration::from_secs(10);
/// How long a device may take nothing before it counts as lost: at first, and once it has taken something. Not every
/// sound system tells that it is gone.
const STALL: Duration = Duration::from_secs(5);
const HALT: Duration = Duration::from_secs(2);
/// How long another device is looked for when one went away while something was played, and how often.
const RESCUE: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(200);
/// How long [`Speaker::idle`] waits for a device that takes nothing. Some need a while to wake up: wireless ones,
/// and measured here, PulseAudio's null sink up to two seconds.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// The loudspeaker. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Speaker {
    shared: Arc<Shared>,
    orders: Sender<Order>,
}

#[derive(Default, Debug)]
struct Shared {
    /// What is not over; of the program's own sounds, which. Callbacks never take this lock.
    sounding: Mutex<Vec<(Option<Sound>, Arc<Track>)>>,
    trouble: Mutex<Trouble>,
}

/// What went wrong, to be told once.
#[derive(Default, Debug)]
struct Trouble {
    waiting: Option<AudioError>,
    told: bool,
}

/// Something is to be played.
struct Order {
    track: Arc<Track>,
    what: What,
    /// It was asked for: whether there is a device is looked at again.
    patient: bool,
}

enum What {
    Sound(Sound),
    /// A WAV file.
    File(Vec<u8>),
}

impl Default for Speaker {
    fn default() -> Self {
        Self::new()
    }
}

impl Speaker {
    /// The default loudspeaker. The device is opened when something is played.
    pub fn new() -> Self {
        let shared = Arc::new(Shared::default());
        let (orders, coming) = channel();
        let device = Device::new(shared.clone());
        let thread = std::thread::Builder::new().name("speaker".to_owned());
        if let Err(error) = thread.spawn(move || device.run(&coming)) {
            shared.tell(AudioError::NoOutput { cause: error.to_string() });
        }
        Self { shared, orders }
    }

    /// Plays a sound of the program's own, without waiting for it. One that sounds already is not begun again: a
    /// hundred messages at once are heard as one.
    pub fn cue(&self, sound: Sound) {
        let track = Track::new(Duration::ZERO, 1.0);
        {
            let mut sounding = self.shared.sounding();
            let same = |other: &Option<Sound>| other.as_ref().is_some_and(|other| other.is(&sound));
            if sounding.iter().any(|(other, track)| same(other) && track.stage() < Stage::Leaving) {
                return;
            }
            sounding.push((Some(sound.clone()), track.clone()));
        }
        self.order(Order { track, what: What::Sound(sound), patient: false });
    }

    /// Plays a WAV file at once, beside whatever sounds already.
    pub fn play(&self, wav: Vec<u8>) -> Playback {
        self.play_from(wav, Start::default())
    }

    /// Plays a WAV file from a time on, at a speed.
    pub fn play_from(&self, wav: Vec<u8>, start: Start) -> Playback {
        let duration = wav::duration(Cursor::new(&wav));
        self.begin(What::File(wav), duration, start)
    }

    /// Plays a sound that may still grow: where nothing more is there yet it is silent, until there is or the sound
    /// is complete.
    pub fn play_sound(&self, sound: Sound, start: Start) -> Playback {
        let duration = sound.duration();
        self.begin(What::Sound(sound), duration, start)
    }

    fn begin(&self, what: What, duration: Duration, start: Start) -> Playback {
        let track = Track::new(start.from, in_bounds(start.speed));
        self.shared.sounding().push((None, track.clone()));
        self.order(Order { track: track.clone(), what, patient: true });
        Playback { track, duration }
    }

    /// Waits until everything has been heard, or the device takes nothing. Without a device that is at once.
    pub async fn idle(&self) {
        let mut patience = Patience::new();
        loop {
            let taken = {
                let sounding = self.shared.sounding();
                if sounding.is_empty() {
                    return;
                }
                sounding.iter().map(|(_, track)| track.taken()).sum()
            };
            if patience.since(taken) > PATIENCE {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether a sound of the program's own is heard, or about to be.
    pub fn has_cues(&self) -> bool {
        self.shared.sounding().iter().any(|(cue, _)| cue.is_some())
    }

    /// Stops the program's own sounds at once.
    pub fn stop_cues(&self) {
        self.shared.drop_cues();
    }

    /// Stops every note and cue at once.
    pub fn stop(&self) {
        self.shared.sounding().iter().for_each(|(_, track)| track.stop());
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
            unsent.0.track.fail(AudioError::NoOutput { cause: "its thread does not run".to_owned() });
        }
    }
}

impl Shared {
    /// What is not over.
    fn sounding(&self) -> MutexGuard<'_, Vec<(Option<Sound>, Arc<Track>)>> {
        let mut sounding = self.sounding.lock().unwrap_or_else(PoisonError::into_inner);
        sounding.retain(|(_, track)| track.stage() < Stage::Over);
        sounding
    }

    fn drop_cues(&self) {
        let sounding = self.sounding();
        sounding.iter().filter(|(cue, _)| cue.is_some()).for_each(|(_, track)| track.stop());
    }

    fn tell(&self, error: AudioError) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if !trouble.told && trouble.waiting.is_none() {
            trouble.waiting = Some(error);
        }
    }
}

/// What the thread owns.
struct Device {
    shared: Arc<Shared>,
    sink: Option<Open>,
    players: Vec<Player>,
    /// When it could not be opened the last time, and why.
    failed: Option<(Instant, AudioError)>,
    /// The device went away while something was played.
    rescue: Option<Rescue>,
}

struct Open {
    sink: MixerDeviceSink,
    /// Why there is no more sound from it.
    lost: Arc<OnceLock<String>>,
    /// When it was last seen playing.
    used: Instant,
    /// It takes what it is given.
    moves: Patience,
    /// It has taken something since so much had been taken.
    woken: bool,
    begun: u64,
}

/// A device is wanted to go on with.
struct Rescue {
    since: Instant,
    /// When it is tried next.
    next: Instant,
    cause: String,
    /// What had been taken until then.
    taken: u64,
}

impl Device {
    fn new(shared: Arc<Shared>) -> Self {
        Self { shared, sink: None, players: Vec::new(), failed: None, rescue: None }
    }

    /// Until the last [`Speaker`] is dropped.
    fn run(mut self, orders: &Receiver<Order>) {
        let _quiet = Quiet::here();
        loop {
            let order = match (&self.sink, &self.rescue) {
                (None, None) => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                _ => orders.recv_timeout(LOOK),
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
        let Order { track, what, patient } = order;
        let sound = match what {
            What::Sound(sound) => sound,
            What::File(wav) => match Sound::read(wav) {
                Ok(sound) => sound,
                Err(error) => return track.fail(AudioError::Unreadable(error.to_string())),
            },
        };
        if track.stage() == Stage::Over {
            return;
        }
        let mut player = Player::new(track, sound);
        if self.sink.is_none() && self.rescue.is_some() && patient {
            // It joins those that wait for a device.
            return self.players.push(player);
        }
        match self.open(patient) {
            Ok(open) => {
                open.used = Instant::now();
                open.sink.mixer().add(player.enter());
                self.players.push(player);
            }
            Err(error) => {
                self.shared.tell(error.clone());
                player.track.fail(error);
            }
        }
    }

    /// Prepares what is played, and closes the device when it is lost or not used any more.
    fn look_after(&mut self) {
        self.fall_silent();
        self.players.retain(|player| !player.is_gone());
        let taken = self.players.iter().map(|player| player.track.taken()).sum();
        let Some(open) = &mut self.sink else { return self.try_again(taken) };
        for player in &mut self.players {
            if let Some(voice) = player.turn() {
                open.sink.mixer().add(voice);
            }
            player.prepare();
        }
        if self.rescue.as_ref().is_some_and(|rescue| rescue.taken != taken) {
            self.rescue = None;
        }
        let still = open.moves.since(taken);
        if self.players.is_empty() {
            (open.moves, open.woken, open.begun) = (Patience::new(), false, 0);
        }
        open.woken |= taken != open.begun;
        let lost = open.lost.get().cloned();
        let most = if open.woken { HALT } else { STALL };
        let lost = lost.or_else(|| (still > most).then(|| "it takes no sound".to_owned()));
        if let Some(cause) = lost {
            self.lose(cause, taken);
        } else if !self.shared.sounding().is_empty() {
            open.used = Instant::now();
        } else if open.used.elapsed() > LINGER {
            self.sink = None;
        }
    }

    /// Closes the device where something was stopped and nothing else sounds: what it holds, two buffers, would be heard
    /// all the same.
    fn fall_silent(&mut self) {
        let tracks = || self.players.iter().map(|player| &player.track);
        if tracks().any(|track| track.is_stopped()) && tracks().all(|track| track.stage() == Stage::Over) {
            self.players.clear();
            if let Some(open) = self.sink.take() {
                // That takes a moment, and another sound may be asked for.
                std::thread::spawn(move || drop(open));
            }
        }
    }

    /// The device went away: what is played waits for another.
    fn lose(&mut self, cause: String, taken: u64) {
        if let Some(open) = self.sink.take() {
            // Closing a device that is gone may take for ever.
            std::thread::spawn(move || drop(open));
        }
        // A cue that comes late means nothing any more.
        self.shared.drop_cues();
        self.players.retain(|player| player.track.stage() < Stage::Over);
        if self.players.is_empty() {
            self.shared.tell(AudioError::OutputLost { cause });
            return;
        }
        tracing::info!(%cause, "the loudspeaker went away");
        let now = Instant::now();
        self.rescue.get_or_insert(Rescue { since: now, next: now, cause, taken });
        self.try_again(taken);
    }

    /// Goes on with the device that is the default now, as soon as there is one.
    fn try_again(&mut self, taken: u64) {
        let Some(rescue) = &mut self.rescue else { return };
        let now = Instant::now();
        // What is paused is in no hurry: its time begins when it is to go on.
        if self.players.iter().all(|player| player.track.is_paused()) {
            rescue.since = now;
        }
        if rescue.since.elapsed() > RESCUE {
            let error = AudioError::OutputLost { cause: rescue.cause.clone() };
            self.shared.tell(error.clone());
            self.players.drain(..).for_each(|player| player.track.fail(error.clone()));
        }
        if self.players.is_empty() {
            self.rescue = None;
            return;
        }
        if now < rescue.next {
            return;
        }
        (rescue.next, rescue.taken) = (now + AGAIN, taken);
        if let Ok(mut open) = open() {
            open.begun = taken;
            for player in &mut self.players {
                open.sink.mixer().add(player.enter());
            }
            self.sink = Some(open);
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
    Ok(Open { sink, lost, used: Instant::now(), moves: Patience::new(), woken: false, begun: 0 })
}

/// A system's message as part of a sentence.
pub(super) fn plain(cause: &str) -> String {
    cause.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}
