//! Sound: WAV files as bytes and numbers, loudspeaker and microphone. Knows nothing of messages, people or the
//! network.
//!
//! Devices live on threads of their own, and their callbacks never block, lock or allocate. That there is no
//! device is never a reason to stop: it is told once, and everything else goes on.
//!
//! - [`wav`]: reads a WAV file that somebody wants to send, and makes of it the note that is sent
//! - [`cue`]: the program's own short sounds, and a person's replacements for them
//! - [`speaker`]: plays cues and notes on the loudspeaker
//! - [`recorder`]: records a note from a microphone
//! - [`device`]: which devices there are
//! - [`error`]: what can go wrong with them, in words for the person who reads it

pub mod cue;
pub mod device;
pub mod error;
pub mod recorder;
mod resample;
mod ring;
mod sound;
pub mod speaker;
pub mod wav;

pub use cue::{Cue, Sounds};
pub use device::{DeviceInfo, inputs, outputs};
pub use error::AudioError;
pub use recorder::{Recorder, Recording};
pub use speaker::{Playback, Speaker};
pub use wav::{Conversion, Format, Limits, Note, WavError};
