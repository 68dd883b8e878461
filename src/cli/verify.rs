//! `tellal verify`: whether somebody's key is theirs.

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::app::{App, nickname};
use super::deliver;
use super::failure::Failure;
use crate::client::Safety;
use crate::speech::{Outcome, Speech, Utterance, language};
use crate::terminal::safety::{self, Qr};

/// Between two groups that are read aloud: time to compare.
const BREATH: Duration = Duration::from_millis(800);

/// Options of `verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whose key
    #[arg(value_name = "NICK")]
    pub with: String,
    /// The safety number that the other side shows or reads out: 60 digits; marks the key as verified if it is right
    #[arg(long, value_name = "NUMBER", num_args = 1.., conflicts_with = "accept_change")]
    pub code: Option<Vec<String>>,
    /// Take the changed key that was last shown for theirs, without comparing
    #[arg(long)]
    pub accept_change: bool,
    /// Read the safety number aloud, slowly
    #[arg(long)]
    pub speak: bool,
    /// Leave out the QR code, which is shown on terminals only
    #[arg(long)]
    pub no_qr: bool,
}

/// The result of `verify`.
#[derive(Debug, Serialize)]
pub struct Verified<'a> {
    /// `safety`.
    pub kind: &'static str,
    /// How it stands with the key.
    #[serde(flatten)]
    pub safety: &'a Safety,
}

/// Shows the safety number, or marks the key as verified or accepted.
///
/// # Errors
/// When nobody has that name, the number is wrong, or with `--speak` nothing can be read aloud.
pub async fn run(args: Args, app: App) -> Result<()> {
    let with = nickname(&args.with)?;
    let client = app.open().await?;
    let events = client.events();
    let safety = match &args.code {
        Some(code) => client.verify(&with, &code.concat()).await?,
        None if args.accept_change => client.accept_change(&with).await?,
        None => client.safety(&with).await?,
    };
    let decided = args.code.is_some() || args.accept_change;
    let qr = if args.no_qr || app.out.lines.plain || decided || !stdout().is_terminal() {
        Qr::No
    } else {
        Qr::Yes
    };
    let then = format!("tellal verify {with} --code NUMBER");
    let text = || if decided { safety::decided(&safety) } else { safety::shown(&safety, qr, &then) };
    app.out.put(&Verified { kind: "safety", safety: &safety }, text)?;
    app.out.flush()?;
    let spoken = if args.speak {
        speak(&app, safety.new_number.as_deref().unwrap_or(&safety.number)).await
    } else {
        Ok(())
    };
    // What was held leaves now.
    deliver::close(client, events).await;
    spoken
}

/// Reads a number aloud: each group by itself, each digit by itself.
async fn speak(app: &App, number: &str) -> Result<()> {
    let speech = Speech::new(|_| {});
    let language = language::of_locale(|name| std::env::var(name).ok());
    for group in safety::spoken(number) {
        let said =
            Utterance { language: language.or(Some(language::Language::ENGLISH)), ..Utterance::new(group) };
        let heard = app.aloud(async || speech.say(said.clone()).done().await, || speech.stop_all());
        if let Outcome::Unavailable(why) = heard.await {
            return Err(Failure::new("no_speech", why).into());
        }
        tokio::time::sleep(BREATH).await;
    }
    Ok(())
}
