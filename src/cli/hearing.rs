//! What is heard while a command runs, and the keys that rule it: shared by `receive`, `listen` and `speak`.

use std::io::{Write, stderr};

use anyhow::Result;
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use super::app::App;
use super::reply;
use crate::audio::Speaker;
use crate::client::settings::Quiet;
use crate::client::{Body, Client, Message};
use crate::terminal::aloud::{Outcome, Turn};
use crate::terminal::keys::{Keys, Press};
use crate::terminal::listening::Control;
use crate::terminal::{Aloud, Cues, progress, sanitize};

/// Messages of the history that tell which languages people write in.
const HABITS: u32 = 50;
/// What the keys do; `{more}` only where long texts are cut.
const HELP: &str = "(keys: space silence, n next, r again,{more} - slower, + faster, u what was not heard, v reply by voice, q end; \
                    in a note: p pause, arrows 5 s back and ahead)";

/// Hears out what was asked for, and heeds the keys.
pub struct Hearing {
    aloud: Option<Aloud>,
    play: bool,
    speak: bool,
    /// Whether what is shown was asked for, and has not just arrived.
    asked: bool,
    /// What is done once it is known that something can't be heard.
    told: TaskTracker,
    /// Held while what a key asks for takes its time: a reply, looking for what was not heard.
    obeying: Mutex<()>,
}

impl Hearing {
    /// With what was asked for: voice notes played, texts read aloud. What goes wrong is said on stderr.
    pub fn new(app: &App, client: &Client, speaker: &Speaker, play: bool, speak: bool) -> Self {
        let aloud = (play || speak).then(|| {
            let aloud = Aloud::new(client.clone(), &app.home, speaker.clone(), speak, |trouble| {
                // A closed stderr is ignored.
                let _ = progress::beside(|| writeln!(stderr(), "tellal: {}", sanitize::line(trouble)));
            });
            if !app.out.lines.plain {
                aloud.draw_progress();
            }
            aloud
        });
        Self { aloud, play, speak, asked: true, told: TaskTracker::new(), obeying: Mutex::default() }
    }

    /// With texts read aloud. What goes wrong is not said: it is the outcome.
    pub fn quiet(app: &App, client: &Client) -> Self {
        let aloud = Aloud::new(client.clone(), &app.home, Speaker::new(), true, |_| {});
        Self {
            aloud: Some(aloud),
            play: false,
            speak: true,
            asked: true,
            told: TaskTracker::new(),
            obeying: Mutex::default(),
        }
    }

    /// From now on what is shown has just arrived, which in quiet hours is not heard; in these, if they are given.
    pub fn arrivals(&mut self, quiet: Option<Quiet>) {
        self.asked = false;
        if let (Some(aloud), Some(quiet)) = (&self.aloud, quiet) {
            aloud.set_quiet(quiet);
        }
    }

    /// Learns from the history which languages people write in.
    ///
    /// # Errors
    /// When the profile can't be read.
    pub async fn learn(&self, client: &Client) -> Result<()> {
        if let Some(aloud) = self.aloud.as_ref().filter(|_| self.speak) {
            for message in client.history(None, None, HABITS).await? {
                if let Body::Text { text } = &message.body {
                    aloud.learn(&message.from, text);
                }
            }
        }
        Ok(())
    }

    /// Which of what has come is heard as soon as it comes: then no sound announces it, but its sender's name, where
    /// there is a voice to say it. A note that is being spoken is one, whatever is heard now.
    pub fn announcing(&self) -> impl Fn(&Message) -> bool {
        let free = self.aloud.as_ref().is_some_and(Aloud::is_free);
        move |message| match message.body {
            Body::Voice { live: true, .. } => self.play,
            _ => free && self.speak && self.is_wanted(message),
        }
    }

    /// Whether a message is of a kind that is to be heard.
    pub fn is_wanted(&self, message: &Message) -> bool {
        match &message.body {
            Body::Text { .. } | Body::Notice { .. } | Body::Invitation { .. } => self.speak,
            Body::Voice { .. } => self.play,
        }
    }

    /// Does something if this can't be heard.
    pub fn otherwise(&self, turn: Turn, act: impl FnOnce() + Send + 'static) {
        self.told.spawn(async move {
            if let Outcome::Unavailable(_) = turn.done().await {
                act();
            }
        });
    }

    /// Puts a message in the queue, if it is of a kind that is to be heard.
    pub fn hear(&self, message: &Message) -> Option<Turn> {
        let aloud = self.aloud.as_ref()?;
        match (self.is_wanted(message), self.asked) {
            (false, _) => None,
            (true, true) => Some(aloud.hear(message)),
            (true, false) => aloud.arrived(message),
        }
    }

    /// Hears the rest of a note that has ended, if it came after it had seemed to be over.
    ///
    /// # Errors
    /// When the profile can't be read.
    pub async fn ended(&self, message: &Message) -> Result<()> {
        match &self.aloud {
            Some(aloud) => Ok(aloud.ended(message).await?),
            None => Ok(()),
        }
    }

    /// Waits until everything has been heard, what keys ask for meanwhile too: what is said after the last of it is not
    /// lost.
    pub async fn idle(&self) {
        loop {
            if let Some(aloud) = &self.aloud {
                aloud.idle().await;
            }
            drop(self.obeying.lock().await);
            if self.aloud.as_ref().is_none_or(Aloud::is_empty) {
                break;
            }
        }
        self.told.close();
        self.told.wait().await;
    }

    /// Does what the keys say, until one says to end.
    pub async fn keys(&self, app: &App, client: &Client, cues: &Cues) {
        let (Some(aloud), Some(mut keys)) = (&self.aloud, self.aloud.as_ref().and_then(|_| Keys::watch()))
        else {
            return std::future::pending().await;
        };
        // What ends by itself reads to the end: nobody could ask it for the rest.
        let goes_on = !self.asked;
        if goes_on {
            aloud.cut_long_texts();
        }
        let help = HELP.replace("{more}", if goes_on { " m more," } else { "" });
        app.out.note(&help);
        loop {
            let key = match keys.press().await {
                Press::Char(c) => Press::Char(c.to_lowercase().next().unwrap_or(c)),
                other => other,
            };
            match key {
                Press::Char('q') | Press::End => return,
                Press::Char('n') => {
                    aloud.skip();
                }
                Press::Char('r') if aloud.repeat() => {}
                Press::Char('r') => app.out.note("(nothing has been heard yet)"),
                Press::Char('m') if aloud.more() => {}
                Press::Char('m') => app.out.note("(there is no more)"),
                Press::Char('-' | '_') => aloud.slower(),
                Press::Char('+' | '=') => aloud.faster(),
                Press::Char('u') => {
                    let _obeying = self.obeying.lock().await;
                    match aloud.unheard(None).await {
                        Ok(count) => app.out.note(&unheard(count)),
                        Err(error) => app.out.note(&format!("tellal: {error}")),
                    }
                }
                Press::Char('h' | '?') => app.out.note(&help),
                Press::Char('v') => match aloud.last_conversation() {
                    Some(to) => {
                        let _obeying = self.obeying.lock().await;
                        reply::record(app, client, cues, &mut keys, &to).await;
                    }
                    None => app.out.note("(nobody has been heard yet, so there is nobody to reply to)"),
                },
                key => match (aloud.playing(), control(key)) {
                    (Some(playback), Some(control)) => {
                        app.out.note(&format!("({})", control.apply(&playback)));
                    }
                    _ => aloud.stop(),
                },
            }
        }
    }
}

/// What a key asks of a note that is played. Space is silence here, as it is for texts.
fn control(key: Press) -> Option<Control> {
    match key {
        Press::Char('p') => Some(Control::Toggle),
        Press::Left | Press::Right | Press::Char('0'..='9') => Control::of_key(key),
        _ => None,
    }
}

fn unheard(count: usize) -> String {
    match count {
        0 => "(everything has been heard)".to_owned(),
        1 => "(one that was not heard)".to_owned(),
        count => format!("({count} that were not heard)"),
    }
}
