//! Where a device stands in its mailbox, and what of it is sent next.
//!
//! What is there is read from behind the device's position to the end, a part at a time. From then on entries are sent as
//! they come; where more come than can wait in memory, the rest is read again.

use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;

use super::session::Frames;
use crate::model::{DeviceId, Entry, Position, limits};
use crate::protocol::message::Push;
use crate::store::{Bounds, StoreError, Wakeups};

/// A subscription to a mailbox.
pub struct Mailbox {
    /// The connection's how many-eth it is: what was read for an earlier one is not for this.
    subscription: u64,
    epoch: u64,
    /// The newest entry that was sent, or passed over as pruned.
    sent: u64,
    wakeups: Wakeups,
    /// A read is under way.
    reading: bool,
    /// The end was reached: wake-ups continue where the mailbox was left.
    live: bool,
}

impl Mailbox {
    /// From here on it is sent from where this subscription begins, and from no earlier one's.
    pub fn subscribe(
        earlier: Option<&Self>,
        bounds: Bounds,
        after: Option<Position>,
        wakeups: Wakeups,
    ) -> Self {
        let Bounds { epoch, pruned, newest } = bounds;
        let known = after.filter(|after| after.epoch == epoch && after.seq <= newest);
        let sent = known.map_or(0, |after| after.seq).max(pruned);
        let subscription = earlier.map_or(0, |earlier| earlier.subscription + 1);
        Self { subscription, epoch, sent, wakeups, reading: false, live: false }
    }

    /// The next read, if one is due and there is room for it: for which subscription, and behind which entry.
    pub fn next_read(&mut self, room: bool) -> Option<(u64, u64)> {
        if self.live && self.wakeups.is_empty() && self.wakeups.newest() > self.sent {
            // More came than could wait in memory.
            self.live = false;
        }
        if self.live || self.reading || !room {
            return None;
        }
        self.reading = true;
        Some((self.subscription, self.sent))
    }

    /// What is to be sent of what was read for a subscription.
    ///
    /// # Errors
    /// When it could not be read.
    pub fn read(
        &mut self,
        device: DeviceId,
        subscription: u64,
        entries: Result<Vec<Arc<Entry>>, StoreError>,
    ) -> Result<Frames, StoreError> {
        if self.subscription != subscription {
            return Ok(Vec::new());
        }
        self.reading = false;
        let entries = entries?;
        if entries.is_empty() && self.wakeups.newest() <= self.sent {
            self.live = true;
            let position = Position { epoch: self.epoch, seq: self.sent };
            return Ok(vec![(Push::Drained { position }, Bytes::new())]);
        }
        Ok(entries.iter().filter_map(|entry| self.deliver(device, entry)).collect())
    }

    /// The next entry that comes, once the mailbox was read to its end; never before.
    pub async fn next(&mut self) -> Arc<Entry> {
        if self.live
            && let Some(entry) = self.wakeups.next().await
        {
            return entry;
        }
        pending().await
    }

    /// What is to be sent of an entry that has come and of those that have come behind it: together, as long as they
    /// fit into about so many bytes.
    pub fn came(&mut self, device: DeviceId, mut entry: Arc<Entry>, room: usize) -> Frames {
        let (mut frames, mut bytes) = (Vec::new(), 0);
        loop {
            bytes += entry.size();
            if entry.seq == self.sent + 1 {
                frames.extend(self.deliver(device, &entry));
            } else if entry.seq > self.sent {
                // What is missing in between is in the mailbox; what was sent already needs nothing.
                self.live = false;
                return frames;
            }
            if bytes >= room {
                return frames;
            }
            let Some(next) = self.wakeups.try_next() else { return frames };
            entry = next;
        }
    }

    /// An entry for a device. Nothing for one that fits into no frame, and was taken while there was no limit: the
    /// device would end the connection over it and find it again on the next, and nothing behind it ever.
    fn deliver(&mut self, device: DeviceId, entry: &Entry) -> Option<(Push, Bytes)> {
        self.sent = entry.seq;
        let wrap = entry.wraps.iter().find(|wrap| wrap.device == device);
        let ciphertext = wrap.map_or(0, |wrap| wrap.ciphertext.len());
        if entry.body.len() > limits::BODY || ciphertext > *limits::CIPHERTEXT.end() {
            let (seq, bytes) = (entry.seq, entry.body.len() + ciphertext);
            tracing::warn!(%device, seq, bytes, "passed over an entry of a mailbox that fits into no frame");
            return None;
        }
        let push = Push::Delivery {
            position: Position { epoch: self.epoch, seq: entry.seq },
            sender: entry.sender,
            device: entry.device,
            message: entry.message,
            conversation: entry.conversation,
            wrap: wrap.cloned(),
            accepted_at: entry.accepted_at,
        };
        Some((push, entry.body.clone()))
    }
}
