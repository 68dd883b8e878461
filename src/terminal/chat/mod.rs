//! A conversation on a terminal, line by line.
//!
//! Lines are only ever added, the cursor is the terminal's own, nothing but the line being typed is redrawn,
//! and every change of state is words: a screen reader can follow it. What arrives stands above the line being
//! typed and leaves that line as it is. Without a terminal, lines are read as messages and results are printed
//! plainly. Not here: opening the profile, and what options there are.
//!
//! - [`command`]: what a typed line asks for
//! - [`complete`]: what Tab completes
//! - `choices`: how much of that is listed
//! - `here`: the shell's commands, as they are typed in a conversation
//! - [`input`]: the line editor, and printing above it
//! - [`people`]: who one talks with, and what of theirs is new
//! - [`render`]: what it all looks like
//! - `face`: a terminal or plain output, behind one interface
//! - `talk`: the conversation's state, from its beginning to its end
//! - `settling`: messages that stand on the screen, until they count as shown
//! - `sound`: what is heard
//! - `hands_free`: hearing it with eyes closed
//! - `rooms`: what is asked of rooms
//! - `taking`: what is recorded
//! - `live`: what of it is heard while it is spoken
//! - `typed`: doing what was typed
//! - `happened`: showing what happened

mod choices;
pub mod command;
pub mod complete;
mod face;
mod hands_free;
mod happened;
mod here;
pub mod input;
mod live;
pub mod people;
pub mod render;
mod rooms;
mod settling;
mod sound;
mod taking;
mod talk;
mod typed;

use std::io;
use std::path::PathBuf;

use crate::client::{Client, ClientError};
use crate::model::Address;

pub use face::Plain;
use render::View;
pub use talk::counted;

/// How a conversation is to be.
pub struct Settings {
    /// With whom, if that is known yet.
    pub with: Option<Address>,
    /// The profile's folder.
    pub home: PathBuf,
    /// The sounds, and where they are played.
    pub cues: super::Cues,
    /// How things are shown.
    pub lines: super::Lines,
    /// Where everything goes, in place of a terminal.
    pub plain: Option<Box<dyn Plain>>,
    /// Where everything goes when the terminal is none that lines can be edited on.
    pub fallback: Box<dyn Plain>,
}

/// Why a conversation ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The core.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The terminal, or stdout.
    #[error("the terminal or stdout can't be used")]
    Io(#[from] io::Error),
    /// Without a terminal: not all of stdin can be sent.
    #[error(
        "line {line} of stdin is not UTF-8: it was not sent, nor what follows it; what came before it is not lost. Send the \
         rest in UTF-8 (iconv converts it)"
    )]
    NotUtf8 {
        /// Which line, from 1.
        line: u64,
    },
    /// There is no reading on.
    #[error(
        "no more can be read from the terminal or stdin ({reason}); what was read before that is not lost"
    )]
    Input {
        /// What the system says.
        reason: String,
    },
    /// Without a terminal: not everything that was typed has reached the server.
    #[error(
        "{reason}; {count} of the messages wait in the outbox, and leave when a command next reaches the server"
    )]
    Waiting {
        /// How many.
        count: usize,
        /// Why.
        reason: String,
    },
}

/// Talks until there is no more to say. Before a terminal is asked for its first line nothing is waited for.
///
/// # Errors
/// When the profile can't be read or the terminal fails; without a terminal, also when something typed was
/// not sent.
pub async fn run(client: &Client, settings: Settings) -> Result<(), ChatError> {
    talk::Talk::begin(client.clone(), settings).await?.run().await
}
