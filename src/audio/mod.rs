//! Sound: WAV files as bytes and numbers, loudspeaker and microphone. Knows nothing of messages, people or the
//! network.
//!
//! Devices live on threads of their own, and their callbacks never block, lock or allocate. That there is no
//! device is never a reason to stop: it is told once, and everything else goes on.
//!
//! - [`wav`]: reads a WAV file that somebody wants to send, and makes of it the note that is sent
//! - [`cue`]: the program's own short sounds, and a person's replacements for them
//! - [`sound`]: a sound in memory, whole or still growing
//! - [`speaker`]: plays cues and notes on the loudspeaker
//! - [`playback`]: a note that is being played: pause, seek, speed
//! - [`recorder`]: records a note from a microphone
//! - [`take`]: what was recorded: how it is, and the note that becomes of it
//! - [`device`]: which devices there are
//! - [`error`]: what can go wrong with them, in words for the person who reads it

pub mod cue;
pub mod device;
pub mod error;
mod microphone;
pub mod playback;
mod player;
pub mod recorder;
mod resample;
mod ring;
pub mod sound;
pub mod speaker;
mod stretch;
pub mod take;
mod track;
pub mod wav;

pub use cue::{Cue, Sounds};
pub use device::{DeviceInfo, inputs, outputs};
pub use error::AudioError;
pub use playback::{Playback, Start};
pub use recorder::{Recorder, Recording};
pub use sound::{Feed, Sound};
pub use speaker::Speaker;
pub use stretch::SPEEDS;
pub use take::Take;
pub use wav::{Conversion, Format, Limits, Note, WavError};
