//! `tellal listen`: hands-free. What arrives is shown, played and read aloud, in order.

use anyhow::Result;

use super::app::App;
use super::receive;
use crate::client::Role;

/// Options of `listen`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Goes on until Ctrl-C or `q`.
///
/// # Errors
/// When the profile can't be opened, or another `listen` or `chat` runs on it.
pub async fn run(_: Args, app: App) -> Result<()> {
    let args = receive::Args { wait: None, follow: true, play: true, speak: true };
    receive::run_as(Role::Listen, args, app).await
}
