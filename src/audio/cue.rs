//! The program's own short sounds. A file of the same name in a folder of the person's replaces one.

use std::fs::{self, File};
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::sound::Sound;
use super::wav::{self, Limits, WavError};

/// Something that has a sound of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cue {
    /// The server has a message of one's own.
    Sent,
    /// A text came.
    Received,
    /// A voice note came.
    VoiceReceived,
    /// Someone came.
    Joined,
    /// Someone went.
    Left,
    /// Something was refused or failed.
    Error,
}

impl Cue {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Sent, Self::Received, Self::VoiceReceived, Self::Joined, Self::Left, Self::Error];

    /// The cue of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cue| cue.name() == name)
    }

    /// Its file's name.
    pub fn file(self) -> String {
        format!("{}.wav", self.name())
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
            Self::VoiceReceived => "voice_received",
            Self::Joined => "joined",
            Self::Left => "left",
            Self::Error => "error",
        }
    }

    /// The built-in WAV file.
    pub fn built_in(self) -> &'static [u8] {
        match self {
            Self::Sent => include_bytes!("../../sounds/sent.wav"),
            Self::Received => include_bytes!("../../sounds/received.wav"),
            Self::VoiceReceived => include_bytes!("../../sounds/voice_received.wav"),
            Self::Joined => include_bytes!("../../sounds/joined.wav"),
            Self::Left => include_bytes!("../../sounds/left.wav"),
            Self::Error => include_bytes!("../../sounds/error.wav"),
        }
    }
}

/// What a person's own sound may take.
const LIMITS: Limits = Limits { duration: Duration::from_secs(5), bytes: 8 * 1024 * 1024 };

/// The sound of each cue. Clones are the same.
#[derive(Clone, Debug)]
pub struct Sounds {
    cues: Arc<[Slot; 6]>,
    /// In percent.
    volume: u8,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    sound: OnceLock<Sound>,
    /// What it was read from; none: it is the built-in one.
    file: Option<PathBuf>,
}

impl Sounds {
    /// The built-in ones.
    pub fn built_in() -> Self {
        Self::at_volume(100)
    }

    /// The built-in ones, and whatever replaces them, at so many percent of their amplitude.
    pub fn at_volume(percent: u8) -> Self {
        Self { cues: Arc::default(), volume: percent.min(100) }
    }

    /// These, replaced by what a folder holds under the same names; for each file there that can't be used, or is
    /// called like no sound, a line that says so. A folder that is not there replaces nothing.
    pub fn replaced_by(&self, folder: &Path) -> (Self, Vec<String>) {
        let (mut cues, mut warnings) = ((*self.cues).clone(), Vec::new());
        for (cue, slot) in Cue::ALL.into_iter().zip(&mut cues) {
            let path = folder.join(cue.file());
            match load(&path) {
                Ok(sound) => {
                    let sound = OnceLock::from(sound.at_volume(self.volume));
                    *slot = Slot { sound, file: Some(path) };
                }
                Err(WavError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let instead = if slot.file.is_some() { "the usual" } else { "the built-in" };
                    warnings.push(format!("{} {error}; {instead} sound is used", path.display()));
                }
            }
        }
        warnings.extend(misnamed(folder));
        (Self { cues: Arc::new(cues), volume: self.volume }, warnings)
    }

    /// The file that a cue's sound is from; `None`: it is built in.
    pub fn file(&self, cue: Cue) -> Option<&Path> {
        self.cues.get(cue as usize)?.file.as_deref()
    }

    /// The sound of a cue.
    pub fn get(&self, cue: Cue) -> Option<Sound> {
        let slot = self.cues.get(cue as usize)?;
        if slot.sound.get().is_none() {
            let _ = slot.sound.set(Sound::read(cue.built_in()).ok()?.at_volume(self.volume));
        }
        slot.sound.get().cloned()
    }
}

/// Of each WAV file in a folder that is called like no sound: that it is.
fn misnamed(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_wav = |path: &PathBuf| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("wav"));
    let is_ours = |path: &PathBuf| Cue::ALL.iter().any(|cue| path.ends_with(cue.file()));
    let mut found: Vec<PathBuf> = files.filter(|path| is_wav(path) && !is_ours(path)).collect();
    found.sort();
    let names = Cue::ALL.map(Cue::file).join(", ");
    found.iter().map(|path| format!("{} is never played: sounds are {names}", path.display())).collect()
}

fn load(path: &Path) -> Result<Sound, WavError> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a file").into());
    }
    let note = wav::read(io::BufReader::new(file), LIMITS)?;
    Sound::from_wav(Cursor::new(note.wav))
}

#[cfg(test)]
#[path = "cue_tests.rs"]
mod tests;
