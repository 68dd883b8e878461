//! How an error is reported: one line on stderr, with `--json` an object on stdout too.

use std::io::{self, Write};
use std::process::ExitCode;

#[cfg(feature = "client")]
use crate::audio::AudioError;
use crate::model::MessageId;

/// An error that only the command line knows.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// For programs: a word that stays the same.
    pub code: &'static str,
    /// For people: what happened, and what to do.
    pub message: String,
    /// The message it is about.
    pub id: Option<MessageId>,
}

impl Failure {
    /// An error about no message in particular.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), id: None }
    }
}

#[cfg(feature = "client")]
impl From<AudioError> for Failure {
    fn from(error: AudioError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// A signal asked for the end, or a key that does the same. What there is to say about it has been said.
#[cfg(feature = "client")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted {
    /// The exit code.
    pub code: u8,
}

#[cfg(feature = "client")]
impl Interrupted {
    /// By the signal of this number; a shell expects 128 more of a program that a signal ended.
    pub fn by(signal: i32) -> Self {
        Self { code: u8::try_from(128 + signal).unwrap_or(u8::MAX) }
    }

    /// Whether it is somebody who takes back what is under way: by Ctrl-C, or a key. Other signals only say that there
    /// is no more time.
    pub fn takes_back(self) -> bool {
        self == Self::default()
    }
}

#[cfg(feature = "client")]
impl Default for Interrupted {
    /// As by Ctrl-C.
    fn default() -> Self {
        Self { code: 130 }
    }
}

/// Tells of an error. A reader of stdout who has gone is none: programs downstream end when they have enough.
pub fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    #[cfg(feature = "client")]
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        return ExitCode::from(interrupted.code);
    }
    let message = format!("{error:#}");
    #[cfg(feature = "client")]
    let message = crate::terminal::sanitize::line(&message);
    // Where stderr or stdout is closed, the exit code still tells.
    let _ = writeln!(io::stderr(), "tellal: {message}");
    #[cfg(feature = "client")]
    if json {
        let object = super::output::Error {
            kind: "error",
            error: code(error),
            message: message.into_owned(),
            id: error.downcast_ref::<Failure>().and_then(|failure| failure.id),
        };
        let _ = super::output::to_json(&object).and_then(|line| writeln!(io::stdout(), "{line}"));
    }
    #[cfg(not(feature = "client"))]
    let _ = json;
    ExitCode::FAILURE
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// The word for an error that programs go by.
#[cfg(feature = "client")]
pub(super) fn code(error: &anyhow::Error) -> String {
    use crate::client::ClientError;

    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.code.to_owned();
    }
    if let Some(error) = error.downcast_ref::<ClientError>() {
        // The tag that it has between processes.
        let value = serde_json::to_value(error).unwrap_or_default();
        return value.get("error").and_then(|tag| tag.as_str()).unwrap_or("internal").to_owned();
    }
    "failed".to_owned()
}

#[cfg(test)]
#[cfg(feature = "client")]
mod tests {
    use super::*;
    use crate::client::ClientError;

    #[test]
    fn every_error_has_a_word_for_programs() {
        assert_eq!(code(&Failure::new("queued", "it waits").into()), "queued");
        assert_eq!(code(&ClientError::NoSuchMessage.into()), "no_such_message");
        assert_eq!(code(&ClientError::Internal("x".to_owned()).into()), "internal");
        assert_eq!(code(&anyhow::anyhow!("something")), "failed");
    }

    #[test]
    fn a_reader_who_has_gone_is_no_error() {
        let gone = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(is_broken_pipe(&gone.context("writing")));
        assert!(!is_broken_pipe(&anyhow::anyhow!("something")));
    }
}
