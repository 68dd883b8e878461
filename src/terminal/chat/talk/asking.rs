//! Asking for the next line, and for whom it is.

use tokio::time::Instant;

use super::Talk;
use crate::model::Address;
use crate::terminal::chat::taking::Taking;
use crate::terminal::chat::typed::ASKING;

impl Talk {
    /// Whether what is typed is read now. Through a pipe it comes all at once: what stands behind something that is done
    /// with a room may be about what that has changed.
    pub(super) fn is_read(&self) -> bool {
        !self.is_ending() && (self.face.is_terminal() || self.deeds == 0)
    }

    /// Asks for the next line once what was typed is settled, or has taken long enough.
    pub(in super::super) fn ask_when_settled(&mut self) {
        if self.face.is_terminal() && !self.is_settled() {
            self.asks_at = Some(Instant::now() + ASKING);
        } else {
            self.ask();
        }
    }

    /// Asks for the line that was not asked for yet, if there is nothing left to wait for.
    pub(super) fn ask_at_last(&mut self) {
        if self.asks_at.is_some() && self.is_settled() {
            self.ask();
        }
    }

    /// Whether nothing is under way that changes what the next line means, or whom its prompt is to name: a prompt stays
    /// as it is once it stands on the screen.
    fn is_settled(&self) -> bool {
        self.deeds == 0 && !self.sound.taking.as_ref().is_some_and(Taking::is_opening)
    }

    /// Asks for the next line.
    pub(in super::super) fn ask(&mut self) {
        let (ask, to) = match &self.sound.taking {
            Some(taking) => (self.view.recording(&taking.to), Some(&taking.to)),
            None => (self.view.prompt(self.with.as_ref(), &self.people), self.with.as_ref()),
        };
        self.asks_at = None;
        self.asked_for = to.cloned();
        self.face.ask(ask);
    }

    /// Whom what is typed is for: the one whom the prompt in front of it names, whatever has begun or ended since it
    /// was asked; without a prompt the one talked to.
    pub(in super::super) fn addressee(&self) -> Option<Address> {
        if self.face.is_terminal() { self.asked_for.clone() } else { self.with.clone() }
    }
}
