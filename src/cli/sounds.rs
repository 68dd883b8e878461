//! `tellal sounds`: the program's own sounds, where each is from, and what they sound like.

use std::path::Path;

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use serde::Serialize;

use super::app::{App, nickname};
use super::failure::Failure;
use crate::audio::{Cue, Sounds};
use crate::model::Nickname;
use crate::terminal::cues::FOLDER;
use crate::terminal::{Cues, sanitize};

/// Options of `sounds`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Play this one, or all, one after the other; also in quiet hours
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(kinds()))]
    pub play: Option<String>,
    /// Those that are heard for what this person does
    #[arg(long = "for", value_name = "NICK")]
    pub person: Option<String>,
}

/// What `--play` takes.
fn kinds() -> impl Iterator<Item = &'static str> {
    Cue::ALL.into_iter().map(Cue::name).chain(["all"])
}

/// One of the sounds.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// `sound`.
    pub kind: &'static str,
    /// Which one: the name of its file, without `.wav`.
    pub sound: &'static str,
    /// For what whom does; null: for everybody else.
    #[serde(rename = "for")]
    pub person: Option<Nickname>,
    /// What it is read from; null: it is built in.
    pub file: Option<String>,
    /// Its length.
    pub duration_ms: u64,
    /// Whether it is set never to be played by itself.
    pub silent: bool,
}

/// Lists the sounds, or plays some.
///
/// # Errors
/// When there is no loudspeaker to play one on.
pub async fn run(args: Args, app: App) -> Result<()> {
    let person = args.person.as_deref().map(nickname).transpose()?;
    let cues = app.cues();
    let usual = cues.of(None);
    let mut listed = Vec::new();
    if let Some(person) = &person {
        listed.extend(list(&cues, &cues.of(Some(person)), Some(person)));
    } else {
        listed.extend(list(&cues, &usual, None));
        for person in cues.people() {
            let own = cues.of(Some(person));
            let replaced =
                list(&cues, &own, Some(person)).filter(|(cue, ..)| own.file(*cue) != usual.file(*cue));
            listed.extend(replaced);
        }
    }
    app.warn(&cues);
    if let Some(kind) = &args.play {
        listed.retain(|(_, listed)| (kind == "all" || kind == listed.sound) && listed.person == person);
    }
    for (cue, listed) in &listed {
        app.out.put(listed, || line(listed, app.out.lines.plain))?;
        app.out.flush()?;
        if args.play.is_some()
            && let Some(sound) = cues.of(person.as_ref()).get(*cue)
        {
            let speaker = cues.speaker();
            let play = async || {
                speaker.cue(sound.clone());
                speaker.idle().await;
            };
            app.aloud(play, || speaker.stop_cues()).await;
            if let Some(trouble) = speaker.take_trouble() {
                return Err(Failure::from(trouble).into());
            }
        }
    }
    if args.play.is_none() && !app.out.json {
        let folder = app.home.join(FOLDER);
        app.out.note(&replacing(&folder));
    }
    Ok(())
}

fn list(cues: &Cues, sounds: &Sounds, person: Option<&Nickname>) -> impl Iterator<Item = (Cue, Listed)> {
    Cue::ALL.into_iter().map(move |cue| {
        let length = sounds.get(cue).map_or(0, |sound| sound.duration().as_millis());
        let listed = Listed {
            kind: "sound",
            sound: cue.name(),
            person: person.cloned(),
            file: sounds.file(cue).map(|file| file.display().to_string()),
            duration_ms: u64::try_from(length).unwrap_or(u64::MAX),
            silent: cues.is_silent(cue),
        };
        (cue, listed)
    })
}

fn line(listed: &Listed, plain: bool) -> String {
    let person = listed.person.as_ref().map_or(String::new(), |person| format!(" for {person}"));
    let file = listed.file.as_ref().map_or("built in".to_owned(), |file| sanitize::line(file).into_owned());
    let silent = if listed.silent { ", silent" } else { "" };
    let seconds = format!("{}.{} s", listed.duration_ms / 1000, listed.duration_ms % 1000 / 100);
    let sound = format!("{}{person}", listed.sound);
    if plain {
        format!("{sound}: {seconds}{silent}, {file}")
    } else {
        format!("{sound:<16} {seconds}{silent}  {file}")
    }
}

/// How to have others.
fn replacing(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "to replace one, put a WAV file of at most 5 s in {folder} (received.wav), or in a folder called as \
         the person whom it is for ({folder}/NICK/received.wav)"
    )
}
