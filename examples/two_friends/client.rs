//! A client process that stays: `tellal chat`, typed on and read through pipes.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::stage::Stage;

/// How long anything may take to appear.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running conversation.
pub struct Client {
    keyboard: ChildStdin,
    screen: Arc<Screen>,
    /// The process, among those that the stage keeps.
    process: usize,
    /// Lines that were waited for and those before them.
    read: usize,
}

/// What stands on it, line by line.
#[derive(Default)]
struct Screen {
    lines: Mutex<Vec<String>>,
    more: Condvar,
}

impl Client {
    /// Starts it. What it says is printed as it comes, after a name.
    pub fn start(stage: &Arc<Stage>, mut command: Command, name: &str) -> Result<Self> {
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let keyboard = process.stdin.take().context("a pipe")?;
        let screen = Arc::new(Screen::default());
        let label = stage.paint("2", &format!("{name} │"));
        for pipe in [
            process.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
            process.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        ] {
            let pipe = BufReader::new(pipe.context("a pipe")?);
            let (screen, stage, label) = (screen.clone(), stage.clone(), label.clone());
            thread::spawn(move || {
                for line in pipe.lines().map_while(Result::ok) {
                    stage.print(&format!("{label} {line}"));
                    screen.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                    screen.more.notify_all();
                }
            });
        }
        Ok(Self { keyboard, screen, process: stage.keep(process), read: 0 })
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) -> Result<()> {
        writeln!(self.keyboard, "{line}").and_then(|()| self.keyboard.flush()).context("it has ended")
    }

    /// Waits for a line with this in it, after those that were waited for before.
    pub fn wait_for(&mut self, text: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.screen.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(place) = lines.iter().skip(self.read).position(|line| line.contains(text)) {
                self.read += place + 1;
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{text:?} does not appear");
            }
            lines = self.screen.more.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends it as its user would. Whether it was the same process until then, and ended well.
    pub fn quit(mut self, stage: &Stage) -> bool {
        self.type_line("/quit").is_ok() && stage.wait(self.process)
    }
}
