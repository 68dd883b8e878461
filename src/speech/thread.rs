//! The queue: one utterance at a time, each piece in the voice of its language, each within its time.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::catalogue::Catalogue;
use super::content::{self, Stretch};
use super::language::{Finding, detect_at, find, locale};
use super::plan::{Name, Planner, Rest};
use super::service::{Order, Piece, Report, Service};
use super::{Command, Language, Lesson, Outcome, Utterance, What, text};

/// What to say where there is no speech service.
pub(super) const ABSENT: &str = "no speech service answers, so nothing is read aloud; \
     `tellal doctor` says what to install";
/// What to say where it is there, but mute.
const MUTE: &str = "the speech service has no voice, so nothing is read aloud; `tellal doctor` says what to install; \
     if that is there, end it, and it starts again by itself: killall speech-dispatcher";
/// What to say where it has stopped answering.
const STUCK: &str = "the speech service has stopped answering, so nothing is read aloud; \
     ending it helps, it starts again by itself: killall speech-dispatcher";
/// What to say when it is gone.
const GONE: &str = "the speech service has ended in mid-sentence; it is started again, texts go on meanwhile";
/// What to say when it is there again, and the rest of what was being said is still to be said.
const BACK: &str = "the speech service is back: what was cut off is read again";
/// What to say when it is there and was not when it was needed: that is over, and up to whoever asked for it.
const THERE: &str = "the speech service is there now; what was not read meanwhile is kept: u in `tellal listen`, \
     /unread NICK in a conversation, and `tellal listen --unread` read it";

/// For each step of opening: to start the service, to list its voices.
const OPENING: Duration = Duration::from_secs(20);
/// For the service to fall silent.
const STOPPING: Duration = Duration::from_secs(1);
/// For a piece to begin: the service may have to let other programs finish theirs.
const BEGINNING: Duration = Duration::from_secs(20);
/// For each character of it: five times what a slow voice takes.
const CHARACTER: Duration = Duration::from_millis(500);
/// Who looks so long after a deadline was halted meanwhile, as by Ctrl-Z; and what came by then is seen within the other.
const HALTED: Duration = Duration::from_secs(1);
const SEEN: Duration = Duration::from_secs(3);
/// After a failure, before another attempt is worth the time.
const PAUSE: Duration = Duration::from_secs(10);

/// What the queue works with.
pub(super) struct Thread {
    reports: Sender<Command>,
    tell: Box<dyn Fn(&str) + Send>,
    cache: Option<PathBuf>,
    /// Connections so far; the last one's number.
    services: u64,
    service: Option<Service>,
    link: Link,
    queue: VecDeque<(What, oneshot::Sender<Outcome>)>,
    current: Option<Current>,
    lessons: Vec<Lesson>,
    habits: HashMap<String, Language>,
    asking: Vec<oneshot::Sender<Result<Vec<Language>, String>>>,
    /// Whether the voices are being listed for those who ask.
    listing: bool,
    /// Who waits for silence.
    waiting: Vec<mpsc::Sender<()>>,
    locale: Option<String>,
    rate: i32,
    /// It was said that the service is gone, or is not there.
    gone: bool,
}

/// How it stands with the service.
enum Link {
    /// It is to tell its voices, until then.
    Opening(Instant),
    Open(Catalogue),
    /// There is none: why, and since when.
    Absent(&'static str, Instant),
}

struct Current {
    /// Nobody, once it was stopped.
    done: Option<oneshot::Sender<Outcome>>,
    pieces: VecDeque<Piece>,
    /// What is left for later.
    rest: Option<Rest>,
    /// Until when the piece that is with the service must be over; `None` while none is.
    until: Option<Instant>,
    /// Whether that piece is heard.
    begun: bool,
    /// Whether that piece is to be said again once it has stopped.
    anew: bool,
    /// Whether the service was started again for it.
    again: bool,
}

impl Thread {
    pub(super) fn new(reports: Sender<Command>, tell: Box<dyn Fn(&str) + Send>) -> Self {
        let folders = directories::ProjectDirs::from("", "", "tellal");
        Self {
            reports,
            tell,
            cache: folders.map(|folders| folders.cache_dir().join("voices.json")),
            services: 0,
            service: None,
            link: Link::Absent(ABSENT, Instant::now()),
            queue: VecDeque::new(),
            current: None,
            lessons: Vec::new(),
            habits: HashMap::new(),
            asking: Vec::new(),
            listing: false,
            waiting: Vec::new(),
            locale: locale(|name| std::env::var(name).ok()),
            rate: 0,
            gone: false,
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
            Command::Say(what, done) => {
                self.try_again();
                self.queue.push_back((what, done));
            }
            Command::Learn(lesson) => self.lessons.push(lesson),
            Command::Rate(rate) => self.set_rate(rate),
            Command::Voices(answer) => {
                self.try_again();
                self.asking.push(answer);
            }
            Command::StopAll(silent) => {
                self.stop();
                self.waiting.extend(silent);
            }
            Command::End => {}
            // Of an earlier connection nothing counts.
            Command::Report(id, report) if id == self.services => self.hear(report),
            Command::Report(..) => {}
        }
    }

    /// What comes next, if nothing is under way.
    fn proceed(&mut self) {
        match &self.link {
            Link::Opening(_) => return,
            Link::Absent(why, _) => {
                let why = *why;
                self.gone |= !self.queue.is_empty();
                for (_, done) in self.queue.drain(..) {
                    tell(Some(done), Outcome::Unavailable(why.to_owned()));
                }
                for answer in self.asking.drain(..) {
                    // Who asked may have lost interest.
                    let _ = answer.send(Err(why.to_owned()));
                }
                return;
            }
            Link::Open(catalogue) => {
                if std::mem::take(&mut self.listing) {
                    for answer in self.asking.drain(..) {
                        let _ = answer.send(Ok(catalogue.languages().to_vec()));
                    }
                } else if !self.asking.is_empty() && self.current.is_none() {
                    self.listing = true;
                    self.order(Order::List);
                    self.link = Link::Opening(Instant::now() + OPENING);
                    return;
                }
            }
        }
        for Lesson { person, text } in std::mem::take(&mut self.lessons) {
            self.language(&words(&content::stretches(&text)), Some(&person));
        }
        loop {
            while self.current.is_none() {
                let Some((what, done)) = self.queue.pop_front() else { return };
                self.begin(what, done);
            }
            if self.say() {
                return;
            }
        }
    }

    fn begin(&mut self, what: What, done: oneshot::Sender<Outcome>) {
        let (pieces, rest) = match what {
            What::Rest(rest) => rest.share(self.rate),
            What::Utterance(utterance) => {
                let cut = utterance.cut;
                let Some(all) = self.plan(utterance) else {
                    return tell(Some(done), Outcome::Unavailable(MUTE.to_owned()));
                };
                if cut { all.share(self.rate) } else { (all.pieces, None) }
            }
        };
        let done = Some(done);
        self.current =
            Some(Current { done, pieces, rest, until: None, begun: false, anew: false, again: false });
    }

    fn plan(&mut self, utterance: Utterance) -> Option<Rest> {
        let Utterance { text, language, person, named, room, changed_key, manner, cut: _ } = utterance;
        let stretches = content::stretches(&text);
        let language = language.filter(|language| self.languages().contains(language));
        let language = language.or_else(|| self.language(&words(&stretches), person.as_deref()))?;
        let Link::Open(catalogue) = &self.link else { return None };
        let clean = |name: &str| text::clean(&content::signs(name));
        let room = room.as_deref().filter(|_| named).map(clean).filter(|room| !room.is_empty());
        let name = person
            .as_deref()
            .filter(|_| named)
            .map(clean)
            .filter(|name| changed_key || room.is_some() || !name.is_empty());
        let name = name.as_deref().map(|name| Name { name, room: room.as_deref(), changed_key });
        let planner = Planner {
            catalogue,
            locale: self.locale.as_deref(),
            own: self.own(),
            habit: person.as_deref().and_then(|person| self.habits.get(person).copied()),
        };
        let pieces = planner.pieces(&stretches, language, name, manner);
        Some(planner.rest(pieces, language))
    }

    /// Hands the next piece to the service, if none is there; whether one is there now. Without one the utterance is over.
    fn say(&mut self) -> bool {
        let Some(current) = &mut self.current else { return false };
        if current.until.is_some() {
            return true;
        }
        if let Some(piece) = current.pieces.front() {
            let length = u32::try_from(piece.text.chars().count()).unwrap_or(u32::MAX);
            current.until = Some(Instant::now() + BEGINNING + CHARACTER * length);
            current.begun = false;
            let rate = (piece.rate + self.rate).clamp(-100, 100);
            let piece = Piece { rate, ..piece.clone() };
            self.order(Order::Say(piece));
            return true;
        }
        let outcome = current.rest.take().map_or(Outcome::Spoken, Outcome::Cut);
        tell(current.done.take(), outcome);
        self.current = None;
        false
    }

    fn stop(&mut self) {
        for (_, done) in self.queue.drain(..) {
            tell(Some(done), Outcome::Stopped);
        }
        let Some(current) = &mut self.current else { return };
        tell(current.done.take(), Outcome::Stopped);
        if current.until.is_some() && self.service.is_some() {
            current.pieces.clear();
            current.anew = false;
            current.until = Some(Instant::now() + STOPPING);
            self.order(Order::Stop);
        } else {
            self.current = None;
        }
    }

    fn set_rate(&mut self, rate: i32) {
        self.rate = rate.clamp(-100, 100);
        if let Some(current) = &mut self.current
            && current.done.is_some()
            && current.until.is_some()
            && !current.anew
        {
            current.anew = true;
            self.order(Order::Stop);
        }
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Voices(catalogue) if catalogue.languages().is_empty() => self.give_up(MUTE),
            Report::Voices(catalogue) => {
                self.link = Link::Open(catalogue);
                if std::mem::take(&mut self.gone) {
                    (self.tell)(if self.current.is_some() { BACK } else { THERE });
                }
            }
            Report::Begun => self.current.iter_mut().for_each(|current| current.begun = true),
            Report::Ended => self.piece_done(),
            Report::Stopped => match &mut self.current {
                Some(current) if current.anew => (current.anew, current.until) = (false, None),
                _ => self.piece_done(),
            },
            Report::Failed => self.lose(),
        }
    }

    fn piece_done(&mut self) {
        let Some(current) = &mut self.current else { return };
        (current.until, current.anew) = (None, false);
        current.pieces.pop_front();
        if current.done.is_none() {
            self.current = None;
        }
    }

    /// The connection is of no use any more. The service may have been started anew, or be started: that is tried once
    /// for each utterance.
    fn lose(&mut self) {
        if matches!(self.link, Link::Opening(_)) {
            return self.give_up(ABSENT);
        }
        if let Some(current) = &mut self.current {
            if current.done.is_none() {
                self.current = None;
            } else if current.again {
                return self.give_up(STUCK);
            } else {
                (current.again, current.until, current.anew) = (true, None, false);
                if current.begun {
                    (self.tell)(GONE);
                    self.gone = true;
                }
            }
        }
        self.open();
    }

    /// The earliest time at which something must have happened.
    fn deadline(&self) -> Option<Instant> {
        let opening = match self.link {
            Link::Opening(until) => Some(until),
            _ => None,
        };
        let current = self.current.as_ref().and_then(|current| current.until);
        opening.into_iter().chain(current).min()
    }

    fn expire(&mut self, now: Instant) {
        if self.deadline().is_some_and(|until| now.saturating_duration_since(until) > HALTED) {
            return self.look_again(now + SEEN);
        }
        if matches!(self.link, Link::Opening(until) if until <= now) {
            return self.give_up(if self.listing { STUCK } else { ABSENT });
        }
        if let Some(current) = &self.current
            && current.until.is_some_and(|until| until <= now)
        {
            if current.done.is_some() {
                return self.give_up(STUCK);
            }
            // It does not stop: perhaps another connection's words are heard.
            self.current = None;
            self.open();
        }
    }

    /// What should have happened by now may have happened, unseen.
    fn look_again(&mut self, at: Instant) {
        if let Link::Opening(until) = &mut self.link {
            *until = at.max(*until);
        }
        let until = self.current.as_mut().and_then(|current| current.until.as_mut());
        until.into_iter().for_each(|until| *until = at.max(*until));
    }

    /// Nothing more is expected of the service for a while.
    fn give_up(&mut self, why: &'static str) {
        self.link = Link::Absent(why, Instant::now());
        self.service = None;
        self.listing = false;
        if let Some(current) = self.current.take() {
            self.gone = true;
            tell(current.done, Outcome::Unavailable(why.to_owned()));
        }
    }

    fn try_again(&mut self) {
        if matches!(self.link, Link::Absent(_, since) if since.elapsed() > PAUSE) {
            self.open();
        }
    }

    fn open(&mut self) {
        self.link = Link::Opening(Instant::now() + OPENING);
        self.services += 1;
        let (id, reports) = (self.services, self.reports.clone());
        self.service = Some(Service::open(self.cache.clone(), move |report| {
            // The queue has ended: nobody is left to be told.
            let _ = reports.send(Command::Report(id, report));
        }));
    }

    fn order(&self, order: Order) {
        if let Some(service) = &self.service {
            service.order(order);
        }
    }

    fn languages(&self) -> &[Language] {
        match &self.link {
            Link::Open(catalogue) => catalogue.languages(),
            _ => &[],
        }
    }

    fn own(&self) -> Option<Language> {
        Language::from_tag(self.locale.as_deref()?)
    }

    /// The language to read a text in. What it tells surely is remembered for its writer.
    fn language(&mut self, text: &str, person: Option<&str>) -> Option<Language> {
        let own = self.own();
        let habit = person.and_then(|person| self.habits.get(person).copied());
        let known: Vec<Language> = habit.into_iter().chain(own).collect();
        if let Some(Finding::Sure(language)) = find(text, self.languages(), &known) {
            self.habits.extend(person.map(|person| (person.to_owned(), language)));
            return Some(language);
        }
        detect_at(text, self.languages(), habit, own)
    }
}

/// What of a text tells its language.
fn words(stretches: &[Stretch]) -> String {
    let words = stretches.iter().filter_map(|stretch| match stretch {
        Stretch::Words(words) => Some(words.as_str()),
        Stretch::Link(_) | Stretch::Code(_) | Stretch::Symbols => None,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn tell(done: Option<oneshot::Sender<Outcome>>, outcome: Outcome) {
    // Nobody has to wait for it.
    let _ = done.map(|done| done.send(outcome));
}

#[cfg(test)]
#[path = "thread_tests.rs"]
mod tests;
