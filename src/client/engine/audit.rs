//! The transparency log, audited: every new leaf is fetched and verified against a signed checkpoint, heads that
//! come with messages are compared with it in the background, and what can't be true is said and kept.
//!
//! Somebody else's word accuses nobody: an alarm about the log's keeper rests on its own signatures, or on what
//! it answered on this connection.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use minicbor::bytes::ByteArray;
use tokio::time::timeout;

use crate::client::command::AlarmKind;
use crate::client::db::inbox;
use crate::client::db::log::{self, Finding, Hashes, Known, Standing};
use crate::client::device::short;
use crate::client::{Alarm, AuditReport, ClientError, Event};
use crate::crypto::envelope::{Content, Conversation, Draft, Header, seal, wrap};
use crate::crypto::record::verify_account;
use crate::crypto::{Evidence, LogKey, LogWord, MessageSecret, Proof, PublicKey, certificate, proof};
use crate::model::log::record_hash;
use crate::model::{
    AccountId, AccountRecord, AccountRecordKind, DeviceId, Head, Leaf, MessageId, Millis, NameHash, Nickname,
    Recipient, Signed, from_canonical_cbor,
};
use crate::protocol::message::{Answer, RefusalCode, Verb};

use super::directory::{believed_now, directory};
use super::log_key::Access;
use super::sending::is_final;
use super::{Engine, Me, Session, Trouble, compute, lock, notice};

/// How often the log is read even if nobody says that it has grown.
const CHECK: Duration = Duration::from_secs(3600);
/// How long a command waits for the audit before it goes on without.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long what the server can't take now waits where it does not say.
const RETRY: Duration = Duration::from_secs(60);
/// So many people who can't be reached are tried in one audit.
const UNREACHED: usize = 32;

/// Leaves that are read at a time, at most: 75 MB of them. Logs are not that long; a server could say that its is.
const MOST_LEAVES: u64 = 1 << 20;

/// A signed checkpoint, and the leaves that the server gave for it.
struct Read {
    known: Known,
    leaves: Vec<Leaf>,
}

/// What became of a word about the log.
enum Said {
    /// It was sent, or never can be.
    Settled,
    /// There is no way to this person now.
    Later,
    /// The server takes nothing for so long.
    Stopped(Duration),
}

/// Whom an audit could not reach, so that it does not try them for every word.
#[derive(Default)]
struct Unreached {
    people: HashSet<AccountId>,
    /// The server takes nothing for so long.
    wait: Option<Duration>,
}

impl Unreached {
    fn has(&self, account: &AccountId) -> bool {
        self.wait.is_some() || self.people.len() >= UNREACHED || self.people.contains(account)
    }

    /// Whether the matter is settled.
    fn note(&mut self, account: AccountId, said: Said) -> bool {
        match said {
            Said::Settled => return true,
            Said::Later => drop(self.people.insert(account)),
            Said::Stopped(wait) => self.wait = Some(wait),
        }
        false
    }
}

/// An alarm that is about to be raised.
pub(super) struct Raise {
    kind: AlarmKind,
    nickname: Option<Nickname>,
    text: String,
    /// What tells it from others of its kind.
    about: Vec<u8>,
    proof: Option<Proof>,
}

impl Raise {
    pub(super) fn new(kind: AlarmKind, about: &[u8], text: impl Into<String>) -> Self {
        Self { kind, nickname: None, text: text.into(), about: about.to_vec(), proof: None }
    }

    pub(super) fn proven_by(self, proof: Option<Proof>) -> Self {
        Self { proof, ..self }
    }
}

impl Engine {
    /// Audits for as long as the connection lasts.
    pub(super) async fn audit_always(&self, session: &Session) -> Result<(), Trouble> {
        loop {
            let again = match self.audit(session).await {
                Ok(wait) => wait.unwrap_or(CHECK),
                // What the server can't answer now it may answer later.
                Err(Trouble::Refused { retry_after, .. }) => retry_after.unwrap_or(CHECK),
                Err(trouble) => return Err(trouble),
            };
            tokio::select! {
                () = session.wire.ended() => return Err(Trouble::Lost),
                () = self.audit.notified() => {}
                () = tokio::time::sleep(again) => {}
            }
        }
    }

    /// Audits once, within the time that a command has for it.
    pub(super) async fn audit_soon(&self, session: &Session) -> Result<(), Trouble> {
        match timeout(PATIENCE, self.audit(session)).await {
            Ok(Err(Trouble::Refused { .. })) | Err(_) => Ok(()),
            Ok(done) => done.map(drop),
        }
    }

    /// Waits until the log has been read on this connection, if the server lets it: what speaks against records is
    /// heard before they are relied on.
    pub(super) async fn await_log(&self, session: &Session) -> Result<(), Trouble> {
        let mut read = session.log_read.subscribe();
        if *read.borrow_and_update() {
            return Ok(());
        }
        tokio::select! {
            () = session.wire.ended() => return Err(Trouble::Lost),
            waited = timeout(PATIENCE, read.wait_for(|read| *read)) => drop(waited),
        }
        session.log_read.send_replace(true);
        Ok(())
    }

    /// Reads what is new in the log, and looks at what others have said about it. After so long there is more to do,
    /// if it is said.
    async fn audit(&self, session: &Session) -> Result<Option<Duration>, Trouble> {
        let read = self.read_log(session).await;
        session.log_read.send_replace(true);
        read?;
        let Access::Pinned(key) = session.log else { return Ok(None) };
        let mut unreached = Unreached::default();
        let refused = match self.look_up_outdated(session).await {
            Err(Trouble::Refused { retry_after, .. }) => Some(retry_after.unwrap_or(RETRY)),
            done => done.map(|()| None)?,
        };
        self.check_heads(session, &mut unreached).await?;
        self.hear_words(session, &key, &mut unreached).await?;
        Ok(unreached.wait.or(refused))
    }

    /// Looks up people whose records the log has newer ones of; what is alarming about that is said when this returns.
    async fn look_up_outdated(&self, session: &Session) -> Result<(), Trouble> {
        let _alone = self.looking.lock().await;
        while let Some(name) = self.db.run(|db| log::next_outdated(db)).await? {
            match self.look_up_name(session, &name).await {
                Ok(_) | Err(Trouble::Local(ClientError::NotInLog { .. })) => {}
                Err(trouble) => return Err(trouble),
            }
            self.db.write(move |db| log::looked_up(db, &name)).await?;
        }
        Ok(())
    }

    /// Fetches and verifies every leaf behind those that are stored.
    pub(super) async fn read_log(&self, session: &Session) -> Result<(), Trouble> {
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
        let (own, logged) = self.db.run(|db| log::own(db)).await?;
        if own > 0 && logged == 0 {
            let text = "the server's transparency log lacks your own account: others can't find you in it. \
                        Ask whoever runs the server";
            self.raise(vec![Raise::new(AlarmKind::OwnMissing, b"", text)]).await?;
        }
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
    pub(super) async fn made_record(&self, record: &Signed) -> Result<(), ClientError> {
        let record = record.clone();
        self.db.write(move |db| log::made(db, &record)).await
    }

    /// A signed checkpoint, and its leaves from a place on. `None`: what came is not that, which has been said.
    async fn ask_for_log(&self, session: &Session, key: &LogKey, from: u64) -> Result<Option<Read>, Trouble> {
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

    async fn too_long(&self, size: u64) -> Result<(), Trouble> {
        let text = format!(
            "the server says that its transparency log has {size} entries: that is more than can be verified here, \
             and new accounts can't be relied on. Ask whoever runs the server"
        );
        self.raise(vec![Raise::new(AlarmKind::Contradicts, b"size", text)]).await
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

    async fn contradicts(&self) -> Result<(), Trouble> {
        let text = "the server's transparency log contradicts itself: its entries are not what it has signed. \
                    Ask whoever runs the server";
        self.raise(vec![Raise::new(AlarmKind::Contradicts, b"", text)]).await
    }

    async fn forked(&self, evidence: Evidence) -> Result<(), Trouble> {
        let text = "the server has signed two transparency logs that contradict each other: it shows different \
                    people different accounts, and may have given out false keys. The proof is kept: \
                    `tellal audit --export FILE` writes it. Compare fingerprints with your friends before you \
                    write anything that matters";
        let about = evidence.smaller.clone().into_bytes();
        let raise = Raise::new(AlarmKind::Forked, &about, text);
        self.raise(vec![raise.proven_by(Some(Proof::Logs(evidence)))]).await
    }

    /// Says what leaves have told and was not said yet: once, whatever breaks it off.
    async fn say(&self, session: &Session) -> Result<(), Trouble> {
        let findings = self.db.run(|db| log::findings(db)).await?;
        let Some(last) = findings.last().map(|(place, _)| *place) else { return Ok(()) };
        let findings: Vec<Finding> = findings.into_iter().map(|(_, finding)| finding).collect();
        let me = self.me.nickname.clone();
        let foreign = findings.iter().any(|finding| matches!(finding, Finding::OwnName(_)));
        let chain = if foreign { self.own_chain(session).await } else { Vec::new() };
        let names = self.db.run(|db| crate::client::db::contacts::names(db)).await?;
        let raised = findings.into_iter().map(|finding| match finding {
            Finding::OwnName(record) if chain.iter().any(|own| record_hash(own) == record) => Raise {
                nickname: Some(me.clone()),
                ..Raise::new(AlarmKind::OwnAccount, &record, foreign_change(&chain, &record))
            },
            Finding::OwnName(record) => Raise {
                nickname: Some(me.clone()),
                ..Raise::new(
                    AlarmKind::OwnName,
                    &record,
                    format!(
                        "someone registered a key in your name, {me}: it was not made on this profile. Tell your \
                         friends to compare fingerprints with you, and ask whoever runs the server"
                    ),
                )
            },
            Finding::SecondChain(name) | Finding::BrokenChain(name) => {
                let known = names.iter().find(|known| NameHash::of(known) == name).cloned();
                let who = known.as_ref().map_or("somebody you don't know".to_owned(), ToString::to_string);
                let text = format!(
                    "the server's transparency log has a second account under the name of {who}: one of the two \
                     is false. Compare fingerprints with {who} before you write anything that matters"
                );
                Raise { nickname: known, ..Raise::new(AlarmKind::SecondChain, &name.0, text) }
            }
        });
        let raised = raised.collect();
        self.raise(raised).await?;
        self.db.write(move |db| log::said(db, last)).await?;
        Ok(())
    }

    /// The records of one's own account, as the directory has them. None where it can't be asked: that a leaf is not
    /// of one's own making has to be said all the same, and is found once.
    async fn own_chain(&self, session: &Session) -> Vec<Signed> {
        let account = self.me.account;
        let entries = directory(session, Verb::LookUpAccount { account }).await.unwrap_or_default();
        let is_own = |chain: &Vec<Signed>| verify_account(chain).is_ok_and(|found| found.id == account);
        entries.into_iter().map(|entry| entry.chain).find(is_own).unwrap_or_default()
    }

    /// A look-up's answer is not what the log has. Such answers can be made up without end, and none of them is used:
    /// only so many are said.
    pub(super) async fn raise_unlogged(&self, name: &Nickname, record: [u8; 32]) -> Result<(), Trouble> {
        if !lock(&self.allowance).any_left() {
            return Ok(());
        }
        let text = format!(
            "the server gave out keys for {name} that its transparency log does not have, or no longer: they may be \
             false. Compare fingerprints with {name} before you write anything that matters, and ask whoever runs the \
             server"
        );
        let raise = Raise { nickname: Some(name.clone()), ..Raise::new(AlarmKind::NotInLog, &record, text) };
        if self.keep_alarms(vec![raise]).await? {
            lock(&self.allowance).use_up();
        }
        Ok(())
    }

    /// The directory has more accounts than the log has names.
    pub(super) async fn raise_crowded(&self, names: u64) -> Result<(), Trouble> {
        let text = format!(
            "the server lists more accounts than its transparency log has names, of which there are {names}: the rest \
             are false, and the list was not read on. Ask whoever runs the server"
        );
        self.raise(vec![Raise::new(AlarmKind::Contradicts, b"names", text)]).await
    }

    /// Keeps alarms and says each once.
    pub(super) async fn raise(&self, raised: Vec<Raise>) -> Result<(), Trouble> {
        self.keep_alarms(raised).await.map(drop)
    }

    /// The same; whether any of them is new.
    async fn keep_alarms(&self, raised: Vec<Raise>) -> Result<bool, Trouble> {
        let me = self.me.clone();
        let done = self.commit(move |db, events| {
            let mut new = false;
            for Raise { kind, nickname, text, about, proof } in raised {
                let alarm = Alarm { alarm: kind, nickname, text, at: Millis::now(), accepted: false };
                if log::raise(db, &alarm, &about, proof.as_ref())? {
                    let peer = alarm.nickname.as_ref().unwrap_or(&me.nickname);
                    let text = format!("ALARM: {}", alarm.text);
                    events.push(Event::Message(notice(db, &me, peer, text)?));
                    new = true;
                }
            }
            Ok(new)
        });
        Ok(done.await?)
    }

    /// Compares heads that came with messages. One that is not ours is no proof of anything yet: its bearer is asked
    /// for a signed checkpoint.
    async fn check_heads(&self, session: &Session, unreached: &mut Unreached) -> Result<(), Trouble> {
        let waiting = self.db.run(|db| log::unchecked(db)).await?;
        let ahead = |head: &Head, size: Option<Head>| size.is_none_or(|own| own.size < head.size);
        let own = *lock(&self.head);
        if waiting.iter().any(|(head, _)| ahead(head, own)) {
            self.read_log(session).await?;
        }
        let Some(known) = self.db.run(|db| log::newest(db)).await? else { return Ok(()) };
        for (head, account) in waiting {
            let size = known.head.size;
            let agrees = head.size <= size
                && self.db.run(move |db| Hashes::stored(db, size).head(head.size)).await? == head;
            let standing = if agrees {
                Standing::Agrees
            } else if unreached.has(&account) {
                continue;
            } else {
                let Some(word) = self.word(known.note.clone(), None, true) else { return Ok(()) };
                let said = self.send_word(session, account, word).await?;
                if unreached.note(account, said) { Standing::Asked } else { Standing::Pending }
            };
            self.db.write(move |db| log::settle(db, &head, &account, standing)).await?;
        }
        Ok(())
    }

    /// Looks at what others have said about the log. What can't be answered yet is kept.
    async fn hear_words(
        &self,
        session: &Session,
        key: &LogKey,
        unreached: &mut Unreached,
    ) -> Result<(), Trouble> {
        for place in self.db.run(|db| log::words(db)).await? {
            let Some((account, word)) = self.db.run(move |db| log::word(db, place)).await? else { continue };
            let answer = match word {
                Some(word) => self.hear_word(session, key, account, word).await?,
                None => None,
            };
            let settled = match answer {
                Some(_) if unreached.has(&account) => false,
                Some(answer) => unreached.note(account, self.send_word(session, account, answer).await?),
                None => true,
            };
            let done = move |db: &rusqlite::Transaction<'_>| {
                if settled { log::forget_word(db, place) } else { log::keep_word(db, place) }
            };
            self.db.write(done).await?;
        }
        Ok(())
    }

    /// Looks at one; what is to be said to it.
    async fn hear_word(
        &self,
        session: &Session,
        key: &LogKey,
        account: AccountId,
        word: LogWord,
    ) -> Result<Option<LogWord>, Trouble> {
        // Not signed by the log's key, or not by one that a server's key has signed for: it says nothing.
        let Ok(theirs) = certificate::verify(&word.certificate) else { return Ok(None) };
        let Ok(head) = theirs.verify(&word.checkpoint) else { return Ok(None) };
        if theirs != *key {
            self.hear_of_another_log(account, &word).await?;
            let known = self.db.run(|db| log::newest(db)).await?.filter(|_| word.asks);
            return Ok(known.and_then(|known| self.word(known.note, None, false)));
        }
        if let Some(evidence) = word.evidence.filter(|evidence| evidence.check(key).is_some()) {
            self.forked(evidence).await?;
        }
        if lock(&self.head).is_none_or(|own| own.size < head.size) {
            self.read_log(session).await?;
        }
        let Some(known) = self.db.run(|db| log::newest(db)).await? else { return Ok(None) };
        let theirs = Known { head, note: word.checkpoint };
        let mut found = None;
        if head.size > known.head.size {
            let name = self.known(account).await?.map(|person| person.account.nickname.clone());
            let who = name.as_ref().map_or("somebody".to_owned(), ToString::to_string);
            let (has, signed) = (known.head.size, head.size);
            let text = format!(
                "the server has signed a transparency log of {signed} entries, which {who} has seen, and shows {has} \
                 here: it was rolled back, or hides something from you. Ask whoever runs it"
            );
            self.raise(vec![Raise::new(AlarmKind::Withheld, &head.size.to_be_bytes(), text)]).await?;
        } else {
            let own = known.clone();
            found = self.db.run(move |db| evidence(db, &theirs, &own)).await?;
        }
        if let Some(evidence) = found.clone() {
            self.forked(evidence).await?;
        }
        let answers = word.asks || found.is_some();
        Ok(self.word(known.note, found, false).filter(|_| answers))
    }

    /// What is said to others about the log.
    fn word(&self, checkpoint: String, evidence: Option<Evidence>, asks: bool) -> Option<LogWord> {
        let certificate = lock(&self.profile).log_certificate.clone()?;
        Some(LogWord { checkpoint, evidence, asks, certificate })
    }

    /// Sends a word about the log, end to end, outside chains.
    async fn send_word(&self, session: &Session, account: AccountId, word: LogWord) -> Result<Said, Trouble> {
        if account == self.me.account {
            return Ok(Said::Settled);
        }
        let draft = Draft {
            message: MessageId::generate(),
            account: self.me.account,
            recipient: Conversation::Account(account),
            counter: None,
            previous: Header::NONE_BEFORE,
            sent_at: Millis::now(),
            log: *lock(&self.head),
        };
        let message = draft.message;
        let key = self.device_key.clone();
        let sealed =
            compute(move || seal(&key, &draft, &Content::Log(Box::new(word)), MessageSecret::generate()));
        let envelope = Arc::new(sealed.await?.map_err(|error| ClientError::Internal(error.to_string()))?);
        // As it is known here; then, if that does not do, as the directory says now.
        for at_least in [Millis(0), Millis::now()] {
            let person = match self.correspondent(session, account, at_least).await {
                Err(Trouble::Refused { retry_after, .. }) => {
                    return Ok(Said::Stopped(retry_after.unwrap_or(RETRY)));
                }
                person => person?,
            };
            let Some(person) = person else { return Ok(Said::Later) };
            let keys = person.usable_keys(believed_now(session.clock_ahead_ms));
            if keys.is_empty() {
                continue;
            }
            let sealed = envelope.clone();
            let wraps = compute(move || {
                let wraps = keys.iter().map(|key| wrap(&sealed.secret, &sealed.header_hash, key));
                wraps.collect::<Result<Vec<_>, _>>()
            });
            let wraps = wraps.await?.map_err(|error| ClientError::Internal(error.to_string()))?;
            let recipients = vec![Recipient { account, wraps }];
            let verb = Verb::Submit { message, conversation: account, recipients, blobs: Vec::new() };
            return match session.wire.ask_with(verb, envelope.body.clone()).await.map_err(Trouble::from) {
                Ok(_) => Ok(Said::Settled),
                Err(Trouble::Refused { code: RefusalCode::KeySuperseded, .. }) => continue,
                Err(Trouble::Refused { code: RefusalCode::MailboxFull, .. }) => Ok(Said::Later),
                Err(Trouble::Refused { code, .. }) if is_final(code) => Ok(Said::Settled),
                Err(Trouble::Refused { retry_after, .. }) => Ok(Said::Stopped(retry_after.unwrap_or(RETRY))),
                Err(trouble) => Err(trouble),
            };
        }
        Ok(Said::Later)
    }

    /// Reads and verifies the whole log anew, with proofs from the server that it has grown out of what was known
    /// and holds one's own account; with `accept`, takes it for the log from now on.
    pub(super) async fn recheck_log(&self, session: &Session, accept: bool) -> Result<AuditReport, Trouble> {
        let Access::Pinned(key) = session.log else {
            self.read_log(session).await?;
            return self.audit_report(false).await;
        };
        if accept {
            self.forget_log().await?;
        }
        self.audit(session).await?;
        let Some(read) = self.ask_for_log(session, &key, 0).await? else {
            return self.audit_report(false).await;
        };
        let (leaves, shown) = (read.leaves, read.known.clone());
        let right = compute(move || {
            let mut hashes = Hashes::empty();
            hashes.append(0, &leaves)?;
            Ok::<_, rusqlite::Error>(hashes.head(shown.head.size)? == shown.head)
        });
        if !right.await?.unwrap_or(false) {
            self.contradicts().await?;
            return self.audit_report(false).await;
        }
        let proven = self.proven(session, &key, read.known.head).await?;
        self.audit_report(proven).await
    }

    /// Whether the server proves that a head has grown out of the known one and holds one's own newest leaf.
    async fn proven(&self, session: &Session, key: &LogKey, head: Head) -> Result<bool, Trouble> {
        let Some(known) = self.db.run(|db| log::newest(db)).await? else { return Ok(false) };
        if key.verify(&known.note) != Ok(known.head) || known.head.size > head.size || known.head.size == 0 {
            return Ok(false);
        }
        let verb = Verb::ProveGrowth { from: known.head.size, to: head.size };
        let Answer::LogGrowth { proof } = session.wire.ask(verb).await?.0 else {
            return Err(Trouble::Strange);
        };
        let grown = proof::has_grown(&known.head, &head, &proof);
        let nickname = self.me.nickname.clone();
        let verb = Verb::ProveLeaf { nickname, size: head.size };
        let Answer::LogLeaf { leaf } = session.wire.ask(verb).await?.0 else { return Err(Trouble::Strange) };
        let Some(leaf) = leaf else { return Ok(false) };
        let bytes = <[u8; Leaf::SIZE]>::try_from(leaf.leaf.as_slice());
        let mine =
            bytes.as_ref().is_ok_and(|bytes| Leaf::from_bytes(bytes).name == NameHash::of(&self.me.nickname));
        let held = proof::holds(&head, leaf.place, &leaf.leaf, &leaf.proof);
        Ok(grown && mine && held)
    }

    /// How the log stands.
    pub(super) async fn audit_report(&self, rechecked: bool) -> Result<AuditReport, Trouble> {
        let certificate = lock(&self.profile).log_certificate.clone();
        let key = certificate.as_ref().map(|it| LogKey { server: it.server, public: it.log_key });
        let (known, alarms) = self.db.run(|db| Ok((log::newest(db)?, log::alarms(db)?))).await?;
        let (mut evidence, mut two_log_keys) = (Vec::new(), Vec::new());
        for proof in alarms.iter().filter_map(|(_, proof)| proof.clone()) {
            match proof {
                Proof::Logs(proven) => evidence.push(proven.into()),
                Proof::Keys(proven) => two_log_keys.push((*proven).into()),
            }
        }
        Ok(AuditReport {
            log_key: key.map(|key| key.verifier_key()),
            log_certificate: certificate.map(Into::into),
            size: known.as_ref().map_or(0, |known| known.head.size),
            root: known.as_ref().map(|known| crate::model::EnvelopeHash::new(known.head.root).to_string()),
            checkpoint: known.map(|known| known.note),
            rechecked,
            evidence,
            two_log_keys,
            alarms: alarms.into_iter().map(|(alarm, _)| alarm).collect(),
        })
    }
}

/// What somebody who has one's own identity key has done with it, in words.
fn foreign_change(chain: &[Signed], hash: &[u8; 32]) -> String {
    let record = chain.iter().find(|record| record_hash(record) == *hash);
    let record = record.and_then(|record| from_canonical_cbor::<AccountRecord>(&record.body).ok());
    let who = "and not by this profile. Whoever did that has your identity key";
    match record.map(|record| record.kind) {
        Some(AccountRecordKind::DeviceAdded { device_key, .. }) => {
            let id = PublicKey::from_spki(&device_key).map(|key| DeviceId::from(key.id()));
            let id = id.map_or_else(|_| "ID".to_owned(), |id| short(id, std::iter::empty()));
            format!(
                "the device {id} was added to your account, {who}. `tellal device remove {id}` takes it away, and \
                 `tellal rekey` makes new keys: with the old one another can be added"
            )
        }
        Some(AccountRecordKind::DeviceRemoved { device }) => {
            let id = short(device, std::iter::empty());
            format!("the device {id} was removed from your account, {who}: make new keys with `tellal rekey`")
        }
        _ => format!("your account was changed, {who}. Tell your friends to compare fingerprints with you"),
    }
}

/// What shows that two checkpoints contradict each other, the larger being one whose leaves are stored. `None`: they
/// do not.
fn evidence(
    db: &rusqlite::Connection,
    smaller: &Known,
    larger: &Known,
) -> crate::client::db::Sql<Option<Evidence>> {
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

/// Takes in what somebody said of the log beside a message, or instead of one.
pub(super) fn note(
    db: &rusqlite::Transaction<'_>,
    me: &Me,
    account: AccountId,
    head: Option<&Head>,
    content: &Content,
) -> crate::client::db::Sql<bool> {
    if account == me.account {
        return Ok(false);
    }
    if let Some(head) = head.filter(|head| head.size > 0 && head.size <= crate::model::log::LOG_LIMIT) {
        log::heard(db, &account, head)?;
    }
    if let Content::Log(word) = content {
        log::told(db, &account, word)?;
    }
    Ok(head.is_some())
}
