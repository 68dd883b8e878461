//! Sound in and sound out: which devices there are, which are used, and whether they can be opened.

use std::time::Duration;

use super::Check;
use crate::audio::{AudioError, DeviceInfo, Recorder, inputs, outputs};

/// How long a microphone is listened to, to see that it works.
const LISTEN: Duration = Duration::from_millis(200);
/// How long a sound server may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Looks at loudspeaker and microphone.
pub async fn check() -> Vec<Check> {
    vec![out().await, mic().await]
}

async fn out() -> Check {
    let what = "sound out";
    match asked(outputs).await {
        Ok(devices) => Check { what, ok: true, said: named(&devices), remedy: None },
        Err(cause) => Check {
            what,
            ok: false,
            said: format!("no loudspeaker: {cause}"),
            remedy: Some(format!(
                "connect headphones or a loudspeaker; {SERVER}; everything else works without"
            )),
        },
    }
}

async fn mic() -> Check {
    let what = "sound in";
    let failed = |said: String, remedy: String| Check { what, ok: false, said, remedy: Some(remedy) };
    let devices = match asked(inputs).await {
        Ok(devices) => devices,
        Err(cause) => {
            let remedy = format!("connect one; {SERVER}; or send WAV files with `tellal voice NICK --file`");
            return failed(format!("no microphone: {cause}"), remedy);
        }
    };
    let named = named(&devices);
    let heard = match Recorder::start(None, LISTEN).await {
        Ok(recording) => ended(recording).await,
        Err(error) => Err(error),
    };
    match heard {
        Ok(()) => Check { what, ok: true, said: named, remedy: None },
        Err(error) => {
            let remedy =
                "see that no other program holds it and that you may use it, or choose another with --input";
            failed(format!("{named}, but {}", cause(error)), remedy.to_owned())
        }
    }
}

/// Records until the end, for nothing but to see that sound comes.
async fn ended(mut recording: crate::audio::Recording) -> Result<(), AudioError> {
    recording.ended().await;
    recording.finish().await.map(drop)
}

/// What to see to where there is no device at all.
const SERVER: &str = "see that the sound server (PulseAudio or PipeWire) runs: `pactl info`";

/// Asks on a thread of its own, since a sound server that hangs does not answer.
async fn asked(
    ask: impl FnOnce() -> Result<Vec<DeviceInfo>, AudioError> + Send + 'static,
) -> Result<Vec<DeviceInfo>, String> {
    match tokio::time::timeout(ANSWER, tokio::task::spawn_blocking(ask)).await {
        Ok(Ok(devices)) => devices.map_err(cause),
        Ok(Err(_)) => Err("asking failed".to_owned()),
        Err(_) => Err("the sound server does not answer".to_owned()),
    }
}

/// What the system says, without the advice.
fn cause(error: AudioError) -> String {
    match error {
        AudioError::NoOutput { cause }
        | AudioError::NoInput { cause }
        | AudioError::OutputLost { cause }
        | AudioError::InputLost { cause } => cause,
        other => other.to_string(),
    }
}

/// "Headset (used), Laptop (hw:0)": what `--input` takes where it differs is in parentheses.
fn named(devices: &[DeviceInfo]) -> String {
    let one = |device: &DeviceInfo| match (device.default, device.id == device.name) {
        (true, _) => format!("{} (used)", device.name),
        (false, true) => device.name.clone(),
        (false, false) => format!("{} ({})", device.name, device.id),
    };
    devices.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_that_is_used_comes_with_its_mark_and_others_with_what_chooses_them() {
        let device = |name: &str, id: &str, default| DeviceInfo { name: name.into(), id: id.into(), default };
        let devices =
            [device("Headset", "usb", true), device("Laptop", "hw:0", false), device("x", "x", false)];
        assert_eq!(named(&devices), "Headset (used), Laptop (hw:0), x");
    }

    #[tokio::test]
    async fn what_fails_comes_with_what_to_do() {
        for check in check().await {
            assert_eq!(check.ok, check.remedy.is_none(), "{check:?}");
        }
    }
}
