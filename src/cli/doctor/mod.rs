//! `tellal doctor`: what works here, and what to do about what does not.
//!
//! Sound and speech may be absent: texts go on without them. Without profile and server nothing does, so only
//! these decide the exit code.
//!
//! - [`profile`]: the profile, and who else could read its files
//! - [`server`]: whether it can be reached, and whose clock is right
//! - [`sound`]: loudspeaker and microphone
//! - [`voices`]: the speech service, and what it speaks
//! - [`sentences`]: what is said in each language
//! - [`packages`]: what to install so that a language has a voice

pub mod packages;
pub mod profile;
pub mod sentences;
pub mod server;
pub mod sound;
pub mod voices;

use std::io::{IsTerminal, stdout};

use anyhow::Result;
use serde::Serialize;

use super::app::App;
use super::failure::Failure;
use crate::speech::{Language, Speech};
use crate::terminal::sanitize;

/// Options of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Be heard: play back two seconds of the microphone, and speak a sentence in each language that has a voice, until
    /// Enter or q. On a terminal that is so anyway, unless --mute
    #[arg(long, conflicts_with = "mute")]
    pub sound: bool,
    /// Look at the voice of this language alone (tr, ko, zh, …); of several, if it is given several times
    #[arg(long, value_name = "TAG", value_parser = language)]
    pub language: Vec<Language>,
}

fn language(tag: &str) -> Result<Language, String> {
    Language::from_tag(tag).ok_or_else(|| {
        let tags: Vec<&str> = Language::all().map(Language::tag).collect();
        format!("choose one of {}", tags.join(", "))
    })
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Check {
    /// `check`.
    pub kind: &'static str,
    /// What was looked at: a word that stays the same.
    pub what: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// Which language it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<&'static str>,
    /// What was found.
    pub said: String,
    /// What to do about it; null where there is nothing to do.
    pub remedy: Option<String>,
    /// Whether nothing works without it.
    #[serde(skip)]
    pub essential: bool,
}

impl Check {
    /// It is as it should be.
    pub fn good(what: &'static str, said: impl Into<String>) -> Self {
        Self {
            kind: "check",
            what,
            ok: true,
            language: None,
            said: said.into(),
            remedy: None,
            essential: false,
        }
    }

    /// It is not, and this is to be done.
    pub fn bad(what: &'static str, said: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { ok: false, remedy: Some(remedy.into()), ..Self::good(what, said) }
    }

    /// The same; and nothing works without.
    pub fn essential(self) -> Self {
        Self { essential: true, ..self }
    }

    /// An error's line, which holds what was found and what to do, cut where the one ends and the other begins.
    pub fn error(what: &'static str, line: &str) -> Self {
        let cut = match line.split_once("): ") {
            Some((said, remedy)) => Some((format!("{said})"), remedy)),
            None => line.split_once("; ").or_else(|| line.rsplit_once(": ")).map(|(a, b)| (a.to_owned(), b)),
        };
        match cut {
            Some((said, remedy)) => Self::bad(what, said, remedy),
            None => Self::bad(what, line, "try again, and report it if it stays so"),
        }
    }

    fn line(&self) -> String {
        let mark = if self.ok { "ok" } else { "no" };
        let said = sanitize::line(&self.said);
        match &self.remedy {
            Some(remedy) => format!("{mark}  {}: {said}\n      to do: {}", self.what, sanitize::line(remedy)),
            None => format!("{mark}  {}: {said}", self.what),
        }
    }
}

/// Looks at everything.
///
/// # Errors
/// When something is wrong without which nothing works.
pub async fn run(args: Args, app: App) -> Result<()> {
    // It takes a while to open; meanwhile everything else is looked at.
    let speech = Speech::new(|_| {});
    let mut wrong = Vec::new();
    let mut tell = |check: Check| {
        if !check.ok && check.essential {
            wrong.push(check.what);
        }
        app.out.put(&check, || check.line())?;
        app.out.flush()
    };
    let (checks, client) = profile::look(&app).await;
    checks.into_iter().try_for_each(&mut tell)?;
    if let Some(client) = client {
        server::look(&client).await.into_iter().try_for_each(&mut tell)?;
        client.close().await;
    }
    let aloud = args.sound || (!app.mute && !app.out.json && stdout().is_terminal());
    tell(sound::loudspeaker(&app).await)?;
    if aloud {
        sound::echo(&app).await.into_iter().try_for_each(&mut tell)?;
    } else {
        tell(sound::microphone().await)?;
    }
    let wish = voices::Wish { aloud, languages: args.language };
    voices::look(&speech, wish, &app, &mut tell).await?;
    if wrong.is_empty() {
        return Ok(());
    }
    let what = wrong.join(" and ");
    Err(Failure::new("check_failed", format!("{what}: not as it should be; what to do stands above")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_and_what_to_do_are_told_apart() {
        let line = "no speech service answers, so nothing is read aloud; to have it: apt-get install x";
        let check = Check::error("speech", line);
        assert_eq!(check.said, "no speech service answers, so nothing is read aloud");
        assert_eq!(check.remedy.as_deref(), Some("to have it: apt-get install x"));
        let check = Check::error("microphone", "no microphone (none: at all): connect one; texts go on");
        assert_eq!(check.said, "no microphone (none: at all)");
        assert_eq!(check.remedy.as_deref(), Some("connect one; texts go on"));
        let check = Check::error("profile", "no profile in /home/zoé: run `tellal register`");
        assert_eq!(check.remedy.as_deref(), Some("run `tellal register`"));
        assert_eq!(check.line(), "no  profile: no profile in /home/zoé\n      to do: run `tellal register`");
        assert_eq!(Check::good("server", "answers\u{1b}c").line(), "ok  server: answers␛c");
    }
}
