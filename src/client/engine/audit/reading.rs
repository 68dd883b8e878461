//! The leaves of the log: fetched, verified against a signed checkpoint, and held against what was known before.

use minicbor::bytes::ByteArray;

use crate::client::db::log::{self, Hashes, Known};
use crate::client::db::{Sql, inbox};
use crate::client::{AlarmKind, ClientError};
use crate::crypto::{Evidence, LogKey};
use crate::model::{Leaf, NameHash, Signed};
use crate::protocol::message::{Answer, Verb};

use super::Access;
use super::alarms::Raise;
use crate::client::engine::{Engine, Session, Trouble, compute, lock};

/// Leaves that are read at a time, at most: 75 MB of them. Logs are not that long; a server could say that its is.
const MOST_LEAVES: u64 = 1 << 20;

/// A signed checkpoint, and the leaves that the server gave for it.
pub(super) struct Read {
    pub known: Known,
    pub leaves: Vec<Leaf>,
}

impl Engine {
    /// Fetches and verifies every leaf behind those that are stored.
    pub(in crate::client::engine) async fn read_log(&self, session: &Session) -> Result<(), Trouble> {
        let key = match &session.log {
            Access::Pinned(key) => *key,
            Access::Lost(shown) => return self.lost(shown.as_deref()).await,
        };
        let _alone = self.auditing.lock().await;
        // What a process that broke off had found and not said.
        self.say(session).await?;
        let known = self.db.run(|db| log::newest(db)).await?;
        let size = known.as_ref().map_or(0, |known| known.head.size);
        let Some(read) = self.ask_for_log(session, &key, size).await? else { return Ok(()) };
        let grown = read.known.clone();
        match known {
            Some(known) if grown.head.size == size && grown.head == known.head => return Ok(()),
            Some(known) if grown.head.size <= size => return self.shrank(known, grown).await,
            _ => {}
        }
        let me = NameHash::of(&self.me.nickname);
        let first = size == 0;
        let (next, leaves) = (read.known, read.leaves);
        let again = first || leaves.iter().any(|leaf| leaf.previous.is_some());
        let nickname = self.me.nickname.clone();
        let extended = self.db.write(move |db| {
            let extended = log::extend(db, &leaves, &next, me)?;
            // New keys of one's own are this profile's own business.
            if extended.is_some_and(|surprising| again || surprising) {
                log::note_outdated(db, &nickname)?;
            }
            Ok(extended)
        });
        let Some(surprising) = extended.await? else {
            return match known {
                Some(known) => self.diverged(session, &key, known).await,
                None => self.contradicts().await,
            };
        };
        *lock(&self.head) = Some(grown.head);
        self.say(session).await?;
        if again || surprising {
            self.audit.notify_one();
        }
        // Whom the log did not have, it may have now.
        if self.db.write(|db| inbox::go_back(db)).await? {
            self.subscribe(session).await?;
        }
        Ok(())
    }

    /// Notes a record of one's own account as made here. Has to come before it is published.
    pub(in crate::client::engine) async fn made_record(&self, record: &Signed) -> Result<(), ClientError> {
        let record = record.clone();
        self.db.write(move |db| log::made(db, &record)).await
    }

    /// A signed checkpoint, and its leaves from a place on. `None`: what came is not that, which has been said.
    pub(super) async fn ask_for_log(
        &self,
        session: &Session,
        key: &LogKey,
        from: u64,
    ) -> Result<Option<Read>, Trouble> {
        let mut leaves = Vec::new();
        let mut first: Option<Known> = None;
        loop {
            let next = from + leaves.len() as u64;
            let (answer, body) = session.wire.ask(Verb::ReadLog { from: next }).await?;
            let Answer::Log { checkpoint } = answer else { return Err(Trouble::Strange) };
            let (Ok(head), Some(more)) = (key.verify(&checkpoint), Leaf::all(&body)) else {
                self.contradicts().await?;
                return Ok(None);
            };
            // Later pages may come with a later checkpoint: what is behind the first one's is for the next time.
            let known = first.get_or_insert(Known { head, note: checkpoint }).clone();
            if known.head.size.saturating_sub(from) > MOST_LEAVES {
                self.too_long(known.head.size).await?;
                return Ok(None);
            }
            let wanted = known.head.size.saturating_sub(next);
            let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
            if wanted > 0 && more.is_empty() {
                self.contradicts().await?;
                return Ok(None);
            }
            leaves.extend(more.into_iter().take(wanted));
            if from + leaves.len() as u64 >= known.head.size {
                return Ok(Some(Read { known, leaves }));
            }
        }
    }

    /// The server shows a log that is no longer than the one that is known, and another one.
    async fn shrank(&self, known: Known, now: Known) -> Result<(), Trouble> {
        let (older, newer) = (now.clone(), known.clone());
        let evidence = self.db.run(move |db| evidence(db, &older, &newer)).await?;
        if let Some(evidence) = evidence {
            return self.forked(evidence).await;
        }
        let (has, had) = (now.head.size, known.head.size);
        let text = format!(
            "the server's transparency log was rolled back: it has {has} entries and had {had}. It may have been \
             restored from a backup; accounts made since that backup are gone from it. Ask whoever runs the server, \
             and then accept it with `tellal audit --accept`"
        );
        self.raise(vec![Raise::new(AlarmKind::RolledBack, &had.to_be_bytes(), text)]).await
    }

    /// What was read behind the known leaves does not make what was signed: the whole of it is read anew, and held
    /// against what is known.
    async fn diverged(&self, session: &Session, key: &LogKey, known: Known) -> Result<(), Trouble> {
        let Some(read) = self.ask_for_log(session, key, 0).await? else { return Ok(()) };
        let shown = compute(move || {
            let mut hashes = Hashes::empty();
            hashes.append(0, &read.leaves)?;
            let (size, from) = (read.known.head.size, known.head.size);
            if size < from || hashes.head(size)? != read.known.head {
                return Ok(None);
            }
            let proof = hashes.prove(from, size)?.into_iter().map(ByteArray::from).collect();
            let root = hashes.head(from)?.root.into();
            Ok(Some(Evidence { smaller: known.note, larger: read.known.note, root, proof }))
        });
        let shown: Result<_, rusqlite::Error> = shown.await?;
        match shown.ok().flatten().filter(|evidence| evidence.check(key).is_some()) {
            Some(evidence) => self.forked(evidence).await,
            None => self.contradicts().await,
        }
    }
}

/// What shows that two checkpoints contradict each other, the larger being one whose leaves are stored. `None`: they
/// do not.
pub(super) fn evidence(db: &rusqlite::Connection, smaller: &Known, larger: &Known) -> Sql<Option<Evidence>> {
    let (from, size) = (smaller.head.size, larger.head.size);
    let hashes = Hashes::stored(db, size);
    let root = hashes.head(from)?.root;
    if from == 0 || root == smaller.head.root {
        return Ok(None);
    }
    let proof = hashes.prove(from, size)?.into_iter().map(ByteArray::from).collect();
    Ok(Some(Evidence {
        smaller: smaller.note.clone(),
        larger: larger.note.clone(),
        root: root.into(),
        proof,
    }))
}
