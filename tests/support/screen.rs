//! The program on a terminal: a pseudo-terminal of its own, and what a person sees on it.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::{Profile, TIMEOUT, send_signal};

/// A terminal with a command on it. The command is killed when this is dropped.
pub struct Screen {
    child: Box<dyn Child + Send + Sync>,
    keyboard: Box<dyn Write + Send>,
    shared: Arc<(Mutex<Shown>, Condvar)>,
    master: Box<dyn MasterPty + Send>,
    _slave: Box<dyn portable_pty::SlavePty + Send>,
}

struct Shown {
    parser: vt100::Parser,
    raw: Vec<u8>,
}

impl Screen {
    /// Starts a command of a profile on a terminal of 80 by 24.
    pub fn start(profile: &Profile, args: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::run(&profile.command(args), variables, (80, 24))
    }

    /// The same on a terminal of so many columns and lines.
    pub fn sized(profile: &Profile, args: &[&str], size: (u16, u16)) -> Self {
        Self::run(&profile.command(args), &[], size)
    }

    /// Starts a shell with job control on such a terminal, which leaves how it is set alone. There, `$TELLAL` is the program,
    /// on this profile.
    pub fn shell(profile: &Profile) -> Self {
        let program = profile.command::<&str>([]);
        let mut shell = Command::new("bash");
        shell.args(["--norc", "--noprofile", "--noediting", "-i"]).env("TELLAL", program.get_program());
        shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PS1", "shell> ");
        Self::run(&shell, &[], (80, 24))
    }

    fn run(command: &Command, variables: &[(&str, &str)], (cols, rows): (u16, u16)) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut builder = CommandBuilder::new(command.get_program());
        builder.args(command.get_args());
        builder.env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                builder.env(name, value);
            }
        }
        builder.env("TERM", "xterm-256color");
        for (name, value) in variables {
            builder.env(name, value);
        }
        let child = pair.slave.spawn_command(builder).unwrap();
        let keyboard = pair.master.take_writer().unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (rows, columns) = (NonZeroU16::new(rows).unwrap(), NonZeroU16::new(cols).unwrap());
        let parser = vt100::Parser::new(rows, columns, 1000);
        let shared = Arc::new((Mutex::new(Shown { parser, raw: Vec::new() }), Condvar::new()));
        let seen = shared.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                let mut shown = seen.0.lock().unwrap();
                shown.parser.process(&bytes[..count]);
                shown.raw.extend_from_slice(&bytes[..count]);
                seen.1.notify_all();
            }
        });
        Self { child, keyboard, shared, master: pair.master, _slave: pair.slave }
    }

    /// Types.
    pub fn type_keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// The lines on the screen, without empty ones at the end.
    pub fn lines(&self) -> Vec<String> {
        lines(&self.shared.0.lock().unwrap().parser)
    }

    /// The line that the cursor is in, up to the cursor.
    pub fn before_cursor(&self) -> String {
        before_cursor(&self.shared.0.lock().unwrap().parser)
    }

    /// Every byte that the program has written.
    pub fn raw(&self) -> Vec<u8> {
        self.shared.0.lock().unwrap().raw.clone()
    }

    /// Waits until some line holds this. Fails when none does in time.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        self.wait(&format!("{text:?} on the screen"), |parser| {
            lines(parser).iter().any(|line| line.contains(text))
        });
    }

    /// Waits until the text before the cursor is this.
    #[track_caller]
    pub fn wait_for_cursor(&self, text: &str) {
        self.wait(&format!("the cursor after {text:?}"), |parser| before_cursor(parser) == text);
    }

    /// Waits until the screen is as it is to be.
    #[track_caller]
    pub fn wait(&self, what: &str, wanted: impl Fn(&vt100::Parser) -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        let mut shown = self.shared.0.lock().unwrap();
        while !wanted(&shown.parser) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "there is not {what}:\n{}", lines(&shown.parser).join("\n"));
            shown = self.shared.1.wait_timeout(shown, left).unwrap().0;
        }
    }

    /// Sends it a signal, as [`send_signal`] does.
    pub fn signal(&self, name: &str) {
        send_signal(self.child.process_id().unwrap(), name);
    }

    /// Waits for the command's end; its exit code.
    pub fn finish(&mut self) -> u32 {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.lines().join("\n"));
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Waits until the terminal is set as it is to be.
    #[track_caller]
    pub fn wait_for_modes(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        while !wanted(&self.modes()) {
            let lines = self.lines().join("\n");
            assert!(Instant::now() < deadline, "the terminal is not {what}, but {}:\n{lines}", self.modes());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// How the terminal is set: whether it edits lines and echoes by itself, and the like.
    pub fn modes(&self) -> String {
        let modes = self.master.get_termios().unwrap();
        format!("{:?} {:?} {:?}", modes.input_flags, modes.output_flags, modes.local_flags)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(parser: &vt100::Parser) -> Vec<String> {
    let text = parser.screen().contents();
    text.lines().map(|line| line.trim_end().to_owned()).collect()
}

fn before_cursor(parser: &vt100::Parser) -> String {
    let (row, column) = parser.screen().cursor_position();
    parser.screen().contents_between(row, 0, row, column)
}
