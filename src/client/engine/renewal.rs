//! Message keys are replaced every week, or as often as is set. A new one is on disk before it is published. An old
//! one is kept for as long as anybody may seal for it who was not shown the new one, as the server may still hold
//! something that was, and until everything that it holds has been fetched; then it is destroyed.

use std::sync::Arc;
use std::time::Duration;

use crate::client::db::inbox::{self, Noticed};
use crate::client::profile::{Pending, Replaced, message_key_name};
use crate::client::{ClientError, Event};
use crate::crypto::PrivateKey;
use crate::crypto::record::announce_message_key;
use crate::model::{KeyId, MessageId, Millis, Signed, limits};
use crate::protocol::message::{RefusalCode, Verb};

use super::directory::{CLOCKS, directory};
use super::{Engine, Session, Trouble, compute, lock, notice};

/// How often the key's age is looked at.
const CHECK: Duration = Duration::from_secs(3600);
/// How long a key that should have been replaced may stay before that is said.
const OVERDUE: Duration = Duration::from_secs(14 * 24 * 3600);

/// What became of a new message key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Renewed {
    /// The server has it.
    Taken,
    /// The server does not take it.
    Refused,
    /// The server says that it has taken it, and does not show it.
    Hidden,
}

impl Engine {
    /// Keeps the message key young, for as long as the connection lasts.
    pub(super) async fn renew_keys(&self, session: &Session) -> Result<(), Trouble> {
        let mut progress = session.progress.subscribe();
        loop {
            let mut again = CHECK;
            if !self.keys_to_come().is_empty()
                && let Some(wait) = self.resume_rekey(session).await?
            {
                again = wait;
            }
            if !lock(&self.profile).removing.is_empty() {
                self.resume_removals(session).await?;
            }
            let age = self.message_key_age();
            let due = {
                let profile = lock(&self.profile);
                let now = Millis::now();
                let old = now.since(profile.message_key_from) > age;
                // Made while this clock was far ahead: nobody writes to it before its time. That it is not this clock
                // that is behind now is seen by the server's.
                let servers_now = Millis(now.0.saturating_add_signed(session.clock_ahead_ms));
                let ahead = profile.message_key_from > now.max(servers_now).plus(CLOCKS);
                match profile.pending {
                    Some(Pending::MessageKey { .. }) => true,
                    // Its key would hang beneath a device that is about to go.
                    Some(Pending::Rekey { .. }) => false,
                    _ => old || ahead,
                }
            };
            if due {
                match self.replace_key(session).await {
                    // It is made, and published when the server takes it.
                    Err(Trouble::Refused { retry_after, .. }) => again = retry_after.unwrap_or(CHECK),
                    replaced => drop(replaced?),
                }
                self.say_old_key(age).await?;
            }
            // What has not been fetched may be sealed for an old key.
            let drained = *progress.borrow_and_update();
            if drained.drained {
                self.destroy_old_keys().await?;
                // Nor is a Fernet key that was sealed for them to stay where it was while something was under way.
                self.db.fold().await?;
            }
            let mut due = Box::pin(tokio::time::sleep(again));
            loop {
                tokio::select! {
                    biased;
                    changed = progress.changed() => changed.map_err(|_| Trouble::Lost)?,
                    () = session.wire.ended() => return Err(Trouble::Lost),
                    () = &mut due => break,
                }
                if progress.borrow_and_update().drained && !drained.drained {
                    break;
                }
            }
        }
    }

    /// Replaces the message key now. A new one that the server does not take yet is kept until then.
    pub(super) async fn replace_key(&self, session: &Session) -> Result<Renewed, Trouble> {
        let _alone = self.renewing.lock().await;
        let profile = lock(&self.profile).clone();
        let (record, key, from) = match profile.pending {
            Some(Pending::MessageKey { record, key, from }) => (record, key, from),
            Some(Pending::Rekey { .. }) => {
                let reason =
                    "new keys for everything are about to take the old ones' places: run `tellal rekey`";
                return Err(ClientError::Refused { reason: reason.to_owned() }.into());
            }
            _ => self.make_key(profile.message_key).await?,
        };
        self.publish(session, record, key, from).await
    }

    /// Makes a key and its record, both durable.
    async fn make_key(&self, supersedes: KeyId) -> Result<(Signed, KeyId, Millis), ClientError> {
        let (home, device, account) = (self.home.clone(), self.device_key.clone(), self.me.account);
        let from = Millis::now();
        let made = compute(move || {
            let failed = |error: String| ClientError::Internal(error);
            let key = PrivateKey::generate(device.public().bits()).map_err(|e| failed(e.to_string()))?;
            let record = announce_message_key(&device, account, key.public(), from, Some(supersedes));
            home.save_key(&message_key_name(&key.public().id()), &key)?;
            Ok::<_, ClientError>((key, record.map_err(|e| failed(e.to_string()))?))
        });
        let (key, record) = made.await??;
        let id = key.public().id();
        // What is sent to it can be opened as soon as anyone can send to it.
        self.add_key(key);
        let pending = Pending::MessageKey { record: record.clone(), key: id, from };
        self.change_profile(|profile| profile.pending = Some(pending)).await?;
        Ok((record, id, from))
    }

    async fn publish(
        &self,
        session: &Session,
        record: Signed,
        key: KeyId,
        from: Millis,
    ) -> Result<Renewed, Trouble> {
        let verb = Verb::PublishMessageKey { record: record.clone() };
        match session.wire.ask(verb).await.map_err(Trouble::from) {
            // Nothing is given up for a mere word.
            Ok(_) if !self.shows_key(session, &record).await? => {
                tracing::warn!("the server says that it has taken a new message key, and does not show it");
                Ok(Renewed::Hidden)
            }
            Ok(_) => {
                self.change_profile(|profile| {
                    let until = profile.message_key_from.plus(limits::MESSAGE_KEY_LIFE);
                    let replaced =
                        Replaced { key: profile.message_key, at: Millis::now(), until: Some(until) };
                    profile.replaced.push(replaced);
                    profile.message_key = key;
                    profile.message_key_from = from;
                    profile.pending = None;
                })
                .await?;
                Ok(Renewed::Taken)
            }
            // The server has another newest key than this profile: nothing here can change that, and the
            // profile works on with the key that it has.
            Err(Trouble::Refused { code: RefusalCode::Invalid | RefusalCode::KeySuperseded, .. }) => {
                tracing::warn!("the server refused a new message key");
                Ok(Renewed::Refused)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Whether the directory has this message key.
    async fn shows_key(&self, session: &Session, record: &Signed) -> Result<bool, Trouble> {
        let entries = directory(session, Verb::LookUpAccount { account: self.me.account }).await?;
        Ok(entries.iter().any(|entry| entry.message_keys.contains(record)))
    }

    /// Says of a message key that should have been replaced long ago that it was not.
    async fn say_old_key(&self, age: Duration) -> Result<(), ClientError> {
        let (key, from) = {
            let profile = lock(&self.profile);
            (profile.message_key, profile.message_key_from)
        };
        if Millis::now().since(from) <= age + OVERDUE {
            return Ok(());
        }
        let me = self.me.clone();
        self.commit(move |db, events| {
            if inbox::notice_once(db, &key.into(), &MessageId::from_bytes([0; 16]), Noticed::OldKey)? {
                let text = format!(
                    "your message key is of {from}, and the server has taken no new one, or does not show it: \
                     whoever gets hold of the old key can read what is sent to you as long as it lasts. Ask whoever \
                     runs the server"
                );
                events.push(Event::Message(notice(db, &me, &me.nickname, text)?));
            }
            Ok(())
        })
        .await
    }

    /// Destroys the private halves that nothing can have been sealed for any more.
    async fn destroy_old_keys(&self) -> Result<(), ClientError> {
        let now = Millis::now();
        let old = |replaced: &Replaced| {
            let lasts = replaced.until.is_some_and(|until| now <= until.plus(CLOCKS));
            now.since(replaced.at) > limits::RETENTION && !lasts
        };
        let gone: Vec<KeyId> =
            lock(&self.profile).replaced.iter().filter(|one| old(one)).map(|one| one.key).collect();
        if gone.is_empty() {
            return Ok(());
        }
        for key in &gone {
            self.home.remove_key(&message_key_name(key))?;
            Arc::make_mut(&mut lock(&self.message_keys)).remove(key);
        }
        self.change_profile(|profile| profile.replaced.retain(|one| !gone.contains(&one.key))).await
    }

    fn add_key(&self, key: PrivateKey) {
        let mut keys = lock(&self.message_keys);
        // Snapshots may be in use on the pool: they stay as they are.
        Arc::make_mut(&mut keys).insert(key.public().id(), Arc::new(key));
    }

    /// Changes the profile, durably.
    pub(super) async fn change_profile<F>(&self, change: F) -> Result<(), ClientError>
    where
        F: FnOnce(&mut crate::client::profile::Profile),
    {
        // What one changes is what the other has saved.
        let _saving = self.saving.lock().await;
        let mut profile = lock(&self.profile).clone();
        change(&mut profile);
        let (home, saved) = (self.home.clone(), profile.clone());
        let stored = tokio::task::spawn_blocking(move || home.save(&saved)).await;
        stored.map_err(|_| ClientError::Internal("the profile could not be written".to_owned()))??;
        *lock(&self.profile) = profile;
        Ok(())
    }
}
