//! A keyring for tests: a D-Bus session of its own with GNOME Keyring on it, unlocked as by a login. Needs `dbus`,
//! `gnome-keyring` and `libsecret-tools`, which `scripts/setup test` installs.
//!
//! ```ignore
//! let keyring = Keyring::start();
//! keyring.run(&ayşe, ["lock", "--keyring"]).ok();
//! assert_eq!(keyring.entries().len(), 1);
//! ```

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::screen::Screen;
use super::{Finished, Profile, Running, TIMEOUT, send_signal};

/// Of the bus: nothing is started on it by itself, nobody but its owner may connect.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=BUS</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// What the login's keyring is unlocked with.
const LOGIN: &[u8] = b"oturum";

/// The session's keyring. It ends when this is dropped.
pub struct Keyring {
    bus: Child,
    daemon: Child,
    /// A short path: sockets in it may have 108 bytes.
    folder: TempDir,
}

impl Keyring {
    /// Starts one that is unlocked, and waits until it answers.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("key").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let config = folder.path().join("bus.conf");
        let socket = folder.path().join("bus");
        std::fs::write(&config, BUS.replace("BUS", socket.to_str().unwrap())).unwrap();
        let mut command = Command::new("dbus-daemon");
        command.arg("--config-file").arg(&config).args(["--nofork", "--print-address"]);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut bus = command.spawn().expect("dbus-daemon is installed: run scripts/setup test");
        let mut address = String::new();
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.starts_with("unix:"), "the bus did not start: {address:?}");
        let daemon = daemon(&folder);
        let keyring = Self { bus, daemon, folder };
        keyring.wait();
        keyring
    }

    /// Ends it at once, and starts it anew: locked or unlocked as by another login, with what it has on its disk.
    pub fn restart(&mut self) {
        self.kill();
        self.daemon = daemon(&self.folder);
        self.wait();
    }

    /// Ends the keyring at once; the session goes on.
    pub fn kill(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }

    /// Has it stand still (`STOP`) and go on (`CONT`).
    pub fn signal(&self, name: &str) {
        send_signal(self.daemon.id(), name);
    }

    /// Locks it, as a person would.
    pub fn lock(&self) {
        let service = ["--dest=org.freedesktop.secrets", "/org/freedesktop/secrets"];
        let login = "array:objpath:/org/freedesktop/secrets/collection/login";
        let mut command = Command::new("dbus-send");
        environment(&mut command, &self.folder);
        command.args(["--session", "--print-reply"]).args(service);
        let locked = command.args(["org.freedesktop.Secret.Service.Lock", login]).output().unwrap();
        assert!(locked.status.success(), "{locked:?}");
    }

    /// The variables that bring a program to this session.
    pub fn env(&self) -> [(&'static str, PathBuf); 2] {
        let bus = format!("unix:path={}", self.folder.path().join("bus").display());
        [("DBUS_SESSION_BUS_ADDRESS", bus.into()), ("XDG_RUNTIME_DIR", self.folder.path().to_owned())]
    }

    /// A command on a profile, in this session.
    pub fn command<A: AsRef<OsStr>>(&self, profile: &Profile, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = profile.command(args);
        command.envs(self.env());
        command
    }

    /// Starts a command on a profile, in this session.
    pub fn start_on<A: AsRef<OsStr>>(&self, profile: &Profile, args: impl IntoIterator<Item = A>) -> Running {
        Running::start(&mut self.command(profile, args))
    }

    /// Runs a command on a profile to its end, in this session.
    pub fn run<A: AsRef<OsStr>>(&self, profile: &Profile, args: impl IntoIterator<Item = A>) -> Finished {
        self.start_on(profile, args).wait()
    }

    /// The same, with something on stdin.
    pub fn run_with_stdin<A: AsRef<OsStr>>(
        &self,
        profile: &Profile,
        args: impl IntoIterator<Item = A>,
        stdin: &str,
    ) -> Finished {
        let mut running = Running::start(self.command(profile, args).stdin(Stdio::piped()));
        // A command that does not read all of it is not a failure of the test.
        let _ = running.stdin().unwrap().write_all(stdin.as_bytes());
        running.wait()
    }

    /// A command of a profile on a terminal, in this session.
    pub fn screen(&self, profile: &Profile, args: &[&str]) -> Screen {
        let variables = self.env();
        let variables = variables.each_ref().map(|(name, value)| (*name, value.to_str().unwrap()));
        Screen::start(profile, args, &variables)
    }

    /// The entries that the program has in it, as another program sees them: id, passphrase.
    pub fn entries(&self) -> Vec<(String, String)> {
        let found = self.tool(&["search", "--all", "application", "tellal"]).output().unwrap();
        // What is secret stands in one stream, attributes in the other, in the same order.
        let values = |name: &str| -> Vec<String> {
            let text = [&found.stdout[..], b"\n", &found.stderr[..]].concat();
            let text = String::from_utf8(text).unwrap();
            let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
            lines.map(str::to_owned).collect()
        };
        let (ids, secrets) = (values("attribute.entry"), values("secret"));
        assert_eq!(ids.len(), secrets.len(), "{found:?}");
        ids.into_iter().zip(secrets).collect()
    }

    /// Removes an entry, as a person would.
    pub fn remove(&self, id: &str) {
        let status = self.tool(&["clear", "application", "tellal", "entry", id]).status().unwrap();
        assert!(status.success(), "secret-tool clear: {status}");
    }

    /// libsecret's own program.
    fn tool(&self, args: &[&str]) -> Command {
        let mut command = Command::new("secret-tool");
        environment(&mut command, &self.folder);
        command.args(args).stdin(Stdio::null());
        command
    }

    fn wait(&self) {
        let deadline = Instant::now() + TIMEOUT;
        // It says so itself when it has nothing.
        while !self
            .tool(&["search", "application", "tellal"])
            .output()
            .is_ok_and(|found| found.status.success())
        {
            assert!(Instant::now() < deadline, "the keyring does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn daemon(folder: &TempDir) -> Child {
    let mut command = Command::new("gnome-keyring-daemon");
    environment(&mut command, folder);
    command.args(["--foreground", "--unlock", "--components=secrets"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut daemon = command.spawn().expect("gnome-keyring is installed: run scripts/setup test");
    daemon.stdin.take().unwrap().write_all(LOGIN).unwrap();
    daemon
}

/// Nothing of the tester's own session is left.
fn environment(command: &mut Command, folder: &TempDir) {
    let bus = format!("unix:path={}", folder.path().join("bus").display());
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.env("DBUS_SESSION_BUS_ADDRESS", bus).env("LC_ALL", "C.UTF-8");
    for name in ["HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        command.env(name, folder.path());
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        for child in [&mut self.daemon, &mut self.bus] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
