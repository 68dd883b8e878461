//! Loudspeaker and microphone: whether sound moves. Only the default devices are touched: listing all of them lets
//! sound libraries complain on stderr about those that are not there.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::Check;
use crate::audio::{AudioError, Cue, Recorder, recorder};
use crate::cli::app::App;
use crate::terminal::floor::Floor;

/// How long a device may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much is recorded.
const SAMPLE: Duration = Duration::from_millis(300);
/// How much is recorded to be played back.
const ECHO: Duration = Duration::from_secs(2);
/// How often to look.
const LOOK: Duration = Duration::from_millis(10);

/// Plays one of the program's own sounds; if muted, its silence.
pub async fn loudspeaker(app: &App) -> Check {
    let what = "loudspeaker";
    let mut wav = Cue::Received.built_in().to_vec();
    if app.mute {
        // All but the header.
        wav.iter_mut().skip(44).for_each(|byte| *byte = 0);
    }
    let speaker = app.speaker();
    let play = async || timeout(PATIENCE, speaker.play(wav.clone()).wait()).await;
    // Silence is heard by nobody.
    let played = if app.mute { play().await } else { app.aloud(play, || speaker.stop()).await };
    match played {
        Ok(Ok(())) if app.mute => {
            Check::good(what, "it takes sound; it was given silence, since it is muted")
        }
        Ok(Ok(())) => Check::good(what, "a sound was played: was it heard?"),
        Ok(Err(error)) => Check::error(what, &error.to_string()),
        Err(_) => silent(what),
    }
}

/// Records for a moment.
pub async fn microphone() -> Check {
    let what = "microphone";
    let recorded = timeout(PATIENCE, async {
        let recording = Recorder::start(recorder::Options::default()).await?;
        let device = recording.device();
        let begun = Instant::now();
        let mut level = 0.0_f32;
        while recording.elapsed() < SAMPLE && begun.elapsed() < PATIENCE / 2 {
            sleep(LOOK).await;
            level = level.max(recording.level());
        }
        let moved = recording.elapsed() >= SAMPLE;
        recording.cancel();
        Ok::<_, AudioError>(moved.then_some((device, level)))
    });
    match recorded.await {
        Ok(Ok(Some((device, level)))) => {
            Check::good(what, format!("{device} records; just now at {:.0} % of the loudest", level * 100.0))
        }
        Ok(Err(error)) => Check::error(what, &error.to_string()),
        Ok(Ok(None)) | Err(_) => silent(what),
    }
}

/// Records two seconds and plays them back: microphone, and playback.
pub async fn echo(app: &App) -> Vec<Check> {
    let (what, back) = ("microphone", "playback");
    let options = recorder::Options { limit: ECHO, ..recorder::Options::default() };
    // Nothing is heard meanwhile, on this terminal or another.
    let taken = Floor::of(&app.home).take();
    let recorded = timeout(PATIENCE, async {
        let mut recording = Recorder::start(options).await?;
        let device = recording.device();
        app.out.note("say something: two seconds are recorded, and then played back");
        recording.ended().await;
        Ok::<_, AudioError>((device, recording.finish().await?))
    });
    let recorded = recorded.await;
    drop(taken);
    let (device, take) = match recorded {
        Ok(Ok(recorded)) => recorded,
        Ok(Err(error)) => return vec![Check::error(what, &error.to_string())],
        Err(_) => return vec![silent(what)],
    };
    let microphone = Check::good(what, format!("{device} records"));
    if take.is_silent() {
        let said = "there was nothing in what was recorded but silence";
        let remedy = "see that the microphone is not muted and is the default one, or say something louder";
        return vec![microphone, Check::bad(back, said, remedy)];
    }
    let note = match take.note() {
        Ok(note) => note,
        Err(error) => return vec![Check::error(what, &error.to_string())],
    };
    let speaker = app.speaker();
    let play = async || timeout(PATIENCE, speaker.play(note.wav.clone()).wait()).await;
    let played = match app.aloud(play, || speaker.stop()).await {
        Ok(Ok(())) => Check::good(back, "what was recorded was played: was it heard?"),
        Ok(Err(error)) => Check::error(back, &error.to_string()),
        Err(_) => silent(back),
    };
    vec![microphone, played]
}

fn silent(what: &'static str) -> Check {
    Check::bad(what, "it does not answer", "check the sound server, and try again")
}
