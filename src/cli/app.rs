//! The global options, and what they make of the world: a profile's folder, a server, an output.

use std::io::{IsTerminal, stdout};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use clap::{CommandFactory, ValueEnum};

use super::Root;
use super::failure::Failure;
use super::output::Output;
use super::{modes, passphrase};
use crate::audio::Speaker;
use crate::client::settings::Quiet;
use crate::client::{Client, Options, Passphrase, Role, Settings};
use crate::model::{Address, Color, Nickname};
use crate::terminal::floor::Floor;
use crate::terminal::{Cues, Lines, Palette, When, names};

/// How often somebody may mistype the passphrase.
const ATTEMPTS: usize = 3;

/// Options that every verb takes.
#[derive(Debug, clap::Args)]
pub struct Globals {
    /// Folder of the profile [default: in the platform's data folder]
    #[arg(long, value_name = "DIR", env = "TELLAL_HOME", global = true, hide_env_values = true)]
    pub home: Option<PathBuf>,
    /// The server; remembered at registration, port 6000 if unnamed
    #[arg(long, value_name = "HOST[:PORT]", env = "TELLAL_SERVER", global = true, hide_env_values = true)]
    pub server: Option<String>,
    /// Read the profile's passphrase from this open file descriptor, its first line, in place of asking for it
    #[arg(long, value_name = "N", global = true)]
    pub passphrase_fd: Option<u32>,
    /// Print one JSON object a line
    #[arg(long, global = true)]
    pub json: bool,
    /// Play none of the program's own sounds; voice notes and texts are heard all the same
    #[arg(long, global = true)]
    pub mute: bool,
    /// Words alone: no colours, no symbols, no bars, nothing that is drawn again; for screen readers and braille
    #[arg(long, env = "TELLAL_PLAIN", global = true, hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub plain: bool,
    /// When to use colour: auto, always or never; with `register`: your own colour
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: ColorOption,
    /// Tell on stderr what goes on; twice: in detail
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
}

/// What `--color` can say: when to use colour, and for `register` alone, which one to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColorOption {
    /// When.
    When(When),
    /// Which.
    Own(Color),
}

impl FromStr for ColorOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (When::from_str(text, false), text.parse()) {
            (Ok(when), _) => Ok(Self::When(when)),
            (_, Ok(color)) => Ok(Self::Own(color)),
            _ => Err(format!("choose auto, always or never; with `register`: {}", Color::names())),
        }
    }
}

/// What a verb works with.
pub struct App {
    /// The profile's folder.
    pub home: PathBuf,
    /// The server, if one was named.
    pub server: Option<String>,
    /// stdout.
    pub out: Output,
    /// Whether the program's own sounds are off.
    pub mute: bool,
    /// The profile's passphrase, where a descriptor was named that gives it.
    pub passphrase: Option<Arc<Passphrase>>,
    settings: OnceLock<Settings>,
}

impl App {
    /// Applies the options.
    ///
    /// # Errors
    /// When no folder was named and the platform has none.
    pub fn new(globals: Globals) -> Result<Self> {
        trace(globals.verbose);
        let home = match globals.home.filter(|home| !home.as_os_str().is_empty()) {
            Some(home) => home,
            None => directories::ProjectDirs::from("", "", "tellal")
                .map(|folders| folders.data_dir().to_owned())
                .context("this user has no home folder: name the profile's with --home DIR")?,
        };
        let when = match globals.color {
            _ if globals.plain => When::Never,
            ColorOption::When(when) => when,
            ColorOption::Own(_) => When::Auto,
        };
        let palette = Palette::detect(when, stdout().is_terminal(), |name| std::env::var(name).ok());
        let out = Output::new(globals.json, Lines { plain: globals.plain, ..Lines::here(palette) });
        let server = globals.server.filter(|server| !server.is_empty());
        // At once: what stdin says beside it may come behind it.
        let passphrase = globals.passphrase_fd.map(passphrase::from_fd).transpose()?;
        Ok(Self { home, server, out, mute: globals.mute, passphrase, settings: OnceLock::new() })
    }

    /// The loudspeaker. The device is opened when something is played.
    pub fn speaker(&self) -> Speaker {
        Speaker::new()
    }

    /// What is set for this profile. What is wrong with it is said once.
    pub fn settings(&self) -> &Settings {
        self.settings.get_or_init(|| {
            let (settings, warnings) = Settings::load(&self.home);
            warnings.iter().for_each(|warning| self.out.note(&format!("tellal: {warning}")));
            settings
        })
    }

    /// This profile's own sounds.
    pub fn cues(&self) -> Cues {
        self.cues_with(None)
    }

    /// The same with other quiet hours, if they are given.
    pub fn cues_with(&self, quiet: Option<Quiet>) -> Cues {
        let set = self.settings();
        let settings = Settings { quiet: quiet.or(set.quiet), ..set.clone() };
        let cues = Cues::new(&self.home, &settings, self.mute, self.speaker());
        self.warn(&cues);
        cues
    }

    /// Says what is wrong with files of sounds, each thing once. It is no failure.
    pub fn warn(&self, cues: &Cues) {
        cues.take_warnings().iter().for_each(|warning| self.out.note(&format!("tellal: {warning}")));
    }

    /// Says once if others may read the profile's files. It is no failure.
    pub fn warn_of_modes(&self) {
        if let Some(warning) = modes::warning(&self.home) {
            self.out.note(&format!("tellal: {warning}"));
        }
    }

    /// Waits until the sounds of a command that was to be heard are over, so that its end does not cut them off.
    /// That there is no loudspeaker is said in a line, and is no failure.
    pub async fn heard(&self, speaker: &Speaker) {
        speaker.idle().await;
        if let Some(trouble) = speaker.take_trouble() {
            self.out.note(&format!("tellal: {trouble}"));
        }
    }

    /// Waits until nobody is recording for this profile, which is said once: nothing is heard over a recording.
    pub async fn floor(&self) {
        let floor = Floor::of(&self.home);
        if !floor.is_free() {
            self.out.note("tellal: a voice note is being recorded: this waits until that is over");
            floor.free().await;
        }
    }

    /// Lets something be heard, but never over a recording: not before nobody is recording, and from its beginning
    /// again if somebody begins to in the middle of it. `hush` silences it.
    pub async fn aloud<T>(&self, mut begin: impl AsyncFnMut() -> T, hush: impl Fn()) -> T {
        let floor = Floor::of(&self.home);
        loop {
            self.floor().await;
            let _sounding = floor.sound().await;
            tokio::select! {
                biased;
                heard = begin() => return heard,
                () = floor.taken() => hush(),
            }
        }
    }

    /// Opens the profile.
    ///
    /// # Errors
    /// See [`Client::open`].
    pub async fn open(&self) -> Result<Client> {
        self.open_as(Role::Command).await
    }

    /// Opens the profile for a front end of this role.
    ///
    /// # Errors
    /// See [`Client::open`].
    pub async fn open_as(&self, role: Role) -> Result<Client> {
        let passphrase = self.passphrase.clone();
        let options = Options { server: self.server.clone(), role, passphrase, ..Options::new(&self.home) };
        // Beside a process that has the profile open no passphrase is needed.
        let mut opened = Client::open(options.clone()).await;
        for _ in 0..ATTEMPTS {
            match opened {
                Err(error) if self.passphrase.is_none() && error.is_of_a_locked_profile() => {
                    let typed = passphrase::ask(&self.home, error).await?;
                    opened = Client::open(Options { passphrase: Some(typed), ..options.clone() }).await;
                }
                opened => return Ok(opened?),
            }
        }
        Ok(opened?)
    }
}

/// Reads a nickname that was typed. Not done by the option parser: a wrong name is a failure, not wrong usage.
///
/// # Errors
/// With the rule that it breaks.
pub fn nickname(text: &str) -> Result<Nickname> {
    names::nickname(text).map_err(|wrong| Failure::new("invalid_nickname", wrong).into())
}

/// Reads whom something is for: a nickname, or a room's name behind `#` or `room:`.
///
/// # Errors
/// With the rule that it breaks.
pub fn address(text: &str) -> Result<Address> {
    let code = if names::is_of_room(text) { "invalid_room_name" } else { "invalid_nickname" };
    names::address(text).map_err(|wrong| Failure::new(code, wrong).into())
}

/// Wrong usage that the option parser could not see. `exit` on it tells so, with code 2.
pub fn usage(kind: ErrorKind, what: &str) -> clap::Error {
    Root::command().error(kind, what)
}

fn trace(verbose: u8) {
    let filter = match verbose {
        0 => return,
        1 => "tellal=debug",
        _ => "trace",
    };
    let subscriber = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    // Fails only when there is a subscriber already.
    let _ = subscriber.try_init();
}
