//! Single keys of a terminal, without waiting for Enter.

use std::io::{IsTerminal, Read};

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

/// The keys that are pressed. Dropped, it leaves the terminal as it was.
pub struct Keys {
    pressed: mpsc::UnboundedReceiver<Key>,
    before: Termios,
}

impl Keys {
    /// Begins to read them. `None` where stdin is no terminal, or belongs to another program now.
    pub fn open() -> Option<Self> {
        let stdin = std::io::stdin();
        // One in the background that touches its terminal is halted.
        if !stdin.is_terminal() || tcgetpgrp(&stdin).ok()? != getpgrp() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut single = before.clone();
        single.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        for (index, value) in [(SpecialCharacterIndices::VMIN, 1), (SpecialCharacterIndices::VTIME, 0)] {
            *single.control_chars.get_mut(index as usize)? = value;
        }
        tcsetattr(&stdin, SetArg::TCSANOW, &single).ok()?;
        let (press, pressed) = mpsc::unbounded_channel();
        // It reads until the process ends: reading can't be called off.
        let reader = std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
            let mut byte = [0];
            while let Ok(1) = std::io::stdin().read(&mut byte) {
                if press.send(Key::from_byte(byte[0])).is_err() {
                    return;
                }
            }
        });
        let keys = Self { pressed, before };
        reader.ok().map(|_| keys)
    }

    /// The next key. Never returns once there are no more.
    pub async fn next(&mut self) -> Key {
        match self.pressed.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing.
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.before);
    }
}
