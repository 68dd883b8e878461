//! `tellal block`, `tellal unblock`: whose mail is not wanted.

use anyhow::Result;

use super::app::{App, nickname};
use super::deliver;
use super::output::Block;
use crate::terminal::sanitize;

/// Options of `block` and `unblock`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whom
    #[arg(value_name = "NICK")]
    pub nickname: String,
}

/// Blocks somebody, or no longer.
///
/// # Errors
/// When nobody has that name, or the profile can't be written.
pub async fn run(args: Args, app: App, blocked: bool) -> Result<()> {
    let name = nickname(&args.nickname)?;
    let client = app.open().await?;
    let events = client.events();
    let done = client.block(&name, blocked).await;
    if let Ok(told) = &done {
        let result = Block { kind: "block", nickname: name.to_string(), blocked, told: *told };
        app.out.put(&result, || said(name.as_str(), blocked))?;
        app.out.flush()?;
        if !told {
            app.out.note("tellal: the server does not know of it yet: it is told when it next is in reach and takes it");
        }
    }
    deliver::close(client, events).await;
    Ok(done.map(drop)?)
}

fn said(name: &str, blocked: bool) -> String {
    let name = sanitize::line(name);
    if blocked {
        format!("{name} is blocked: what they send is dropped, and they can't tell")
    } else {
        format!("{name} is not blocked any more: what they send from now on arrives")
    }
}
