//! Where a passphrase comes from. Never from the command line or a variable, which others can see:
//!
//! 1. the first line of an open file descriptor, `--passphrase-fd`, for scripts
//! 2. the system's keyring, where it keeps that of the profile: the client core asks it
//! 3. a person on the terminal, without echo

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::failure::Failure;
use crate::client::{ClientError, Passphrase};
use crate::terminal::sanitize;

/// The passphrase of a profile, from a person: what did not open it is said first.
///
/// # Errors
/// When there is nobody to ask, or nothing is typed: where the keyring did not open it, that error.
pub async fn ask(home: &Path, error: ClientError) -> Result<Arc<Passphrase>> {
    let locked = ClientError::Locked { home: home.display().to_string() };
    let (said, error) = match error {
        ClientError::Locked { .. } => (None, locked),
        ClientError::WrongPassphrase => (Some("that is not the passphrase".to_owned()), locked),
        error => (Some(error.to_string()), error),
    };
    let said = said.map(|said| format!("tellal: {}\n", sanitize::line(&said))).unwrap_or_default();
    let typed = spawn_blocking(move || typed(&format!("{said}passphrase: "))).await?;
    Ok(typed.map(Arc::new).ok_or(error)?)
}

/// A new passphrase. A person types it twice.
///
/// # Errors
/// When there is none, or the two differ.
pub fn choose(fd: Option<u32>) -> Result<Arc<Passphrase>> {
    if let Some(fd) = fd {
        return from_fd(fd);
    }
    let nobody = || {
        let what = "no new passphrase: type one on a terminal, or name a descriptor with --new-passphrase-fd";
        Failure::new("no_new_passphrase", what)
    };
    let first = typed("new passphrase (there is no way back in without it): ").ok_or_else(nobody)?;
    let second = typed("once more: ").ok_or_else(nobody)?;
    if first.is(&second) {
        return Ok(Arc::new(first));
    }
    Err(Failure::new("passphrases_differ", "the two passphrases differ: nothing was changed").into())
}

/// What stands in the first line of an open descriptor.
///
/// # Errors
/// When it can't be read, or holds nothing.
pub fn from_fd(fd: u32) -> Result<Arc<Passphrase>> {
    let failed =
        |why: String| Failure::new("no_passphrase_read", format!("no passphrase in descriptor {fd}: {why}"));
    let file = File::open(format!("/dev/fd/{fd}")).map_err(|error| failed(error.to_string()))?;
    let read = Passphrase::read(file).map_err(|error| failed(error.to_string()))?;
    Ok(read.map(Arc::new).ok_or_else(|| failed("its first line is empty".to_owned()))?)
}

/// What a person types on the terminal, without echo. `None`: nothing, or there is no terminal.
fn typed(prompt: &str) -> Option<Passphrase> {
    // Before the prompt: who types at once, or has typed already, is not shown either.
    let _unseen = Unseen::begin();
    rpassword::prompt_password(prompt).ok().map(Zeroizing::new).and_then(Passphrase::new)
}

/// A terminal that shows nothing of what is typed; it does again when this is dropped.
struct Unseen {
    terminal: File,
    before: Termios,
}

impl Unseen {
    fn begin() -> Option<Self> {
        let terminal = File::open("/dev/tty").ok()?;
        let before = tcgetattr(&terminal).ok()?;
        let mut now = before.clone();
        now.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&terminal, SetArg::TCSANOW, &now).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing.
        let _ = tcsetattr(&self.terminal, SetArg::TCSANOW, &self.before);
    }
}
