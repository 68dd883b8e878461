//! Message keys are replaced every week, or as often as is set. A new one is on disk before it is published. An old
//! one is kept for as long as the server may still hold something that was sealed for it and everything that it holds
//! has been fetched; then it is destroyed.

use std::sync::Arc;
use std::time::Duration;

use crate::client::ClientError;
use crate::client::profile::{Pending, Replaced, message_key_name};
use crate::crypto::PrivateKey;
use crate::crypto::record::announce_message_key;
use crate::model::{KeyId, Millis, Signed, limits};
use crate::protocol::message::{RefusalCode, Verb};

use super::{Engine, Session, Trouble, compute, lock};

/// How often the key's age is looked at.
const CHECK: Duration = Duration::from_secs(3600);

impl Engine {
    /// Keeps the message key young, for as long as the connection lasts.
    pub(super) async fn renew_keys(&self, session: &Session) -> Result<(), Trouble> {
        let mut progress = session.progress.subscribe();
        loop {
            let mut again = CHECK;
            if self.is_rekeying()
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
                let old = Millis::now().since(profile.message_key_from) > age;
                match profile.pending {
                    Some(Pending::MessageKey { .. }) => true,
                    // Its key would hang beneath a device that is about to go.
                    Some(Pending::Rekey { .. }) => false,
                    _ => old,
                }
            };
            if due {
                match self.replace_key(session).await {
                    // It is made, and published when the server takes it.
                    Err(Trouble::Refused { retry_after, .. }) => again = retry_after.unwrap_or(CHECK),
                    replaced => drop(replaced?),
                }
            }
            // What has not been fetched may be sealed for an old key.
            let drained = *progress.borrow_and_update();
            if drained.drained {
                self.destroy_old_keys().await?;
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

    /// Replaces the message key now; whether the server took the new one. One that it takes later is kept until then.
    pub(super) async fn replace_key(&self, session: &Session) -> Result<bool, Trouble> {
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
    ) -> Result<bool, Trouble> {
        match session.wire.ask(Verb::PublishMessageKey { record }).await.map_err(Trouble::from) {
            Ok(_) => {
                self.change_profile(|profile| {
                    profile.replaced.push(Replaced { key: profile.message_key, at: Millis::now() });
                    profile.message_key = key;
                    profile.message_key_from = from;
                    profile.pending = None;
                })
                .await?;
                Ok(true)
            }
            // The server has another newest key than this profile: nothing here can change that, and the
            // profile works on with the key that it has.
            Err(Trouble::Refused { code: RefusalCode::Invalid | RefusalCode::KeySuperseded, .. }) => {
                tracing::warn!("the server refused a new message key");
                Ok(false)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Destroys the private halves that nothing can have been sealed for any more.
    async fn destroy_old_keys(&self) -> Result<(), ClientError> {
        let old = |replaced: &Replaced| Millis::now().since(replaced.at) > limits::RETENTION;
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
        let mut profile = lock(&self.profile).clone();
        change(&mut profile);
        let (home, saved) = (self.home.clone(), profile.clone());
        let stored = tokio::task::spawn_blocking(move || home.save(&saved)).await;
        stored.map_err(|_| ClientError::Internal("the profile could not be written".to_owned()))??;
        *lock(&self.profile) = profile;
        Ok(())
    }
}
