//! `tellal listen`: hands-free. What arrives is shown, played and read aloud, in order.

use anyhow::Result;

use super::app::{App, address};
use super::receive;
use crate::client::Role;
use crate::client::settings::Quiet;

/// What can be pressed meanwhile.
const KEYS: &str = "Keys: space or any other key is silence, n next, r again, m more of a long text, - slower, + faster, u what was not \
     heard, v reply by voice (Enter or v sends it, space pauses, c does not send it), h these keys, q end; in a note: p \
     pauses, left and right go 5 s back and ahead, 0 to 9 go to tenths.";

/// Options of `listen`.
#[derive(Debug, clap::Args)]
#[command(after_help = KEYS)]
pub struct Args {
    /// Hear what is unread, and what was to be heard before and was not, of one person or room or of all, and end
    #[arg(long, value_name = "NICK|ROOM", num_args = 0..=1, default_missing_value = "", conflicts_with = "quiet")]
    pub unread: Option<String>,
    /// Hours in which nothing is heard by itself, in place of those of the settings
    #[arg(long, value_name = "FROM-UNTIL")]
    pub quiet: Option<Quiet>,
}

/// Goes on until Ctrl-C or `q`; with `--unread` until everything that is unread has been heard.
///
/// # Errors
/// When the profile can't be opened, nobody has that name, or another `listen` or `chat` runs on it.
pub async fn run(args: Args, app: App) -> Result<()> {
    let all = receive::Args { wait: None, follow: true, play: true, speak: true };
    match args.unread {
        None => {
            receive::run_as(
                Role::Listen,
                all,
                receive::Which { quiet: args.quiet, ..Default::default() },
                app,
            )
            .await
        }
        Some(from) => {
            let from = if from.is_empty() { None } else { Some(address(&from)?) };
            let once = receive::Args { follow: false, ..all };
            receive::run_as(Role::Command, once, receive::Which { quiet: None, from, unheard: true }, app)
                .await
        }
    }
}
