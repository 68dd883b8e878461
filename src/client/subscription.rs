//! What is told to whoever listens, in order and without a gap, however slowly it is read.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Weak};

use tokio::sync::broadcast;

use crate::model::{MessageId, Millis};

use super::handle::Shared;
use super::{Client, Delivery, Event, MessageRef};

/// What is sent to subscribers.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all are events")]
pub(super) enum Signal {
    /// It happened.
    Event(Event),
    /// Something may have happened unseen: read again.
    Resync,
    /// Nothing happens any more: whatever is asked from now on is answered with the reason.
    Closed,
}

impl Client {
    /// What happens from now on.
    pub fn events(&self) -> Events {
        Events {
            signals: self.shared.signals.subscribe(),
            shared: Arc::downgrade(&self.shared),
            waiting: VecDeque::new(),
            begun: Millis::now(),
            seen: None,
            missed: false,
            followed: HashSet::new(),
        }
    }
}

/// A subscription to what happens. It loses no message, however slowly it is read, nor what becomes of those of one's own
/// that it follows.
pub struct Events {
    signals: broadcast::Receiver<Signal>,
    shared: Weak<Shared>,
    /// What was read again.
    waiting: VecDeque<Event>,
    begun: Millis,
    /// The highest message number that came by, once one has.
    seen: Option<u64>,
    /// Something may have been missed that was not read again yet.
    missed: bool,
    /// Messages of one's own whose outcome did not come by yet.
    followed: HashSet<MessageId>,
}

impl Events {
    /// From now on [`Event::Accepted`] or [`Event::Refused`] comes by for this message of one's own, even if events are
    /// missed; then perhaps twice.
    pub fn follow(&mut self, id: MessageId) {
        self.followed.insert(id);
    }

    /// The next event; `None` once the client is closed, or can't go on: a call then tells why. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.missed {
                self.read_again().await?;
                self.missed = false;
                continue;
            }
            match self.signals.recv().await {
                Ok(Signal::Event(event)) => {
                    if self.is_new(&event) {
                        return Some(event);
                    }
                }
                // Kept beyond this future, which may be dropped in the middle of reading.
                Ok(Signal::Resync) | Err(broadcast::error::RecvError::Lagged(_)) => self.missed = true,
                Ok(Signal::Closed) | Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// Whether a message is behind all that came by; other events always are. Notes its number.
    fn is_new(&mut self, event: &Event) -> bool {
        if let Event::Accepted { id, .. } | Event::Refused { id, .. } = event {
            self.followed.remove(id);
        }
        let (Event::Message(message) | Event::Queued(message)) = event else { return true };
        let new = self.seen.is_none_or(|seen| message.number > seen);
        self.seen = self.seen.max(Some(message.number));
        new
    }

    /// What may have been missed. For a subscription that has seen nothing yet, that is what has come since
    /// it began and no front end has shown.
    async fn read_again(&mut self) -> Option<()> {
        let client = Client { shared: self.shared.upgrade()? };
        let messages = match self.seen {
            Some(seen) => client.since(seen).await,
            None => client.unshown().await.map(|mut messages| {
                messages.retain(|message| message.received_at >= Some(self.begun));
                messages
            }),
        };
        for message in messages.unwrap_or_default() {
            self.seen = self.seen.max(Some(message.number));
            let own = message.delivery.is_some();
            self.waiting.push_back(if own { Event::Queued(message) } else { Event::Message(message) });
        }
        for id in self.followed.clone() {
            // What is not in the outbox yet has not been told of either.
            let Ok(message) = client.message(MessageRef::Id(id)).await else { continue };
            let outcome = match message.delivery {
                Some(Delivery::Accepted) => {
                    Event::Accepted { id, at: message.received_at.unwrap_or(message.sent_at) }
                }
                Some(Delivery::Refused { reason }) => Event::Refused { id, reason },
                _ => continue,
            };
            self.followed.remove(&id);
            self.waiting.push_back(outcome);
        }
        Some(())
    }

    /// Waits until something may have changed for a message. `false` once the client is closed, locked, or can't go on.
    pub(super) async fn moved(&mut self, message: MessageId) -> bool {
        loop {
            match self.signals.recv().await {
                Ok(Signal::Event(Event::Accepted { id, .. } | Event::Refused { id, .. }))
                    if id == message =>
                {
                    return true;
                }
                Ok(Signal::Closed | Signal::Event(Event::Locked)) => return false,
                Ok(Signal::Event(_)) => {}
                Ok(Signal::Resync) | Err(broadcast::error::RecvError::Lagged(_)) => return true,
                Err(broadcast::error::RecvError::Closed) => return false,
            }
        }
    }
}
