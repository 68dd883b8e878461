//! The queue: one utterance at a time, each in the voice of its language, each within its time.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tts::Voice;

use super::language::{Finding, detect_at, find, locale};
use super::voices::{self, Offer};
use super::worker::{Order, Report, Worker};
use super::{Command, Language, Lesson, Outcome, Utterance, text};

/// What to say where there is no speech service.
pub(super) const ABSENT: &str = "no speech service answers, so nothing is read aloud; \
     to have it: apt-get install speech-dispatcher speech-dispatcher-espeak-ng";
/// What to say where it is there, but mute.
const MUTE: &str = "the speech service has no voice, so nothing is read aloud; \
     to have some: apt-get install speech-dispatcher-espeak-ng";
/// What to say where it has stopped answering.
const STUCK: &str = "the speech service has stopped answering, so nothing is read aloud; \
     ending it helps, it starts again by itself: killall speech-dispatcher";

/// For each step of opening: to start the service, to list its voices, to take one.
const OPENING: Duration = Duration::from_secs(20);
/// For the service to fall silent.
const STOPPING: Duration = Duration::from_secs(1);
/// For an utterance to begin: the service may have to let other programs finish theirs.
const BEGINNING: Duration = Duration::from_secs(20);
/// For each character of it: five times what a slow voice takes.
const CHARACTER: Duration = Duration::from_millis(500);
/// After a failure, before another attempt is worth the time.
const PAUSE: Duration = Duration::from_secs(30);

/// What the queue works with.
pub(super) struct Thread {
    reports: Sender<Command>,
    workers: u64,
    catalogue: Catalogue,
    /// The connection that listed the voices, until a language needs it.
    spare: Option<Connection>,
    connections: HashMap<Language, Connection>,
    queue: VecDeque<Job>,
    current: Option<Current>,
    /// What to open when nothing else is being opened.
    ahead: VecDeque<Language>,
    lessons: Vec<Lesson>,
    /// Whether to open the voices of all habits.
    prepare: bool,
    habits: HashMap<String, Language>,
    asking: Vec<oneshot::Sender<Result<Vec<Language>, String>>>,
    /// Who waits for silence.
    waiting: Vec<mpsc::Sender<()>>,
    locale: Option<String>,
}

/// What is known of the service's voices.
enum Catalogue {
    /// Being asked for, until then.
    Waiting(Instant),
    Known {
        voices: Vec<Voice>,
        offers: Vec<Offer>,
        languages: Vec<Language>,
    },
    /// There are none: why, and since when.
    Absent(&'static str, Instant),
}

struct Connection {
    id: u64,
    worker: Worker,
    /// When it must have its voice; `None` once it has.
    opening: Option<Instant>,
}

struct Job {
    utterance: Utterance,
    done: oneshot::Sender<Outcome>,
}

struct Current {
    /// Nobody, once it was stopped.
    done: Option<oneshot::Sender<Outcome>>,
    language: Language,
    pitch: f32,
    pieces: VecDeque<String>,
    /// Until when the piece that is with the service must be over; `None` while none is.
    until: Option<Instant>,
    /// Whether the connection was opened anew for it.
    again: bool,
}

impl Thread {
    pub(super) fn new(reports: Sender<Command>) -> Self {
        Self {
            reports,
            workers: 0,
            catalogue: Catalogue::Absent(ABSENT, Instant::now()),
            spare: None,
            connections: HashMap::new(),
            queue: VecDeque::new(),
            current: None,
            ahead: VecDeque::new(),
            lessons: Vec::new(),
            prepare: false,
            habits: HashMap::new(),
            asking: Vec::new(),
            waiting: Vec::new(),
            locale: locale(|name| std::env::var(name).ok()),
        }
    }

    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        self.open();
        loop {
            let command = match self.deadline() {
                None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => commands.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match command {
                Ok(Command::End) => return,
                Ok(command) => self.obey(command),
                Err(RecvTimeoutError::Timeout) => self.expire(Instant::now()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.proceed();
            if self.current.is_none() {
                for silent in self.waiting.drain(..) {
                    // Who waits has a limit of their own.
                    let _ = silent.send(());
                }
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Say(utterance, done) => {
                self.try_again();
                self.queue.push_back(Job { utterance, done });
            }
            Command::Learn(lesson) => self.lessons.push(lesson),
            Command::Prepare => self.prepare = true,
            Command::Voices(answer) => {
                self.try_again();
                self.asking.push(answer);
            }
            Command::StopAll(silent) => {
                self.stop();
                self.waiting.extend(silent);
            }
            Command::End => {}
            Command::Report(id, report) => self.hear(id, report),
        }
    }

    /// What comes next, if nothing is under way.
    fn proceed(&mut self) {
        match &self.catalogue {
            Catalogue::Waiting(_) => return,
            Catalogue::Absent(why, _) => {
                let why = *why;
                for job in self.queue.drain(..) {
                    tell(Some(job.done), Outcome::Unavailable(why.to_owned()));
                }
                for answer in self.asking.drain(..) {
                    // Who asked may have lost interest.
                    let _ = answer.send(Err(why.to_owned()));
                }
                return;
            }
            Catalogue::Known { languages, .. } => {
                for answer in self.asking.drain(..) {
                    let _ = answer.send(Ok(languages.clone()));
                }
            }
        }
        for Lesson { person, text, soon } in std::mem::take(&mut self.lessons) {
            let language = self.language(&text::clean(&text), None, Some(&person));
            self.ahead.extend(language.filter(|_| soon));
        }
        if std::mem::take(&mut self.prepare) {
            self.ahead.extend(self.habits.values());
        }
        while self.current.is_none() {
            let Some(job) = self.queue.pop_front() else { break };
            self.begin(job);
        }
        self.say();
        self.open_ahead();
    }

    fn begin(&mut self, job: Job) {
        let Utterance { text, language, hint, person } = job.utterance;
        let clean = text::clean(&text);
        let with_voice = |language: &Language| self.languages().contains(language);
        let language = language.filter(with_voice).or_else(|| self.language(&clean, hint, person.as_deref()));
        let Some(language) = language else {
            return tell(Some(job.done), Outcome::Unavailable(MUTE.to_owned()));
        };
        let named = person.as_deref().map(text::clean).filter(|name| !name.is_empty());
        let spoken = match named {
            Some(name) if clean.is_empty() => name,
            Some(name) => format!("{name}: {clean}"),
            None => clean,
        };
        if !text::has_words(&spoken) {
            return tell(Some(job.done), Outcome::Spoken);
        }
        self.current = Some(Current {
            done: Some(job.done),
            language,
            pitch: person.as_deref().map_or(0.0, pitch),
            pieces: text::pieces(&spoken).into(),
            until: None,
            again: false,
        });
    }

    /// Hands the next piece to the service, if its voice is ready and no piece is there.
    fn say(&mut self) {
        let Some(current) = &mut self.current else { return };
        if current.until.is_some() {
            return;
        }
        let language = current.language;
        if !self.connections.contains_key(&language) {
            self.connect(language);
        }
        let (Some(current), Some(connection)) = (&mut self.current, self.connections.get(&language)) else {
            return;
        };
        if connection.opening.is_some() {
            return;
        }
        match current.pieces.front() {
            Some(piece) => {
                let length = u32::try_from(piece.chars().count()).unwrap_or(u32::MAX);
                current.until = Some(Instant::now() + BEGINNING + CHARACTER * length);
                connection.worker.order(Order::Say { text: piece.clone(), pitch: current.pitch });
            }
            None => {
                tell(current.done.take(), Outcome::Spoken);
                self.current = None;
                self.proceed();
            }
        }
    }

    fn stop(&mut self) {
        for job in self.queue.drain(..) {
            tell(Some(job.done), Outcome::Stopped);
        }
        let Some(current) = &mut self.current else { return };
        tell(current.done.take(), Outcome::Stopped);
        match (current.until, self.connections.get(&current.language)) {
            (Some(_), Some(connection)) => {
                current.pieces.clear();
                current.until = Some(Instant::now() + STOPPING);
                connection.worker.order(Order::Stop);
            }
            _ => self.current = None,
        }
    }

    fn hear(&mut self, id: u64, report: Report) {
        if self.spare.as_ref().is_some_and(|spare| spare.id == id) {
            match (report, &self.catalogue) {
                (Report::Connected(voices), Catalogue::Waiting(_)) => self.know(voices),
                (Report::Failed, Catalogue::Waiting(_)) => self.give_up(ABSENT),
                (Report::Failed, _) => self.spare = None,
                _ => {}
            }
            return;
        }
        let Some(language) =
            self.connections.iter().find(|(_, known)| known.id == id).map(|(language, _)| *language)
        else {
            return;
        };
        let mine = self.current.as_ref().is_some_and(|current| current.language == language);
        match report {
            Report::Ready => {
                if let Some(connection) = self.connections.get_mut(&language) {
                    connection.opening = None;
                }
            }
            Report::Ended | Report::Stopped if mine => self.piece_done(),
            Report::Failed => self.lose(language),
            Report::Connected(_) | Report::Begun | Report::Ended | Report::Stopped => {}
        }
    }

    fn piece_done(&mut self) {
        let Some(current) = &mut self.current else { return };
        current.until = None;
        current.pieces.pop_front();
        if current.done.is_none() {
            self.current = None;
        }
    }

    /// A connection is of no use any more. The service may have been started anew: that is tried once.
    fn lose(&mut self, language: Language) {
        let was_open = self.connections.remove(&language).is_some_and(|known| known.opening.is_none());
        let Some(current) = self.current.as_mut().filter(|current| current.language == language) else {
            return;
        };
        if current.done.is_none() {
            self.current = None;
        } else if was_open && !current.again {
            current.again = true;
            current.until = None;
        } else {
            self.give_up(STUCK);
        }
    }

    /// The earliest time at which something must have happened.
    fn deadline(&self) -> Option<Instant> {
        let waiting = match self.catalogue {
            Catalogue::Waiting(until) => Some(until),
            _ => None,
        };
        let current = self.current.as_ref().and_then(|current| current.until);
        let opening = self.connections.values().filter_map(|connection| connection.opening);
        opening.chain(waiting).chain(current).min()
    }

    fn expire(&mut self, now: Instant) {
        if matches!(self.catalogue, Catalogue::Waiting(until) if until <= now) {
            return self.give_up(ABSENT);
        }
        if let Some(current) = &self.current
            && current.until.is_some_and(|until| until <= now)
        {
            if current.done.is_some() {
                return self.give_up(STUCK);
            }
            self.connections.remove(&current.language);
            self.current = None;
        }
        let late = |connection: &Connection| connection.opening.is_some_and(|until| until <= now);
        if self.connections.values().any(late) {
            self.give_up(STUCK);
        }
    }

    /// Nothing more is expected of the service for a while.
    fn give_up(&mut self, why: &'static str) {
        self.catalogue = Catalogue::Absent(why, Instant::now());
        self.spare = None;
        self.connections.clear();
        if let Some(current) = self.current.take() {
            tell(current.done, Outcome::Unavailable(why.to_owned()));
        }
    }

    fn try_again(&mut self) {
        if matches!(self.catalogue, Catalogue::Absent(_, since) if since.elapsed() > PAUSE) {
            self.open();
        }
    }

    fn open(&mut self) {
        self.catalogue = Catalogue::Waiting(Instant::now() + OPENING);
        let (id, worker) = self.spawn(true);
        self.spare = Some(Connection { id, worker, opening: None });
    }

    fn spawn(&mut self, list: bool) -> (u64, Worker) {
        let id = self.workers;
        self.workers += 1;
        let reports = self.reports.clone();
        let worker = Worker::spawn(list, move |report| {
            // The queue has ended: nobody is left to be told.
            let _ = reports.send(Command::Report(id, report));
        });
        (id, worker)
    }

    fn know(&mut self, voices: Vec<Voice>) {
        let voices: Vec<Voice> = voices.into_iter().filter(|voice| !voice.name().contains('+')).collect();
        let offer = |voice: &Voice| Offer { name: voice.name(), tag: voice.language().into_inner() };
        let offers: Vec<Offer> = voices.iter().map(offer).collect();
        let languages = voices::languages(&offers);
        if languages.is_empty() {
            return self.give_up(MUTE);
        }
        self.catalogue = Catalogue::Known { voices, offers, languages };
    }

    fn languages(&self) -> &[Language] {
        match &self.catalogue {
            Catalogue::Known { languages, .. } => languages,
            _ => &[],
        }
    }

    /// The language to read a text in. What it tells surely is remembered for its writer.
    fn language(&mut self, text: &str, hint: Option<Language>, person: Option<&str>) -> Option<Language> {
        let own = locale_language(self.locale.as_deref());
        let habit = person.and_then(|person| self.habits.get(person).copied());
        let known: Vec<Language> = [hint, habit, own].into_iter().flatten().collect();
        if let Some(Finding::Sure(language)) = find(text, self.languages(), &known) {
            self.habits.extend(person.map(|person| (person.to_owned(), language)));
            return Some(language);
        }
        detect_at(text, self.languages(), hint.or(habit), own)
    }

    /// Begins to open the voice of a language.
    fn connect(&mut self, language: Language) {
        let Catalogue::Known { voices, offers, .. } = &self.catalogue else { return };
        let place = voices::choose(offers, language, self.locale.as_deref());
        let Some(voice) = place.and_then(|place| voices.get(place)).cloned() else { return };
        let (id, worker) = match self.spare.take() {
            Some(spare) => (spare.id, spare.worker),
            None => self.spawn(false),
        };
        worker.order(Order::Voice(voice));
        let opening = Some(Instant::now() + OPENING);
        self.connections.insert(language, Connection { id, worker, opening });
    }

    /// Opens what is likely to be needed, one at a time: it keeps the service busy.
    fn open_ahead(&mut self) {
        if self.connections.values().any(|known| known.opening.is_some()) {
            return;
        }
        while let Some(language) = self.ahead.pop_front() {
            if !self.connections.contains_key(&language) {
                return self.connect(language);
            }
        }
    }
}

fn tell(done: Option<oneshot::Sender<Outcome>>, outcome: Outcome) {
    // Nobody has to wait for it.
    let _ = done.map(|done| done.send(outcome));
}

fn locale_language(locale: Option<&str>) -> Option<Language> {
    Language::from_tag(locale?)
}

/// A person's pitch: one of nine, near enough to the voice's own to be understood (FNV-1a).
fn pitch(person: &str) -> f32 {
    const PITCHES: [f32; 9] = [0.0, 12.0, -12.0, 24.0, -24.0, 36.0, -36.0, 48.0, -48.0];
    let hash = person.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    usize::try_from(hash % 9).ok().and_then(|place| PITCHES.get(place)).copied().unwrap_or(0.0)
}
