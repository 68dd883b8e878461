//! Single keys of a terminal, without waiting for Enter.

use std::io::{IsTerminal, stdin};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, read, tcgetpgrp};
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

/// How long a key is waited for until it is seen whether the thread is to stop, and whose the terminal is; in milliseconds.
const LOOK: u8 = 100;

/// As long as it lives, keys count at once and are not shown; Ctrl-C stays a signal. Dropping it gives the
/// terminal back as it was. While the program is halted or in the background (Ctrl-Z, `bg`), the terminal is the shell's;
/// afterwards (`fg`) keys count again.
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
        if !stdin().is_terminal() || !has_terminal() {
            return None;
        }
        let before = tcgetattr(stdin()).ok()?;
        let mut mode = before.clone();
        mode.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        // A read ends after a tenth of a second at the latest: some keys send several bytes, which come nearly together.
        for (index, value) in [(SpecialCharacterIndices::VMIN, 0), (SpecialCharacterIndices::VTIME, 1)] {
            *mode.control_chars.get_mut(index as usize)? = value;
        }
        tcsetattr(stdin(), SetArg::TCSANOW, &mode).ok()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (press, pressed) = mpsc::unbounded_channel();
        let asked = stop.clone();
        let thread = std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
            let mut bytes = [0; 64];
            while !asked.load(Ordering::Relaxed) {
                let keys = match typed(&mode, &mut bytes) {
                    Ok(count) => Press::read(bytes.get(..count).unwrap_or_default()),
                    Err(Errno::EINTR) => continue,
                    Err(_) => return,
                };
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
        if !has_terminal() {
            return;
        }
        // A terminal that has gone needs nothing.
        let _ = tcsetattr(stdin(), SetArg::TCSANOW, &self.before);
    }
}

/// Whether the terminal is this program's: it is in the foreground.
fn has_terminal() -> bool {
    tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp())
}

/// How many bytes were typed, if any were for a moment. The terminal is set as it is to be first: whoever halted the program
/// and lets it go on has set it in another way. That alone tells of it: a shell whose job runs in the background already
/// sends no signal when it puts that into the foreground.
fn typed(mode: &Termios, bytes: &mut [u8]) -> nix::Result<usize> {
    if !has_terminal() {
        std::thread::sleep(Duration::from_millis(LOOK.into()));
        return Ok(0);
    }
    if tcgetattr(stdin())?.local_flags != mode.local_flags {
        tcsetattr(stdin(), SetArg::TCSANOW, mode)?;
    }
    // A read alone would wait for a whole line where the mode is changed meanwhile.
    let stdin = stdin();
    let mut input = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    if poll(&mut input, LOOK)? == 0 || !has_terminal() {
        return Ok(0);
    }
    if input.iter().filter_map(PollFd::revents).any(|found| found.contains(PollFlags::POLLHUP)) {
        // The terminal has gone.
        return Err(Errno::EIO);
    }
    match (read(&stdin, bytes)?, &mut *bytes) {
        (1, [0x1b, rest @ ..]) => Ok(1 + read(&stdin, rest)?),
        (count, _) => Ok(count),
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
