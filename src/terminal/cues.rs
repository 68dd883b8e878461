//! The program's own sounds: which goes with which event, whose they are, and when there are none. The same in every
//! front end.
//!
//! While somebody is recording there are none, so that none is recorded. Of what came meanwhile one is heard
//! afterwards: that something went wrong, or else the last arrival.
//!
//! A profile's folder may hold `sounds/received.wav`, which replaces that sound, and `sounds/NICK/received.wav`, which
//! replaces it for what NICK does. Names from the wire never become paths: the folders that are there are read as
//! nicknames, and compared.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::audio::{Cue, Sounds, Speaker};
use crate::client::settings::Quiet;
use crate::client::{Body, Event, Message, Settings};
use crate::model::Nickname;
use crate::terminal::floor::{Floor, Sounding};

/// How often it is looked whether somebody is still recording.
const LOOK: Duration = Duration::from_millis(100);

/// The folder's name, in the profile's folder.
pub const FOLDER: &str = "sounds";

/// The sounds of a profile, on a loudspeaker. Clones are the same.
#[derive(Clone)]
pub struct Cues {
    inner: Arc<Inner>,
}

struct Inner {
    speaker: Speaker,
    floor: Floor,
    held: Mutex<Held>,
    muted: bool,
    quiet: Option<Quiet>,
    silent: Vec<Cue>,
    usual: Sounds,
    /// Whose folders there are.
    folders: Vec<(Nickname, PathBuf)>,
    /// What was found in those that were needed so far.
    people: Mutex<HashMap<Nickname, Sounds>>,
    warnings: Mutex<Vec<String>>,
}

/// What waits until nobody is recording any more.
#[derive(Default)]
struct Held {
    cue: Option<(Cue, Option<Nickname>)>,
    /// Some are heard.
    sounding: Option<Sounding>,
    /// It is looked whether somebody is recording.
    watched: bool,
}

impl Held {
    /// Who comes and goes, and what has left, is no news afterwards; that something went wrong is more than an arrival.
    fn hold(&mut self, cue: Cue, person: Option<&Nickname>) {
        let outlasts = matches!(cue, Cue::Received | Cue::VoiceReceived | Cue::Error);
        if outlasts && !matches!(self.cue, Some((Cue::Error, _))) {
            self.cue = Some((cue, person.cloned()));
        }
    }
}

impl Cues {
    /// The sounds of a profile as they are set there; `muted`: none.
    pub fn new(home: &Path, settings: &Settings, muted: bool, speaker: Speaker) -> Self {
        let folder = home.join(FOLDER);
        let (usual, mut warnings) = Sounds::at_volume(settings.volume.percent()).replaced_by(&folder);
        let mut silent = Vec::new();
        for name in &settings.silent {
            match Cue::of_name(name) {
                Some(cue) => silent.push(cue),
                None => warnings.push(format!("no sound is called {name:?}: there are {}", names())),
            }
        }
        let inner = Inner {
            speaker,
            floor: Floor::of(home),
            held: Mutex::default(),
            muted,
            quiet: settings.quiet,
            silent,
            usual,
            folders: folders(&folder),
            people: Mutex::default(),
            warnings: Mutex::new(if muted { Vec::new() } else { warnings }),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The loudspeaker.
    pub fn speaker(&self) -> &Speaker {
        &self.inner.speaker
    }

    /// Plays a sound, without waiting for it; that of the person whom it is about. Nothing in quiet hours, and while
    /// somebody is recording not before that is over. Within a tokio runtime.
    pub fn play(&self, cue: Cue, person: Option<&Nickname>) {
        let quiet = || self.inner.quiet.is_some_and(Quiet::is_now);
        if self.inner.muted || self.inner.silent.contains(&cue) || quiet() {
            return;
        }
        let mut held = self.inner.held();
        match self.inner.floor.sound_now() {
            Some(sounding) => {
                held.sounding = Some(sounding);
                self.sound(cue, person);
            }
            None => held.hold(cue, person),
        }
        if !std::mem::replace(&mut held.watched, true) {
            tokio::spawn(self.clone().watch());
        }
    }

    fn sound(&self, cue: Cue, person: Option<&Nickname>) {
        if let Some(sound) = self.of(person).get(cue) {
            self.inner.speaker.cue(sound);
        }
    }

    /// Until no sound is heard or waits: ends those that are heard when somebody begins to record, and plays what waits
    /// once nobody does.
    async fn watch(self) {
        loop {
            {
                let mut held = self.inner.held();
                match (self.inner.floor.is_free(), held.cue.take()) {
                    (true, Some((cue, person))) => match self.inner.floor.sound_now() {
                        Some(sounding) => {
                            held.sounding = Some(sounding);
                            self.sound(cue, person.as_ref());
                        }
                        None => held.cue = Some((cue, person)),
                    },
                    (true, None) if !self.inner.speaker.has_cues() => {
                        held.watched = false;
                        held.sounding = None;
                        return;
                    }
                    (true, None) => {}
                    (false, cue) => {
                        held.cue = cue;
                        self.inner.speaker.stop_cues();
                        held.sounding = None;
                    }
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Plays the sound of an event, if it has one.
    pub fn play_event(&self, event: &Event) {
        let person = match event {
            Event::Presence { nickname, .. } => Some(nickname),
            Event::Message(message) => Some(&message.from),
            _ => None,
        };
        of_event(event).into_iter().for_each(|cue| self.play(cue, person));
    }

    /// Whether a kind of sound is never played.
    pub fn is_silent(&self, cue: Cue) -> bool {
        self.inner.silent.contains(&cue)
    }

    /// The sounds of what somebody does.
    pub fn of(&self, person: Option<&Nickname>) -> Sounds {
        let Some((nickname, folder)) =
            person.and_then(|person| self.inner.folders.iter().find(|(nickname, _)| nickname == person))
        else {
            return self.inner.usual.clone();
        };
        let mut people = self.inner.people.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sounds) = people.get(nickname) {
            return sounds.clone();
        }
        let (sounds, warnings) = self.inner.usual.replaced_by(folder);
        self.inner.warnings.lock().unwrap_or_else(PoisonError::into_inner).extend(warnings);
        people.insert(nickname.clone(), sounds.clone());
        sounds
    }

    /// Everybody who has a folder.
    pub fn people(&self) -> impl Iterator<Item = &Nickname> {
        self.inner.folders.iter().map(|(nickname, _)| nickname)
    }

    /// What is wrong with files and settings. Each thing is told once.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.inner.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every sound's name.
pub fn names() -> String {
    Cue::ALL.map(Cue::name).join(", ")
}

/// The folders that are called as somebody could be.
fn folders(sounds: &Path) -> Vec<(Nickname, PathBuf)> {
    let Ok(entries) = fs::read_dir(sounds) else { return Vec::new() };
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    let mut folders: Vec<(Nickname, PathBuf)> =
        folders.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path()))).collect();
    folders.sort_by(|(one, _), (other, _)| one.folded().cmp(other.folded()));
    folders
}

/// The sound of an event, if it has one.
pub fn of_event(event: &Event) -> Option<Cue> {
    match event {
        Event::Accepted { .. } => Some(Cue::Sent),
        Event::Refused { .. } => Some(Cue::Error),
        Event::Message(message) => of_message(message),
        Event::Presence { online: true, .. } => Some(Cue::Joined),
        Event::Presence { online: false, .. } => Some(Cue::Left),
        _ => None,
    }
}

/// The sound of a message's arrival. One's own messages and the client's own remarks have none.
pub fn of_message(message: &Message) -> Option<Cue> {
    match (&message.delivery, &message.body) {
        (None, Body::Text { .. } | Body::Invitation { .. }) => Some(Cue::Received),
        (None, Body::Voice { .. }) => Some(Cue::VoiceReceived),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::Delivery;
    use crate::model::{MessageId, Millis};

    /// How long the sound of somebody's is, which tells which one it is.
    fn length(cues: &Cues, cue: Cue, nick: &str) -> Duration {
        cues.of(Some(&nick.parse().unwrap())).get(cue).unwrap().duration()
    }

    #[test]
    fn somebodys_own_sounds_are_found_by_comparing_names() {
        let home = tempfile::tempdir().unwrap();
        let put = |path: &str, cue: Cue| {
            let path = home.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, cue.built_in()).unwrap();
        };
        put("sounds/received.wav", Cue::Sent);
        put("sounds/Zoé/received.wav", Cue::Error);
        put("sounds/지민/left.wav", Cue::Sent);
        put("sounds/not a name/left.wav", Cue::Sent);
        put("burak/received.wav", Cue::Joined);
        std::fs::write(home.path().join("sounds/지민/joined.wav"), "no sound").unwrap();
        let cues = Cues::new(home.path(), &Settings::default(), false, Speaker::new());
        let built_in = |cue: Cue| Sounds::built_in().get(cue).unwrap().duration();
        assert_eq!(length(&cues, Cue::Received, "zoé"), built_in(Cue::Error));
        assert_eq!(length(&cues, Cue::Received, "burak"), built_in(Cue::Sent));
        assert_eq!(length(&cues, Cue::Left, "zoé"), built_in(Cue::Left));
        assert!(cues.take_warnings().is_empty(), "nobody needed the bad one");
        assert_eq!(length(&cues, Cue::Left, "지민"), built_in(Cue::Sent));
        let told = cues.take_warnings();
        assert!(told.len() == 1 && told[0].contains("joined.wav is not a WAV file"), "{told:?}");
        assert_eq!(cues.people().count(), 2);
    }

    #[test]
    fn what_is_to_be_silent_is_checked() {
        let home = tempfile::tempdir().unwrap();
        let settings =
            Settings { silent: vec!["left".to_owned(), "lefft".to_owned()], ..Settings::default() };
        let cues = Cues::new(home.path(), &settings, false, Speaker::new());
        assert!(cues.is_silent(Cue::Left) && !cues.is_silent(Cue::Joined));
        let told = cues.take_warnings();
        assert!(told.len() == 1 && told[0].starts_with("no sound is called \"lefft\""), "{told:?}");
    }

    #[test]
    fn of_what_came_during_a_recording_one_sound_is_left() {
        let zoé = "zoé".parse().unwrap();
        let left = |cues: &[Cue]| {
            let mut held = Held::default();
            cues.iter().for_each(|cue| held.hold(*cue, Some(&zoé)));
            held.cue.map(|(cue, person)| (cue, person == Some(zoé.clone())))
        };
        assert_eq!(left(&[Cue::Joined, Cue::Left, Cue::Sent]), None);
        assert_eq!(
            left(&[Cue::Received, Cue::VoiceReceived, Cue::Sent, Cue::Left]),
            Some((Cue::VoiceReceived, true))
        );
        assert_eq!(left(&[Cue::Received, Cue::Error, Cue::Received]), Some((Cue::Error, true)));
    }

    fn message(body: Body, delivery: Option<Delivery>) -> Message {
        Message { delivery, ..Message::example(body) }
    }

    #[test]
    fn what_happens_to_others_and_to_ones_own_sounds_different() {
        let text = || Body::Text { text: "salut".to_owned() };
        let voice = Body::voice(1, 16_000, 46, vec![]);
        let notice = Body::Notice { text: "the key changed".to_owned() };
        let id = MessageId::from_bytes([1; 16]);
        let come = |online| Event::Presence { nickname: "小明".parse().unwrap(), online };
        for (event, cue) in [
            (Event::Accepted { id, at: Millis(0) }, Some(Cue::Sent)),
            (Event::Refused { id, reason: "no".to_owned() }, Some(Cue::Error)),
            (Event::Message(message(text(), None)), Some(Cue::Received)),
            (Event::Message(message(voice, None)), Some(Cue::VoiceReceived)),
            (Event::Message(message(text(), Some(Delivery::Accepted))), None),
            (Event::Message(message(notice, None)), None),
            (Event::Queued(message(text(), Some(Delivery::Queued))), None),
            (come(true), Some(Cue::Joined)),
            (come(false), Some(Cue::Left)),
            (Event::Connected, None),
            (Event::Drained, None),
        ] {
            assert_eq!(of_event(&event), cue, "{event:?}");
        }
    }
}
