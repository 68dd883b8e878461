//! `tellal lock`: the passphrase of a profile.

use anyhow::Result;
use serde::Serialize;

use super::app::App;
use super::passphrase;
use crate::client::{ClientError, change_passphrase, has_passphrase, lock};

/// Options of `lock`. Without any: makes what runs on the profile forget its keys.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Set a passphrase: keys and history are sealed under it
    #[arg(long, conflicts_with_all = ["change", "remove"])]
    pub set: bool,
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
    /// Whether a process was made to forget its keys.
    pub stopped: bool,
}

/// Sets, changes or removes the passphrase, or locks.
///
/// # Errors
/// When a passphrase is wrong or can't be asked for, or the profile is in use.
pub async fn run(args: Args, app: App) -> Result<()> {
    let sealed = has_passphrase(&app.home)?;
    let new_passphrase = || passphrase::choose(args.new_passphrase_fd);
    let (stopped, said) = if args.set {
        if sealed {
            return Err(ClientError::HasPassphrase.into());
        }
        change_passphrase(&app.home, None, Some(new_passphrase()?)).await?;
        (false, "keys and history are sealed now. There is no way back in without the passphrase")
    } else if args.change || args.remove {
        if !sealed {
            return Err(ClientError::NoPassphrase.into());
        }
        let old = app.passphrase.clone().map_or_else(|| passphrase::ask(&app.home), Ok)?;
        let new = if args.change { Some(new_passphrase()?) } else { None };
        change_passphrase(&app.home, Some(old), new).await?;
        let removed = "the passphrase is removed: whoever can read the profile's files can read everything";
        (false, if args.remove { removed } else { "the passphrase is changed" })
    } else if lock(&app.home).await? {
        (true, "locked: what ran on the profile has forgotten its keys and ended")
    } else {
        (false, "locked: nothing runs on the profile")
    };
    let locked = Locked { kind: "lock", passphrase: has_passphrase(&app.home)?, stopped };
    app.out.put(&locked, || said.to_owned())?;
    Ok(app.out.flush()?)
}
