//! What leaves when: several submissions under way at a time, each conversation in its order, no conversation held up by
//! another's upload.
//!
//! To a room one at a time: the room may change at any moment, and what the server does not take then leaves anew, for the
//! room as it is by then. Had it taken a later one meanwhile, their order would be lost.

use std::collections::{HashMap, VecDeque};

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::client::db::outbox::{self, Item};
use crate::client::engine::{Engine, Session, Trouble};
use crate::client::link::wire::Reply;
use crate::model::{Address, MessageId, Millis};

use super::uploading::{Stopped, Upload, Uploaded, Uploads};
use super::{Attempt, HELD, Hold, Next, RETRY, Sent, Submission};

/// Submissions under way at a time.
const WINDOW: usize = 16;

/// One under way.
struct UnderWay {
    submission: Submission,
    reply: oneshot::Receiver<Reply>,
}

/// The order in which the outbox leaves, for as long as a connection lasts.
pub(super) struct Sender<'a> {
    engine: &'a Engine,
    session: &'a Session,
    under_way: VecDeque<UnderWay>,
    /// How far the outbox was gone through.
    after: i64,
    /// Rooms that nothing is under way to any more, each with the place behind which what was passed over begins.
    turns: VecDeque<(Address, i64)>,
    /// Conversations that wait: what comes later in them waits too, so that order is kept.
    held: HashMap<Address, Hold>,
    uploads: Uploads,
    /// Once nothing is under way any more, the order begins anew from the front.
    anew: bool,
    /// Directory answers older than this don't count: a key has been replaced.
    at_least: Millis,
    /// Times in a row that the server's word has made the order begin anew.
    again: u32,
}

impl<'a> Sender<'a> {
    pub(super) fn new(engine: &'a Engine, session: &'a Session, uploads: Uploads) -> Self {
        Self {
            engine,
            session,
            under_way: VecDeque::new(),
            after: 0,
            turns: VecDeque::new(),
            held: HashMap::new(),
            uploads,
            anew: false,
            at_least: Millis(0),
            again: 0,
        }
    }

    /// Never ends well.
    pub(super) async fn run(mut self) -> Result<(), Trouble> {
        loop {
            self.fill().await?;
            if !self.under_way.is_empty() {
                self.hear().await?;
            } else if self.anew {
                self.begin_anew();
            } else {
                self.wait().await?;
            }
        }
    }

    /// Hands as much to the connection as may be under way.
    async fn fill(&mut self) -> Result<(), Trouble> {
        while self.has_room() {
            let Some(item) = self.next().await? else { break };
            let (place, arrival, id, to) = (item.place, item.arrival, item.id, item.to.clone());
            if self.uploads.holds(&to) || self.is_busy(&to) {
                continue;
            }
            if let Some(hold) = self.held.get(&to) {
                self.engine.say_held(id, &to, hold);
                self.give_turn(to, place);
                continue;
            }
            let closes = item.closes;
            let brought = self.uploads.has_brought(place);
            let attempt = match self.engine.attempt(self.session, item, self.at_least, brought).await {
                // Of this conversation: the others go on.
                Err(Trouble::Refused { code, retry_after }) => {
                    Attempt::Held(Hold::refused(code, retry_after.unwrap_or(HELD)))
                }
                attempt => attempt?,
            };
            match attempt {
                Attempt::Sent(Sent { conversation, unless_taken, reply }) => {
                    let submission =
                        Submission { place, arrival, closes, id, to, conversation, unless_taken };
                    self.under_way.push_back(UnderWay { submission, reply });
                }
                Attempt::Uploads(sound) => {
                    let of = Upload { place, arrival: sound.arrival(), id, to };
                    self.uploads.begin(of, sound);
                }
                Attempt::Held(hold) => {
                    self.give_turn(to.clone(), place);
                    self.hold(id, to, hold);
                }
                Attempt::Refused(reason) => {
                    self.give_turn(to, place);
                    self.engine.refuse(place, arrival, false, reason).await?;
                }
            }
        }
        Ok(())
    }

    /// What comes next: of a room whose turn it is, or else in the outbox.
    async fn next(&mut self) -> Result<Option<Item>, Trouble> {
        let until = self.after;
        while let Some((to, place)) = self.turns.pop_front() {
            let passed_over = self.engine.db.run(move |db| outbox::next_to(db, &to, place, until)).await?;
            if passed_over.is_some() {
                return Ok(passed_over);
            }
        }
        let next = self.engine.db.run(move |db| outbox::next(db, until)).await?;
        if let Some(item) = &next {
            self.after = item.place;
        }
        Ok(next)
    }

    /// Whether something is under way to a room.
    fn is_busy(&self, to: &Address) -> bool {
        to.room().is_some() && self.under_way.iter().any(|one| one.submission.to == *to)
    }

    /// What was passed over of a room behind this place is next. The others' order goes on by itself.
    fn give_turn(&mut self, to: Address, place: i64) {
        if to.room().is_some() && place < self.after {
            self.turns.push_back((to, place));
        }
    }

    fn begin_anew(&mut self) {
        self.anew = false;
        self.after = 0;
        self.turns.clear();
    }

    fn has_room(&self) -> bool {
        !self.anew && self.under_way.len() < WINDOW
    }

    fn hold(&mut self, id: MessageId, to: Address, hold: Hold) {
        self.engine.say_held(id, &to, &hold);
        self.held.insert(to, hold);
    }

    /// Rooms that have changed wait no longer; whether one did.
    async fn release_rooms(&mut self) -> Result<bool, Trouble> {
        let grown = self.engine.grown_rooms().await?;
        let before = self.held.len();
        self.held.retain(|to, _| to.room().is_none_or(|held| !grown.contains(held)));
        Ok(self.held.len() < before)
    }

    /// Waits until there may be something to send.
    async fn wait(&mut self) -> Result<(), Trouble> {
        tokio::select! {
            () = self.session.wire.ended() => return Err(Trouble::Lost),
            () = self.engine.outbox.notified() => {}
            () = self.engine.decided.notified() => {
                self.held.clear();
                self.begin_anew();
            }
            () = self.engine.rooms_grow() => {
                if self.release_rooms().await? {
                    self.begin_anew();
                }
            }
            () = release(&self.held) => {
                self.held.retain(|_, hold| Instant::now() < hold.until);
                self.begin_anew();
            }
            ended = self.uploads.ended() => self.uploaded(ended).await?,
        }
        Ok(())
    }

    /// Waits for the server's word about the first that is under way, and acts on it.
    async fn hear(&mut self) -> Result<(), Trouble> {
        let has_room = self.has_room();
        let Some(first) = self.under_way.front_mut() else { return Ok(()) };
        let reply = tokio::select! {
            reply = &mut first.reply => reply,
            () = self.engine.outbox.notified(), if has_room => return Ok(()),
            () = self.engine.decided.notified() => {
                self.held.clear();
                self.anew = true;
                return Ok(());
            }
            () = self.engine.rooms_grow() => {
                self.anew |= self.release_rooms().await?;
                return Ok(());
            }
            () = release(&self.held) => {
                self.held.retain(|_, hold| Instant::now() < hold.until);
                self.anew = true;
                return Ok(());
            }
            ended = self.uploads.ended() => return self.uploaded(ended).await,
        };
        let Some(done) = self.under_way.pop_front() else { return Ok(()) };
        self.give_turn(done.submission.to.clone(), done.submission.place);
        let mut next = self.settle(done.submission, reply).await?;
        if let Next::Again { pause, stale } = &mut next {
            // The rest of the window has been decided on already: heard out before the order begins anew.
            for UnderWay { submission, reply } in std::mem::take(&mut self.under_way) {
                match self.settle(submission, reply.await).await? {
                    Next::Again { pause: longer, stale: also } => {
                        (*pause, *stale) = (longer.max(*pause), *stale || also);
                    }
                    Next::Hold(to, hold) => drop(self.held.insert(to, hold)),
                    Next::Go => {}
                }
            }
        }
        self.again = if let Next::Again { .. } = next { self.again.saturating_add(1) } else { 0 };
        match next {
            Next::Go => {}
            Next::Hold(to, hold) => drop(self.held.insert(to, hold)),
            Next::Again { pause, stale } => {
                // What does not help once may help later, but not by being repeated as fast as it goes.
                let pause = if self.again > 1 { pause.max(RETRY) } else { pause };
                if stale {
                    self.at_least = Millis::now();
                }
                self.begin_anew();
                tokio::select! {
                    () = self.session.wire.ended() => return Err(Trouble::Lost),
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
        Ok(())
    }

    async fn settle(
        &mut self,
        submission: Submission,
        reply: Result<Reply, oneshot::error::RecvError>,
    ) -> Result<Next, Trouble> {
        let place = submission.place;
        let next = self.engine.settle(self.session, submission, reply).await?;
        if let Next::Again { .. } = next {
            // The server may have lost its sound.
            self.uploads.forget(place);
        }
        Ok(next)
    }

    /// Acts on the end of an upload. Whoever waited for it has their turn again.
    async fn uploaded(&mut self, (of, ended): (Upload, Uploaded)) -> Result<(), Trouble> {
        self.anew = true;
        let Upload { place, arrival, id, to } = of;
        let stopped = match ended {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(stopped)) => stopped,
            Err(Trouble::Refused { code, retry_after }) => {
                Stopped::For(Hold::refused(code, retry_after.unwrap_or(HELD)))
            }
            Err(trouble) => return Err(trouble),
        };
        if let Some(hold) = self.engine.stop(place, arrival, stopped).await? {
            self.hold(id, to, hold);
        }
        Ok(())
    }
}

/// Waits until the first of what is held may be tried again.
async fn release(held: &HashMap<Address, Hold>) {
    match held.values().map(|hold| hold.until).min() {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}
