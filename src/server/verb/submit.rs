//! Putting an envelope into mailboxes.

use std::sync::Arc;

use bytes::Bytes;

use super::{answering, refused};
use crate::model::{AccountId, BlobId, Conversation, MessageId, Recipient, Submission, limits};
use crate::protocol::message::{Answer, RefusalCode};
use crate::server::Shared;
use crate::server::session::{Pending, Who};
use crate::store::{Accepted, Store};

/// Blobs that one envelope refers to, at most.
const BLOBS: usize = 16;

/// As in [`Verb::Submit`](crate::protocol::message::Verb::Submit).
pub struct Submit {
    pub message: MessageId,
    pub conversation: Conversation,
    pub recipients: Vec<Recipient>,
    pub blobs: Vec<BlobId>,
    pub body: Bytes,
}

/// Mailboxes that count as one message.
const MAILBOXES: usize = 10;

/// What it counts as, of the messages that an account may send in a minute: putting something into many mailboxes is more
/// work than into one, though not so many times.
pub fn weight(recipients: &[Recipient]) -> u32 {
    u32::try_from(recipients.len().div_ceil(MAILBOXES)).unwrap_or(u32::MAX).max(1)
}

pub fn submit<S: Store>(shared: &Arc<Shared<S>>, who: Who, number: u32, asked: Submit) -> Pending {
    let Submit { message, conversation, recipients, blobs, body } = asked;
    let wraps = || recipients.iter().flat_map(|recipient| &recipient.wraps);
    let longest = wraps().map(|wrap| wrap.ciphertext.len()).max().unwrap_or(0);
    // What is over any of these would come to its readers in a frame that they have to refuse, again and again.
    let too_large = body.len() > limits::BODY
        || longest > *limits::CIPHERTEXT.end()
        || wraps().count() > limits::WRAPS
        || recipients.len() > limits::WRAPS
        || blobs.len() > BLOBS;
    if too_large {
        return refused(number, RefusalCode::TooLarge);
    }
    if body.is_empty()
        || !are_wraps(&recipients)
        || !goes_where_it_may(&recipients, conversation, who.account)
    {
        return refused(number, RefusalCode::Invalid);
    }
    let submission = Submission {
        sender: who.account,
        device: who.device,
        message,
        conversation,
        recipients,
        blobs,
        body,
    };
    // Called here, not inside the future: this is what keeps a connection's submissions in order.
    let accepted = shared.store.submit(submission);
    answering(number, accepted, |Accepted { at, left_out }| Answer::Accepted { at, left_out })
}

/// Each as long as an RSA ciphertext is, and no two for one device.
fn are_wraps(recipients: &[Recipient]) -> bool {
    recipients.iter().all(|recipient| {
        let mut devices: Vec<_> = recipient.wraps.iter().map(|wrap| wrap.device).collect();
        devices.sort_unstable();
        devices.dedup();
        devices.len() == recipient.wraps.len()
            && recipient.wraps.iter().all(|wrap| limits::CIPHERTEXT.contains(&wrap.ciphertext.len()))
    })
}

/// No mailbox twice. For an account: its own, and perhaps one for the sender's other devices. Who is in a room the store
/// knows.
fn goes_where_it_may(recipients: &[Recipient], conversation: Conversation, sender: AccountId) -> bool {
    let mut accounts: Vec<_> = recipients.iter().map(|recipient| recipient.account).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let once = accounts.len() == recipients.len();
    match conversation {
        Conversation::Account(account) => {
            let theirs = |other: &AccountId| [account, sender].contains(other);
            once && accounts.contains(&account) && accounts.iter().all(theirs)
        }
        Conversation::Room { .. } => once && !recipients.is_empty(),
    }
}
