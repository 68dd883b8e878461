//! What the server has of what was sealed. Its word that it has taken something may have been lost; what it was given once, it
//! has for good, and says so to whoever gives it again, whatever may have changed since. So it is asked by a submission that
//! it takes under no other circumstances.

use tokio::time::Instant;

use crate::client::Event;
use crate::client::db::outbox::{self, Item};
use crate::client::engine::{Engine, Session, Trouble, delayed, refusal, wait_out};
use crate::client::link::Denied;
use crate::model::{AccountId, Conversation, DeviceId, KeyId, Recipient, RosterId, Wrap, limits};
use crate::protocol::message::{RefusalCode, Verb};

use super::Submission;

/// For a room as it began, which has changed since: taken is only what was taken before.
pub(super) fn long_ago(conversation: Conversation) -> Conversation {
    match conversation {
        Conversation::Room { room, .. } => {
            Conversation::Room { room, roster: RosterId::new(*room.as_bytes()) }
        }
        account @ Conversation::Account(_) => account,
    }
}

/// For a device that there is not, which has no key.
fn for_nobody(account: AccountId) -> Recipient {
    let (device, key) = (DeviceId::new([0; 32]), KeyId::new([0; 32]));
    Recipient {
        account,
        wraps: vec![Wrap { device, key, ciphertext: vec![0; *limits::CIPHERTEXT.start()].into() }],
    }
}

impl Engine {
    /// Settles everything that was sealed and that the server has taken. Nothing may leave any more when this is called.
    /// A server that takes no more questions for now is waited for until then, which is said. What it has not answered by
    /// then counts as not taken: that something comes twice is better than keys that can't be replaced.
    pub(in crate::client::engine) async fn settle_sealed(
        &self,
        session: &Session,
        until: Instant,
    ) -> Result<(), Trouble> {
        // What is being handed to the connection goes ahead of the questions.
        drop(self.handing.write().await);
        let mut after = 0;
        while let Some(item) = self.db.run(move |db| outbox::next_sealed(db, after)).await? {
            after = item.place;
            self.settle_if_taken(session, item, until).await?;
        }
        Ok(())
    }

    async fn settle_if_taken(&self, session: &Session, item: Item, until: Instant) -> Result<(), Trouble> {
        let (Some(sealed), Some(link)) = (item.sealed, item.link) else { return Ok(()) };
        let account = match link.to {
            Conversation::Account(account) => account,
            Conversation::Room { .. } => self.me.account,
        };
        let verb = Verb::Submit {
            message: item.id,
            conversation: long_ago(link.to),
            recipients: vec![for_nobody(account)],
            blobs: Vec::new(),
        };
        loop {
            match session.wire.ask_with(verb.clone(), sealed.body.clone()).await {
                Ok(taken) => {
                    let submission = Submission {
                        place: item.place,
                        arrival: item.arrival,
                        closes: item.closes,
                        id: item.id,
                        to: item.to,
                        conversation: link.to,
                        unless_taken: None,
                    };
                    return self.settle(session, submission, Ok(Ok(taken))).await.map(drop);
                }
                Err(Denied::Refused { code: code @ RefusalCode::Limited, retry_after: Some(wait) }) => {
                    if Instant::now() + wait > until {
                        return Ok(());
                    }
                    self.tell(Event::Waits { reason: delayed(code, wait) });
                    wait_out(session, Trouble::Refused { code, retry_after: Some(wait) }).await?;
                }
                // An older copy of this profile has sent something of that name, which is for its owner to judge.
                Err(Denied::Refused { code: code @ RefusalCode::NameReused, .. }) => {
                    return Ok(self
                        .refuse(item.place, item.arrival, false, refusal(code).to_owned())
                        .await?);
                }
                Err(Denied::Refused {
                    code:
                        RefusalCode::Invalid
                        | RefusalCode::KeySuperseded
                        | RefusalCode::UnknownRecipient
                        | RefusalCode::RoomChanged
                        | RefusalCode::NotInRoom
                        | RefusalCode::TooLarge,
                    ..
                }) => return Ok(()),
                // It does not say what it has.
                Err(denied) => return Err(denied.into()),
            }
        }
    }
}
