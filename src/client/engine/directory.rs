//! Who people are, by the directory and by what was pinned before.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Transaction;
use sha2::{Digest as _, Sha256};

use crate::client::db::contacts::{self, Pin};
use crate::client::db::inbox::{self, Noticed};
use crate::client::db::{Sql, log, messages};
use crate::client::{ClientError, Event};
use crate::crypto::record::{Account, MessageKey, verify_account, verify_message_key};
use crate::model::log::record_hash;
use crate::model::{
    AccountId, DeviceId, DirectoryEntry, MessageId, Millis, Nickname, from_canonical_cbor, to_cbor,
};
use crate::protocol::message::{Answer, Verb};

use super::audit::Access;
use super::pool::compute_each;
use super::verification::warning;
use super::{Engine, Me, Session, Trouble, compute, lock, notice};

/// After this the directory is asked again before something is sealed.
const FRESH: Duration = Duration::from_secs(3600);

/// How far clocks may be apart: a server's is believed as far as this and no further, or it could have messages
/// sealed for keys of long ago.
pub(super) const CLOCKS: Duration = Duration::from_secs(24 * 3600);

/// Now, by the server's clock as far as that is believed, which is ahead of this one by so many milliseconds.
pub(super) fn believed_now(ahead_ms: i64) -> Millis {
    let most = i64::try_from(CLOCKS.as_millis()).unwrap_or(i64::MAX);
    Millis(Millis::now().0.saturating_add_signed(ahead_ms.clamp(-most, most)))
}

/// Someone whose records have been verified.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub account: Account,
    pub keys: Vec<MessageKey>,
    /// Hashes of its records.
    pub records: Vec<[u8; 32]>,
    /// Whether nothing may be sent to it before a person has decided about a changed key.
    pub held: bool,
    /// Whether the transparency log has other records of the name, and nobody has decided otherwise: what came is
    /// not to be relied on.
    pub unlogged: bool,
    pub fetched_at: Millis,
}

impl Person {
    /// What may be wrapped for now. A key's beginning is its owner's clock's word, and clocks differ.
    pub(super) fn usable_keys(&self, now: Millis) -> Vec<MessageKey> {
        let usable = |key: &&MessageKey| key.usable_at(now.max(key.from)) && key.from <= now.plus(CLOCKS);
        self.keys.iter().filter(usable).cloned().collect()
    }
}

/// What the directory says of an account, verified, and the answer as it came.
type Verified = ((Account, Vec<MessageKey>), DirectoryEntry);

/// Those of the directory's answers that verify.
async fn verified(entries: Vec<DirectoryEntry>) -> Result<Vec<Verified>, ClientError> {
    let verified = compute_each(entries, |entry| Some((verify(&entry)?, entry))).await?;
    Ok(verified.into_iter().flatten().collect())
}

/// Says once of a set of records that they are not the continuation of those that are known, which stay.
fn say_rollback(
    db: &Transaction<'_>,
    me: &Me,
    account: &Account,
    entry: &DirectoryEntry,
    events: &mut Vec<Event>,
) -> Sql<()> {
    let about = DeviceId::new(*account.id.as_bytes());
    let shown = Sha256::digest(to_cbor(&entry.chain));
    let shown = MessageId::from_bytes(shown.first_chunk().copied().unwrap_or_default());
    if !inbox::notice_once(db, &about, &shown, Noticed::Records)? {
        return Ok(());
    }
    let name = &account.nickname;
    let text = format!(
        "WARNING: the server shows records of {name} that do not continue those known here. What is known stays in \
         force; ask whoever runs the server whether it was restored from a backup"
    );
    events.push(Event::Message(notice(db, me, name, text)?));
    Ok(())
}

/// Says that a key has changed, of each key once, however often a server shows one and another.
fn say_changed(
    db: &Transaction<'_>,
    me: &Me,
    account: &Account,
    pin: &Pin,
    now: Millis,
    events: &mut Vec<Event>,
) -> Sql<()> {
    let Pin::Changed(known) = pin else { return Ok(()) };
    let (name, vouched) = (&account.nickname, known.account == account.id);
    let shown = account.identity.id();
    let about = known.account.as_bytes().first_chunk().copied().unwrap_or_default();
    let (key, about) = (DeviceId::from(shown), MessageId::from_bytes(about));
    if inbox::notice_once(db, &key, &about, Noticed::Rival)? || known.rival.is_none() {
        let text = warning(name, known, shown, now, vouched);
        let notice = notice(db, me, name, text)?;
        messages::tells_of(db, &notice, &shown)?;
        events.push(Event::Message(notice));
    }
    Ok(())
}

/// Verifies what the directory says of an account. Message keys that don't verify count for nothing.
fn verify(entry: &DirectoryEntry) -> Option<(Account, Vec<MessageKey>)> {
    let account = verify_account(&entry.chain).ok()?;
    let keys = entry.message_keys.iter().filter_map(|key| verify_message_key(&account, key).ok()).collect();
    Some((account, keys))
}

impl Engine {
    /// Verifies and stores what the directory says. A key that has changed is said in a notice; records that the
    /// transparency log does not have are neither stored nor relied on, unless they are of another account than the
    /// one that the name is pinned to: that is a changed key, about which a person decides.
    async fn meet(
        &self,
        session: &Session,
        entries: Vec<DirectoryEntry>,
    ) -> Result<Vec<(Arc<Person>, bool)>, Trouble> {
        let now = Millis::now();
        let answers = self.logged(session, verified(entries).await?).await?;
        let me = self.me.clone();
        let most = lock(&self.alarm_allowance).left();
        let (met, left) = self
            .commit(move |db, events| {
                let (mut met, mut left) = (Vec::new(), most);
                for (((account, keys), entry), stands) in answers {
                    let person = |account, keys, entry: &DirectoryEntry, held, unlogged| {
                        let records = entry.chain.iter().map(record_hash).collect();
                        Arc::new(Person { account, keys, records, held, unlogged, fetched_at: now })
                    };
                    let pinned = contacts::by_name(db, &account.nickname)?;
                    if !stands && pinned.is_none() {
                        met.push((person(account, keys, &entry, true, true), entry.online));
                        continue;
                    }
                    let before = contacts::by_account(db, &account.id)?;
                    // One more key under a known name, which the log does not have: so many are taken note of.
                    if !stands && before.is_none() {
                        if left == 0 {
                            met.push((person(account, keys, &entry, true, true), entry.online));
                            continue;
                        }
                        left -= 1;
                    }
                    let before =
                        before.and_then(|stored| from_canonical_cbor::<DirectoryEntry>(&stored.entry).ok());
                    let continues =
                        before.as_ref().is_none_or(|before| entry.chain.starts_with(&before.chain));
                    if !continues {
                        say_rollback(db, &me, &account, &entry, events)?;
                    }
                    if !stands && pinned.is_some_and(|known| known.account == account.id) {
                        if continues {
                            let pin = contacts::weigh(db, &account, &entry, now)?;
                            say_changed(db, &me, &account, &pin, now, events)?;
                        }
                        let known = before.map(|before| DirectoryEntry { online: entry.online, ..before });
                        let known = known.and_then(|known| Some((verify(&known)?, known)));
                        let ((account, keys), entry) = known.unwrap_or(((account, keys), entry));
                        met.push((person(account, keys, &entry, true, true), entry.online));
                        continue;
                    }
                    let known = before.as_ref().map_or(0, |before| before.chain.len());
                    let (account, keys, entry) = match before {
                        Some(before) if !continues => {
                            let entry = DirectoryEntry { chain: before.chain, ..entry };
                            match verify(&entry) {
                                Some((account, keys)) => (account, keys, entry),
                                None => continue,
                            }
                        }
                        _ => (account, keys, entry),
                    };
                    // What is known stays, but is not relied on where the log has something else.
                    if !continues {
                        let kept = person(account.clone(), keys.clone(), &entry, true, true);
                        if !log::stands(db, &account.nickname, &kept.records)? {
                            met.push((kept, entry.online));
                            continue;
                        }
                    }
                    if account.revoked.is_some() && known > 0 && entry.chain.len() > known {
                        let name = &account.nickname;
                        let text =
                            format!("{name} has ended the account: nothing can be sent to it any more");
                        events.push(Event::Message(notice(db, &me, name, text)?));
                    }
                    let pin = contacts::meet(db, &account, &entry, now)?;
                    say_changed(db, &me, &account, &pin, now, events)?;
                    met.push((person(account, keys, &entry, pin != Pin::Holds, false), entry.online));
                }
                Ok((met, left))
            })
            .await?;
        lock(&self.alarm_allowance).spend(most - left);
        let mut people = lock(&self.people);
        for (person, _) in met.iter().filter(|(person, _)| !person.unlogged) {
            people.insert(person.account.id, person.clone());
        }
        drop(people);
        Ok(met)
    }

    /// Tells answers of the directory that are what the transparency log has, or what a person has accepted all the
    /// same, from those that are not, about which an alarm is raised.
    async fn logged(
        &self,
        session: &Session,
        mut answers: Vec<Verified>,
    ) -> Result<Vec<(Verified, bool)>, Trouble> {
        let mut logged = Vec::new();
        for attempt in 0.. {
            let checked = self.db.run(move |db| {
                let check = |((account, _), entry): &Verified| {
                    let records: Vec<[u8; 32]> = entry.chain.iter().map(record_hash).collect();
                    log::stands(db, &account.nickname, &records)
                };
                let checked = answers.into_iter().map(|answer| Ok((check(&answer)?, answer)));
                checked.collect::<Sql<Vec<_>>>()
            });
            let (good, other): (Vec<_>, Vec<_>) = checked.await?.into_iter().partition(|(good, _)| *good);
            logged.extend(good.into_iter().map(|(_, answer)| (answer, true)));
            answers = other.into_iter().map(|(_, answer)| answer).collect();
            match attempt {
                _ if answers.is_empty() => break,
                // It may have grown since it was read.
                0 => self.read_log(session).await?,
                // The answer may be older than the log is now.
                1 => {
                    let mut entries = Vec::new();
                    for ((account, _), _) in &answers {
                        entries
                            .extend(directory(session, Verb::LookUpAccount { account: account.id }).await?);
                    }
                    answers = verified(entries).await?;
                    self.read_log(session).await?;
                }
                _ => break,
            }
        }
        for ((account, _), entry) in &answers {
            let record = entry.chain.last().map_or([0; 32], record_hash);
            self.raise_unlogged(&account.nickname, record).await?;
        }
        logged.extend(answers.into_iter().map(|answer| (answer, false)));
        Ok(logged)
    }

    /// Whether somebody's records are still what the transparency log has of the name, or what a person has decided
    /// on.
    async fn stands(&self, session: &Session, person: &Person) -> Result<bool, Trouble> {
        self.await_log(session).await?;
        let (name, records) = (person.account.nickname.clone(), person.records.clone());
        Ok(self.db.run(move |db| log::stands(db, &name, &records)).await?)
    }

    /// Asks the directory for a name. `None`: nobody has it.
    pub(super) async fn look_up_name(
        &self,
        session: &Session,
        name: &Nickname,
    ) -> Result<Option<Arc<Person>>, Trouble> {
        let entries = directory(session, Verb::LookUpName { nickname: name.clone() }).await?;
        let met = self.meet(session, entries).await?;
        let person =
            met.into_iter().map(|(person, _)| person).find(|person| person.account.nickname == *name);
        if person.as_ref().is_some_and(|person| person.unlogged) {
            return Err(ClientError::NotInLog { nickname: name.clone() }.into());
        }
        Ok(person)
    }

    /// A person by name: as stored if that is fresh enough, or else as the directory says now.
    pub(super) async fn person(
        &self,
        session: &Session,
        name: &Nickname,
        at_least: Millis,
    ) -> Result<Option<Arc<Person>>, Trouble> {
        let wanted = name.clone();
        let stored = self.db.run(move |db| contacts::by_name(db, &wanted)).await?;
        if let Some(stored) = stored {
            let fresh = Millis::now().since(stored.fetched_at) < FRESH && stored.fetched_at >= at_least;
            if fresh
                && !stored.is_held()
                && let Some(person) = self.remembered(stored).await?
                && self.stands(session, &person).await?
            {
                return Ok(Some(person));
            }
        }
        self.look_up_name(session, name).await
    }

    /// The account that a message came from; one whose records are not those that the transparency log has is said to
    /// be [`Person::unlogged`]. `None`: the directory knows none of that id with that device.
    pub(super) async fn sender(
        &self,
        session: &Session,
        account: AccountId,
        device: DeviceId,
    ) -> Result<Option<Arc<Person>>, Trouble> {
        let has = |person: &Arc<Person>| {
            person.account.device(&device).is_some() || person.account.removed_device(&device).is_some()
        };
        if let Some(person) = self.known(account).await?.filter(has)
            && self.stands(session, &person).await?
        {
            return Ok(Some(person));
        }
        self.look_up(session, account).await
    }

    /// Asks the directory for an account. `None`: there is none of this id that could be relied on.
    pub(super) async fn look_up_account(
        &self,
        session: &Session,
        account: AccountId,
    ) -> Result<Option<Arc<Person>>, Trouble> {
        Ok(self.look_up(session, account).await?.filter(|person| !person.unlogged))
    }

    /// An account as stored, if that may be relied on and was fetched since, or else as the directory says now.
    /// `None`: there is none of this id that could be relied on.
    pub(super) async fn correspondent(
        &self,
        session: &Session,
        account: AccountId,
        at_least: Millis,
    ) -> Result<Option<Arc<Person>>, Trouble> {
        let fresh = |person: &Arc<Person>| {
            Millis::now().since(person.fetched_at) < FRESH && person.fetched_at >= at_least
        };
        if let Some(person) = self.known(account).await?.filter(fresh)
            && self.stands(session, &person).await?
        {
            return Ok(Some(person));
        }
        self.look_up_account(session, account).await
    }

    /// Somebody in a room whom something is sealed for: as stored if that is fresh enough, or else as the directory says
    /// now. Somebody whom nobody has decided about, or whose records are not those that the transparency log has, is
    /// said to be so.
    pub(super) async fn member(
        &self,
        session: &Session,
        account: AccountId,
        at_least: Millis,
    ) -> Result<Option<Arc<Person>>, Trouble> {
        if let Some(stored) = self.db.run(move |db| contacts::by_account(db, &account)).await?
            && Millis::now().since(stored.fetched_at) < FRESH
            && stored.fetched_at >= at_least
            && let Some(person) = self.remembered(stored).await?
            && self.stands(session, &person).await?
        {
            return Ok(Some(person));
        }
        self.look_up(session, account).await
    }

    async fn look_up(&self, session: &Session, account: AccountId) -> Result<Option<Arc<Person>>, Trouble> {
        let entries = directory(session, Verb::LookUpAccount { account }).await?;
        let met = self.meet(session, entries).await?;
        let met = met.into_iter().map(|(person, _)| person);
        Ok(met.into_iter().find(|person| person.account.id == account))
    }

    /// An account that was met before.
    pub(super) async fn known(&self, account: AccountId) -> Result<Option<Arc<Person>>, ClientError> {
        if let Some(person) = lock(&self.people).get(&account) {
            return Ok(Some(person.clone()));
        }
        match self.db.run(move |db| contacts::by_account(db, &account)).await? {
            Some(stored) => self.remembered(stored).await,
            None => Ok(None),
        }
    }

    /// A stored person, its records verified once more the first time.
    async fn remembered(&self, stored: contacts::Stored) -> Result<Option<Arc<Person>>, ClientError> {
        let (id, held, fetched_at) = (stored.account, stored.is_held(), stored.fetched_at);
        if let Some(person) = lock(&self.people).get(&id)
            && person.fetched_at == fetched_at
            && person.held == held
        {
            return Ok(Some(person.clone()));
        }
        let verified = compute(move || {
            let entry: DirectoryEntry = from_canonical_cbor(&stored.entry).ok()?;
            Some((verify(&entry)?, entry.chain.iter().map(record_hash).collect()))
        });
        let verified = verified.await?.filter(|((account, _), _)| account.id == id);
        let person = verified.map(|((account, keys), records)| {
            let person = Arc::new(Person { account, keys, records, held, unlogged: false, fetched_at });
            lock(&self.people).insert(id, person.clone());
            person
        });
        Ok(person)
    }

    /// Everybody in the directory, and whether they are online; of more than the transparency log has names no more
    /// than it takes to notice.
    pub(super) async fn everybody(&self, session: &Session) -> Result<Vec<(Arc<Person>, bool)>, Trouble> {
        let mut found = Vec::new();
        let mut after = None;
        let mut most = 0;
        loop {
            let answer = session.wire.ask(Verb::ListAccounts { after: after.clone() }).await?.0;
            let Answer::Directory { entries, more } = answer else { return Err(Trouble::Strange) };
            let met = self.meet(session, entries).await?;
            let names = met.iter().map(|(person, _)| &person.account.nickname);
            let last = names.max_by(|one, other| one.folded().cmp(other.folded())).cloned();
            found.extend(met);
            if found.len() as u64 > most {
                most = self.db.run(|db| log::names(db)).await?;
            }
            if found.len() as u64 > most {
                // Of a log that is not shown there is something else to say.
                if let Access::Pinned(_) = session.log {
                    self.raise_crowded(most).await?;
                }
                break;
            }
            // Pages that lead no further would lead nowhere for ever.
            let further = match (&last, &after) {
                (Some(last), Some(after)) => last.folded() > after.folded(),
                (last, _) => last.is_some(),
            };
            if !more || !further {
                break;
            }
            after = last;
        }
        Ok(found)
    }

    /// Somebody by their account's id: as met before, or as the directory says.
    pub(super) async fn anybody(
        &self,
        session: &Session,
        account: AccountId,
    ) -> Result<Option<Arc<Person>>, Trouble> {
        if let Some(person) = self.known(account).await? {
            return Ok(Some(person));
        }
        self.look_up_account(session, account).await
    }
}

pub(super) async fn directory(session: &Session, verb: Verb) -> Result<Vec<DirectoryEntry>, Trouble> {
    let one = matches!(verb, Verb::LookUpName { .. } | Verb::LookUpAccount { .. });
    match session.wire.ask(verb).await?.0 {
        Answer::Directory { entries, .. } if !one || entries.len() <= 1 => Ok(entries),
        _ => Err(Trouble::Strange),
    }
}
