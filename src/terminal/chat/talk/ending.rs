//! The end of a conversation.

use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Link, PATIENCE, Talk};
use crate::client::{ClientError, Event};
use crate::terminal::chat::ChatError;

impl Talk {
    /// What was typed and said is in the outbox, and what was shown is noted, before the last words.
    pub(super) async fn end(mut self) -> Result<(), ChatError> {
        self.face.leave();
        self.finish();
        self.end_of_sound().await;
        // What was typed and said is safe in the outbox before the end.
        let patience = Instant::now() + PATIENCE;
        // What can't be shown any more is no reason to forget what can be stored.
        let mut shown = Ok(());
        while self.under_way > 0 || self.unsent.values().any(|pending| !pending.stored) {
            tokio::select! {
                Some(done) = self.finished.recv() => shown = shown.and(self.done(done).map(drop)),
                // What is done with a room waits for what was written to it before.
                Some(event) = self.events.next() => {
                    let told = self.outcome(event).await;
                    shown = shown.and(told);
                }
                () = sleep_until(patience) => break,
            }
        }
        while let Ok(Some(event)) = timeout_at(Instant::now(), self.events.next()).await {
            self.outcome(event).await?;
        }
        while let Ok(numbers) = self.face.printed.try_recv() {
            if !self.face.is_terminal() {
                self.settle(numbers);
            }
        }
        self.settle_shown().await?;
        shown?;
        let count = self.unsent.values().filter(|pending| pending.stored).count();
        let dropped = self.unsent.len() - count;
        if dropped > 0 {
            let (messages, _) = counted(dropped);
            self.words(&format!("{messages} could not be put into the outbox in time: not sent"));
        }
        if self.face.is_terminal() {
            self.face.close();
            return Ok(());
        }
        let waiting = match &self.link {
            Link::Down { reason } if count > 0 => Some(ChatError::Waiting { count, reason: reason.clone() }),
            _ => None,
        };
        match (self.failed.take(), waiting) {
            (Some(error), waiting) => {
                waiting.into_iter().for_each(|waiting| self.words(&waiting.to_string()));
                Err(error)
            }
            (None, waiting) => waiting.map_or(Ok(()), Err),
        }
    }

    /// What has become of a message of one's own is still told; what else happens is new the next time.
    async fn outcome(&mut self, event: Event) -> Result<(), ChatError> {
        if let Event::Accepted { .. } | Event::Refused { .. } = event {
            self.happened(event).await?;
        }
        Ok(())
    }

    /// What stands on the screen counts as shown.
    pub(in super::super) async fn settle_shown(&mut self) -> Result<(), ChatError> {
        let shown = self.settling.take_all();
        self.mark_shown(shown).await
    }

    pub(super) async fn mark_shown(&self, numbers: Vec<u64>) -> Result<(), ChatError> {
        if numbers.is_empty() {
            return Ok(());
        }
        match self.client.mark_shown(&numbers).await {
            // Locked from outside: these are new when it is opened again.
            Err(ClientError::Locked { .. }) => Ok(()),
            settled => Ok(settled?),
        }
    }
}

/// `n messages`, and the verb that goes with them.
pub fn counted(count: usize) -> (String, &'static str) {
    if count == 1 { ("1 message".to_owned(), "waits") } else { (format!("{count} messages"), "wait") }
}
