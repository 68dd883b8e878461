//! A connection to the speech service, on a thread of its own: whatever the service does, nobody else waits.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use tts::{Tts, UtteranceId, Voice};

/// How often to look whether the service is still there while it speaks.
const PROBE: Duration = Duration::from_secs(3);

/// What a worker is told.
pub(super) enum Order {
    /// To take this voice.
    Voice(Voice),
    /// To say this, at a pitch of -100 to 100.
    Say { text: String, pitch: f32 },
    /// To be silent.
    Stop,
    /// What the service told of an utterance.
    Told(Told, String),
    /// To end.
    End,
}

/// What the service tells of an utterance.
#[derive(Clone, Copy)]
pub(super) enum Told {
    Begun,
    Ended,
    Cancelled,
}

/// What a worker tells.
pub(super) enum Report {
    /// It is connected; these are the service's voices, if they were asked for.
    Connected(Vec<Voice>),
    /// It has its voice.
    Ready,
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
pub(super) struct Worker {
    orders: Sender<Order>,
}

impl Worker {
    /// Begins to connect, and to list the voices if `list` says so.
    pub(super) fn spawn(list: bool, report: impl Fn(Report) + Send + 'static) -> Self {
        let (orders, queue) = mpsc::channel();
        let told = orders.clone();
        // Without a thread there is no answer, and the time limits of the queue do the rest.
        let _ = std::thread::Builder::new().name("voice".to_owned()).spawn(move || {
            if work(list, &queue, &told, &report).is_none() {
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

impl Drop for Worker {
    fn drop(&mut self) {
        self.order(Order::End);
    }
}

/// `None`: the connection failed.
fn work(list: bool, queue: &Receiver<Order>, told: &Sender<Order>, report: &impl Fn(Report)) -> Option<()> {
    let mut tts = Tts::default().ok()?;
    listen(&tts, told)?;
    let done = obey(&mut tts, list, queue, report);
    // Of no use where the connection is dead.
    let _ = tts.stop();
    // Dropped, its late callbacks would abort the program: see the folder's documentation.
    std::mem::forget(tts);
    done
}

fn obey(tts: &mut Tts, list: bool, queue: &Receiver<Order>, report: &impl Fn(Report)) -> Option<()> {
    report(Report::Connected(if list { tts.voices().ok()? } else { Vec::new() }));
    let mut current = None;
    let mut pitch = tts.normal_pitch();
    loop {
        let order = match &current {
            None => queue.recv().ok()?,
            Some(_) => match queue.recv_timeout(PROBE) {
                Ok(order) => order,
                Err(RecvTimeoutError::Timeout) => {
                    // Any command tells whether the connection lives. This one changes nothing.
                    tts.set_pitch(pitch).ok()?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return None,
            },
        };
        match order {
            Order::Voice(voice) => {
                tts.set_voice(&voice).ok()?;
                report(Report::Ready);
            }
            Order::Say { text, pitch: wanted } => {
                let wanted = wanted.clamp(tts.min_pitch(), tts.max_pitch());
                if wanted != pitch {
                    tts.set_pitch(wanted).ok()?;
                    pitch = wanted;
                }
                current = Some(name(&tts.speak(text, false).ok()??));
            }
            Order::Stop => {
                tts.stop().ok()?;
                if current.is_none() {
                    report(Report::Stopped);
                }
            }
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
