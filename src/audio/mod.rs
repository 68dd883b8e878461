//! Sound as bytes and numbers: WAV files in, WAV files out. Knows nothing of messages, people or the network.
//!
//! - [`wav`]: reads a WAV file that somebody wants to send, and makes of it the note that is sent

pub mod wav;

pub use wav::{Conversion, Format, Limits, Note, WavError};
