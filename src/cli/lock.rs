//! `tellal lock`: the passphrase of a profile.

use anyhow::Result;
use serde::Serialize;

use super::app::App;
use super::passphrase;
use crate::client::{ClientError, Seal, Sealing, change_passphrase, lock, sealing};

/// Options of `lock`. Without any: makes what runs on the profile forget its keys.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Set a passphrase: keys and history are sealed under it
    #[arg(long, conflicts_with_all = ["keyring", "change", "remove"])]
    pub set: bool,
    /// Seal them under a passphrase that is made up, and that the system's keyring (GNOME Keyring, KWallet, KeePassXC)
    /// keeps: whoever is logged in as you is not asked for it
    #[arg(long, conflicts_with_all = ["change", "remove", "new_passphrase_fd"])]
    pub keyring: bool,
    /// Change the passphrase
    #[arg(long, conflicts_with = "remove")]
    pub change: bool,
    /// Remove the passphrase
    #[arg(long)]
    pub remove: bool,
    /// Read the new passphrase from this open file descriptor, its first line, in place of asking for it
    #[arg(long, value_name = "N")]
    pub new_passphrase_fd: Option<u32>,
}

/// The result of `lock`.
#[derive(Debug, Serialize)]
pub struct Locked {
    /// `lock`.
    pub kind: &'static str,
    /// Whether the profile has a passphrase now.
    pub passphrase: bool,
    /// Whether the system's keyring keeps it.
    pub keyring: bool,
    /// Whether a process was made to forget its keys.
    pub stopped: bool,
}

/// Sets, changes or removes the passphrase, or locks.
///
/// # Errors
/// When a passphrase is wrong or can't be asked for, the keyring does not do its part, or the profile is in use.
pub async fn run(args: Args, app: App) -> Result<()> {
    let before = sealing(&app.home)?;
    let (stopped, said) = if args.set || args.keyring || args.change || args.remove {
        match before {
            Sealing::Passphrase if args.set => return Err(ClientError::HasPassphrase.into()),
            Sealing::Open if args.change || args.remove => return Err(ClientError::NoPassphrase.into()),
            _ => {}
        }
        (false, change(&args, &app, &before).await?)
    } else {
        let stopped = lock(&app.home).await?;
        let said = if stopped {
            "locked: what ran on the profile has forgotten its keys and ended"
        } else {
            "locked: nothing runs on the profile"
        };
        let again = "; the keyring opens it again for whoever is logged in as you";
        (stopped, format!("{said}{}", if matches!(before, Sealing::Keyring(_)) { again } else { "" }))
    };
    let after = sealing(&app.home)?;
    let locked = Locked {
        kind: "lock",
        passphrase: after != Sealing::Open,
        keyring: matches!(after, Sealing::Keyring(_)),
        stopped,
    };
    app.out.put(&locked, || said)?;
    Ok(app.out.flush()?)
}

/// Seals in another way. What there is to say about it.
async fn change(args: &Args, app: &App, before: &Sealing) -> Result<String> {
    let mut old = app.passphrase.clone().filter(|_| *before != Sealing::Open);
    if *before == Sealing::Passphrase && old.is_none() {
        let locked = ClientError::Locked { home: app.home.display().to_string() };
        old = Some(passphrase::ask(&app.home, locked).await?);
    }
    let (new, said) = if args.keyring {
        let said = "keys and history are sealed now, and the system's keyring has the passphrase. Who loses the keyring \
                    loses the profile: before you leave this machine, take a passphrase of your own (tellal lock --change)";
        (Seal::Keyring, said)
    } else if args.remove {
        (Seal::Nothing, "the passphrase is removed: whoever can read the profile's files can read everything")
    } else {
        let said = match before {
            Sealing::Open => {
                "keys and history are sealed now. There is no way back in without the passphrase"
            }
            Sealing::Passphrase => "the passphrase is changed",
            Sealing::Keyring(_) => {
                "the passphrase is changed. There is no way back in without it: the keyring has none now"
            }
        };
        (Seal::Passphrase(passphrase::choose(args.new_passphrase_fd).await?), said)
    };
    let changed = match change_passphrase(&app.home, old.clone(), new.clone()).await {
        Err(error @ (ClientError::KeyringUnavailable { .. } | ClientError::NotInKeyring { .. })) => {
            let typed = passphrase::ask(&app.home, error).await?;
            change_passphrase(&app.home, Some(typed), new).await
        }
        changed => changed,
    }?;
    if let Some(cause) = changed.left {
        let what = "the passphrase of before, which opens nothing any more, is still in the keyring, and is removed later";
        app.out.note(&format!("tellal: {what}: the keyring {cause}"));
    }
    Ok(said.to_owned())
}
