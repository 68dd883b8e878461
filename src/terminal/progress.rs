//! How far a voice note has been played, drawn on stderr while it plays. Without a terminal nothing is drawn.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::line;
use crate::audio::{AudioError, Playback};

/// How often it is drawn.
const DRAW: Duration = Duration::from_millis(100);

/// What is drawn now. There is one terminal, and one note is played at a time.
static DRAWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Draws until the note's end.
///
/// # Errors
/// When it can't be played.
pub async fn show(playback: &Playback) -> Result<(), AudioError> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let bar = Bar::draw(millis(playback.duration()));
    let length = line::duration(millis(playback.duration()));
    let mut ticks = tokio::time::interval(DRAW);
    let end = playback.wait();
    tokio::pin!(end);
    loop {
        tokio::select! {
            done = &mut end => return done,
            _ = ticks.tick() => {
                let position = millis(playback.position());
                bar.0.set_message(format!("{} of {length}", line::duration(position)));
                bar.0.set_position(position);
            }
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

/// Leaves nothing behind, however playing ends.
struct Bar(ProgressBar);

impl Bar {
    fn draw(length: u64) -> Self {
        let bar = ProgressBar::new(length);
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30}") {
            bar.set_style(style);
        }
        *drawn() = Some(bar.clone());
        Self(bar)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        drop(drawn().take());
        self.0.finish_and_clear();
    }
}
