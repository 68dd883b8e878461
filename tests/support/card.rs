//! A sound card for tests: a sound server of its own with a loudspeaker that can be recorded and a microphone
//! that can be spoken into. Needs `pulseaudio` and `pulseaudio-utils`, which `scripts/setup test` installs.
//!
//! ```ignore
//! let card = Card::start();
//! let mut heard = card.record_loudspeaker();
//! card.run(&ayşe, ["send", "burak", "merhaba"]).ok();
//! let sound = heard.stop();
//! assert!(signal::find(&sound, &signal::read(&sent_wav)).correlation > 0.9);
//! ```

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::screen::Screen;
use super::{Finished, Profile, Running, Server, TIMEOUT, give_way};

/// Samples per second of the loudspeaker's recording.
pub const RATE: u32 = 44_100;

/// The sound server. It and what was started on it end when this is dropped.
pub struct Card {
    server: Child,
    /// What keeps the devices on time.
    listeners: Vec<Child>,
    /// A short path: sockets in it may have 108 bytes.
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// Sound is a matter of time: tests that play or record take turns, and don't keep each other from being on time.
static TURN: Mutex<()> = Mutex::new(());

impl Card {
    /// Starts one and waits until it answers.
    pub fn start() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::Builder::new().prefix("snd").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = Command::new("pulseaudio");
        environment(&mut command, folder.path());
        command.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--log-level=error"]);
        command.arg("--load=module-native-protocol-unix auth-anonymous=1");
        for name in ["speaker", "microphone"] {
            command.arg(format!("--load=module-null-sink {}", sink(name).join(" ")));
        }
        // As root it warns about that.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = command.spawn().expect("pulseaudio is installed: run scripts/setup test");
        let mut card = Self { server, listeners: Vec::new(), folder, _turn: turn };
        let deadline = Instant::now() + TIMEOUT;
        while !card.control(&["info"]) {
            assert!(card.server.try_wait().unwrap().is_none(), "the sound server ended");
            assert!(Instant::now() < deadline, "the sound server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(card.control(&["set-default-sink", "speaker"]));
        assert!(card.control(&["set-default-source", "microphone.monitor"]));
        // A null sink to which nobody listens closely works up to two seconds ahead of time, and what is spoken
        // into it then is partly lost. Real devices keep time; this makes these keep it.
        let sounds = ["speaker.monitor", "microphone.monitor"].map(|device| {
            let (listener, sound) = card.listen_to(device);
            card.listeners.push(listener);
            sound
        });
        for mut sound in sounds {
            sound.read_exact(&mut [0; 2 * RATE as usize / 5]).unwrap();
            std::thread::spawn(move || std::io::copy(&mut sound, &mut std::io::sink()));
        }
        card
    }

    /// Starts one, and sets something else up meanwhile.
    pub fn start_beside<T: Send>(beside: impl FnOnce() -> T + Send) -> (Self, T) {
        std::thread::scope(|scope| {
            let beside = scope.spawn(beside);
            (Self::start(), beside.join().unwrap())
        })
    }

    /// Starts one, and a server on which ayşe and burak are registered.
    pub fn with_friends() -> (Self, Server, Profile, Profile) {
        let (card, (server, ayşe, burak)) = Self::start_beside(|| {
            let server = Server::start();
            let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
            (server, ayşe, burak)
        });
        (card, server, ayşe, burak)
    }

    /// The variables that bring a program to this card.
    pub fn env(&self) -> [(&'static str, PathBuf); 2] {
        [("XDG_RUNTIME_DIR", self.folder.path().to_owned()), ("HOME", self.folder.path().to_owned())]
    }

    /// A command of a profile on a terminal, with this card.
    pub fn screen(&self, profile: &Profile, args: &[&str]) -> Screen {
        let variables = self.env();
        let variables = variables.each_ref().map(|(name, value)| (*name, value.to_str().unwrap()));
        Screen::start(profile, args, &variables)
    }

    /// A command on a profile, with this card.
    pub fn command<A: AsRef<OsStr>>(&self, profile: &Profile, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = profile.command(args);
        command.envs(self.env());
        command
    }

    /// Starts a command on a profile, with this card.
    pub fn start_on<A: AsRef<OsStr>>(&self, profile: &Profile, args: impl IntoIterator<Item = A>) -> Running {
        Running::start(&mut self.command(profile, args))
    }

    /// Runs a command on a profile to its end, with this card.
    pub fn run<A: AsRef<OsStr>>(&self, profile: &Profile, args: impl IntoIterator<Item = A>) -> Finished {
        self.start_on(profile, args).wait()
    }

    /// Plays a WAV file into the microphone, to its end.
    pub fn speak_into_microphone(&self, wav: &Path) {
        self.play_on("microphone", wav);
    }

    /// Plays a WAV file on a device, to its end.
    pub fn play_on(&self, device: &str, wav: &Path) {
        let mut command = self.tool("paplay");
        let status = command.arg(format!("--device={device}")).arg(wav).status().unwrap();
        assert!(status.success(), "paplay: {status}");
    }

    /// Begins to play a WAV file on a device: until its end, or that of the device, or until this is dropped.
    pub fn begin_to_play_on(&self, device: &str, wav: &Path) -> Played {
        let mut command = self.tool("paplay");
        command.arg(format!("--device={device}")).arg(wav).stderr(Stdio::null());
        Played(command.spawn().expect("paplay is installed: run scripts/setup test"))
    }

    /// Records what the loudspeaker plays, from now on: it has begun when this returns.
    pub fn record_loudspeaker(&self) -> Heard {
        self.record("speaker")
    }

    /// Records what a device plays, from now on: it has begun when this returns.
    pub fn record(&self, device: &str) -> Heard {
        let (recorder, mut stdout) = self.listen_to(&format!("{device}.monitor"));
        let arrivals: Arc<Mutex<Vec<(usize, Instant)>>> = Arc::default();
        let arrived = arrivals.clone();
        let shared = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let writing = shared.clone();
        std::thread::spawn(move || {
            let (mut buffer, mut kept) = ([0; 4096], Vec::new());
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                kept.extend_from_slice(&buffer[..count]);
                let whole = kept.len() / 2 * 2;
                let samples = kept.drain(..whole).collect::<Vec<u8>>();
                let samples = samples.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
                let mut heard = writing.0.lock().unwrap();
                arrived.lock().unwrap().push((heard.len(), Instant::now()));
                heard.extend(samples.map(|sample| f32::from(sample) / 32768.0));
                drop(heard);
                writing.1.notify_all();
            }
        });
        let heard = Heard { recorder, shared, arrivals };
        heard.wait_until("the recording of the loudspeaker begins", |samples| !samples.is_empty());
        heard
    }

    /// What a device gives, 16 bits, mono.
    fn listen_to(&self, device: &str) -> (Child, ChildStdout) {
        let mut command = self.tool("parec");
        command.args([&format!("--device={device}"), "--raw", "--format=s16le", "--channels=1"]);
        command.args([&format!("--rate={RATE}"), "--latency-msec=20"]).stdout(Stdio::piped());
        let mut recorder = command.spawn().expect("parec is installed: run scripts/setup test");
        let stdout = recorder.stdout.take().unwrap();
        (recorder, stdout)
    }

    /// Adds a device: what is played on it can be recorded as `NAME.monitor`. The id to remove it by.
    pub fn plug_in(&self, name: &str) -> String {
        let id = self.ask(
            &[&["load-module", "module-null-sink"][..], &sink(name).each_ref().map(String::as_str)].concat(),
        );
        // It keeps time only while somebody listens closely; that ends when it is unplugged.
        let (_, mut sound) = self.listen_to(&format!("{name}.monitor"));
        sound.read_exact(&mut [0; 2 * RATE as usize / 10]).unwrap();
        std::thread::spawn(move || std::io::copy(&mut sound, &mut std::io::sink()));
        id
    }

    /// Adds a microphone that gives nothing, and that is no loudspeaker beside.
    pub fn plug_in_silent_microphone(&self, name: &str) {
        self.ask(&["load-module", "module-null-source", &format!("source_name={name}"), "rate=44100"]);
    }

    /// Adds a microphone, the default one from now on, whose time passes as fast as sound is written into a file: 16
    /// bits, mono, 16 kHz. The file.
    pub fn plug_in_hasty(&self) -> PathBuf {
        let pipe = self.folder.path().join("hasty");
        let file = format!("file={}", pipe.display());
        let shape = ["format=s16le", "rate=16000", "channels=1"];
        self.ask(&[&["load-module", "module-pipe-source", "source_name=hasty", &file][..], &shape].concat());
        self.make_default("source", "hasty");
        pipe
    }

    /// Removes a device.
    pub fn unplug(&self, id: &str) {
        self.ask(&["unload-module", id]);
    }

    /// The id of one of the two devices that there are from the beginning.
    pub fn built_in(&self, name: &str) -> String {
        let modules = self.ask(&["list", "short", "modules"]);
        let line = modules.lines().find(|line| line.contains(&format!("sink_name={name} "))).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    }

    /// Makes a device the default loudspeaker (`sink`) or microphone (`source`).
    pub fn make_default(&self, kind: &str, name: &str) {
        assert!(self.control(&[&format!("set-default-{kind}"), name]));
    }

    fn ask(&self, args: &[&str]) -> String {
        let answer =
            self.tool("pactl").args(args).output().expect("pactl is installed: run scripts/setup test");
        assert!(answer.status.success(), "pactl {args:?}: {answer:?}");
        String::from_utf8(answer.stdout).unwrap().trim().to_owned()
    }

    fn control(&self, args: &[&str]) -> bool {
        let mut command = self.tool("pactl");
        command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().expect("pactl is installed: run scripts/setup test").success()
    }

    /// A program of the sound server's.
    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        environment(&mut command, self.folder.path());
        command.stdin(Stdio::null());
        command
    }
}

/// What a null sink is told. It works up to two seconds ahead of time where nobody listens closely, unless it is told not
/// to take anything back: then 50 ms.
fn sink(name: &str) -> [String; 3] {
    [format!("sink_name={name}"), "rate=44100".to_owned(), "norewinds=1".to_owned()]
}

/// Nothing of the tester's own sound server is left.
fn environment(command: &mut Command, folder: &Path) {
    for name in ["PULSE_SERVER", "PULSE_RUNTIME_PATH", "PULSE_COOKIE", "DISPLAY", "DBUS_SESSION_BUS_ADDRESS"]
    {
        command.env_remove(name);
    }
    command.env("XDG_RUNTIME_DIR", folder).env("HOME", folder);
}

impl Drop for Card {
    fn drop(&mut self) {
        // A speech service that was started by itself on this card keeps its process id here.
        let pid = self.folder.path().join("speech-dispatcher/pid/speech-dispatcher.pid");
        if let Ok(pid) = std::fs::read_to_string(pid) {
            let _ = Command::new("kill").args(["-s", "TERM", pid.trim()]).status();
        }
        for child in self.listeners.iter_mut().chain([&mut self.server]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What is being played on a device.
pub struct Played(Child);

impl Drop for Played {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the loudspeaker plays, as it is recorded.
pub struct Heard {
    recorder: Child,
    shared: Arc<(Mutex<Vec<f32>>, Condvar)>,
    /// When which sample came.
    arrivals: Arc<Mutex<Vec<(usize, Instant)>>>,
}

impl Heard {
    /// What there is so far.
    pub fn so_far(&self) -> Vec<f32> {
        self.shared.0.lock().unwrap().clone()
    }

    /// When a sample came, to about 20 ms: what is recorded at the same time can be compared by it.
    pub fn time_of(&self, sample: usize) -> Instant {
        let arrivals = self.arrivals.lock().unwrap();
        let (first, time) = arrivals[arrivals.partition_point(|(first, _)| *first <= sample) - 1];
        time + Duration::from_secs_f64((sample - first) as f64 / f64::from(RATE))
    }

    /// Waits until what there is satisfies a condition. Fails when that takes too long.
    pub fn wait_until(&self, what: &str, condition: impl Fn(&[f32]) -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let begun = Instant::now();
            let samples = self.so_far();
            if condition(&samples) {
                return;
            }
            give_way(begun, Duration::ZERO);
            let left = deadline.saturating_duration_since(Instant::now());
            // Of sound there always is more.
            assert!(!left.is_zero(), "waited too long until {what}");
            let now = self.shared.0.lock().unwrap();
            let more = self.shared.1.wait_timeout_while(now, left, |now| now.len() == samples.len());
            assert!(!more.unwrap().1.timed_out(), "waited too long until {what}");
        }
    }

    /// Listens for so much longer; the place in the recording then. Paced by the card, not by a clock.
    pub fn listen(&self, time: Duration) -> usize {
        let until = self.so_far().len() + (time.as_secs_f64() * f64::from(RATE)) as usize;
        self.wait_until("more is recorded", |samples| samples.len() >= until);
        until
    }

    /// Waits until what was played last has arrived here, and ends the recording.
    pub fn stop(self) -> Vec<f32> {
        self.listen(Duration::from_millis(300));
        self.so_far()
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        let _ = self.recorder.kill();
        let _ = self.recorder.wait();
    }
}
