//! What is heard while a command runs, and the keys that rule it: shared by `receive`, `listen` and `speak`.

use std::io::{Write, stderr};

use anyhow::Result;

use super::app::App;
use super::reply;
use crate::audio::Speaker;
use crate::client::settings::Quiet;
use crate::client::{Body, Client, Message};
use crate::terminal::aloud::Turn;
use crate::terminal::keys::{Key, Keys};
use crate::terminal::{Aloud, progress, sanitize};

/// Messages of the history that tell which languages people write in.
const HABITS: u32 = 50;
/// What the keys do.
const HELP: &str = "(keys: space silence, n next, r again, m more, - slower, + faster, u what was not heard, v reply by voice, q end)";

/// Hears out what was asked for, and heeds the keys.
pub struct Hearing {
    aloud: Option<Aloud>,
    play: bool,
    speak: bool,
    /// Whether what is shown was asked for, and has not just arrived.
    asked: bool,
}

impl Hearing {
    /// With what was asked for: voice notes played, texts read aloud. What goes wrong is said on stderr.
    pub fn new(app: &App, client: &Client, speaker: &Speaker, play: bool, speak: bool) -> Self {
        let aloud = (play || speak).then(|| {
            let aloud = Aloud::new(client.clone(), &app.home, speaker.clone(), speak, |trouble| {
                // A closed stderr is ignored.
                let _ = progress::beside(|| writeln!(stderr(), "tellal: {}", sanitize::line(trouble)));
            });
            aloud.draw_progress();
            aloud
        });
        Self { aloud, play, speak, asked: true }
    }

    /// With texts read aloud. What goes wrong is not said: it is the outcome.
    pub fn quiet(app: &App, client: &Client) -> Self {
        let aloud = Aloud::new(client.clone(), &app.home, Speaker::muted(), true, |_| {});
        Self { aloud: Some(aloud), play: false, speak: true, asked: true }
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

    /// Puts a message in the queue, if it is of a kind that is to be heard.
    pub fn hear(&self, message: &Message) -> Option<Turn> {
        let aloud = self.aloud.as_ref()?;
        let wanted = match &message.body {
            Body::Text { .. } | Body::Notice { .. } => self.speak,
            Body::Voice { .. } => self.play,
        };
        match (wanted, self.asked) {
            (false, _) => None,
            (true, true) => Some(aloud.hear(message)),
            (true, false) => aloud.arrived(message),
        }
    }

    /// Waits until everything has been heard.
    pub async fn idle(&self) {
        if let Some(aloud) = &self.aloud {
            aloud.idle().await;
        }
    }

    /// Does what the keys say, until one says to end.
    pub async fn keys(&self, app: &App, client: &Client, speaker: &Speaker) {
        let (Some(aloud), Some(mut keys)) = (&self.aloud, self.aloud.as_ref().and_then(|_| Keys::watch()))
        else {
            return std::future::pending().await;
        };
        aloud.cut_long_texts();
        app.out.note(HELP);
        loop {
            match keys.pressed().await {
                Key::Char('q') | Key::End => return aloud.stop(),
                Key::Char('n') => aloud.skip(),
                Key::Char('r') => aloud.repeat(),
                Key::Char('m') if aloud.more() => {}
                Key::Char('m') => app.out.note("(there is no more)"),
                Key::Char('-' | '_') => aloud.slower(),
                Key::Char('+' | '=') => aloud.faster(),
                Key::Char('u') => app.out.note(&unheard(aloud.unheard(None))),
                Key::Char('h' | '?') => app.out.note(HELP),
                Key::Char('v') => match aloud.last_from() {
                    Some(to) => reply::record(app, client, speaker, &mut keys, &to).await,
                    None => app.out.note("(nobody has been heard yet, so there is nobody to reply to)"),
                },
                _ => aloud.stop(),
            }
        }
    }
}

fn unheard(count: usize) -> String {
    match count {
        0 => "(everything has been heard)".to_owned(),
        1 => "(one that was not heard)".to_owned(),
        count => format!("({count} that were not heard)"),
    }
}
