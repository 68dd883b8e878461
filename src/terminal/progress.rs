//! One line on stderr that is drawn again and again: how far a note has been played, or recorded. Without a terminal
//! nothing is drawn.

use std::io::{IsTerminal, stderr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::listening::Standing;
use crate::audio::{AudioError, Playback};

/// How often it is drawn.
pub const DRAW: Duration = Duration::from_millis(100);

/// What is drawn now. There is one terminal, and one note is played or recorded at a time.
static DRAWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Draws until the note's end, with its waveform where that is known.
///
/// # Errors
/// When it can't be played.
pub async fn show(playback: &Playback, peaks: &[u8]) -> Result<(), AudioError> {
    let line = Line::draw(true);
    let mut ticks = tokio::time::interval(DRAW);
    let end = playback.wait();
    tokio::pin!(end);
    loop {
        tokio::select! {
            done = &mut end => return done,
            _ = ticks.tick() => line.set(Standing::of(playback, peaks).line(false)),
        }
    }
}

/// Prints lines where something may be drawn, which stands below them again afterwards.
pub fn beside<T>(print: impl FnOnce() -> T) -> T {
    match &*drawn() {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

fn drawn() -> MutexGuard<'static, Option<ProgressBar>> {
    DRAWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The line. Leaves nothing behind, however that ends.
pub struct Line(Option<ProgressBar>);

impl Line {
    /// Draws it, if that is wanted and there is a terminal.
    pub fn draw(wanted: bool) -> Self {
        if !wanted || !stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        *drawn() = Some(bar.clone());
        Self(Some(bar))
    }

    /// What it is to say now.
    pub fn set(&self, line: String) {
        if let Some(bar) = &self.0 {
            bar.set_message(line);
        }
    }

    /// Whether anybody sees it.
    pub fn is_drawn(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(bar) = self.0.take() {
            drop(drawn().take());
            bar.finish_and_clear();
        }
    }
}
