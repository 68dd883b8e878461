//! Loudspeaker and microphone: whether there are any, and whether sound moves.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::Check;
use crate::audio::{AudioError, Cue, DeviceInfo, Recorder, inputs, outputs};
use crate::cli::app::App;

/// How long a device may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much is recorded.
const SAMPLE: Duration = Duration::from_millis(300);
/// How often to look.
const LOOK: Duration = Duration::from_millis(10);

/// Plays one of the program's own sounds, unless muted.
pub async fn loudspeaker(app: &App) -> Check {
    let what = "loudspeaker";
    let device = match first(outputs).await {
        Ok(device) => device,
        Err(check) => return check.of(what),
    };
    if app.mute {
        return Check::good(what, format!("{device}; nothing was played, as you wish"));
    }
    let playback = app.speaker().play(Cue::Received.built_in().to_vec());
    match timeout(PATIENCE, playback.wait()).await {
        Ok(Ok(())) => Check::good(what, format!("{device}; a sound was played")),
        Ok(Err(error)) => Check::error(what, &error.to_string()),
        Err(_) => Silent.of(what),
    }
}

/// Records for a moment.
pub async fn microphone() -> Check {
    let what = "microphone";
    let device = match first(inputs).await {
        Ok(device) => device,
        Err(check) => return check.of(what),
    };
    let recorded = timeout(PATIENCE, async {
        let recording = Recorder::start(None, PATIENCE).await?;
        let begun = Instant::now();
        let mut level = 0.0_f32;
        while recording.elapsed() < SAMPLE && begun.elapsed() < PATIENCE / 2 {
            sleep(LOOK).await;
            level = level.max(recording.level());
        }
        let moved = recording.elapsed() >= SAMPLE;
        recording.cancel();
        Ok::<_, AudioError>((moved, level))
    });
    match recorded.await {
        Ok(Ok((true, level))) => Check::good(
            what,
            format!("{device}; it records, at {:.0} % of full level just now", level * 100.0),
        ),
        Ok(Err(error)) => Check::error(what, &error.to_string()),
        Ok(Ok((false, _))) | Err(_) => Silent.of(what),
    }
}

/// Why there is no device.
enum Trouble {
    Error(AudioError),
    Silent,
}
use Trouble::Silent;

impl Trouble {
    fn of(self, what: &'static str) -> Check {
        match self {
            Self::Error(error) => Check::error(what, &error.to_string()),
            Self::Silent => Check::bad(what, "it does not answer", "check the sound server, and try again"),
        }
    }
}

/// The name of the default device; how many more there are.
async fn first(list: fn() -> Result<Vec<DeviceInfo>, AudioError>) -> Result<String, Trouble> {
    let listed = timeout(PATIENCE, tokio::task::spawn_blocking(list)).await;
    let devices = match listed {
        Ok(Ok(listed)) => listed.map_err(Trouble::Error)?,
        _ => return Err(Silent),
    };
    let name = devices.first().map_or(String::new(), |device| device.name.clone());
    Ok(match devices.len() {
        0 | 1 => name,
        count => format!("{name} (of {count})"),
    })
}
