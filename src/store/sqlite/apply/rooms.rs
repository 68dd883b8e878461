//! Rooms: a record, and who is in the room after it.

use super::super::rooms::{self, Newest};
use super::{Group, NOBODY};
use crate::model::{Conversation, Millis, Submission, to_cbor};
use crate::store::{NewRoomRecord, Standing, StoreError};

impl Group<'_> {
    pub(super) fn append_room_record(&mut self, new: &NewRoomRecord) -> Result<(), StoreError> {
        let newest = rooms::newest(self.transaction, &new.room)?;
        if newest.as_ref().is_some_and(|newest| newest.roster == new.roster) {
            return Ok(());
        }
        if newest.as_ref().map(|newest| newest.roster) != new.previous {
            return Err(StoreError::RoomChanged);
        }
        if new.account == NOBODY {
            return Err(StoreError::UnknownAccount);
        }
        // Whether there is such an account.
        self.memory.mailbox(self.transaction, &new.account)?;
        if new.standing == Standing::Member
            && rooms::count(self.transaction, &new.account, &new.room)? >= self.memory.quotas.rooms
        {
            return Err(StoreError::RoomFull);
        }
        let place = newest.map_or(0, |Newest { place, .. }| place + 1);
        self.transaction
            .prepare_cached("INSERT INTO room_record (room, place, record) VALUES (?, ?, ?)")?
            .execute((new.room.as_bytes(), place, to_cbor(&new.record)))?;
        let gone = (new.standing == Standing::Former).then_some(place);
        self.transaction
            .prepare_cached(
                "INSERT INTO room_account (room, account, standing, gone, founder) VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (room, account) DO UPDATE SET standing = excluded.standing, gone = excluded.gone",
            )?
            .execute((
                new.room.as_bytes(),
                new.account.as_bytes(),
                rooms::number(new.standing),
                gone,
                place == 0,
            ))?;
        let empty = !self
            .transaction
            .prepare_cached("SELECT 1 FROM room_account WHERE room = ? AND standing = ?")?
            .exists((new.room.as_bytes(), rooms::number(Standing::Member)))?;
        let now = empty.then(|| Millis::now().0.cast_signed());
        self.transaction
            .prepare_cached(
                "INSERT INTO room (id, newest, place, empty_since) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (id) DO UPDATE SET newest = ?2, place = ?3,
                     empty_since = CASE WHEN ?4 IS NULL THEN NULL ELSE coalesce(empty_since, ?4) END",
            )?
            .execute((new.room.as_bytes(), new.roster.as_bytes(), place, now))?;
        Ok(())
    }

    /// Whether the sender of what is for a room is in it, acts on its newest record, and writes to nobody else.
    pub(super) fn check_room(&self, submission: &Submission) -> Result<(), StoreError> {
        let Conversation::Room { room, roster } = submission.conversation else { return Ok(()) };
        let members = rooms::members(self.transaction, &room)?;
        if !members.contains(&submission.sender) {
            return Err(StoreError::NotInRoom);
        }
        if rooms::newest(self.transaction, &room)?.is_none_or(|newest| newest.roster != roster) {
            return Err(StoreError::RoomChanged);
        }
        if submission.recipients.iter().all(|recipient| members.contains(&recipient.account)) {
            Ok(())
        } else {
            Err(StoreError::Conflict)
        }
    }
}
