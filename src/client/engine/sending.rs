//! The outbox: sealed, stored, sent in order, several under way at a time, until the server's word has come.
//!
//! - [`addressing`]: for whom
//! - [`asking`]: what the server has already
//! - [`changes`]: what the server says of a room that something was sealed for
//! - [`sealing`]: an envelope out of what was written
//! - [`sender`]: what leaves when
//! - [`uploading`]: the sound of a long voice note, ahead of its envelope and beside what goes to others

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::client::db::outbox::Item;
use crate::client::db::speaking::{self, Ended};
use crate::client::db::{Sql, messages, outbox};
use crate::client::link::Denied;
use crate::client::link::wire::Reply;
use crate::client::{ClientError, Delivery, Event};
use crate::crypto::SealError;
use crate::crypto::envelope::wrap;
use crate::model::{Address, BlobId, Conversation, MessageId, Millis, Nickname, Recipient, RoomName};
use crate::protocol::message::{Answer, RefusalCode, Verb};

use super::pool::compute_each;
use super::rooms;
use super::{Engine, Session, Trouble, delayed, is_final, refusal};

use self::addressing::Addressed;
use self::sender::Sender;
use self::uploading::{Sound, Stopped, Uploads};

mod addressing;
mod asking;
mod changes;
mod sealing;
mod sender;
mod uploading;

/// How long what is held waits before it is looked at again.
const HELD: Duration = Duration::from_secs(60);
/// The pause after a failure of the server's that is none of the message's.
const RETRY: Duration = Duration::from_secs(2);

/// A submission.
struct Submission {
    place: i64,
    arrival: Option<i64>,
    closes: bool,
    id: MessageId,
    to: Address,
    conversation: Conversation,
    /// What becomes of it unless the server has it already, which is all that it was asked.
    unless_taken: Option<Obstacle>,
}

/// What became of an attempt to send something.
enum Attempt {
    Sent(Sent),
    /// It waits: for a key to be accepted, for one that can be sent to, for room at the server.
    Held(Hold),
    /// It never can be sent.
    Refused(String),
    /// Its sound has to be at the server first.
    Uploads(Sound),
}

/// What was handed to the connection.
struct Sent {
    conversation: Conversation,
    /// As in [`Submission`].
    unless_taken: Option<Obstacle>,
    reply: oneshot::Receiver<Reply>,
}

/// Why something can't be sent to a room as it is.
enum Obstacle {
    ForNow(Hold),
    Never(String),
}

impl From<Obstacle> for Attempt {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::ForNow(hold) => Self::Held(hold),
            Obstacle::Never(reason) => Self::Refused(reason),
        }
    }
}

/// What the server's word about a submission leads to.
enum Next {
    /// On to the next one.
    Go,
    /// Begin again from the front, after a while. `stale`: what is known of people may be out of date.
    Again { pause: Duration, stale: bool },
    /// On to the next one of another conversation; this one waits so long.
    Hold(Address, Hold),
}

/// Begin again from the front, with what is known of people by then.
const AT_ONCE: Next = Next::Again { pause: Duration::ZERO, stale: true };

/// A conversation that waits.
struct Hold {
    until: Instant,
    reason: String,
    /// By a limit on one's own sending.
    limited: bool,
}

impl Hold {
    fn new(wait: Duration, reason: String) -> Self {
        Self { until: Instant::now() + wait, reason, limited: false }
    }

    /// What the server has said no to, and when it may say yes.
    fn refused(code: RefusalCode, wait: Duration) -> Self {
        let limited = code == RefusalCode::Limited;
        Self { limited, ..Self::new(wait, delayed(code, wait)) }
    }
}

impl Engine {
    /// Sends what there is to send, for as long as the connection lasts.
    pub(super) async fn send_outbox(&self, session: &Session) -> Result<(), Trouble> {
        let (uploads, wishes) = Uploads::new();
        // Side by side: who sends may wait for what an upload holds.
        tokio::select! {
            ended = Sender::new(self, session, uploads).run() => ended,
            () = self.bring_all(session, wishes) => Err(Trouble::Lost),
        }
    }

    /// Seals an item if it is not, and hands it to the connection, unless its sound has to be brought to the server before.
    /// `brought`: it has been, if not all of it is known to be there.
    async fn attempt(
        &self,
        session: &Session,
        item: Item,
        at_least: Millis,
        brought: bool,
    ) -> Result<Attempt, Trouble> {
        let _handing = self.handing.read().await;
        if self.is_rekeying() {
            let reason = "new keys are about to take the old ones' places".to_owned();
            return Ok(Attempt::Held(Hold::new(HELD, reason)));
        }
        let addressed = match item.to.clone() {
            Address::Person(name) => self.address_person(session, &item, &name, at_least).await?,
            Address::Room(room) => self.address_room(session, &item, &room, at_least).await?,
        };
        let Addressed { conversation, keys, unless_taken } = match addressed {
            Ok(addressed) => addressed,
            Err(attempt) => return Ok(attempt),
        };
        let (place, arrival, closes, id) = (item.place, item.arrival, item.closes, item.id);
        let sealed = match item.sealed {
            Some(sealed) => sealed,
            None => match self.seal(item, conversation).await? {
                Ok(sealed) => sealed,
                Err(reason) => return Ok(Attempt::Refused(reason)),
            },
        };
        if let (Some((blob, chunks)), Some(arrival), false) = (sealed.blob, arrival, sealed.uploaded) {
            // The server can't have what its sound was not brought for.
            if let Some(obstacle) = unless_taken {
                return Ok(obstacle.into());
            }
            let secret = sealed.secret;
            return Ok(Attempt::Uploads(Sound::Note { place, arrival, id, secret, blob, chunks }));
        }
        let mut blobs: Vec<BlobId> = sealed.blob.iter().map(|(id, _)| *id).collect();
        if let (true, Some(closed)) = (closes, arrival) {
            if !brought {
                return Ok(Attempt::Uploads(Sound::Live { arrival: closed }));
            }
            blobs = self.blobs_of_closing(closed).await?;
        }
        let (secret, header_hash) = (sealed.secret, sealed.header_hash);
        let wrapped = compute_each(keys, move |(account, keys)| {
            let wraps = keys.iter().map(|key| wrap(&secret, &header_hash, key));
            Ok(Recipient { account, wraps: wraps.collect::<Result<_, SealError>>()? })
        });
        let recipients: Result<Vec<_>, SealError> = wrapped.await?.into_iter().collect();
        let recipients = recipients.map_err(|error| ClientError::Internal(error.to_string()))?;
        let named = if unless_taken.is_some() { asking::long_ago(conversation) } else { conversation };
        let verb = Verb::Submit { message: id, conversation: named, recipients, blobs };
        let reply = session.wire.send(verb, sealed.body).await;
        Ok(Attempt::Sent(Sent { conversation, unless_taken, reply }))
    }

    /// What becomes of a message whose sound the server does not take: it waits, or is given up.
    async fn stop(&self, place: i64, arrival: i64, stopped: Stopped) -> Result<Option<Hold>, Trouble> {
        match stopped {
            Stopped::For(hold) => Ok(Some(hold)),
            Stopped::ForGood(code) => {
                self.refuse(place, Some(arrival), true, refusal(code).to_owned()).await?;
                Ok(None)
            }
        }
    }

    /// Says that a message waits with its conversation.
    fn say_held(&self, id: MessageId, to: &Address, hold: &Hold) {
        let (reason, limited) = (hold.reason.clone(), hold.limited);
        self.tell(Event::Delayed { id, reason, to: Some(to.clone()), limited });
    }

    /// A message waits with its conversation, which is said.
    fn held_up(&self, id: MessageId, to: Address, hold: Hold) -> Next {
        self.say_held(id, &to, &hold);
        Next::Hold(to, hold)
    }

    /// Acts on the server's word about a submission.
    async fn settle(
        &self,
        session: &Session,
        submission: Submission,
        reply: Result<Reply, oneshot::error::RecvError>,
    ) -> Result<Next, Trouble> {
        let Submission { place, arrival, closes, id, to, conversation, unless_taken } = submission;
        match reply.unwrap_or(Err(Denied::Lost)).map_err(Trouble::from) {
            Ok((Answer::Accepted { at, left_out }, _)) => {
                let left_out = self.left_out_by_server(&conversation, left_out).await?;
                let me = self.me.clone();
                self.commit(move |db, events| {
                    if !outbox::remove(db, place)? {
                        // Known already: it was asked for beside this.
                        return Ok(());
                    }
                    if let Conversation::Room { room, .. } = conversation {
                        rooms::left_out(db, &me, &room, true, &left_out, events)?;
                    }
                    let Some(arrival) = arrival else { return Ok(()) };
                    if !closes && speaking::of(db, arrival)?.is_some() {
                        // The server has all of it once it has its end.
                        return Ok(());
                    }
                    speaking::remove(db, arrival)?;
                    messages::settle(db, arrival, &Delivery::Accepted, Some(at))?;
                    let id = messages::by_arrival(db, arrival)?.id;
                    events.push(Event::Accepted { id, at });
                    Ok(())
                })
                .await?;
                Ok(Next::Go)
            }
            Ok(_) => Err(Trouble::Strange),
            Err(Trouble::Refused { code: RefusalCode::KeySuperseded, .. }) => Ok(AT_ONCE),
            Err(Trouble::Refused { code: RefusalCode::BlobMissing, .. }) => {
                self.db.write(move |db| outbox::mark_uploaded(db, place, false)).await?;
                Ok(Next::Again { pause: RETRY, stale: true })
            }
            Err(Trouble::Refused { code: RefusalCode::RoomChanged, .. })
                if let Conversation::Room { room, roster } = conversation =>
            {
                if let Some(known) = self.room(room).await?
                    && known.roster() == roster
                    && let Some(obstacle) = unless_taken
                {
                    return self.stop_at(obstacle, (place, arrival), (id, to)).await;
                }
                self.seal_anew(session, place, (room, roster), (id, to)).await
            }
            Err(Trouble::Refused { code: code @ RefusalCode::NotInRoom, .. })
                if let Conversation::Room { room, .. } = conversation =>
            {
                if let Err(hold) = self.read_room_or_hold(session, room).await? {
                    return Ok(self.held_up(id, to, hold));
                }
                let reason = to.room().map_or_else(|| refusal(code).to_owned(), gone);
                self.refuse(place, arrival, false, reason).await?;
                Ok(Next::Go)
            }
            // Perhaps another account has the name by now: then a person decides.
            Err(Trouble::Refused { code: RefusalCode::UnknownRecipient, .. })
                if self.is_disputed(session, &to).await? =>
            {
                Ok(AT_ONCE)
            }
            Err(Trouble::Refused { code, .. }) if is_final(code) => {
                let fill = code != RefusalCode::UnknownRecipient;
                self.refuse(place, arrival, fill, refusal(code).to_owned()).await?;
                Ok(if fill { AT_ONCE } else { Next::Go })
            }
            Err(Trouble::Refused { code, retry_after, .. }) => {
                let wait = retry_after.unwrap_or(RETRY);
                if matches!(code, RefusalCode::MailboxFull | RefusalCode::ShareFull) {
                    return Ok(self.held_up(id, to, Hold::refused(code, wait)));
                }
                let limited = code == RefusalCode::Limited;
                self.tell(Event::Delayed { id, reason: delayed(code, wait), to: None, limited });
                Ok(Next::Again { pause: wait, stale: true })
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Whether the directory's answer for a name waits for a decision, or for its log to agree.
    async fn is_disputed(&self, session: &Session, to: &Address) -> Result<bool, Trouble> {
        let Address::Person(name) = to else { return Ok(false) };
        match self.look_up_name(session, name).await {
            Err(Trouble::Local(ClientError::NotInLog { .. })) => Ok(true),
            found => Ok(found?.is_some_and(|person| person.held)),
        }
    }

    /// Gives a message up. Where it had a place in a chain, a void fills that.
    async fn refuse(
        &self,
        place: i64,
        arrival: Option<i64>,
        fill: bool,
        reason: String,
    ) -> Result<(), ClientError> {
        self.commit(move |db, events| {
            match arrival {
                Some(arrival) => {
                    let id = messages::by_arrival(db, arrival)?.id;
                    if speaking::of(db, arrival)?.is_some() {
                        give_up_speaking(db, arrival)?;
                        events.push(Event::LiveEnded(messages::by_arrival(db, arrival)?));
                    }
                    messages::settle(db, arrival, &Delivery::Refused { reason: reason.clone() }, None)?;
                    events.push(Event::Refused { id, reason });
                    if fill { outbox::make_void(db, place) } else { outbox::remove(db, place).map(drop) }
                }
                // A void that is refused too leaves the gap to be announced.
                None => outbox::remove(db, place).map(drop),
            }
        })
        .await
    }

    /// Why nothing is sent to somebody.
    async fn why_held(&self, nickname: Nickname) -> Result<String, ClientError> {
        let change = self.held(&nickname).await?.flatten();
        Ok(match change {
            Some(change) => ClientError::KeyChanged { nickname, change }.to_string(),
            None => format!("the key of {nickname} has changed"),
        })
    }
}

/// A note that is being spoken, or was, will not leave: what was recorded is kept here.
fn give_up_speaking(db: &rusqlite::Connection, arrival: i64) -> Sql<()> {
    if let Some(note) = speaking::of(db, arrival)?.filter(|note| note.ended == Ended::No) {
        speaking::end(db, &note, Ended::CutOff, &[])?;
    }
    speaking::remove(db, arrival)?;
    outbox::remove_closing(db, arrival)
}

/// Why nothing is sent any more to a room that one was in.
fn gone(room: &RoomName) -> String {
    format!("you are not in #{room} any more")
}

fn unknown(name: &Nickname) -> String {
    ClientError::UnknownNickname { nickname: name.clone() }.to_string()
}
