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

use tokio::sync::Notify;

use crate::client::ClientError;
use crate::client::db::rooms;
use crate::crypto::room::Room;
use crate::model::RoomId;

use super::{Engine, compute, lock};

pub(super) use self::telling::{left_out, say_hidden_record};

/// What is known of rooms while the profile is open.
#[derive(Default)]
pub(super) struct Rooms {
    verified: Mutex<HashMap<RoomId, Arc<Room>>>,
    /// Of which the server has said that there is something new.
    changed: Mutex<HashSet<RoomId>>,
    news: Notify,
    /// One reads or makes records at a time.
    alone: tokio::sync::Mutex<()>,
}

impl Engine {
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
