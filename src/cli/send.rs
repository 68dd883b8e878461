//! `tellal send`: a text, to somebody by nickname, or to a room.

use std::io::{IsTerminal, Read, stdin};

use anyhow::Result;
use clap::error::ErrorKind;

use super::app::{App, address, usage};
use super::deliver;
use super::failure::Failure;
use super::meant;
use crate::model::limits;

/// Options of `send`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// To whom, or to which room: `#garden` or `room:garden`
    #[arg(value_name = "NICK|ROOM")]
    pub to: String,
    /// What to say; `-`, or nothing where stdin is no terminal: what stdin says. A text that starts with `-`
    /// follows `--`
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,
}

/// Sends, waits until the server has accepted it, and prints the message's id.
///
/// # Errors
/// When it can't be stored, is refused, or has to wait in the outbox.
pub async fn run(args: Args, app: App) -> Result<()> {
    let to = address(&args.to)?;
    let text = match args.text {
        Some(text) if text != "-" => text,
        None if stdin().is_terminal() => {
            let what = "say what to send: TEXT, or `-` to type it and end it with Ctrl-D";
            usage(ErrorKind::MissingRequiredArgument, what).exit();
        }
        _ => tokio::task::spawn_blocking(read_stdin).await??,
    };
    if text.trim().is_empty() {
        return Err(Failure::new("empty_text", "the text is empty: nothing was sent").into());
    }
    let client = app.open().await?;
    let cues = app.cues();
    let mut events = client.events();
    let sent = match deliver::stored(client.send_text(&to, &text)).await {
        Ok(queued) => deliver::accepted(&client, &mut events, &queued).await,
        Err(error) => Err(error.into()),
    };
    let sent = meant::or(&client, sent).await;
    let told = deliver::tell(&app, &cues, &to, &sent, |sent| app.out.put(sent, || sent.id.to_string()));
    tokio::join!(deliver::close(client, events), told).1?;
    sent.map(drop)
}

/// All of stdin without the newline that ends it. A little more than can be sent is enough to be refused.
fn read_stdin() -> Result<String> {
    let mut bytes = Vec::new();
    stdin().lock().take(limits::INLINE_CONTENT as u64 + 2).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::new("not_utf8", "stdin holds no UTF-8 text: nothing was sent"))?;
    let line = text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n'));
    Ok(line.unwrap_or(&text).to_owned())
}
