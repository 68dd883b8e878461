//! For whom something is sealed: one person, or everybody who is in a room.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::client::ClientError;
use crate::client::db::outbox::Item;
use crate::client::db::rooms::{self, LeftOut, Standing};
use crate::client::engine::directory::believed_now;
use crate::client::engine::rooms::left_out;
use crate::client::engine::{Engine, Session, Trouble};
use crate::crypto::record::MessageKey;
use crate::crypto::room::Room;
use crate::model::{AccountId, Conversation, Millis, Nickname, RoomId, RoomName, limits};

use super::{Attempt, HELD, Hold, Obstacle, gone, unknown};

/// Members of a room that are looked up at a time.
const SIDE_BY_SIDE: usize = 16;

/// Whom something is for, and the keys that it may be wrapped for now.
pub(super) struct Addressed {
    pub conversation: Conversation,
    pub keys: Vec<(AccountId, Vec<MessageKey>)>,
    /// What becomes of it unless the server has it already: all that it is asked for then, and it is given no wraps.
    pub unless_taken: Option<Obstacle>,
}

impl Engine {
    /// The person that something is for. `Err`: what becomes of it instead.
    pub(super) async fn address_person(
        &self,
        session: &Session,
        item: &Item,
        name: &Nickname,
        at_least: Millis,
    ) -> Result<Result<Addressed, Attempt>, Trouble> {
        let held = |reason| Ok(Err(Attempt::Held(Hold::new(HELD, reason))));
        let person = match self.person(session, name, at_least).await {
            Ok(Some(person)) => person,
            Ok(None) => return Ok(Err(Attempt::Refused(unknown(name)))),
            // Until the server's answer and its log agree.
            Err(Trouble::Local(error @ ClientError::NotInLog { .. })) => return held(error.to_string()),
            Err(trouble) => return Err(trouble),
        };
        if person.account.revoked.is_some() && !person.held {
            return Ok(Err(Attempt::Refused(format!("{name} has ended the account"))));
        }
        let conversation = Conversation::Account(person.account.id);
        // What was sealed for an account is for that account alone.
        let other = item.link.is_some_and(|link| link.to != conversation);
        if person.held || other {
            return held(self.why_held(name.clone()).await?);
        }
        let now = believed_now(session.clock_ahead_ms);
        let mut keys = person.usable_keys(now);
        if keys.is_empty() {
            let asked = match self.look_up_name(session, name).await {
                Err(Trouble::Local(error @ ClientError::NotInLog { .. })) => return held(error.to_string()),
                asked => asked?,
            };
            keys = asked.map(|person| person.usable_keys(now)).unwrap_or_default();
        }
        if keys.is_empty() {
            let reason = format!(
                "{name} was not online for so long that there is no key to write to: it leaves once {name} has been"
            );
            return held(reason);
        }
        Ok(Ok(Addressed { conversation, keys: vec![(person.account.id, keys)], unless_taken: None }))
    }

    /// The members of a room that something is for. Those that nothing may be wrapped for now are said in the room. Of what
    /// is sealed already: all whom it was sealed for, and nothing for those who have gone since. It may be at the server,
    /// which says so whatever has become of the room. `Err`: what becomes of it instead.
    pub(super) async fn address_room(
        &self,
        session: &Session,
        item: &Item,
        name: &RoomName,
        at_least: Millis,
    ) -> Result<Result<Addressed, Attempt>, Trouble> {
        let room = match self.room_for(session, item, name).await? {
            Ok(Some(room)) => room,
            Ok(None) => return Ok(Err(Attempt::Refused(gone(name)))),
            Err(hold) => return Ok(Err(Attempt::Held(hold))),
        };
        let newest = Conversation::Room { room: room.id, roster: room.roster() };
        let conversation = item.link.map_or(newest, |link| link.to);
        let (present, gone) = self.others_in(&room, &conversation);
        let (mut keys, mut left) = (Vec::new(), Vec::new());
        let looked_up = present.into_iter().map(async |account| {
            let keys = self.keys_of_member(session, account, at_least).await?;
            Ok::<_, Trouble>((account, keys))
        });
        let mut looked_up = stream::iter(looked_up).buffered(SIDE_BY_SIDE);
        while let Some((account, usable)) = looked_up.try_next().await? {
            match usable {
                Ok(usable) => keys.push((account, usable)),
                Err(reason) => left.push((account, reason)),
            }
        }
        let obstacle = match keys.iter().map(|(_, keys)| keys.len()).sum::<usize>() {
            0 if left.is_empty() => {
                Some(Obstacle::Never(ClientError::AloneInRoom { room: name.clone() }.to_string()))
            }
            0 => {
                let reason = format!("nobody in #{name} can be written to now: what is said there tells why");
                Some(Obstacle::ForNow(Hold::new(HELD, reason)))
            }
            wraps if wraps > limits::WRAPS => Some(Obstacle::Never(format!(
                "those in #{name} have more devices than one message can be sealed for: found a smaller room"
            ))),
            _ => None,
        };
        let without = |account| (account, Vec::new());
        let addressed = match obstacle {
            Some(obstacle) if item.sealed.is_none() => Err(obstacle.into()),
            Some(obstacle) => {
                let all =
                    keys.iter().map(|(account, _)| *account).chain(left.iter().map(|(account, _)| *account));
                let keys = all.chain(gone).map(without).collect();
                Ok(Addressed { conversation, keys, unless_taken: Some(obstacle) })
            }
            None => {
                keys.extend(gone.into_iter().filter(|_| item.sealed.is_some()).map(without));
                Ok(Addressed { conversation, keys, unless_taken: None })
            }
        };
        self.say_left_out(room.id, false, left).await?;
        Ok(addressed)
    }

    /// The room that something is for, unless one is not in it any more. What was sealed may be at the server already: it
    /// says whether it is, whatever has become of the room.
    async fn room_for(
        &self,
        session: &Session,
        item: &Item,
        name: &RoomName,
    ) -> Result<Result<Option<Arc<Room>>, Hold>, Trouble> {
        let wanted = name.clone();
        let stored = self.db.run(move |db| rooms::by_name(db, &wanted)).await?;
        let is_sealed = item.sealed.is_some();
        let stored = stored.filter(|stored| is_sealed || stored.standing == Standing::Member);
        let Some(stored) = stored else { return Ok(Ok(None)) };
        let room = self.room(stored.id).await?;
        match room {
            // Perhaps somebody has joined since.
            Some(room) if room.members.len() <= 1 && !is_sealed => {
                let read = self.read_room_or_hold(session, stored.id).await?;
                Ok(read.map(|read| Some(read.unwrap_or(room))))
            }
            room => Ok(Ok(room)),
        }
    }

    /// Reads a room's records. `Err`: what is for it waits, as they can't be read or verified now.
    pub(super) async fn read_room_or_hold(
        &self,
        session: &Session,
        id: RoomId,
    ) -> Result<Result<Option<Arc<Room>>, Hold>, Trouble> {
        match self.read_room(session, id).await {
            Ok(room) => Ok(Ok(room)),
            // Whoever has made a record is not whom the log has.
            Err(Trouble::Local(error @ ClientError::NotInLog { .. })) => {
                Ok(Err(Hold::new(HELD, error.to_string())))
            }
            Err(Trouble::Refused { code, retry_after }) => {
                Ok(Err(Hold::refused(code, retry_after.unwrap_or(HELD))))
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// The others whom something for a room is for: who still is in it, and who has gone since.
    fn others_in(&self, room: &Room, conversation: &Conversation) -> (Vec<AccountId>, Vec<AccountId>) {
        let mut members = match conversation {
            Conversation::Room { roster, .. } => room.members_at(roster).unwrap_or_default(),
            Conversation::Account(_) => BTreeSet::new(),
        };
        members.remove(&self.me.account);
        members.into_iter().partition(|account| room.members.contains(account))
    }

    /// What may be wrapped for a member of a room, or why nothing may.
    async fn keys_of_member(
        &self,
        session: &Session,
        account: AccountId,
        at_least: Millis,
    ) -> Result<Result<Vec<MessageKey>, LeftOut>, Trouble> {
        let now = believed_now(session.clock_ahead_ms);
        let Some(mut person) = self.member(session, account, at_least).await? else {
            return Ok(Err(LeftOut::NotInLog));
        };
        // Perhaps one has come since.
        if person.usable_keys(now).is_empty() && Millis::now().since(person.fetched_at) > HELD {
            person = self.member(session, account, Millis::now()).await?.unwrap_or(person);
        }
        Ok(match person.usable_keys(now) {
            _ if person.unlogged => Err(LeftOut::NotInLog),
            _ if person.held => Err(LeftOut::KeyChanged),
            _ if person.account.revoked.is_some() => Err(LeftOut::Ended),
            keys if keys.is_empty() => Err(LeftOut::NoKey),
            keys => Ok(keys),
        })
    }

    /// Says in a room who does not get what is written there, unless that was said.
    pub(super) async fn say_left_out(
        &self,
        room: RoomId,
        by_server: bool,
        now: Vec<(AccountId, LeftOut)>,
    ) -> Result<(), ClientError> {
        let me = self.me.clone();
        self.commit(move |db, events| left_out(db, &me, &room, by_server, &now, events)).await
    }
}
