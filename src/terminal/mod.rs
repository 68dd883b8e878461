//! Making what others wrote fit to print: without control characters, in their colour, at the reader's own time.
//!
//! Text in, text out; of what is here only [`chat`], [`gauge`], [`keys`] and [`progress`] touch a terminal; [`aloud`],
//! [`dictation`] and [`listening`] are heard.
//!
//! - [`sanitize`]: text from others can't move the cursor, change colours, or pass for another line
//! - [`color`]: which colours this terminal shows, and names in them
//! - [`cues`]: the program's own sounds: which goes with which event, whose they are, when there are none
//! - [`mod@line`]: a message as lines for people
//! - [`live`]: voice notes that are heard while they are spoken
//! - [`safety`]: safety numbers, to look at and to be read out
//! - [`aloud`]: what is heard of them, one after the other
//! - [`floor`]: nothing is heard over a recording
//! - [`voice_of`]: how a person sounds
//! - [`keys`]: single keys, without Enter
//! - [`listening`]: a voice note that is heard, and what may be asked of it meanwhile
//! - [`dictation`]: a voice note that is being recorded, and what may be asked of it
//! - [`gauge`]: how it stands meanwhile, drawn or in words
//! - [`unsent`]: that no recording is lost
//! - [`rooms`]: which rooms there are, and who is in one
//! - [`names`]: names as they are typed
//! - [`known`]: whether there is somebody of a name
//! - [`progress`]: how far a note has been played
//! - [`chat`]: a conversation, line by line

pub mod aloud;
pub mod chat;
pub mod color;
pub mod cues;
pub mod dictation;
pub mod floor;
pub mod gauge;
pub mod keys;
pub mod known;
pub mod line;
pub mod listening;
pub mod live;
pub mod names;
pub mod progress;
pub mod rooms;
pub mod safety;
pub mod sanitize;
pub mod unsent;
pub mod voice_of;

pub use aloud::Aloud;
pub use color::{Palette, When};
pub use cues::Cues;
pub use line::Lines;
