//! What is heard while a command runs: shared by `receive`, `listen` and `speak`.

use std::io::{Write, stderr};

use anyhow::Result;
use tokio_util::task::TaskTracker;

use crate::audio::{Speaker, Start};
use crate::client::{Body, Client, Message, MessageRef};
use crate::speech::Speech;
use crate::terminal::aloud::Turn;
use crate::terminal::keys::{Key, Keys};
use crate::terminal::{Aloud, progress, sanitize};

/// Messages of the history that tell which languages people write in.
const HABITS: u32 = 50;

/// Hears out what was asked for, and heeds the keys.
pub struct Hearing {
    aloud: Option<Aloud>,
    play: bool,
    speak: bool,
    /// What is kept in the profile once notes have been heard.
    kept: TaskTracker,
}

impl Hearing {
    /// With what was asked for: voice notes played, texts read aloud. What goes wrong is said on stderr.
    pub fn new(speaker: &Speaker, play: bool, speak: bool) -> Self {
        let aloud = (play || speak).then(|| {
            Aloud::new(speaker.clone(), speak.then(Speech::new), true, |trouble| {
                // A closed stderr is ignored.
                let _ = progress::beside(|| writeln!(stderr(), "tellal: {}", sanitize::line(trouble)));
            })
        });
        Self { aloud, play, speak, kept: TaskTracker::new() }
    }

    /// With texts read aloud. What goes wrong is not said: it is the outcome.
    pub fn quiet() -> Self {
        let aloud = Aloud::new(Speaker::new(), Speech::new(), false, |_| {});
        Self { aloud: Some(aloud), play: false, speak: true, kept: TaskTracker::new() }
    }

    /// Learns from the history which languages people write in; `prepare`: opens voices for them.
    ///
    /// # Errors
    /// When the profile can't be read.
    pub async fn learn(&self, client: &Client, prepare: bool) -> Result<()> {
        if let Some(aloud) = self.aloud.as_ref().filter(|_| self.speak) {
            for message in client.history(None, None, HABITS).await? {
                if let Body::Text { text } = &message.body {
                    aloud.learn(&message.from, text);
                }
            }
            if prepare {
                aloud.prepare();
            }
        }
        Ok(())
    }

    /// Puts a message in the queue, if it is of a kind that is to be heard.
    ///
    /// # Errors
    /// When its sound can't be read.
    pub async fn hear(&self, client: &Client, message: &Message) -> Result<Option<Turn>> {
        let Some(aloud) = &self.aloud else { return Ok(None) };
        Ok(match &message.body {
            Body::Text { text } | Body::Notice { text } if self.speak => {
                Some(aloud.text(&message.from, text))
            }
            Body::Voice { position_ms, .. } if self.play => {
                let (_, wav) = client.audio(MessageRef::Number(message.number)).await?;
                let from = std::time::Duration::from_millis(*position_ms);
                let turn = aloud.note(&message.from, wav, Start { from, ..Start::default() });
                let (client, number) = (client.clone(), message.number);
                self.kept.spawn(async move { turn.kept(&client, number).await });
                None
            }
            _ => None,
        })
    }

    /// Waits until everything has been heard.
    pub async fn idle(&self) {
        if let Some(aloud) = &self.aloud {
            aloud.idle().await;
            self.kept.close();
            self.kept.wait().await;
            self.kept.reopen();
        }
    }

    /// Does what the keys say, until one says to end.
    pub async fn keys(&self) {
        let (Some(aloud), Some(mut keys)) = (&self.aloud, self.aloud.as_ref().and_then(|_| Keys::watch()))
        else {
            return std::future::pending().await;
        };
        let _ = writeln!(stderr(), "(any key: silence; n: next; q: end)");
        loop {
            match keys.pressed().await {
                Key::Quit => return aloud.stop(),
                Key::Next => aloud.skip(),
                Key::Stop => aloud.stop(),
            }
        }
    }
}
