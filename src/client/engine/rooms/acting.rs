//! Founding, inviting, joining, leaving, removing: records of one's own, behind the newest of all.

use std::collections::HashSet;

use rusqlite::Connection;

use crate::client::db::rooms::{self, Standing, Stored, Way};
use crate::client::db::{Sql, contacts};
use crate::client::engine::{Engine, Me, Session, Trouble, compute, lock};
use crate::client::{Body, ClientError};
use crate::crypto::SealError;
use crate::crypto::room::{Room, found, next, roster_id};
use crate::model::{MessageId, Millis, Nickname, RoomId, RoomName, RoomRecordKind, Signed, limits};
use crate::protocol::message::{RefusalCode, Verb};

use super::is_believed;
use super::reading::Shown;
use super::telling::named;

/// How often a record is made before others' records go on coming in between.
const ATTEMPTS: u32 = 8;

impl Engine {
    /// Begins a room. What broke off is gone on with: the same room, by its name.
    pub(super) async fn found_room(&self, session: &Session, name: RoomName) -> Result<RoomId, Trouble> {
        let _alone = self.rooms.alone.lock().await;
        let wanted = name.clone();
        let stored = self.db.run(move |db| rooms::by_name(db, &wanted)).await?;
        let (id, record) = match stored {
            Some(Stored { id, standing: Standing::Founding, .. }) => {
                let chain = self.db.run(move |db| rooms::chain(db, &id)).await?;
                let first = chain.into_iter().next();
                (id, first.ok_or_else(|| ClientError::Internal("a room without records".to_owned()))?)
            }
            // Asked for once more, because the word that it is there was lost.
            Some(Stored { id, standing: Standing::Member, .. }) if self.is_as_founded(id).await? => {
                return Ok(id);
            }
            Some(_) => return Err(ClientError::RoomNameTaken { room: name }.into()),
            None => self.begin_room(name).await?,
        };
        match session.wire.ask(Verb::PublishRoomRecord { record }).await.map_err(Trouble::from) {
            Ok(_) => {}
            // Of anything else it is not known whether the server has the room, or it may still take it.
            Err(trouble @ Trouble::Refused { code: RefusalCode::Invalid | RefusalCode::RoomFull, .. }) => {
                self.db.write(move |db| rooms::forget(db, &id)).await?;
                lock(&self.rooms.verified).remove(&id);
                return Err(trouble);
            }
            Err(trouble) => return Err(trouble),
        }
        self.db.write(move |db| rooms::set_standing(db, &id, Standing::Member)).await?;
        Ok(id)
    }

    /// Whether nothing has happened in a room but that one has founded it.
    async fn is_as_founded(&self, id: RoomId) -> Result<bool, ClientError> {
        let room = self.room(id).await?;
        Ok(room.is_some_and(|room| room.changes.len() == 1 && room.founder == self.me.account))
    }

    /// Makes a room's first record, kept before anybody else knows of it.
    async fn begin_room(&self, name: RoomName) -> Result<(RoomId, Signed), ClientError> {
        let (key, me) = (self.device_key.clone(), self.me.account);
        let made = compute(move || {
            let mut nonce = [0; 32];
            rand::fill(&mut nonce);
            found(&key, me, nonce, Millis::now())
        });
        let record = made.await?.map_err(failed)?;
        let id = RoomId::new(*roster_id(&record).as_bytes());
        let kept = record.clone();
        self.db
            .write(move |db| {
                rooms::begin(db, &Stored { id, name, standing: Standing::Founding })?;
                rooms::append(db, &id, 0, std::slice::from_ref(&kept))
            })
            .await?;
        Ok((id, record))
    }

    /// Has somebody invited, and puts the way into the room into the outbox, to them. Who is invited already, or in it, is
    /// shown the way once more.
    pub(super) async fn invite(
        &self,
        session: &Session,
        name: RoomName,
        nickname: Nickname,
    ) -> Result<RoomId, Trouble> {
        if nickname == self.me.nickname {
            return Err(ClientError::OwnNickname.into());
        }
        let (id, name) = self.room_that_i_am_in(name).await?;
        if let Some(Some(change)) = self.held(&nickname).await? {
            return Err(ClientError::KeyChanged { nickname, change }.into());
        }
        let person = self.person(session, &nickname, Millis(0)).await?;
        let unknown = || ClientError::UnknownNickname { nickname: nickname.clone() };
        let account =
            person.filter(|person| person.account.revoked.is_none()).ok_or_else(unknown)?.account.id;
        let room = name.clone();
        self.make_records(session, (id, &name), move |known, _| match known.knows(&account) {
            true => Ok(None),
            false if known.changes.len() >= limits::ROOM_RECORDS => {
                Err(ClientError::RoomAtItsEnd { room: room.clone() })
            }
            false => Ok(Some(RoomRecordKind::Invited { account })),
        })
        .await?;
        let way = Body::Invitation { room: name };
        self.enqueue(MessageId::generate(), nickname.into(), way, bytes::Bytes::new()).await?;
        Ok(id)
    }

    /// Comes into the room that an invitation with this name leads to: the only one, or the newest that is `from`
    /// somebody. One that has a name here keeps it.
    pub(super) async fn join(
        &self,
        session: &Session,
        name: RoomName,
        as_name: Option<RoomName>,
        from: Option<Nickname>,
    ) -> Result<RoomId, Trouble> {
        let chosen = from.is_some();
        let ways = self.ways_that_lead(session, &name, from).await?;
        let (wanted, me) = (name.clone(), self.me.clone());
        let joining = self.db.write(move |db| {
            let Some(way) = ways.first() else {
                let room = rooms::by_name(db, &wanted)?.filter(|room| room.standing == Standing::Member);
                return Ok(match room {
                    Some(room) if as_name.is_some_and(|wanted| wanted != room.name) => {
                        Err(ClientError::RoomNamed { room: room.name })
                    }
                    Some(room) => Ok((room.id, true)),
                    None => Err(ClientError::NotInvited { room: wanted }),
                });
            };
            if !chosen && ways.iter().any(|other| other.room != way.room) {
                let inviters = inviters(db, &me, &ways)?;
                return Ok(Err(ClientError::SeveralInvitations { room: wanted, inviters }));
            }
            if let Some(known) = rooms::by_id(db, &way.room)? {
                if as_name.is_some_and(|wanted| wanted != known.name) {
                    return Ok(Err(ClientError::RoomNamed { room: known.name }));
                }
            } else {
                let called = as_name.unwrap_or_else(|| way.name.clone());
                if rooms::by_name(db, &called)?.is_some() {
                    return Ok(Err(ClientError::RoomNameTaken { room: called }));
                }
                rooms::set_joining(db, &way.room, &called)?;
            }
            Ok(Ok((way.room, false)))
        });
        let (id, is_in_it) = joining.await??;
        if is_in_it {
            return Ok(id);
        }
        let (me, room) = (self.me.account, name.clone());
        let joined =
            self.make_records(session, (id, &name), move |known, _| match known.invited.contains_key(&me) {
                _ if known.members.contains(&me) => Ok(None),
                true if known.changes.len() >= limits::ROOM_RECORDS => {
                    Err(ClientError::RoomAtItsEnd { room: room.clone() })
                }
                true => Ok(Some(RoomRecordKind::Joined)),
                false => Err(ClientError::NotInvited { room: room.clone() }),
            });
        match joined.await {
            Err(Trouble::Local(ClientError::NotInRoom { room })) => {
                Err(ClientError::NotInvited { room }.into())
            }
            joined => joined.map(|()| id),
        }
    }

    /// The ways with a name that lead into rooms to which one is invited, the newest one first: those that somebody in the
    /// room has shown, or whoever has invited this account. Anybody can show others, and those are ended.
    async fn ways_that_lead(
        &self,
        session: &Session,
        name: &RoomName,
        from: Option<Nickname>,
    ) -> Result<Vec<Way>, Trouble> {
        let wanted = name.clone();
        let ways = self.db.run(move |db| ways_named(db, &wanted, from.as_ref())).await?;
        let (mut leading, mut looked_at, mut unclear) = (Vec::new(), HashSet::new(), None);
        for Way { room: id, .. } in &ways {
            let id = *id;
            if !looked_at.insert(id) {
                continue;
            }
            let shown = {
                let _alone = self.rooms.alone.lock().await;
                self.read_alone(session, id, None).await
            };
            match shown {
                Ok(Shown::Room(room)) if room.knows(&self.me.account) => {
                    let believed = |way: &&Way| way.room == id && is_believed(way, &room, &self.me.account);
                    leading.extend(ways.iter().filter(believed).cloned());
                }
                Ok(Shown::Room(_) | Shown::Nothing) => {
                    self.db.write(move |db| rooms::end_ways(db, &id)).await?;
                }
                Ok(Shown::Contradiction) => {
                    unclear = Some(ClientError::RoomContradicted { room: name.clone() });
                }
                Err(Trouble::Local(error @ ClientError::NotInLog { .. })) => unclear = Some(error),
                Err(trouble) => return Err(trouble),
            }
        }
        match unclear {
            Some(error) if leading.is_empty() => Err(error.into()),
            _ => Ok(leading),
        }
    }

    /// Leaves a room, or declines an invitation: that of `from` somebody, or the newest where one is in no room of that
    /// name. Where the server shows nothing of it any more, or what can't be, one is
    /// out of it here all the same.
    pub(super) async fn leave(
        &self,
        session: &Session,
        name: RoomName,
        from: Option<Nickname>,
    ) -> Result<RoomId, Trouble> {
        let wanted = name.clone();
        let room = self.db.run(move |db| rooms::by_name(db, &wanted)).await?;
        let (id, member) = match room.filter(|room| room.standing == Standing::Member && from.is_none()) {
            Some(room) => (room.id, true),
            None => (self.invitation_to_decline(session, &name, from).await?, false),
        };
        let me = self.me.account;
        let left = self.make_records(session, (id, &name), move |known, _| {
            Ok(known.knows(&me).then_some(RoomRecordKind::Left))
        });
        match left.await {
            Ok(()) => {}
            Err(Trouble::Local(ClientError::NotInRoom { .. } | ClientError::RoomContradicted { .. })) => {
                let gone = move |db: &rusqlite::Transaction<'_>| {
                    rooms::set_standing(db, &id, Standing::Left)?;
                    rooms::end_ways(db, &id)
                };
                self.db.write(gone).await?;
                if !member {
                    return Err(ClientError::NotInvited { room: name }.into());
                }
            }
            Err(trouble) => return Err(trouble),
        }
        self.db.write(move |db| rooms::end_ways(db, &id)).await?;
        Ok(id)
    }

    /// The room that the newest invitation with this name leads to, or else, where it is not clear where they lead, is said
    /// to lead to.
    async fn invitation_to_decline(
        &self,
        session: &Session,
        name: &RoomName,
        from: Option<Nickname>,
    ) -> Result<RoomId, Trouble> {
        let newest = async || {
            let (wanted, from) = (name.clone(), from.clone());
            self.db.run(move |db| Ok(ways_named(db, &wanted, from.as_ref())?.into_iter().next())).await
        };
        if newest().await?.is_none() {
            return Err(ClientError::NotInRoom { room: name.clone() }.into());
        }
        let way = match self.ways_that_lead(session, name, from.clone()).await {
            Err(Trouble::Local(ClientError::RoomContradicted { .. } | ClientError::NotInLog { .. })) => None,
            ways => ways?.into_iter().next(),
        };
        let way = match way {
            Some(way) => Some(way),
            None => newest().await?,
        };
        Ok(way.ok_or_else(|| ClientError::NotInvited { room: name.clone() })?.room)
    }

    /// Removes somebody from a room that one has founded, or takes their invitation back.
    pub(super) async fn remove_from_room(
        &self,
        session: &Session,
        name: RoomName,
        nickname: Nickname,
    ) -> Result<RoomId, Trouble> {
        if nickname == self.me.nickname {
            return Err(ClientError::OwnNickname.into());
        }
        let (id, name) = self.room_that_i_am_in(name).await?;
        let wanted = nickname.clone();
        let accounts = self.db.run(move |db| contacts::accounts_named(db, &wanted)).await?;
        let founder = match self.room(id).await? {
            Some(room) if room.founder != self.me.account => {
                let founder = room.founder;
                self.db.run(move |db| contacts::by_account(db, &founder)).await?
            }
            _ => None,
        };
        if let Some(founder) = founder {
            return Err(ClientError::NotFounder { room: name, founder: founder.nickname }.into());
        }
        let room = name.clone();
        self.make_records(session, (id, &name), move |known, first| {
            let mut present = accounts.iter().filter(|account| known.knows(account));
            match present.next() {
                Some(account) => Ok(Some(RoomRecordKind::Removed { account: *account })),
                None if first => {
                    Err(ClientError::NotOfRoom { room: room.clone(), nickname: nickname.clone() })
                }
                None => Ok(None),
            }
        })
        .await?;
        Ok(id)
    }

    /// The room with this name, and the name as it is written here.
    async fn room_that_i_am_in(&self, name: RoomName) -> Result<(RoomId, RoomName), ClientError> {
        let wanted = name.clone();
        let stored = self.db.run(move |db| rooms::by_name(db, &wanted)).await?;
        let stored = stored.filter(|stored| stored.standing == Standing::Member);
        let stored = stored.ok_or(ClientError::NotInRoom { room: name })?;
        Ok((stored.id, stored.name))
    }

    /// Makes records behind the newest of a room's, each as `wanted` says of the room as it is by then, until it wants
    /// none. Whether others' come in between or one's own has been taken, the server shows what there is now.
    async fn make_records(
        &self,
        session: &Session,
        (id, name): (RoomId, &RoomName),
        wanted: impl Fn(&Room, bool) -> Result<Option<RoomRecordKind>, ClientError>,
    ) -> Result<(), Trouble> {
        let _alone = self.rooms.alone.lock().await;
        for attempt in 0..ATTEMPTS {
            let room = match self.read_alone(session, id, None).await? {
                Shown::Room(room) => room,
                Shown::Nothing => return Err(ClientError::NotInRoom { room: name.clone() }.into()),
                Shown::Contradiction => {
                    return Err(ClientError::RoomContradicted { room: name.clone() }.into());
                }
            };
            let Some(kind) = wanted(&room, attempt == 0)? else { return Ok(()) };
            let (key, me) = (self.device_key.clone(), self.me.account);
            let made = compute(move || next(&room, &key, me, kind, Millis::now()));
            let record = made.await?.map_err(failed)?;
            match session.wire.ask(Verb::PublishRoomRecord { record }).await.map_err(Trouble::from) {
                Ok(_) | Err(Trouble::Refused { code: RefusalCode::RoomChanged, .. }) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        Err(Trouble::Refused { code: RefusalCode::RoomChanged, retry_after: None })
    }
}

/// The ways into rooms with this name, the newest one first; those that somebody has shown, if that is given: whoever has
/// that name as it is pinned.
fn ways_named(db: &Connection, name: &RoomName, from: Option<&Nickname>) -> Sql<Vec<Way>> {
    let mut ways = Vec::new();
    for way in rooms::ways(db)? {
        // One that was here before is called as it was.
        let called = rooms::by_id(db, &way.room)?.map(|room| room.name);
        if way.name == *name || called.as_ref() == Some(name) {
            ways.push(way);
        }
    }
    if let Some(from) = from {
        let from = contacts::by_name(db, from)?;
        ways.retain(|way| from.as_ref().is_some_and(|from| from.account == way.inviter));
    }
    Ok(ways)
}

/// Who shows ways into rooms, each once.
fn inviters(db: &Connection, me: &Me, ways: &[Way]) -> Sql<Vec<String>> {
    let mut inviters = ways.iter().map(|way| named(db, me, &way.inviter)).collect::<Sql<Vec<_>>>()?;
    let mut said = HashSet::new();
    inviters.retain(|inviter| said.insert(inviter.clone()));
    Ok(inviters)
}

fn failed(error: SealError) -> ClientError {
    ClientError::Internal(error.to_string())
}
