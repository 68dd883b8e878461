//! What the server says of a room that something was sealed for: that it has changed since, that it does not have what it was
//! asked for, whom it has left out.

use std::sync::Arc;
use std::time::Duration;

use crate::client::ClientError;
use crate::client::db::outbox;
use crate::client::db::rooms::LeftOut;
use crate::client::engine::{Engine, Session, Trouble};
use crate::crypto::room::Room;
use crate::model::{AccountId, Address, Conversation, MessageId, RoomId, RosterId};

use super::{HELD, Hold, Next, Obstacle};

impl Engine {
    /// A room has changed since something was sealed for it, which the server has not taken and never will: it is sealed for
    /// the room as it is now.
    pub(super) async fn seal_anew(
        &self,
        session: &Session,
        place: i64,
        (room, roster): (RoomId, RosterId),
        (id, to): (MessageId, Address),
    ) -> Result<Next, Trouble> {
        let has_changed =
            |known: &Option<Arc<Room>>| known.as_ref().is_some_and(|known| known.roster() != roster);
        if !has_changed(&self.room(room).await?) {
            match self.read_room_or_hold(session, room).await? {
                Ok(read) if has_changed(&read) => {}
                Ok(_) => {
                    let reason = format!("the server says that {to} has changed, and does not show how");
                    return Ok(self.held_up(id, to, Hold::new(HELD, reason)));
                }
                Err(hold) => return Ok(self.held_up(id, to, hold)),
            }
        }
        self.db.write(move |db| outbox::unseal_for_room(db, place)).await?;
        Ok(Next::Again { pause: Duration::ZERO, stale: false })
    }

    /// The server does not have what it was only asked for, and it can't be sent.
    pub(super) async fn stop_at(
        &self,
        obstacle: Obstacle,
        (place, arrival): (i64, Option<i64>),
        (id, to): (MessageId, Address),
    ) -> Result<Next, Trouble> {
        match obstacle {
            Obstacle::ForNow(hold) => Ok(self.held_up(id, to, hold)),
            Obstacle::Never(reason) => {
                self.refuse(place, arrival, false, reason).await?;
                Ok(Next::Go)
            }
        }
    }

    /// Members of a room that the server says it has left out.
    pub(super) async fn left_out_by_server(
        &self,
        conversation: &Conversation,
        said: Vec<AccountId>,
    ) -> Result<Vec<(AccountId, LeftOut)>, ClientError> {
        let Conversation::Room { room, roster } = conversation else { return Ok(Vec::new()) };
        let members = self.room(*room).await?.and_then(|room| room.members_at(roster)).unwrap_or_default();
        let mut left: Vec<AccountId> = said.into_iter().filter(|account| members.contains(account)).collect();
        left.dedup();
        Ok(left.into_iter().map(|account| (account, LeftOut::MailboxFull)).collect())
    }
}
