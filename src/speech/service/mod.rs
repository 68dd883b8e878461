//! A connection to the speech service, on a thread of its own: whatever the service does, nobody else waits.
//!
//! - [`below`]: how a voice is chosen where `tts` would take seconds for it (Linux)
//! - `above`: how it is chosen elsewhere

#[cfg(not(target_os = "linux"))]
mod above;
#[cfg(target_os = "linux")]
mod below;

use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use tts::{Tts, UtteranceId};

#[cfg(not(target_os = "linux"))]
use above::Voices;
#[cfg(target_os = "linux")]
use below::Voices;

use super::catalogue::Catalogue;

/// How often to look whether the service is still there while it speaks.
const PROBE: Duration = Duration::from_secs(1);

/// What is said at once: in one language, by one voice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    /// Cleaned.
    pub text: String,
    /// The language (BCP 47).
    pub tag: &'static str,
    /// The voice, as the service calls it.
    pub voice: String,
    /// -100 to 100.
    pub pitch: i32,
    /// -100 to 100.
    pub rate: i32,
}

/// What the service is told.
pub(super) enum Order {
    Say(Piece),
    /// To be silent.
    Stop,
    /// To list the voices anew, whatever is known of them.
    List,
    /// What it told of an utterance.
    Told(Told, String),
    End,
}

/// What is told of an utterance.
#[derive(Clone, Copy)]
pub(super) enum Told {
    Begun,
    Ended,
    Cancelled,
}

/// What the service tells.
pub(super) enum Report {
    /// It is connected, or has listed its voices: these.
    Voices(Catalogue),
    /// The sound begins.
    Begun,
    /// All was said.
    Ended,
    /// It is silent.
    Stopped,
    /// The connection is of no use any more.
    Failed,
}

/// The handle of a connection; the connection falls silent when it is dropped.
pub(super) struct Service {
    orders: Sender<Order>,
}

impl Service {
    /// Begins to connect. The voices are taken from the cache, if there is one that holds.
    pub(super) fn open(cache: Option<PathBuf>, report: impl Fn(Report) + Send + 'static) -> Self {
        let (orders, queue) = mpsc::channel();
        let told = orders.clone();
        // Without a thread there is no answer, and the time limits of the queue do the rest.
        let _ = std::thread::Builder::new().name("voice".to_owned()).spawn(move || {
            if work(cache, &queue, &told, &report).is_none() {
                report(Report::Failed);
            }
        });
        Self { orders }
    }

    pub(super) fn order(&self, order: Order) {
        // One that has ended has said so.
        let _ = self.orders.send(order);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.order(Order::End);
    }
}

/// `None`: the connection failed.
fn work(
    cache: Option<PathBuf>,
    queue: &Receiver<Order>,
    told: &Sender<Order>,
    report: &impl Fn(Report),
) -> Option<()> {
    let (tts, voices) = Voices::open()?;
    // Dropped, its late callbacks would abort the program: see the folder's documentation.
    let tts = ManuallyDrop::new(tts);
    listen(&tts, told)?;
    let mut line = Line { tts, voices, cache, set: None };
    let done = line.obey(queue, report);
    // Of no use where the connection is dead.
    let _ = line.tts.stop();
    done
}

struct Line {
    tts: ManuallyDrop<Tts>,
    voices: Voices,
    cache: Option<PathBuf>,
    /// How the voice is set, if it is known.
    set: Option<Piece>,
}

impl Line {
    fn obey(&mut self, queue: &Receiver<Order>, report: &impl Fn(Report)) -> Option<()> {
        report(Report::Voices(self.catalogue(false)?));
        let mut current = None;
        loop {
            let order = match &current {
                None => queue.recv().ok()?,
                Some(_) => match queue.recv_timeout(PROBE) {
                    Ok(order) => order,
                    Err(RecvTimeoutError::Timeout) => {
                        self.probe()?;
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return None,
                },
            };
            match order {
                Order::Say(piece) => {
                    self.voice(&piece)?;
                    let utterance = self.tts.speak(piece.text.as_str(), false).ok()??;
                    self.set = Some(piece);
                    current = Some(name(&utterance));
                }
                Order::Stop => {
                    // What had ended before has been reported: another report would be taken for one of what comes next.
                    self.tts.stop().ok()?;
                }
                Order::List => report(Report::Voices(self.catalogue(true)?)),
                Order::Told(told, utterance) if current.as_ref() == Some(&utterance) => match told {
                    Told::Begun => report(Report::Begun),
                    Told::Ended => {
                        current = None;
                        report(Report::Ended);
                    }
                    Told::Cancelled => {
                        current = None;
                        report(Report::Stopped);
                    }
                },
                Order::Told(..) => {}
                Order::End => return Some(()),
            }
        }
    }

    /// Which voices there are; `anew`: whatever was known.
    fn catalogue(&self, anew: bool) -> Option<Catalogue> {
        let modules = self.voices.modules();
        let cache = self.cache.as_deref().zip(modules.as_deref());
        if let Some(known) =
            cache.filter(|_| !anew).and_then(|(path, modules)| Catalogue::load(path, modules))
        {
            return Some(known);
        }
        let listed = Catalogue::new(self.voices.list(&self.tts)?);
        if let Some((path, modules)) = cache.filter(|_| !listed.languages().is_empty()) {
            listed.store(path, modules);
        }
        Some(listed)
    }

    /// Sets what is not set yet.
    fn voice(&mut self, piece: &Piece) -> Option<()> {
        let set = self.set.take();
        let is = |same: fn(&Piece, &Piece) -> bool| set.as_ref().is_some_and(|set| same(set, piece));
        if !is(|set, piece| set.voice == piece.voice && set.tag == piece.tag) {
            self.voices.take(&mut self.tts, piece.tag, &piece.voice)?;
        }
        if !is(|set, piece| set.pitch == piece.pitch) {
            self.pitch(piece.pitch)?;
        }
        if !is(|set, piece| set.rate == piece.rate) {
            let (least, usual, most) = (self.tts.min_rate(), self.tts.normal_rate(), self.tts.max_rate());
            self.tts.set_rate(scaled(piece.rate, least, usual, most)).ok()?;
        }
        Some(())
    }

    fn pitch(&mut self, pitch: i32) -> Option<()> {
        let (least, usual, most) = (self.tts.min_pitch(), self.tts.normal_pitch(), self.tts.max_pitch());
        self.tts.set_pitch(scaled(pitch, least, usual, most)).ok().map(drop)
    }

    /// Any command tells whether the connection lives. This one changes nothing.
    fn probe(&mut self) -> Option<()> {
        self.pitch(self.set.as_ref().map_or(0, |set| set.pitch))
    }
}

/// From -100 to 100 to a platform's own measure.
fn scaled(value: i32, least: f32, usual: f32, most: f32) -> f32 {
    let share = value.clamp(-100, 100) as f32 / 100.0;
    usual + share.abs() * if share < 0.0 { least - usual } else { most - usual }
}

/// Has the service's callbacks, which come on a thread of its library, put in the queue.
fn listen(tts: &Tts, told: &Sender<Order>) -> Option<()> {
    let to = |what: Told| -> Option<Box<dyn FnMut(UtteranceId)>> {
        let told = told.clone();
        Some(Box::new(move |utterance| {
            let _ = told.send(Order::Told(what, name(&utterance)));
        }))
    };
    tts.on_utterance_begin(to(Told::Begun)).ok()?;
    tts.on_utterance_end(to(Told::Ended)).ok()?;
    tts.on_utterance_stop(to(Told::Cancelled)).ok()
}

/// What an utterance is called: the ids of some platforms have nothing but this in common.
fn name(utterance: &UtteranceId) -> String {
    format!("{utterance:?}")
}

#[cfg(test)]
mod tests {
    use super::scaled;

    #[test]
    fn pitch_and_rate_are_in_the_platforms_measure() {
        assert_eq!(scaled(0, -100.0, 0.0, 100.0), 0.0);
        assert_eq!(scaled(-50, -100.0, 0.0, 100.0), -50.0);
        assert_eq!(scaled(100, 0.5, 1.0, 2.0), 2.0);
        assert_eq!(scaled(-100, 0.5, 1.0, 2.0), 0.5);
        assert_eq!(scaled(300, 0.5, 1.0, 2.0), 2.0);
    }
}
