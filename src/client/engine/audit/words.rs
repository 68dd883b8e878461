//! What the bearers of heads say of the log, and what is said to them: signed checkpoints, and proof of a contradiction.
//! End to end, outside chains.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::db::Sql;
use crate::client::db::log::{self, Known};
use crate::client::db::outbox;
use crate::client::engine::directory::believed_now;
use crate::client::engine::{Engine, Me, Session, Trouble, compute, is_final, lock};
use crate::client::{AlarmKind, ClientError};
use crate::crypto::envelope::{Content, Draft, Header, seal, wrap};
use crate::crypto::{Evidence, LogKey, LogWord, MessageSecret, certificate};
use crate::model::log::LOG_LIMIT;
use crate::model::{AccountId, Conversation, Head, MessageId, Millis, Recipient};
use crate::protocol::message::{RefusalCode, Verb};

use super::RETRY;
use super::alarms::Raise;
use super::reading::evidence;

/// So many people who can't be reached are tried in one audit.
const UNREACHED: usize = 32;

/// How many words of one account are answered in so long: whoever asks without end uses up nothing that is for messages.
const ANSWERS: u32 = 8;
const ANSWERED_IN: Duration = Duration::from_secs(3600);

/// What became of a word about the log.
pub(super) enum Said {
    /// It was sent, or never can be.
    Settled,
    /// There is no way to this person now.
    Later,
    /// The server takes nothing for so long.
    Stopped(Duration),
}

/// Who was answered how often lately.
#[derive(Debug)]
pub(in crate::client::engine) struct Answers {
    given: HashMap<AccountId, u32>,
    until: Instant,
}

impl Default for Answers {
    fn default() -> Self {
        Self { given: HashMap::new(), until: Instant::now() + ANSWERED_IN }
    }
}

impl Answers {
    fn any_left(&mut self, account: &AccountId) -> bool {
        if self.until <= Instant::now() {
            *self = Self::default();
        }
        self.given.get(account).is_none_or(|given| *given < ANSWERS)
    }

    fn use_up(&mut self, account: AccountId) {
        *self.given.entry(account).or_default() += 1;
    }
}

/// Whom an audit could not reach, so that it does not try them for every word.
#[derive(Default)]
pub(super) struct Unreached {
    people: HashSet<AccountId>,
    /// The server takes nothing for so long.
    pub wait: Option<Duration>,
}

impl Unreached {
    pub fn has(&self, account: &AccountId) -> bool {
        self.wait.is_some() || self.people.len() >= UNREACHED || self.people.contains(account)
    }

    /// Whether the matter is settled.
    pub fn note(&mut self, account: AccountId, said: Said) -> bool {
        match said {
            Said::Settled => return true,
            Said::Later => drop(self.people.insert(account)),
            Said::Stopped(wait) => self.wait = Some(wait),
        }
        false
    }
}

impl Engine {
    /// Looks at what others have said about the log. What can't be answered yet is kept.
    pub(super) async fn hear_words(
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
            let answer = answer.filter(|_| lock(&self.answers).any_left(&account));
            let settled = match answer {
                Some(_) if unreached.has(&account) => false,
                Some(answer) => {
                    let settled = unreached.note(account, self.send_word(session, account, answer).await?);
                    if settled {
                        lock(&self.answers).use_up(account);
                    }
                    settled
                }
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
        // What there is to ask about came beside a message: an answer would tell others only that mail is taken here.
        let asks = word.asks && self.db.run(move |db| outbox::has_written_to(db, account)).await?;
        if theirs != *key {
            self.hear_of_another_log(account, &word).await?;
            let known = self.db.run(|db| log::newest(db)).await?.filter(|_| asks);
            return Ok(known.and_then(|known| self.word(known.note, None, false)));
        }
        let proven = word.evidence.filter(|evidence| evidence.check(key).is_some());
        let knows = proven.is_some();
        if let Some(evidence) = proven {
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
        // Who has a proof needs none: two who could go on proving it to each other would never end.
        let answers = asks || found.is_some() && !knows;
        Ok(self.word(known.note, found, false).filter(|_| answers))
    }

    /// What is said to others about the log.
    pub(super) fn word(&self, checkpoint: String, evidence: Option<Evidence>, asks: bool) -> Option<LogWord> {
        let certificate = lock(&self.profile).log_certificate.clone()?;
        Some(LogWord { checkpoint, evidence, asks, certificate })
    }

    /// Sends a word about the log, end to end, outside chains.
    pub(super) async fn send_word(
        &self,
        session: &Session,
        account: AccountId,
        word: LogWord,
    ) -> Result<Said, Trouble> {
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
            let verb = Verb::Submit { message, conversation: account.into(), recipients, blobs: Vec::new() };
            return match session.wire.ask_with(verb, envelope.body.clone()).await.map_err(Trouble::from) {
                Ok(_) => Ok(Said::Settled),
                Err(Trouble::Refused { code: RefusalCode::KeySuperseded, .. }) => continue,
                Err(Trouble::Refused { code: RefusalCode::MailboxFull | RefusalCode::ShareFull, .. }) => {
                    Ok(Said::Later)
                }
                Err(Trouble::Refused { code, .. }) if is_final(code) => Ok(Said::Settled),
                Err(Trouble::Refused { retry_after, .. }) => Ok(Said::Stopped(retry_after.unwrap_or(RETRY))),
                Err(trouble) => Err(trouble),
            };
        }
        Ok(Said::Later)
    }
}

/// Takes in what somebody said of the log beside a message, or instead of one.
pub(in crate::client::engine) fn note(
    db: &rusqlite::Transaction<'_>,
    me: &Me,
    account: AccountId,
    head: Option<&Head>,
    content: &Content,
) -> Sql<bool> {
    if account == me.account {
        return Ok(false);
    }
    if let Some(head) = head.filter(|head| head.size > 0 && head.size <= LOG_LIMIT) {
        log::heard(db, &account, head)?;
    }
    if let Content::Log(word) = content {
        log::told(db, &account, word)?;
    }
    Ok(head.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_without_end_is_answered_a_few_times_and_others_are_answered() {
        let mut answers = Answers::default();
        let (ayşe, burak) = (AccountId::new([1; 32]), AccountId::new([2; 32]));
        let given = std::iter::from_fn(|| answers.any_left(&ayşe).then(|| answers.use_up(ayşe))).count();
        assert_eq!(given, 8);
        assert!(answers.any_left(&burak));
        answers.until = Instant::now();
        assert!(answers.any_left(&ayşe), "an hour later");
    }
}
