//! The program's own short sounds. A file of the same name in a folder of the person's replaces one.

use std::fs::File;
use std::io::{self, Cursor};
use std::path::Path;
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

    /// Its file's name without `.wav`.
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
#[derive(Clone, Debug, Default)]
pub struct Sounds {
    cues: Arc<[OnceLock<Sound>; 6]>,
}

impl Sounds {
    /// The built-in ones.
    pub fn built_in() -> Self {
        Self::default()
    }

    /// The built-in ones, replaced by what a folder holds under the same names; for each file there that can't
    /// be used a line that says why. A folder that is not there replaces nothing.
    pub fn with_folder(folder: &Path) -> (Self, Vec<String>) {
        let (sounds, mut warnings) = (Self::default(), Vec::new());
        for cue in Cue::ALL {
            let path = folder.join(format!("{}.wav", cue.name()));
            let sound = match load(&path) {
                Ok(sound) => sound,
                Err(WavError::Io(error)) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    warnings.push(format!("{} {error}; the built-in sound is used", path.display()));
                    continue;
                }
            };
            if let Some(slot) = sounds.cues.get(cue as usize) {
                // It was empty.
                let _ = slot.set(sound);
            }
        }
        (sounds, warnings)
    }

    /// The sound of a cue.
    pub(super) fn get(&self, cue: Cue) -> Option<Sound> {
        let slot = self.cues.get(cue as usize)?;
        if slot.get().is_none() {
            let _ = slot.set(Sound::read(cue.built_in()).ok()?);
        }
        slot.get().cloned()
    }
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
