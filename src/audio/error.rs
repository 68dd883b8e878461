//! What can go wrong with sound devices. None of it stops messaging.

/// Why there is nothing to be heard, or to be recorded: what happened, and what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// There is no loudspeaker, or it can't be opened.
    #[error(
        "no loudspeaker ({cause}): connect one or start the sound server, or say --mute; \
         everything else works without"
    )]
    NoOutput {
        /// What the system says.
        cause: String,
    },
    /// The loudspeaker went away, or takes no more sound.
    #[error("the loudspeaker stopped ({cause}): check the sound server, and try again")]
    OutputLost {
        /// What the system says.
        cause: String,
    },
    /// There is no microphone, or it can't be opened.
    #[error(
        "no microphone ({cause}): connect one or start the sound server, or send a file with --file; \
         texts work without"
    )]
    NoInput {
        /// What the system says.
        cause: String,
    },
    /// There is no microphone of this name.
    #[error("no microphone is called {name:?}; there is: {known}")]
    UnknownInput {
        /// What was asked for.
        name: String,
        /// Which ones there are.
        known: String,
    },
    /// The microphone went away, or gives no more sound.
    #[error("the microphone stopped ({cause}): check it, and record again")]
    InputLost {
        /// What the system says.
        cause: String,
    },
    /// The recording holds no sample at all.
    #[error("nothing was recorded: speak a little longer")]
    NothingRecorded,
    /// What is to be played can't be read.
    #[error("this can't be played: it {0}")]
    Unreadable(String),
}

impl AudioError {
    /// A word for programs, that stays the same.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoOutput { .. } => "no_loudspeaker",
            Self::OutputLost { .. } => "loudspeaker_lost",
            Self::NoInput { .. } | Self::UnknownInput { .. } => "no_microphone",
            Self::InputLost { .. } => "microphone_lost",
            Self::NothingRecorded => "nothing_recorded",
            Self::Unreadable(_) => "unplayable",
        }
    }
}
