//! Recording a voice note: until Enter, for some seconds, or until the limit; Ctrl-C throws it away.

use std::io::{IsTerminal, stderr, stdin};
use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use super::app::App;
use super::failure::{Failure, Interrupted};
use crate::audio::recorder::{LIMIT, Options};
use crate::audio::{AudioError, Note, Recorder, Recording};
use crate::terminal::line;

/// How often time and level are drawn.
const DRAW: Duration = Duration::from_millis(100);
/// Places of the level's bar, 3 dB each.
const PLACES: usize = 16;

/// What ended a recording.
enum End {
    /// Enter.
    Asked,
    /// Its length was reached, or the microphone stopped.
    Itself,
    /// Ctrl-C.
    Cancelled,
}

/// Records, and says so.
///
/// # Errors
/// When there is no microphone; [`Interrupted`] when it was cancelled, which has been said then.
pub async fn record(app: &App, input: Option<&str>, seconds: Option<Duration>) -> Result<Note> {
    let limit = seconds.unwrap_or(LIMIT);
    let options = Options { input: input.map(str::to_owned), limit, ..Options::default() };
    let mut recording = Recorder::start(options).await.map_err(Failure::from)?;
    let device = recording.device();
    let how = match seconds {
        Some(seconds) => format!("recording {} s from {device}: Ctrl-C cancels", seconds.as_secs_f64()),
        None => format!("recording from {device}: Enter sends, Ctrl-C cancels"),
    };
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    // Heeded from here on, that is before anybody is told that it is.
    if tokio::time::timeout(Duration::ZERO, &mut interrupted).await.is_ok() {
        return Err(Interrupted.into());
    }
    app.out.note(&how);
    let enter = enter(seconds.is_none());
    tokio::pin!(enter);
    let bar = meter();
    let mut end = tokio::select! {
        end = watch(&mut recording, &bar) => end,
        () = &mut enter => End::Asked,
        _ = &mut interrupted => End::Cancelled,
    };
    bar.finish_and_clear();
    if matches!(end, End::Itself) && seconds.is_none() {
        let what = if recording.elapsed() < LIMIT {
            format!("the microphone stopped after {}", time(recording.elapsed()))
        } else {
            "this is the limit of 10 min, and the end of the recording".to_owned()
        };
        app.out.note(&format!("tellal: {what}: Enter sends it, Ctrl-C cancels"));
        end = tokio::select! {
            () = &mut enter => End::Asked,
            _ = &mut interrupted => End::Cancelled,
        };
    }
    if matches!(end, End::Cancelled) {
        recording.cancel();
        app.out.note("tellal: cancelled: nothing was sent");
        return Err(Interrupted.into());
    }
    let elapsed = recording.elapsed();
    let note = recording.finish().await.and_then(|take| take.note()).map_err(Failure::from)?;
    if seconds.is_some_and(|seconds| matches!(end, End::Itself) && elapsed < seconds) {
        let cause = format!("after {}; nothing was sent", time(elapsed));
        return Err(Failure::from(AudioError::InputLost { cause }).into());
    }
    app.out.note(&format!("recorded {}", time(Duration::from_millis(note.duration_ms))));
    if note.is_silent() {
        app.out.note(
            "tellal: the recording is silent: check that the microphone is not muted, or choose another with --input",
        );
    }
    Ok(note)
}

/// Waits for Enter, where that is what ends it. The end of the input counts too.
pub(super) async fn enter(ends: bool) {
    if ends {
        let line = tokio::task::spawn_blocking(|| stdin().read_line(&mut String::new()));
        // What can't be read has ended.
        let _ = line.await;
    } else {
        std::future::pending().await
    }
}

/// Draws time and level until the recording ends by itself.
async fn watch(recording: &mut Recording, bar: &ProgressBar) -> End {
    let mut ticks = tokio::time::interval(DRAW);
    loop {
        tokio::select! {
            () = recording.ended() => return End::Itself,
            _ = ticks.tick() => {
                bar.set_message(format!("{} {}", time(recording.elapsed()), level(recording.level())));
            }
        }
    }
}

/// One line on a terminal, nothing elsewhere.
fn meter() -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{msg}") {
        bar.set_style(style);
    }
    bar
}

/// Whole seconds that are over.
fn time(time: Duration) -> String {
    line::duration(time.as_secs() * 1000)
}

/// A bar on a scale of decibels, as loudness is heard.
fn level(level: f32) -> String {
    let above = (20.0 * level.max(1e-6).log10() + 3.0 * PLACES as f32) / 3.0;
    let full = (above.ceil().max(0.0) as usize).min(PLACES);
    format!("[{}{}]", "#".repeat(full), "-".repeat(PLACES - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_drawn_in_decibels() {
        assert_eq!(level(0.0), "[----------------]");
        assert_eq!(level(1.0), "[################]");
        assert_eq!(level(0.5), "[##############--]");
        assert_eq!(level(f32::NAN), "[----------------]");
        assert_eq!(level(0.01), "[###-------------]");
    }
}
