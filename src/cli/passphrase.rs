//! Where a passphrase comes from. Never from the command line or a variable, which others can see:
//!
//! 1. the first line of an open file descriptor, `--passphrase-fd`, for scripts
//! 2. the system's keyring, where it keeps that of the profile: the client core asks it
//! 3. a person on the terminal, without echo

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::failure::{Failure, Interrupted};
use crate::client::{ClientError, Passphrase};
use crate::terminal::sanitize;

/// The passphrase of a profile, from a person: what did not open it is said first.
///
/// # Errors
/// When there is nobody to ask, or nothing is typed: where the keyring did not open it, that error; [`Interrupted`].
pub async fn ask(home: &Path, error: ClientError) -> Result<Arc<Passphrase>> {
    let locked = ClientError::Locked { home: home.display().to_string() };
    let (said, error) = match error {
        ClientError::Locked { .. } => (None, locked),
        ClientError::WrongPassphrase => (Some("that is not the passphrase".to_owned()), locked),
        error => (Some(error.to_string()), error),
    };
    let said = said.map(|said| format!("tellal: {}\n", sanitize::line(&said))).unwrap_or_default();
    let typed = typed(format!("{said}passphrase: ")).await?;
    Ok(typed.map(Arc::new).ok_or(error)?)
}

/// A new passphrase. A person types it twice.
///
/// # Errors
/// When there is none, or the two differ; [`Interrupted`].
pub async fn choose(fd: Option<u32>) -> Result<Arc<Passphrase>> {
    if let Some(fd) = fd {
        return from_fd(fd);
    }
    let nobody = || {
        let what = "no new passphrase: type one on a terminal, or name a descriptor with --new-passphrase-fd";
        Failure::new("no_new_passphrase", what)
    };
    let ask =
        async |prompt: &str| typed(prompt.to_owned()).await?.ok_or_else(|| anyhow::Error::from(nobody()));
    let first = ask("new passphrase (there is no way back in without it): ").await?;
    let second = ask("once more: ").await?;
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

/// What a person types on the terminal, without echo. `None`: nothing, or there is no terminal. Dropping the future gives
/// the terminal back as it was.
///
/// # Errors
/// [`Interrupted`] by Ctrl-C, which is no signal meanwhile.
async fn typed(prompt: String) -> Result<Option<Passphrase>> {
    // Before the prompt: who types at once, or has typed already, is not shown either.
    let unseen = Unseen::begin();
    let behind = unseen.clone();
    let typed = spawn_blocking(move || {
        let typed = rpassword::prompt_password(prompt).map(Zeroizing::new);
        // The prompt has put back what it found, and that showed nothing.
        drop(behind);
        typed
    });
    let typed = typed.await?;
    drop(unseen);
    match typed {
        Ok(typed) => Ok(Passphrase::new(typed)),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Interrupted::default().into()),
        Err(_) => Ok(None),
    }
}

/// A terminal that shows nothing of what is typed; it is as it was before when this is dropped, or a clone of it.
#[derive(Clone)]
struct Unseen {
    terminal: Arc<File>,
    before: Termios,
}

impl Unseen {
    fn begin() -> Option<Self> {
        let terminal = File::open("/dev/tty").ok()?;
        let before = tcgetattr(&terminal).ok()?;
        let mut now = before.clone();
        now.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&terminal, SetArg::TCSANOW, &now).ok()?;
        Some(Self { terminal: Arc::new(terminal), before })
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing.
        let _ = tcsetattr(&self.terminal, SetArg::TCSANOW, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use std::any::TypeId;

    use clap::{Arg, Command, CommandFactory as _};

    use crate::cli::Root;

    /// What an option or operand says of itself.
    fn words(arg: &Arg) -> String {
        let help = [arg.get_help(), arg.get_long_help()].into_iter().flatten().map(ToString::to_string);
        let names =
            [arg.get_long(), arg.get_value_names().and_then(|names| names.first()).map(|name| name.as_str())];
        let names = names.into_iter().flatten().map(str::to_owned);
        let env = arg.get_env().map(|name| name.to_string_lossy().into_owned());
        let all = help.chain(names).chain(env).chain([arg.get_id().to_string()]);
        all.collect::<Vec<_>>().join(" ").to_lowercase()
    }

    fn look(command: &Command, path: &str, descriptors: &mut Vec<String>) {
        for arg in command.get_arguments().filter(|arg| arg.get_action().takes_values()) {
            let words = words(arg);
            if !["passphrase", "password", "secret", "keyring", "pin code"]
                .iter()
                .any(|word| words.contains(word))
            {
                continue;
            }
            let long = arg.get_long().unwrap_or_else(|| panic!("{path} takes one as an operand: {words}"));
            let number = arg.get_value_parser().type_id() == TypeId::of::<u32>();
            assert!(
                long.ends_with("passphrase-fd") && number,
                "{path} --{long} takes more than a number: {words}"
            );
            assert!(arg.get_env().is_none() && arg.get_short().is_none(), "{path} --{long}");
            descriptors.push(format!("{path} --{long}"));
        }
        for below in command.get_subcommands() {
            look(below, &format!("{path} {}", below.get_name()), descriptors);
        }
    }

    #[test]
    fn no_command_takes_a_passphrase_but_by_the_number_of_a_descriptor() {
        let mut root = Root::command();
        root.build();
        let mut descriptors = Vec::new();
        look(&root, "tellal", &mut descriptors);
        for (verb, name) in
            [("", "passphrase-fd"), (" send", "passphrase-fd"), (" lock", "new-passphrase-fd")]
        {
            let descriptor = format!("tellal{verb} --{name}");
            assert!(descriptors.contains(&descriptor), "{descriptor}: {descriptors:?}");
        }
        let given = ["tellal", "lock", "--set", "geheim"];
        assert!(
            Root::command().try_get_matches_from(given).is_err(),
            "nor does one slip through as an operand"
        );
        for fd in ["geheim", "-1", "3x"] {
            assert!(
                Root::command().try_get_matches_from(["tellal", "users", "--passphrase-fd", fd]).is_err()
            );
        }
    }
}
