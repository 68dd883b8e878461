//! A capture device and a loudspeaker: the machine's own, or a virtual card. What the loudspeaker plays is
//! recorded, so that what was heard can be looked at.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::stage::Stage;
use crate::succeeded;

/// Samples per second of what is recorded of the loudspeaker.
const RATE: u32 = 16_000;
/// Loud enough to be heard: the root mean square of 16-bit samples.
const LOUD: f64 = 150.0;
/// How long readiness may take, and what is to be heard may not be heard.
const PATIENCE: Duration = Duration::from_secs(20);

/// A sound card.
pub struct Card {
    /// The folder of the virtual one.
    folder: Option<PathBuf>,
}

/// Sound, one channel.
pub struct Sound {
    samples: Vec<i16>,
    rate: u32,
}

/// What the loudspeaker has played.
pub struct Loudspeaker(Arc<Mutex<Tape>>);

#[derive(Default)]
struct Tape {
    began: Option<Instant>,
    samples: Vec<i16>,
}

impl Card {
    /// Somebody's: the machine's own, if it has a microphone and a loudspeaker, or a virtual one.
    pub fn find(stage: &Stage, name: &str) -> Result<Self> {
        if stage.own_sound && has_own() {
            stage.print(&format!("{name} has this machine's own microphone and loudspeaker"));
            return Ok(Self { folder: None });
        }
        // Short, since there will be sockets in it.
        let initial = name.chars().next().map_or('s', |initial| initial);
        let folder = stage.folder(&format!("sound-{initial}"))?;
        let card = Self { folder: Some(folder.clone()) };
        let mut pulse = card.command("pulseaudio");
        pulse.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--log-level=error"]);
        for module in [
            "module-native-protocol-unix auth-anonymous=1",
            "module-null-sink sink_name=speaker",
            "module-null-sink sink_name=microphone",
        ] {
            pulse.arg(format!("--load={module}"));
        }
        let started = pulse.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        stage.keep(started.context("pulseaudio is missing: run scripts/setup demo")?);
        stage.keep_daemon(folder.join("speech-dispatcher/pid/speech-dispatcher.pid"));
        let ready = || card.command("pactl").arg("info").output().is_ok_and(|info| info.status.success());
        ensure!(until(ready), "the virtual sound card does not come up");
        for (what, name) in [("set-default-sink", "speaker"), ("set-default-source", "microphone.monitor")] {
            succeeded(&card.command("pactl").args([what, name]).output()?, "choosing a device")?;
        }
        // A null sink to which nobody listens closely works up to two seconds ahead of time, and what is spoken
        // into it then is partly lost. A real microphone keeps time; this makes this one keep it.
        let mut listener = card.command("parec");
        listener.args(["-d", "microphone.monitor", "--raw", "--latency-msec=20"]);
        let listener = listener.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        stage.keep(listener.context("parec is missing: run scripts/setup demo")?);
        stage.print(&format!(
            "{name} has a virtual sound card, since this machine has none to use: PulseAudio with two null sinks"
        ));
        Ok(card)
    }

    /// What processes need to find it.
    pub fn env(&self) -> Vec<(String, PathBuf)> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let server = PathBuf::from(format!("unix:{}/pulse/native", folder.display()));
        [("XDG_RUNTIME_DIR", folder.clone()), ("HOME", folder.clone()), ("PULSE_SERVER", server)]
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.envs(self.env()).stdin(Stdio::null());
        command
    }

    /// Begins to record what the loudspeaker plays.
    pub fn listen(&self, stage: &Stage) -> Result<Loudspeaker> {
        let device = if self.folder.is_some() { "speaker.monitor" } else { "@DEFAULT_MONITOR@" };
        let mut recorder = self.command("parec");
        recorder.args(["-d", device, "--raw", "--format=s16le", "--channels=1", "--latency-msec=20"]);
        let mut recorder = recorder
            .arg(format!("--rate={RATE}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("parec is missing: run scripts/setup demo")?;
        let mut stdout = recorder.stdout.take().context("a pipe")?;
        stage.keep(recorder);
        let tape = Arc::new(Mutex::new(Tape::default()));
        let recording = Arc::clone(&tape);
        thread::spawn(move || {
            let (mut bytes, mut odd) = ([0; 4096], Vec::new());
            while let Ok(count @ 1..) = stdout.read(&mut bytes) {
                odd.extend_from_slice(bytes.get(..count).unwrap_or_default());
                let whole = odd.len() / 2 * 2;
                let rest = odd.split_off(whole);
                let fresh =
                    odd.chunks_exact(2).filter_map(|two| Some(i16::from_le_bytes(two.try_into().ok()?)));
                let mut tape = recording.lock().unwrap_or_else(PoisonError::into_inner);
                tape.began.get_or_insert_with(Instant::now);
                tape.samples.extend(fresh);
                odd = rest;
            }
        });
        let loudspeaker = Loudspeaker(tape);
        let running = || loudspeaker.tape(|tape| !tape.samples.is_empty());
        ensure!(until(running), "the loudspeaker can't be recorded");
        Ok(loudspeaker)
    }

    /// Says something into the microphone, to the end. What was said, where that is known.
    pub fn say(&self, stage: &Stage, text: &str, length: Duration) -> Result<Option<Sound>> {
        let Some(folder) = &self.folder else {
            stage.print(&format!("Say something into the microphone now, for {} seconds.", length.as_secs()));
            thread::sleep(length);
            return Ok(None);
        };
        let file = folder.join("words.wav");
        let mut voice = self.command("espeak-ng");
        voice.args(["-v", "tr", "-w"]).arg(&file).arg(text);
        succeeded(&voice.output().context("espeak-ng is missing: run scripts/setup demo")?, "speaking")?;
        let spoken = self.command("paplay").args(["-d", "microphone"]).arg(&file).output();
        succeeded(&spoken?, "speaking into the microphone")?;
        // What is under way through the card is recorded, too.
        thread::sleep(Duration::from_secs(1));
        stage.aside(&format!("(into the microphone: {text})"));
        Ok(Some(read(&file)?))
    }
}

/// Whether there is a sound server with a real microphone.
fn has_own() -> bool {
    let default = |what: &str| {
        let said = Command::new("pactl").arg(what).output().ok().filter(|said| said.status.success())?;
        String::from_utf8(said.stdout).ok().map(|name| name.trim().to_owned())
    };
    let real = |name: String| !name.is_empty() && !name.ends_with(".monitor") && name != "auto_null";
    default("get-default-source").is_some_and(real) && default("get-default-sink").is_some_and(real)
}

/// Asks again and again, for a while.
fn until(ready: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

impl Loudspeaker {
    fn tape<T>(&self, look: impl FnOnce(&Tape) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was heard in between.
    pub fn heard(&self, from: Instant, to: Instant) -> Sound {
        self.tape(|tape| {
            let place = |time: Instant| {
                let since = tape.began.map_or(Duration::ZERO, |began| time.saturating_duration_since(began));
                (since.as_secs_f64() * f64::from(RATE)) as usize
            };
            let (start, end) = (place(from), place(to).min(tape.samples.len()));
            Sound { samples: tape.samples.get(start..end).unwrap_or_default().to_vec(), rate: RATE }
        })
    }

    /// Waits until there is so much sound, in seconds, since a moment. Whether there is.
    pub fn plays(&self, since: Instant, seconds: f64) -> bool {
        until(|| self.heard(since, Instant::now()).loud_for() > seconds)
    }

    /// Waits for so long, by its own time.
    pub fn listen(&self, time: f64) {
        let length = || self.tape(|tape| tape.samples.len());
        let end = length() + (time * f64::from(RATE)) as usize;
        until(|| length() >= end);
    }

    /// Waits until it has been silent for so long: what was playing has ended, and is on the tape.
    pub fn settle(&self, rest: Duration) {
        let began = Instant::now();
        until(|| {
            let now = Instant::now();
            let Some(before) = now.checked_sub(rest) else { return false };
            now > began + rest && !self.heard(before, now).is_sound()
        });
    }

    /// Writes all of it to a file.
    pub fn save(&self, stage: &Stage, name: &str) -> Result<PathBuf> {
        let file = stage.kept.join(format!("loudspeaker-of-{name}.wav"));
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: RATE,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let samples = self.tape(|tape| tape.samples.clone());
        let mut writer = hound::WavWriter::create(&file, spec)?;
        samples.into_iter().try_for_each(|sample| writer.write_sample(sample))?;
        writer.finalize()?;
        Ok(fs::canonicalize(file)?)
    }
}

impl Sound {
    /// How long it is.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }

    /// Whether there is anything to hear.
    pub fn is_sound(&self) -> bool {
        envelope(self).iter().any(|loudness| *loudness > LOUD)
    }

    /// For how long there is something to hear, in seconds.
    pub fn loud_for(&self) -> f64 {
        envelope(self).iter().filter(|loudness| **loudness > LOUD).count() as f64 * STEP
    }
}

/// Seconds of one step of an envelope.
const STEP: f64 = 0.02;

/// Reads a WAV file of one channel.
pub fn read(file: &Path) -> Result<Sound> {
    let mut reader = hound::WavReader::open(file)?;
    let rate = reader.spec().sample_rate;
    ensure!(reader.spec().channels == 1, "more than one channel");
    Ok(Sound { samples: reader.samples::<i16>().collect::<Result<_, _>>()?, rate })
}

/// Loudness over time: the root mean square of each fiftieth of a second.
pub fn envelope(sound: &Sound) -> Vec<f64> {
    let step = ((f64::from(sound.rate) * STEP) as usize).max(1);
    let loudness = |samples: &[i16]| {
        let power: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        (power / samples.len() as f64).sqrt()
    };
    sound.samples.chunks(step).map(loudness).collect()
}

/// How alike two courses of loudness are where the shorter one lies best along the longer one: 1 is the same.
pub fn likeness(one: &[f64], other: &[f64]) -> f64 {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    if short.is_empty() {
        return 0.0;
    }
    long.windows(short.len()).map(|part| correlation(short, part)).fold(0.0, f64::max)
}

/// Pearson's.
fn correlation(one: &[f64], other: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (a, b) = (mean(one), mean(other));
    let sum = |f: fn(f64, f64) -> f64| -> f64 { one.iter().zip(other).map(|(x, y)| f(x - a, y - b)).sum() };
    let spread = (sum(|x, _| x * x) * sum(|_, y| y * y)).sqrt();
    if spread > 0.0 { sum(|x, y| x * y) / spread } else { 0.0 }
}
