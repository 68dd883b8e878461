//! Any key stops what is being played.

use std::io::{IsTerminal, Read, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::sys::termios::{self, LocalFlags, SetArg, SpecialCharacterIndices, Termios};
use tokio::sync::oneshot;

/// As long as it lives, keys count at once and are not shown; Ctrl-C stays a signal. Dropping it gives the
/// terminal back as it was.
pub struct Keys {
    before: Termios,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    pressed: oneshot::Receiver<()>,
}

impl Keys {
    /// Watches stdin, if it is a terminal.
    pub fn watch() -> Option<Self> {
        if !stdin().is_terminal() {
            return None;
        }
        let before = termios::tcgetattr(stdin()).ok()?;
        let mut now = before.clone();
        now.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        // A read ends after a tenth of a second at the latest, so that the thread can be stopped.
        for (index, value) in [(SpecialCharacterIndices::VMIN, 0), (SpecialCharacterIndices::VTIME, 1)] {
            *now.control_chars.get_mut(index as usize)? = value;
        }
        termios::tcsetattr(stdin(), SetArg::TCSANOW, &now).ok()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (press, pressed) = oneshot::channel();
        let asked = stop.clone();
        let thread = std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                match stdin().lock().read(&mut [0; 64]) {
                    Ok(0) => {}
                    Ok(_) => {
                        let _ = press.send(());
                        return;
                    }
                    Err(_) => break,
                }
            }
        });
        Some(Self { before, stop, thread: thread.ok(), pressed })
    }

    /// Waits for a key.
    pub async fn pressed(&mut self) {
        if (&mut self.pressed).await.is_err() {
            std::future::pending().await
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
        let _ = termios::tcsetattr(stdin(), SetArg::TCSANOW, &self.before);
    }
}
