//! Real processes for tests: a server, profiles, and commands on them.
//!
//! Nothing here sleeps for readiness: that is a line that is read, an end is a pipe that closes. Everything has a time
//! limit, every process is killed and every folder removed when its owner is dropped.
//!
//! ```ignore
//! let server = Server::start();
//! let (ayşe, burak) = (Profile::register(&server, "ayşe"), Profile::register(&server, "burak"));
//! ayşe.run(["send", "burak", "merhaba"]).ok();
//! let texts = burak.receive();
//! ```

#![allow(dead_code, reason = "each test uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may"
)]

pub mod card;
pub mod clock;
pub mod disk;
pub mod follow;
pub mod forge;
pub mod forms;
pub mod keyring;
pub mod mail;
pub mod pages;
pub mod people;
pub mod schema;
pub mod screen;
pub mod signal;
pub mod swap;
pub mod voice;
pub mod wav;

use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use disk::Disk;
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take. Generous: machines under load are slow, and only a failure waits so long.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Pauses between two looks at what is under way, the latter of which began then: whoever looked all the time would take
/// the processors from what is looked at.
pub fn give_way(looked: Instant, least: Duration) {
    std::thread::sleep(least.max(4 * looked.elapsed()));
}

/// Sends a process a signal by its name (INT, TERM, …). After STOP it stands still when this returns: until its first
/// thread has been stopped, the others go on.
pub fn send_signal(id: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &id.to_string()]).status().unwrap().success());
    let threads = || std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten();
    // In `/proc/…/stat`, behind the name in brackets. A thread that has ended meanwhile goes on with nothing.
    let stands = |thread: std::fs::DirEntry| match std::fs::read_to_string(thread.path().join("stat")) {
        Ok(stat) => stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T')),
        Err(_) => true,
    };
    let deadline = Instant::now() + TIMEOUT;
    while name == "STOP" && !threads().all(|thread| stands(thread.unwrap())) {
        assert!(Instant::now() < deadline, "{id} goes on");
        give_way(Instant::now(), Duration::from_millis(1));
    }
}

/// A command of the program in an environment of its own: no variable of the tester's reaches it.
fn tellal() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tellal"));
    let kept = ["PATH", "HOME", "TMPDIR", "LLVM_PROFILE_FILE", "LD_LIBRARY_PATH"];
    command.env_clear().envs(std::env::vars().filter(|(name, _)| kept.contains(&name.as_str())));
    command.env("TZ", "UTC").env("RUST_BACKTRACE", "1").stdin(Stdio::null());
    // Nor does a sound device of theirs: there is none but that of a test's own card.
    let no_devices = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/no_devices.conf");
    command.env("ALSA_CONFIG_PATH", no_devices);
    // Nobody's own speech service is started and left behind: a test that listens brings one.
    command.env("SPEECHD_CMD", "/nonexistent");
    command.envs(clock::variables());
    command
}

/// A process whose output is read as it comes. Killed when dropped.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
    told: String,
}

impl Running {
    /// Starts a command.
    pub fn start(command: &mut Command) -> Self {
        let mut running = Self::start_raw(command);
        let mut stderr = running.child.stderr.take().unwrap();
        running.stderr = Some(std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        }));
        running
    }

    fn start_raw(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, stderr: None, told: String::new() }
    }

    /// Starts a command whose lines on stderr are read as they come; [`Running::stderr`] then has none.
    pub fn start_with_stderr(command: &mut Command) -> (Self, Receiver<String>) {
        let mut running = Self::start_raw(command);
        let stderr = running.child.stderr.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        (running, lines)
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Its stdin, of a command that was given a pipe.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// The next line of stdout; `None` once it is closed. Fails when none comes in time.
    pub fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(TIMEOUT) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                self.kill();
                panic!("no line came within {TIMEOUT:?}; stderr: {}", self.stderr());
            }
        }
    }

    /// Ends it at once, as a power cut would (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) -> ExitStatus {
        let _ = self.child.kill();
        self.child.wait().unwrap()
    }

    /// Sends it a signal, as [`send_signal`] does.
    pub fn signal(&self, name: &str) {
        send_signal(self.id(), name);
    }

    /// Waits for its end, reading what it still prints. Fails when it does not end in time.
    pub fn wait(mut self) -> Finished {
        let deadline = Instant::now() + TIMEOUT;
        let mut stdout = String::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => stdout.push_str(&(line + "\n")),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    self.kill();
                    panic!("it did not end within {TIMEOUT:?}; stdout: {stdout}; stderr: {}", self.stderr());
                }
            }
        }
        // stdout is closed: it ends, or has.
        let status = self.child.wait().unwrap();
        let stderr = self.stderr().to_owned();
        assert!(!stderr.contains("panicked"), "it panicked: {stderr}");
        Finished { status, stdout, stderr }
    }

    /// All of stderr. Waits for its end.
    pub fn stderr(&mut self) -> &str {
        if let Some(reader) = self.stderr.take() {
            self.told = reader.join().unwrap();
        }
        &self.told
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a command that has ended left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

impl Finished {
    /// The exit code; fails for a process that a signal ended.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self:?}"))
    }

    /// stdout of a command that must have succeeded.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code(), 0, "{self:?}");
        self.stdout.trim_end()
    }

    /// The objects that a command that must have succeeded printed with `--json`.
    #[track_caller]
    pub fn json(&self) -> Vec<Value> {
        self.ok().lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// The one line of stderr of a command that must have failed: exit code 1, nothing on stdout.
    #[track_caller]
    pub fn failure(&self) -> &str {
        assert_eq!(self.code(), 1, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        self.one_line()
    }

    /// The one line of stderr.
    #[track_caller]
    pub fn one_line(&self) -> &str {
        let line = self.stderr.strip_suffix('\n').expect("stderr ends with a newline");
        assert!(!line.contains('\n') && line.starts_with("tellal: "), "not one line: {self:?}");
        line
    }
}

/// A folder into which nobody else may look.
fn private_folder() -> TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap()
}

/// A server process with a folder of its own.
pub struct Server {
    running: Running,
    data: TempDir,
    options: Vec<OsString>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its key's fingerprint, `SHA256:…`.
    pub fingerprint: String,
}

impl Server {
    /// Starts a server on a free port, and waits until it is ready.
    pub fn start() -> Self {
        Self::start_with([])
    }

    /// The same with further options.
    pub fn start_with<const N: usize>(options: [&OsStr; N]) -> Self {
        let data = private_folder();
        let options: Vec<OsString> = options.map(OsStr::to_owned).to_vec();
        let (running, address, fingerprint) = Self::launch(data.path(), "127.0.0.1:0", &options);
        Self { running, data, options, address, fingerprint }
    }

    /// The same on a disk that a test can hold up. It holds up no longer what is started again.
    pub fn start_on(disk: &Disk) -> Self {
        let data = private_folder();
        let mut command = Self::command(data.path(), "127.0.0.1:0", &[]);
        let (running, address, fingerprint) = Self::launched(command.envs(disk.variables()));
        Self { running, data, options: Vec::new(), address, fingerprint }
    }

    /// The same where whatever does not say who may read it is for everybody (umask 0), in a folder that is not there yet.
    pub fn start_without_umask() -> Self {
        let data = private_folder();
        std::fs::remove_dir(data.path()).unwrap();
        let server = Self::command(data.path(), "127.0.0.1:0", &[]);
        let mut command = Command::new("sh");
        command.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(server.get_program()).args(server.get_args());
        command.env_clear().stdin(Stdio::null());
        command.envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let (running, address, fingerprint) = Self::launched(&mut command);
        Self { running, data, options: Vec::new(), address, fingerprint }
    }

    /// The same with limits of its own: the text of a `server.toml`.
    pub fn start_limited(config: &str) -> Self {
        let data = private_folder();
        std::fs::write(data.path().join("server.toml"), config).unwrap();
        Self::start_in(data)
    }

    /// Starts a server on a folder that there is, on a free port.
    pub fn start_in(data: TempDir) -> Self {
        let (running, address, fingerprint) = Self::launch(data.path(), "127.0.0.1:0", &[]);
        Self { running, data, options: Vec::new(), address, fingerprint }
    }

    /// A copy of its folder. It must not be running.
    pub fn backup(&self) -> TempDir {
        let copy = private_folder();
        let from = self.data.path().join(".");
        let done = Command::new("cp").arg("-a").arg(from).arg(copy.path()).status().unwrap();
        assert!(done.success());
        copy
    }

    /// Puts a copy in the place of its folder, and starts it on the same port.
    pub fn restore(&mut self, copy: TempDir) {
        self.data = copy;
        self.restart_on_same_port();
    }

    /// The same, telling it so.
    pub fn restore_as_such(&mut self, copy: TempDir) {
        self.data = copy;
        self.restart_restored();
    }

    /// Starts it again, telling it that its folder was restored.
    pub fn restart_restored(&mut self) {
        self.options.push("--restored".into());
        self.restart_on_same_port();
        self.options.pop();
    }

    /// Runs `tellal server` with these arguments on its folder to its end, beside it.
    pub fn beside<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Finished {
        let mut command = tellal();
        command.args(["server", "--data"]).arg(self.data()).args(args);
        Running::start(&mut command).wait()
    }

    fn command(data: &Path, listen: &str, options: &[OsString]) -> Command {
        let mut command = tellal();
        command.args(["server", "--listen", listen, "--data"]).arg(data).args(options);
        command
    }

    fn launch(data: &Path, listen: &str, options: &[OsString]) -> (Running, SocketAddr, String) {
        Self::launched(&mut Self::command(data, listen, options))
    }

    fn launched(command: &mut Command) -> (Running, SocketAddr, String) {
        let mut running = Running::start(command);
        let Some(line) = running.line() else { panic!("the server did not start: {}", running.stderr()) };
        let ready = line.strip_prefix("listening on ").and_then(|line| line.split_once(", fingerprint "));
        let Some((address, fingerprint)) = ready else { panic!("not a ready line: {line}") };
        (running, address.parse().unwrap(), fingerprint.to_owned())
    }

    /// HOST:PORT, as `--server` takes it.
    pub fn name(&self) -> String {
        self.address.to_string()
    }

    /// Its folder: the store, the TLS key.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// Sends it a signal, as [`send_signal`] does.
    pub fn signal(&self, name: &str) {
        self.running.signal(name);
    }

    /// Ends it at once, as a power cut would (SIGKILL).
    pub fn kill(&mut self) {
        self.running.kill();
    }

    /// Asks it to end (SIGTERM) and waits until it has. Fails unless it ended well.
    pub fn stop(&mut self) {
        self.stop_by("TERM");
    }

    /// The same by a signal of one's choice; what it logged.
    pub fn stop_by(&mut self, signal: &str) -> String {
        self.running.signal(signal);
        while self.running.line().is_some() {}
        let status = self.running.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.running.stderr());
        self.running.stderr().to_owned()
    }

    /// Waits until it ends by itself: its exit code, and what it logged.
    pub fn ends(&mut self) -> (Option<i32>, String) {
        while self.running.line().is_some() {}
        let status = self.running.child.wait().unwrap();
        (status.code(), self.running.stderr().to_owned())
    }

    /// Starts it again on the same folder and the same port, and waits until it is ready. One that still runs is
    /// killed first.
    pub fn restart_on_same_port(&mut self) {
        let before = self.fingerprint.clone();
        self.restart_with_another_key();
        assert_eq!(before, self.fingerprint, "its key is another one");
    }

    /// The same where its key was exchanged meanwhile.
    pub fn restart_with_another_key(&mut self) {
        self.kill();
        let (running, address, fingerprint) = Self::launch(self.data.path(), &self.name(), &self.options);
        (self.running, self.address, self.fingerprint) = (running, address, fingerprint);
    }
}

/// Somebody's profile, in a folder of its own.
pub struct Profile {
    home: TempDir,
    /// What it is, or is to be, called.
    pub name: String,
    /// The server, as HOST:PORT.
    pub server: String,
}

impl Profile {
    /// An empty folder, not registered yet.
    pub fn new(server: &Server, name: &str) -> Self {
        Self::new_at(&server.name(), name)
    }

    /// The same at a server of another kind, given as HOST:PORT.
    pub fn new_at(server: &str, name: &str) -> Self {
        Self { home: TempDir::new().unwrap(), name: name.to_owned(), server: server.to_owned() }
    }

    /// A registered profile, with small keys: they are made faster.
    pub fn register(server: &Server, name: &str) -> Self {
        Self::register_at(&server.name(), name)
    }

    /// The same at a server of another kind.
    pub fn register_at(server: &str, name: &str) -> Self {
        let profile = Self::new_at(server, name);
        profile.run(["register", name, "--key-bits", "2048", "--server", server]).ok();
        profile
    }

    /// The profile's folder.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A file beside what the profile itself keeps.
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A command on this profile, to be started as it suits.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = tellal();
        command.env("TELLAL_HOME", self.home.path()).args(args);
        command
    }

    /// Starts a command on this profile.
    pub fn start<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Running {
        Running::start(&mut self.command(args))
    }

    /// Runs a command on this profile to its end.
    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Finished {
        self.start(args).wait()
    }

    /// Runs a command on this profile to its end, with something on stdin.
    pub fn run_with_stdin<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        stdin: &[u8],
    ) -> Finished {
        let mut running = Running::start(self.command(args).stdin(Stdio::piped()));
        let mut pipe = running.child.stdin.take().unwrap();
        // A command that does not read all of it is not a failure of the test.
        let _ = pipe.write_all(stdin);
        drop(pipe);
        running.wait()
    }

    /// Sends a text, which must be accepted; its id.
    #[track_caller]
    pub fn send(&self, to: &str, text: &str) -> String {
        self.run(["send", to, "--", text]).ok().to_owned()
    }

    /// Sends a voice note, a WAV file, which must be accepted.
    #[track_caller]
    pub fn send_note(&self, to: &str, wav: &[u8]) {
        let file = self.file("note.wav");
        std::fs::write(&file, wav).unwrap();
        self.run(["voice", to, "--mute", "--file", file.to_str().unwrap()]).ok();
    }

    /// What is new, as JSON.
    #[track_caller]
    pub fn receive(&self) -> Vec<Value> {
        self.run(["receive", "--json"]).json()
    }

    /// The texts that are new, with their senders.
    #[track_caller]
    pub fn receive_texts(&self) -> Vec<(String, String)> {
        texts(&self.receive())
    }

    /// The same, of something that is still on its way.
    #[track_caller]
    pub fn wait_for_texts(&self) -> Vec<(String, String)> {
        texts(&self.run(["receive", "--wait", "60", "--json"]).json())
    }
}

fn texts(messages: &[Value]) -> Vec<(String, String)> {
    let word = |message: &Value, field: &str| message[field].as_str().unwrap_or_default().to_owned();
    messages.iter().map(|message| (word(message, "from"), word(message, "text"))).collect()
}

/// The public key that openssl finds in a private key's file.
pub fn openssl(file: &Path, words: &str) -> Option<String> {
    let mut command = Command::new("openssl");
    command.args(["pkey", "-pubout", "-passin", "stdin", "-in"]).arg(file);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = child.spawn().expect("openssl is installed");
    child.stdin.take().unwrap().write_all(format!("{words}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}
