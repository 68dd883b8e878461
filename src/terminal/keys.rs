//! Single keys of a terminal, without waiting for Enter.

use std::io::{IsTerminal, Read, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};
use tokio::sync::mpsc;

/// A key that was pressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Press {
    /// A character, also the space.
    Char(char),
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Backspace.
    Back,
    /// The left arrow.
    Left,
    /// The right arrow.
    Right,
    /// The end of the input (Ctrl-D).
    End,
    /// Another one.
    Other,
}

impl Press {
    /// The keys in what a terminal sent at once. An escape with nothing behind it is the key of that name.
    pub fn read(bytes: &[u8]) -> Vec<Self> {
        let text = String::from_utf8_lossy(bytes);
        let mut rest = text.as_ref();
        let mut keys = Vec::new();
        while let Some(c) = rest.chars().next() {
            let (key, length) = match c {
                '\u{1b}' => Self::escaped(rest),
                '\r' | '\n' => (Self::Enter, 1),
                '\u{4}' => (Self::End, 1),
                '\u{8}' | '\u{7f}' => (Self::Back, 1),
                c if c.is_control() => (Self::Other, c.len_utf8()),
                c => (Self::Char(c), c.len_utf8()),
            };
            keys.push(key);
            rest = rest.get(length..).unwrap_or_default();
        }
        keys
    }

    /// A key that sends several bytes, and how many.
    fn escaped(text: &str) -> (Self, usize) {
        let sequence = text.get(1..).unwrap_or_default();
        let Some(body) = sequence.strip_prefix(['[', 'O']) else {
            return (Self::Escape, 1);
        };
        // Parameters, and one letter or tilde.
        let end = body.find(|c: char| ('@'..='~').contains(&c)).unwrap_or(body.len());
        let length = (2 + end + 1).min(text.len());
        match body.get(end..).and_then(|end| end.chars().next()) {
            Some('C') => (Self::Right, length),
            Some('D') => (Self::Left, length),
            _ => (Self::Other, length),
        }
    }
}

/// As long as it lives, keys count at once and are not shown; Ctrl-C stays a signal. Dropping it gives the
/// terminal back as it was.
pub struct Keys {
    before: Termios,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    pressed: mpsc::UnboundedReceiver<Press>,
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
                // Some keys send several bytes, which come together or nearly so.
                let Ok(mut count) = stdin().lock().read(&mut bytes) else { return };
                if let [0x1b, rest @ ..] = &mut bytes
                    && count == 1
                {
                    let Ok(more) = stdin().lock().read(rest) else { return };
                    count += more;
                }
                let keys = Press::read(bytes.get(..count).unwrap_or_default());
                if keys.into_iter().any(|key| press.send(key).is_err()) {
                    return;
                }
            }
        });
        Some(Self { before, stop, thread: thread.ok(), pressed })
    }

    /// Waits for a key. Dropping the future loses none.
    pub async fn press(&mut self) -> Press {
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
    fn keys_are_told_apart_whatever_they_send() {
        assert_eq!(Press::read(b" "), [Press::Char(' ')]);
        assert_eq!(Press::read(b"\x1b"), [Press::Escape]);
        assert_eq!(Press::read(b"\x1b[C\x1bOD\x1b[1;5C"), [Press::Right, Press::Left, Press::Right]);
        assert_eq!(Press::read(b"\x1b[A\x1b[3~x"), [Press::Other, Press::Other, Press::Char('x')]);
        assert_eq!(
            Press::read("ş\n\r\u{4}\u{7f}".as_bytes()).as_slice(),
            [Press::Char('ş'), Press::Enter, Press::Enter, Press::End, Press::Back]
        );
        assert_eq!(Press::read(b"\x1b["), [Press::Other]);
        assert_eq!(Press::read(b"\x1bx"), [Press::Escape, Press::Char('x')]);
        assert!(Press::read(&[0xff, 0x1b, b'[', 0xff]).len() < 5 && Press::read(b"").is_empty());
    }
}
