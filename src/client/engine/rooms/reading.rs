//! Records, from the server into the local store.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::client::ClientError;
use crate::client::db::rooms::{self, Standing};
use crate::client::engine::{Engine, Person, Session, Trouble, compute, lock, wait_out};
use crate::client::link::Denied;
use crate::client::link::wire::Reply;
use crate::crypto::room::{Room, RoomError, What, roster_id};
use crate::model::{RoomId, RoomRecord, RosterId, Signed, from_canonical_cbor};
use crate::protocol::message::{Answer, RefusalCode, Verb};

use super::telling::{follow, say_contradiction, say_hidden};

/// How often in one connection what names a record of a room that is not here makes the server be asked for it in vain.
/// One that is not lying shows it the first time.
const IN_VAIN: u32 = 16;
/// Rooms of which it is counted, and of which it is noted that they have changed: more than anybody is in.
const MANY: usize = 1024;
/// Rooms that the server is asked about at once.
const AT_ONCE: usize = 16;
/// Rooms at most that one is invited to and whose records are read at each connection.
const INVITED_TO: usize = 64;

/// How often it was asked in vain for a record of a room, and whether what it showed then could not all be read.
pub(in crate::client::engine) type InVain = HashMap<RoomId, (u32, bool)>;

/// A room as far as its records could be read.
pub(in crate::client::engine) struct RoomAsRead {
    /// None where no records are here.
    pub room: Option<Arc<Room>>,
    /// Whether the server may show more than could be read or verified for now: not that it hides anything.
    pub behind: bool,
}

impl RoomAsRead {
    /// Whether a record is among them.
    pub(in crate::client::engine) fn has(&self, roster: &RosterId) -> bool {
        self.room.as_ref().is_some_and(|room| room.place(roster).is_some())
    }
}

/// What the server was asked of a room before it is that room's turn: its records from a place on.
pub(super) struct Asked {
    from: usize,
    reply: oneshot::Receiver<Reply>,
}

/// What the server shows of a room.
pub(super) enum Shown {
    /// These records, with those that were here before.
    Room(Arc<Room>),
    /// Nothing: one is not in it, or there is none.
    Nothing,
    /// What can't be.
    Contradiction,
}

/// Records that were read, those of them that were not known before.
struct Read {
    room: Option<Room>,
    new: Vec<Signed>,
    /// Why it goes no further, if the server shows more.
    stopped: Option<Stopped>,
}

/// Why records that the server shows are not taken in.
enum Stopped {
    /// They can't be the room's: as which the server shows it.
    Wrong(Option<RosterId>),
    /// Their maker is not whom the transparency log has.
    For(ClientError),
}

impl Engine {
    /// Reads all rooms' records at once, and then those of which there is said to be something new, for as long as the
    /// connection lasts.
    pub(in crate::client::engine) async fn tend_rooms(&self, session: &Session) -> Result<(), Trouble> {
        for rooms in self.rooms_to_read().await?.chunks(AT_ONCE) {
            let mut asked = Vec::new();
            for room in rooms {
                asked.push((*room, self.ask_ahead(session, *room).await));
            }
            for (room, asked) in asked {
                self.read_room_patiently(session, room, Some(asked)).await?;
            }
        }
        session.rooms_read.send_replace(true);
        loop {
            tokio::select! {
                () = session.wire.ended() => return Err(Trouble::Lost),
                () = self.rooms.news.notified() => {}
            }
            let changed = std::mem::take(&mut *lock(&self.rooms.changed));
            for room in changed {
                if self.is_known_room(room).await? {
                    self.read_room_patiently(session, room, None).await?;
                }
            }
        }
    }

    /// Asks for the records of a room that are not here, and does not wait for them.
    async fn ask_ahead(&self, session: &Session, id: RoomId) -> Asked {
        let known = self.room_as_read(id).await.room;
        let from = known.map_or(0, |room| room.changes.len().saturating_sub(1));
        Asked { from, reply: session.wire.send(records_from(id, from), Bytes::new()).await }
    }

    /// Waits until all rooms' records have been read on this connection.
    pub(in crate::client::engine) async fn rooms_are_read(&self, session: &Session) -> Result<(), Trouble> {
        let mut read = session.rooms_read.subscribe();
        tokio::select! {
            () = session.wire.ended() => Err(Trouble::Lost),
            read = read.wait_for(|read| *read) => read.map(drop).map_err(|_| Trouble::Lost),
        }
    }

    /// The server says that a room has changed.
    pub(in crate::client::engine) fn note_room(&self, room: RoomId) {
        let mut changed = lock(&self.rooms.changed);
        if changed.len() < MANY {
            changed.insert(room);
        }
        self.rooms.news.notify_one();
    }

    /// Rooms that one is in, and those that one is invited to: these not without end.
    async fn rooms_to_read(&self) -> Result<Vec<RoomId>, ClientError> {
        self.db
            .run(|db| {
                let in_it = rooms::all(db)?.into_iter().filter(|room| room.standing == Standing::Member);
                let mut all: Vec<RoomId> = in_it.map(|room| room.id).collect();
                let most = all.len() + INVITED_TO;
                for way in rooms::ways(db)? {
                    if all.len() < most && !all.contains(&way.room) {
                        all.push(way.room);
                    }
                }
                Ok(all)
            })
            .await
    }

    /// Whether one is in a room, was, or is invited to it.
    async fn is_known_room(&self, id: RoomId) -> Result<bool, ClientError> {
        self.db
            .run(move |db| Ok(rooms::by_id(db, &id)?.is_some() || rooms::joining(db, &id)?.is_some()))
            .await
    }

    /// A room that something written to it is checked against, as far as its records are here.
    pub(in crate::client::engine) async fn room_as_read(&self, id: RoomId) -> RoomAsRead {
        match self.room(id).await {
            Ok(room) => RoomAsRead { room, behind: false },
            Err(error) => {
                tracing::warn!(%error, "the stored records of a room could not be read");
                RoomAsRead { room: None, behind: true }
            }
        }
    }

    /// The same room, which was said to have a record that is not here, once the server has been asked for that: within
    /// bounds.
    pub(in crate::client::engine) async fn ask_for_record(
        &self,
        session: &Session,
        id: RoomId,
        roster: RosterId,
        known: RoomAsRead,
    ) -> Result<RoomAsRead, Trouble> {
        let (asked, was_behind) = {
            let in_vain = lock(&session.in_vain);
            in_vain.get(&id).copied().unwrap_or(if in_vain.len() < MANY {
                (0, false)
            } else {
                (IN_VAIN, false)
            })
        };
        if asked >= IN_VAIN {
            return Ok(RoomAsRead { behind: known.behind || was_behind, ..known });
        }
        if !self.is_known_room(id).await? {
            return Ok(known);
        }
        let all = self.read_room_patiently(session, id, None).await?;
        let known = self.room_as_read(id).await;
        let behind = known.behind || !all;
        if !known.has(&roster) {
            lock(&session.in_vain).insert(id, (asked + 1, behind));
        }
        Ok(RoomAsRead { behind, ..known })
    }

    /// Reads what there is of a room, however long the server makes that take; whether that was all of it. What it refuses
    /// for now, what can't be verified yet, and what goes wrong with one room here, is for another time.
    async fn read_room_patiently(
        &self,
        session: &Session,
        id: RoomId,
        mut asked: Option<Asked>,
    ) -> Result<bool, Trouble> {
        loop {
            let shown = {
                let _alone = self.rooms.alone.lock().await;
                self.read_alone(session, id, asked.take()).await
            };
            match shown {
                Ok(_) => return Ok(true),
                Err(Trouble::Local(ClientError::NotInLog { .. })) => return Ok(false),
                Err(trouble @ Trouble::Refused { code: RefusalCode::Limited, .. }) => {
                    wait_out(session, trouble).await?;
                }
                Err(Trouble::Refused { code, .. }) => {
                    tracing::warn!(?code, "the records of a room could not be read");
                    return Ok(false);
                }
                Err(Trouble::Local(error)) => {
                    tracing::warn!(%error, "the records of a room could not be read");
                    return Ok(false);
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// Reads the records of a room that are not here yet. What they change is said in the room.
    pub(in crate::client::engine) async fn read_room(
        &self,
        session: &Session,
        id: RoomId,
    ) -> Result<Option<Arc<Room>>, Trouble> {
        let _alone = self.rooms.alone.lock().await;
        Ok(match self.read_alone(session, id, None).await? {
            Shown::Room(room) => Some(room),
            Shown::Nothing | Shown::Contradiction => None,
        })
    }

    /// The same for whoever makes sure to be the only one, and may have asked before.
    pub(super) async fn read_alone(
        &self,
        session: &Session,
        id: RoomId,
        asked: Option<Asked>,
    ) -> Result<Shown, Trouble> {
        let known = self.room(id).await?;
        let read = self.ask_for_room(session, id, known.as_deref(), asked).await?;
        let Some(Read { room, new, stopped }) = read else {
            self.say_once_of_room(id, known.as_deref(), None, true).await?;
            return Ok(Shown::Nothing);
        };
        let before = known.as_ref().map_or(0, |room| room.changes.len());
        let (me, kept) = (self.me.clone(), room.clone());
        let grown = !new.is_empty();
        if let Some(room) = kept {
            if grown {
                // Who gives up waiting for this does not know whether it was stored: whoever comes next looks.
                lock(&self.rooms.verified).remove(&id);
            }
            self.commit(move |db, events| {
                rooms::append(db, &id, before, &new)?;
                follow(db, &me, &room, before, events)
            })
            .await?;
        }
        let room = room.map(Arc::new);
        if let Some(room) = room.as_ref().filter(|_| grown) {
            lock(&self.rooms.verified).insert(id, room.clone());
            self.note_growth(id);
        }
        match (stopped, room) {
            (Some(Stopped::For(error)), _) => Err(error.into()),
            (Some(Stopped::Wrong(shown)), room) => {
                self.say_once_of_room(id, room.as_deref(), shown, false).await?;
                Ok(Shown::Contradiction)
            }
            (None, Some(room)) => Ok(Shown::Room(room)),
            (None, None) => Ok(Shown::Contradiction),
        }
    }

    /// Asks for records and verifies them; `None` where the server shows nothing of the room. The newest known one is
    /// read once more: what is behind it has to be behind that very one.
    async fn ask_for_room(
        &self,
        session: &Session,
        id: RoomId,
        known: Option<&Room>,
        mut asked: Option<Asked>,
    ) -> Result<Option<Read>, Trouble> {
        let mut read = Read { room: known.cloned(), new: Vec::new(), stopped: None };
        let mut overlaps = known.is_some();
        loop {
            let here = read.room.as_ref().map_or(0, |room| room.changes.len());
            let from = here.saturating_sub(usize::from(overlaps));
            let reply = match asked.take() {
                // Records may have come in since that was asked.
                Some(asked) if asked.from == from => asked.reply.await.unwrap_or(Err(Denied::Lost)),
                _ => session.wire.ask(records_from(id, from)).await,
            };
            let (mut records, more) = match reply.map_err(Trouble::from) {
                Ok((Answer::Room { records, more }, _)) => (records, more),
                Ok(_) => return Err(Trouble::Strange),
                Err(Trouble::Refused { code: RefusalCode::NotInRoom, .. }) if read.new.is_empty() => {
                    return Ok(None);
                }
                Err(trouble) => return Err(trouble),
            };
            // A page with nothing on it leads nowhere, and a room has at least one record.
            if records.is_empty() && (more || overlaps || read.room.is_none()) {
                read.stopped = Some(Stopped::Wrong(None));
                return Ok(Some(read));
            }
            if std::mem::take(&mut overlaps) {
                let again = roster_id(&records.remove(0));
                if read.room.as_ref().is_some_and(|room| room.roster() != again) {
                    read.stopped = Some(Stopped::Wrong(Some(again)));
                    return Ok(Some(read));
                }
            }
            read = self.verify_records(session, id, read, records).await?;
            if !more || read.stopped.is_some() {
                return Ok(Some(read));
            }
        }
    }

    /// Verifies records, each against the account of whoever says that it is theirs.
    async fn verify_records(
        &self,
        session: &Session,
        id: RoomId,
        mut read: Read,
        records: Vec<Signed>,
    ) -> Result<Read, Trouble> {
        let mut made: Vec<(Signed, Arc<Person>)> = Vec::new();
        for signed in records {
            let record = from_canonical_cbor::<RoomRecord>(&signed.body).ok();
            let maker = match &record {
                Some(record) => self.sender(session, record.account, record.device).await?,
                None => None,
            };
            match maker {
                Some(person) if person.unlogged => {
                    let nickname = person.account.nickname.clone();
                    read.stopped = Some(Stopped::For(ClientError::NotInLog { nickname }));
                    break;
                }
                Some(person) => made.push((signed, person)),
                None => {
                    read.stopped = Some(Stopped::Wrong(Some(roster_id(&signed))));
                    break;
                }
            }
        }
        let verified = compute(move || {
            for (signed, person) in made {
                let taken = match &mut read.room {
                    Some(room) => room.append(&signed, &person.account).map(drop),
                    None => Room::found(&signed, &person.account)
                        .and_then(|room| if room.id == id { Ok(room) } else { Err(RoomError::Chain) })
                        .map(|room| read.room = Some(room)),
                };
                if taken.is_err() {
                    read.stopped = Some(Stopped::Wrong(Some(roster_id(&signed))));
                    break;
                }
                read.new.push(signed);
            }
            read
        });
        let read = verified.await?;
        // Who may come in has a name, too.
        let new = read.room.iter().flat_map(|room| room.changes.iter().rev().take(read.new.len()));
        let invited = new.filter_map(|change| match change.what {
            What::Invited(account) => Some(account),
            _ => None,
        });
        for account in invited.collect::<Vec<_>>() {
            self.anybody(session, account).await?;
        }
        Ok(read)
    }

    /// Says loudly, once for each thing that the server shows, that it is not what is known here; or that it shows
    /// nothing (`hidden`) of a room that one is in.
    async fn say_once_of_room(
        &self,
        id: RoomId,
        known: Option<&Room>,
        shown: Option<RosterId>,
        hidden: bool,
    ) -> Result<(), ClientError> {
        let member = known.filter(|room| room.members.contains(&self.me.account));
        let about = match (member, shown) {
            (_, Some(shown)) => shown,
            (Some(room), None) => room.roster(),
            (None, None) => return Ok(()),
        };
        let mut allowance = lock(&self.alarm_allowance).clone();
        if !allowance.any_left() {
            return Ok(());
        }
        let me = self.me.clone();
        let said = self
            .commit(move |db, events| {
                if hidden {
                    say_hidden(db, &me, &id, &about, events)
                } else {
                    say_contradiction(db, &me, &id, &about, events)
                }
            })
            .await?;
        if said {
            allowance.use_up();
            *lock(&self.alarm_allowance) = allowance;
        }
        Ok(())
    }
}

/// Asks for a room's records from a place on.
fn records_from(room: RoomId, from: usize) -> Verb {
    Verb::ReadRoom { room, from: u32::try_from(from).unwrap_or(u32::MAX) }
}
