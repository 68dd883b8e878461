//! `tellal voice-of`: how somebody sounds when they are read aloud.

use anyhow::Result;
use clap::error::ErrorKind;
use serde::Serialize;

use super::app::{App, nickname, usage};
use crate::model::Nickname;
use crate::speech::{Outcome, Speech, Utterance};
use crate::terminal::voice_of::{Wish, of};

/// Options of `voice-of`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whose voice
    #[arg(value_name = "NICK")]
    pub nickname: String,
    /// higher, lower, faster, slower, other; pitch=N, rate=N (-100 to 100), variant=NAME; or usual
    #[arg(value_name = "CHANGE", allow_hyphen_values = true)]
    pub changes: Vec<String>,
}

/// The result of `voice-of`.
#[derive(Debug, Serialize)]
pub struct VoiceOf {
    /// `voice_of`.
    pub kind: &'static str,
    /// Whose.
    pub nickname: Nickname,
    /// -100 to 100.
    pub pitch: i32,
    /// -100 to 100.
    pub rate: i32,
    /// The variant of whichever voice reads the language.
    pub variant: Option<&'static str>,
    /// Whether it was chosen; otherwise it comes of their identity.
    pub chosen: bool,
}

/// Shows or changes it, and says the name in it.
///
/// # Errors
/// When nobody of that name is known.
pub async fn run(args: Args, app: App) -> Result<()> {
    let wish = match Wish::parse(args.changes.iter().map(String::as_str)) {
        Ok(wish) => wish,
        Err(what) => usage(ErrorKind::InvalidValue, &what).exit(),
    };
    let name = nickname(&args.nickname)?;
    let client = app.open().await?;
    let voice = of(&client, &name, &wish).await?;
    let manner = voice.manner;
    let result = VoiceOf {
        kind: "voice_of",
        nickname: name.clone(),
        pitch: manner.pitch,
        rate: manner.rate,
        variant: manner.variant,
        chosen: voice.chosen,
    };
    app.out.put(&result, || format!("{name}: {voice}"))?;
    app.out.flush()?;
    client.close().await;
    if !app.mute {
        let speech = Speech::new(|_| {});
        let person = Some(name.as_str().to_owned());
        let utterance = Utterance { person, named: true, manner, ..Utterance::default() };
        let heard = app.aloud(async || speech.say(utterance.clone()).done().await, || speech.stop_all());
        if let Outcome::Unavailable(why) = heard.await {
            app.out.note(&format!("tellal: {why}"));
        }
    }
    Ok(())
}
