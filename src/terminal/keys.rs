//! Single keys of a terminal, without waiting for Enter.

use std::io::{IsTerminal, Read, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};
use tokio::sync::mpsc;

/// A key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// One that writes something; small, whether or not Shift is held.
    Char(char),
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// The end of input (Ctrl-D).
    End,
    /// An arrow.
    Left,
    /// An arrow.
    Right,
    /// An arrow.
    Up,
    /// An arrow.
    Down,
    /// Any other.
    Other,
}

impl Key {
    /// The keys in what came at once. Some send several bytes, which come together.
    fn read(bytes: &[u8]) -> Vec<Self> {
        match bytes {
            [0x1b] => return vec![Self::Escape],
            [0x1b, b'[' | b'O', b'A'] => return vec![Self::Up],
            [0x1b, b'[' | b'O', b'B'] => return vec![Self::Down],
            [0x1b, b'[' | b'O', b'C'] => return vec![Self::Right],
            [0x1b, b'[' | b'O', b'D'] => return vec![Self::Left],
            [0x1b, ..] => return vec![Self::Other],
            _ => {}
        }
        let key = |c: char| match c {
            '\n' | '\r' => Self::Enter,
            '\u{4}' => Self::End,
            c if c.is_control() => Self::Other,
            c => Self::Char(c.to_lowercase().next().unwrap_or(c)),
        };
        String::from_utf8_lossy(bytes).chars().map(key).collect()
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
                let Ok(count) = stdin().lock().read(&mut bytes) else { return };
                let keys = Key::read(bytes.get(..count).unwrap_or_default());
                if keys.into_iter().any(|key| press.send(key).is_err()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart() {
        assert_eq!(Key::read(b"vQ+"), [Key::Char('v'), Key::Char('q'), Key::Char('+')]);
        assert_eq!(Key::read(b"\n\x04"), [Key::Enter, Key::End]);
        assert_eq!(Key::read(b"\x1b"), [Key::Escape]);
        assert_eq!(Key::read(b"\x1b[D"), [Key::Left]);
        assert_eq!(Key::read(b"\x1b[15~"), [Key::Other]);
        assert_eq!(Key::read("ş\u{7f}".as_bytes()), [Key::Char('ş'), Key::Other]);
        assert_eq!(Key::read(b""), []);
    }
}
