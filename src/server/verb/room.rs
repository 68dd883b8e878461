//! The records of rooms: appending one, and reading them.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::computed;
use crate::crypto::record::read_verified_account;
use crate::crypto::room::{Change, Room, RoomError, What, roster_id};
use crate::model::{AccountId, Millis, RoomId, RoomRecord, RosterId, Signed, from_canonical_cbor, limits};
use crate::protocol::message::{Answer, RefusalCode};
use crate::server::Shared;
use crate::server::session::{Bulk, Done, Pending, Who};
use crate::store::{NewRoomRecord, Standing, Store, StoreError, StoredAccount, StoredRoom};

/// Bytes of records in one answer, which with one more record fit into a frame.
const PAGE: usize = 120 * 1024;

pub fn read<S: Store>(
    shared: &Arc<Shared<S>>,
    bulk: &Bulk,
    who: Who,
    number: u32,
    room: RoomId,
    from: u32,
) -> Pending {
    let (shared, bulk) = (Arc::clone(shared), Arc::clone(bulk));
    Box::pin(async move {
        // Never closed.
        let permit = bulk.acquire_owned().await.ok();
        match shared.store.room(room, who.account, from, PAGE).await {
            Ok(Some(StoredRoom { records, more, .. })) => {
                Done::Bulky(number, Answer::Room { records, more }, Bytes::new(), permit)
            }
            Ok(None) => Done::Refused(number, RefusalCode::NotInRoom),
            Err(error) => Done::Refusal(number, error),
        }
    })
}

pub fn publish<S: Store>(
    shared: &Arc<Shared<S>>,
    bulk: &Bulk,
    who: Who,
    number: u32,
    record: Signed,
) -> Pending {
    let (shared, bulk) = (Arc::clone(shared), Arc::clone(bulk));
    Box::pin(async move {
        // A chain is as bulky as any answer.
        let _permit = bulk.acquire_owned().await.ok();
        match append(shared, who, record).await {
            Ok(()) => Done::Answer(number, Answer::Done, Bytes::new()),
            Err(error) => Done::Refusal(number, error),
        }
    })
}

async fn append<S: Store>(shared: Arc<Shared<S>>, who: Who, record: Signed) -> Result<(), StoreError> {
    let said: RoomRecord = from_canonical_cbor(&record.body).map_err(|_| StoreError::Conflict)?;
    if (said.account, said.device) != (who.account, who.device) {
        return Err(StoreError::Conflict);
    }
    let room = said.room.unwrap_or(RoomId::new(*roster_id(&record).as_bytes()));
    let stored = shared.store.room(room, who.account, 0, usize::MAX).await?;
    if stored.is_none() && said.room.is_some() {
        return Err(StoreError::NotInRoom);
    }
    let maker = shared.store.account(who.account).await?.ok_or(StoreError::Conflict)?;
    let most = shared.options.limits.room as usize;
    let asked = Asked { record, previous: said.previous, made_at: said.made_at, most };
    let checked = computed(move || Some(check(stored, &maker, asked))).await;
    let Some((new, concerned)) = checked.unwrap_or(Err(StoreError::Conflict))? else { return Ok(()) };
    // In a task of its own: whether or not this connection lasts, those whom it concerns are told.
    let appended = tokio::spawn(async move {
        shared.store.append_room_record(new).await?;
        tracing::info!(account = %who.account, "record of a room");
        shared.rooms.tell(room, &concerned);
        Ok(())
    });
    appended.await.unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
}

/// A record, what it says that it follows, and how many people may be in the room.
struct Asked {
    record: Signed,
    previous: Option<RosterId>,
    /// By its maker's clock.
    made_at: Millis,
    most: usize,
}

/// The record is one that its maker may append to the room as it is stored: what to store, and whom it concerns. `None`
/// when it is there already.
fn check(
    stored: Option<StoredRoom>,
    maker: &StoredAccount,
    asked: Asked,
) -> Result<Option<(NewRoomRecord, BTreeSet<AccountId>)>, StoreError> {
    let maker = read_verified_account(&maker.chain).map_err(|_| StoreError::Conflict)?;
    let Asked { record, previous, made_at, most } = asked;
    let now = Millis::now();
    let apart = now.since(made_at).max(made_at.since(now));
    let Some(stored) = stored else {
        if apart > limits::FAREWELL {
            return Err(StoreError::Conflict);
        }
        let room = Room::found(&record, &maker).map_err(|_| StoreError::Conflict)?;
        return Ok(room.changes.last().map(|change| appended(&room, *change, record, None)));
    };
    // What is stored was verified when it came.
    let mut room = Room::read_verified(&stored.records)
        .map_err(|error| StoreError::Failed(format!("a room's stored records: {error}")))?;
    if room.changes.iter().any(|change| change.roster == roster_id(&record)) {
        return Ok(None);
    }
    // When somebody has gone decides which of what they wrote still counts.
    if apart > limits::FAREWELL {
        return Err(StoreError::Conflict);
    }
    if stored.standing == Standing::Former {
        return Err(StoreError::NotInRoom);
    }
    if previous != Some(room.roster()) {
        return Err(StoreError::RoomChanged);
    }
    let change = room.append(&record, &maker).map_err(|error| match error {
        RoomError::Full => StoreError::RoomFull,
        _ => StoreError::Conflict,
    })?;
    if matches!(change.what, What::Invited(_)) && room.size() > most {
        return Err(StoreError::RoomFull);
    }
    Ok(Some(appended(&room, change, record, previous)))
}

/// What is stored of a change, and whom it concerns: everybody in the room or invited, and who was until then.
fn appended(
    room: &Room,
    change: Change,
    record: Signed,
    previous: Option<RosterId>,
) -> (NewRoomRecord, BTreeSet<AccountId>) {
    let (account, standing) = match change.what {
        What::Founded | What::Joined => (change.actor, Standing::Member),
        What::Invited(account) => (account, Standing::Invited),
        What::Left => (change.actor, Standing::Former),
        What::Removed(account) => (account, Standing::Former),
    };
    let concerned = room.members.iter().chain(room.invited.keys()).copied().chain([account]).collect();
    (NewRoomRecord { room: room.id, previous, roster: change.roster, record, account, standing }, concerned)
}
