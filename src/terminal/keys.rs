//! Single keys of a terminal, without waiting for Enter.

use std::io::{IsTerminal, Read, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};
use tokio::sync::mpsc;

/// What a key asks for while something is heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// `q`, or the end of input (Ctrl-D): to end.
    Quit,
    /// `n`: to go on to the next.
    Next,
    /// Any other: to be silent.
    Stop,
}

impl Key {
    fn from_byte(byte: u8) -> Self {
        match byte {
            b'q' | b'Q' | 4 => Self::Quit,
            b'n' | b'N' => Self::Next,
            _ => Self::Stop,
        }
    }
}

/// As long as it lives, keys count at once and are not shown; Ctrl-C stays a signal. Dropping it gives the
/// terminal back as it was.
pub struct Keys {
    before: Termios,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    pressed: mpsc::UnboundedReceiver<Key>,
}

impl Keys {
    /// Watches stdin. `None` where it is no terminal, or belongs to another program now.
    pub fn watch() -> Option<Self> {
        // A program in the background that touches its terminal is halted.
        if !stdin().is_terminal() || tcgetpgrp(stdin()).ok()? != getpgrp() {
            return None;
        }
        let before = tcgetattr(stdin()).ok()?;
        let mut now = before.clone();
        now.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        // A read ends after a tenth of a second at the latest, so that the thread can be stopped.
        for (index, value) in [(SpecialCharacterIndices::VMIN, 0), (SpecialCharacterIndices::VTIME, 1)] {
            *now.control_chars.get_mut(index as usize)? = value;
        }
        tcsetattr(stdin(), SetArg::TCSANOW, &now).ok()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (press, pressed) = mpsc::unbounded_channel();
        let asked = stop.clone();
        let thread = std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
            let mut bytes = [0; 64];
            while !asked.load(Ordering::Relaxed) {
                // Some keys send several bytes, which come together.
                let Ok(count) = stdin().lock().read(&mut bytes) else { return };
                let first = bytes.first().filter(|_| count > 0);
                if first.is_some_and(|byte| press.send(Key::from_byte(*byte)).is_err()) {
                    return;
                }
            }
        });
        Some(Self { before, stop, thread: thread.ok(), pressed })
    }

    /// Waits for a key.
    pub async fn pressed(&mut self) -> Key {
        match self.pressed.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to fail with.
            let _ = thread.join();
        }
        // A terminal that has gone needs nothing.
        let _ = tcsetattr(stdin(), SetArg::TCSANOW, &self.before);
    }
}
