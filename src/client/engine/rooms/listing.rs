//! Rooms as front ends see them, and what these ask of rooms.

use rusqlite::Connection;

use crate::client::db::rooms::{self, Standing};
use crate::client::db::{Sql, contacts};
use crate::client::engine::verification::key_change;
use crate::client::engine::{Engine, Me};
use crate::client::{ClientError, Command, Reply, Room as Told, RoomMember, RoomStanding};
use crate::crypto::room::{Room, What};
use crate::model::{AccountId, Millis, Nickname, RoomId, RoomName};

use super::is_believed;

impl Engine {
    /// Does what is asked of rooms.
    pub(in crate::client::engine) async fn run_room(&self, command: Command) -> Result<Reply, ClientError> {
        if command == Command::Rooms {
            return Ok(Reply::Rooms(self.all_rooms().await?));
        }
        let session = self.session().await?;
        // One that was declined has no name here.
        let declined = match &command {
            Command::LeaveRoom { name, .. } => Some(name.clone()),
            _ => None,
        };
        let done = match command {
            Command::CreateRoom { name } => self.found_room(&session, name).await,
            Command::JoinRoom { name, as_name, from } => self.join(&session, name, as_name, from).await,
            Command::LeaveRoom { name, from } => self.leave(&session, name, from).await,
            Command::Invite { room, nickname } => self.invite(&session, room, nickname).await,
            Command::RemoveFromRoom { room, nickname } => {
                self.remove_from_room(&session, room, nickname).await
            }
            _ => return Err(ClientError::Internal("what was asked is about no room".to_owned())),
        };
        let id = done.map_err(|trouble| self.explain(&session, trouble))?;
        let told = self.room_as_told(id, declined).await?;
        Ok(Reply::Room(told.ok_or_else(|| ClientError::Internal("a room is not here any more".to_owned()))?))
    }

    /// Rooms that one is in, invited to, or was in. What nobody has shown to be an invitation is none.
    async fn all_rooms(&self) -> Result<Vec<Told>, ClientError> {
        let ids = self.db.run(|db| {
            let mut ids: Vec<RoomId> = rooms::all(db)?.into_iter().map(|room| room.id).collect();
            for way in rooms::ways(db)? {
                if !ids.contains(&way.room) {
                    ids.push(way.room);
                }
            }
            Ok(ids)
        });
        let mut all = Vec::new();
        for id in ids.await? {
            all.extend(self.room_as_told(id, None).await?);
        }
        Ok(all)
    }

    async fn room_as_told(
        &self,
        id: RoomId,
        declined: Option<RoomName>,
    ) -> Result<Option<Told>, ClientError> {
        let Some(room) = self.room(id).await? else { return Ok(None) };
        let me = self.me.clone();
        self.db.run(move |db| told(db, &me, &room, declined)).await
    }
}

fn told(db: &Connection, me: &Me, room: &Room, declined: Option<RoomName>) -> Sql<Option<Told>> {
    let stored = rooms::by_id(db, &room.id)?;
    let invited = room.invited.contains_key(&me.account);
    let (name, standing): (RoomName, _) = match stored {
        Some(stored) => match stored.standing {
            Standing::Founding => return Ok(None),
            Standing::Member => (stored.name, RoomStanding::Member),
            Standing::Left if invited => (stored.name, RoomStanding::Invited),
            Standing::Left => (stored.name, RoomStanding::Left),
        },
        None => {
            let mut ways = rooms::ways(db)?.into_iter().filter(|way| way.room == room.id);
            let way = ways.find(|way| is_believed(way, room, &me.account));
            match (way, declined) {
                (Some(way), _) if invited => (way.name, RoomStanding::Invited),
                (_, Some(name)) => (name, RoomStanding::Left),
                _ => return Ok(None),
            }
        }
    };
    let invited_by = room.changes.iter().rev().find(|change| change.what == What::Invited(me.account));
    let invited_by = invited_by.map(|change| nickname(db, me, &change.actor)).transpose()?.flatten();
    let Some(founder) = nickname(db, me, &room.founder)? else { return Ok(None) };
    Ok(Some(Told {
        name,
        id: room.id,
        standing,
        founder,
        invited_by,
        members: members(db, me, room)?,
        since: since(room, &me.account),
    }))
}

fn nickname(db: &Connection, me: &Me, account: &AccountId) -> Sql<Option<Nickname>> {
    if *account == me.account {
        return Ok(Some(me.nickname.clone()));
    }
    Ok(contacts::by_account(db, account)?.map(|stored| stored.nickname))
}

/// When somebody's standing in a room has changed last.
fn since(room: &Room, account: &AccountId) -> Millis {
    let last = room.changes.iter().rev().find(|change| match change.what {
        What::Founded | What::Joined | What::Left => change.actor == *account,
        What::Invited(other) | What::Removed(other) => other == *account,
    });
    last.map_or(Millis(0), |change| change.made_at)
}

/// Who is in a room, or invited, in the order in which they were invited. Who was never met has no name.
fn members(db: &Connection, me: &Me, room: &Room) -> Sql<Vec<RoomMember>> {
    let mut order: Vec<AccountId> = Vec::new();
    for change in &room.changes {
        let comes = match change.what {
            What::Founded => change.actor,
            What::Invited(account) => account,
            What::Joined | What::Left | What::Removed(_) => continue,
        };
        order.retain(|account| *account != comes);
        order.push(comes);
    }
    let mut members = Vec::new();
    for account in order.into_iter().filter(|account| room.knows(account)) {
        let joined = room.members.contains(&account);
        if account == me.account {
            let (nickname, color, fingerprint) = (me.nickname.clone(), me.color, me.identity.fingerprint());
            let (verified, key_change, you) = (false, None, true);
            members.push(RoomMember { nickname, color, joined, fingerprint, verified, key_change, you });
        } else if let Some(stored) = contacts::by_account(db, &account)? {
            // The name may be another account's, as it is known here.
            let named = contacts::by_name(db, &stored.nickname)?;
            let rival = named.as_ref().and_then(|known| Some((known, known.rival.as_ref()?)));
            members.push(RoomMember {
                color: stored.color,
                joined,
                fingerprint: stored.identity.fingerprint(),
                verified: stored.verified && !stored.is_held(),
                key_change: rival.map(|(known, rival)| key_change(known, rival)),
                nickname: stored.nickname,
                you: false,
            });
        }
    }
    Ok(members)
}
