//! Rooms: who is in them, as far as this can be verified here.
//!
//! What the server shows of a room is a chain of records, each of which its maker's device has signed. They are read
//! whenever there may be new ones, checked against their makers' verified accounts, and kept; what they change is said in
//! the room. Nothing of what contradicts them is believed.
//!
//! - [`reading`]: records, from the server into the local store
//! - [`telling`]: what they change, in words
//! - [`acting`]: founding, inviting, joining, leaving, removing
//! - [`listing`]: rooms as front ends see them

mod acting;
mod listing;
mod reading;
mod telling;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::client::ClientError;
use crate::client::db::rooms::{self, Standing, Way};
use crate::crypto::room::Room;
use crate::model::{AccountId, RoomId, RoomName};

use super::{Engine, compute, lock};

pub(super) use self::reading::{InVain, RoomAsRead};
pub(super) use self::telling::{left_out, say_hidden_record};

/// How long the server may take to say who is in a room before what is written there is stored all the same.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is known of rooms while the profile is open.
#[derive(Default)]
pub(super) struct Rooms {
    verified: Mutex<HashMap<RoomId, Arc<Room>>>,
    /// Of which the server has said that there is something new.
    changed: Mutex<HashSet<RoomId>>,
    news: Notify,
    /// Of which there are new records here, since who sends has last looked.
    grown: Mutex<HashSet<RoomId>>,
    growth: Notify,
    /// One reads or makes records at a time.
    alone: tokio::sync::Mutex<()>,
}

impl Engine {
    /// Whether something can be written to a room, as far as that can be known at once: its name, as it is written here.
    pub(super) async fn can_write_in(&self, name: &RoomName) -> Result<RoomName, ClientError> {
        let wanted = name.clone();
        let stored = self.db.run(move |db| rooms::by_name(db, &wanted)).await?;
        let stored = stored.filter(|stored| stored.standing == Standing::Member);
        let stored = stored.ok_or_else(|| ClientError::NotInRoom { room: name.clone() })?;
        let id = stored.id;
        if self.is_alone_in(id).await? {
            // Perhaps somebody has joined; where the server can't be asked, that is seen when it leaves.
            let Ok(session) = self.session_soon().await else { return Ok(stored.name) };
            let read = timeout(PATIENCE, self.read_room(&session, id)).await;
            if let Ok(Ok(Some(_))) = read
                && self.is_alone_in(id).await?
            {
                return Err(ClientError::AloneInRoom { room: name.clone() });
            }
        }
        Ok(stored.name)
    }

    async fn is_alone_in(&self, id: RoomId) -> Result<bool, ClientError> {
        Ok(self.room(id).await?.is_none_or(|room| room.members.len() <= 1))
    }

    /// A room has new records: what was held because the server and this profile did not agree on it may leave.
    fn note_growth(&self, id: RoomId) {
        lock(&self.rooms.grown).insert(id);
        self.rooms.growth.notify_one();
    }

    /// Waits until rooms have new records.
    pub(super) async fn rooms_grow(&self) {
        self.rooms.growth.notified().await;
    }

    /// What rooms are called here that have new records since this was last asked.
    pub(super) async fn grown_rooms(&self) -> Result<Vec<RoomName>, ClientError> {
        let grown = std::mem::take(&mut *lock(&self.rooms.grown));
        self.db
            .run(move |db| {
                let stored = grown.iter().filter_map(|id| rooms::by_id(db, id).transpose());
                stored.map(|stored| Ok(stored?.name)).collect()
            })
            .await
    }

    /// A room as far as its records are here; `None` where none are.
    pub(super) async fn room(&self, id: RoomId) -> Result<Option<Arc<Room>>, ClientError> {
        if let Some(room) = lock(&self.rooms.verified).get(&id) {
            return Ok(Some(room.clone()));
        }
        let chain = self.db.run(move |db| rooms::chain(db, &id)).await?;
        if chain.is_empty() {
            return Ok(None);
        }
        let read = compute(move || Room::read_verified(&chain)).await?;
        let read = read.map_err(|error| ClientError::Internal(format!("the history keeps {error}")))?;
        // Whoever has read on meanwhile knows more.
        Ok(Some(lock(&self.rooms.verified).entry(id).or_insert_with(|| Arc::new(read)).clone()))
    }
}

/// Whether a way into a room, and what the room is called there, is believed: of those who are in it, or have invited one.
fn is_believed(way: &Way, room: &Room, me: &AccountId) -> bool {
    room.members.contains(&way.inviter) || room.invited.get(me) == Some(&way.inviter)
}
