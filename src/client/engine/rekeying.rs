//! New keys for everything: identity, device, message key. The old identity key signs for the new one, everything that
//! was sent to the old device is fetched first, and then its keys are destroyed.

use std::time::Duration;

use tokio::time::Instant;

use crate::client::db::{contacts, log, outbox, speaking};
use crate::client::link::Wire;
use crate::client::profile::{Pending, Profile, device_name, identity_name, message_key_name};
use crate::client::{ClientError, Event, Settings};
use crate::crypto::PrivateKey;
use crate::crypto::record::{Account, announce_message_key, rekey, revoke};
use crate::model::{AccountId, Millis, Signed};
use crate::protocol::message::{Answer, RefusalCode, Verb};

use super::{Engine, Session, Trouble, compute, delayed, lock, wait_out};

/// How long a server that takes no more records for now is waited for. What takes longer is said to whoever asked.
const PATIENCE: Duration = Duration::from_secs(120);

impl Engine {
    /// Makes new keys and puts them in the place of the old ones. The core begins anew with them.
    pub(super) async fn rekey(&self) -> Result<(), ClientError> {
        let session = self.session().await;
        let _alone = self.renewing.lock().await;
        if self.is_rekeyed() {
            // What had been begun has been finished meanwhile.
            return Ok(());
        }
        let session = session?;
        let begun = lock(&self.profile).pending.clone();
        let pending = match begun {
            Some(pending @ Pending::Rekey { .. }) => pending,
            _ if self.take_up_refused(&session).await? => return Ok(()),
            // Its key would hang beneath a device that is about to go.
            _ => self.prepare(&session).await?,
        };
        self.carry_out(&session, pending).await
    }

    /// Finishes what broke off, if the server lets it; otherwise it goes on with the old keys. After so long it may be
    /// tried again, where the server has said so.
    pub(super) async fn resume_rekey(&self, session: &Session) -> Result<Option<Duration>, Trouble> {
        let _alone = self.renewing.lock().await;
        let begun = lock(&self.profile).pending.clone();
        let done = match begun {
            Some(pending @ Pending::Rekey { .. }) => self.carry_out(session, pending).await,
            _ => self.take_up_refused(session).await.map(drop),
        };
        let error = match done {
            Err(error @ (ClientError::Refused { .. } | ClientError::Limited { .. })) => error,
            done => return Ok(done.map(|()| None)?),
        };
        tracing::warn!(%error, "new keys could not take the old ones' places");
        Ok(match error {
            ClientError::Limited { retry_in_ms, .. } => Some(Duration::from_millis(retry_in_ms)),
            _ => None,
        })
    }

    /// Ends the account for good.
    pub(super) async fn revoke(&self) -> Result<(), ClientError> {
        let session = self.session().await?;
        let account = self.own_account(&session).await?;
        let home = self.home.clone();
        let name = identity_name(&lock(&self.profile));
        let record = compute(move || {
            let identity = home.load_key(&name)?;
            revoke(&account, &identity, Millis::now()).map_err(failed)
        });
        let record = record.await??;
        let refused = match self.publish_record(&session, record.clone(), None).await {
            Ok(()) => None,
            Err(trouble @ Trouble::Refused { code: RefusalCode::Invalid, .. }) => Some(trouble),
            Err(trouble) => return Err(self.explain(&session, trouble)),
        };
        // That somebody else's hands end with it is said for no mere word.
        let taken = self.has_taken(&session, &record).await;
        match (taken.map_err(|trouble| self.explain(&session, trouble))?, refused) {
            (true, _) => Ok(()),
            (false, Some(trouble)) => Err(self.explain(&session, trouble)),
            (false, None) => {
                let reason = format!(
                    "it says that the account has ended, but does not show that in its directory and its log: to \
                     others it may be as it was. Ask whoever runs it, and run `tellal rekey --revoke {}` again",
                    self.me.nickname
                );
                Err(ClientError::Refused { reason })
            }
        }
    }

    /// Publishes a record of one's own account, noted as made here before that. A server that takes no more for now is
    /// waited for, and that is said; unless it takes too long.
    pub(super) async fn publish_record(
        &self,
        session: &Session,
        record: Signed,
        message_key: Option<Signed>,
    ) -> Result<(), Trouble> {
        self.made_record(&record).await?;
        loop {
            let (record, message_key) = (record.clone(), message_key.clone());
            let published = session.wire.ask(Verb::PublishRecord { record, message_key }).await;
            match published.map_err(Trouble::from) {
                Err(Trouble::Refused { code: code @ RefusalCode::Limited, retry_after: Some(wait) })
                    if wait <= PATIENCE =>
                {
                    self.tell(Event::Waits { reason: delayed(code, wait) });
                    wait_out(session, Trouble::Refused { code, retry_after: Some(wait) }).await?;
                }
                published => return published.map(drop),
            }
        }
    }

    pub(super) async fn carry_out(&self, session: &Session, pending: Pending) -> Result<(), ClientError> {
        let Pending::Rekey { record, message_key, .. } = pending.clone() else { return Ok(()) };
        let published = record.clone();
        // What was wrapped for this device, nobody else can open: as much of it as there is comes before.
        self.drain_on(session).await?;
        // What this device has sent is not sent once more by the one that takes its place.
        self.settle_sealed(session, Instant::now() + PATIENCE)
            .await
            .map_err(|trouble| self.explain(session, trouble))?;
        let refused = match self.publish_record(session, record, Some(message_key)).await {
            Ok(()) => false,
            Err(Trouble::Refused { code: RefusalCode::Invalid, .. }) => true,
            Err(trouble) => return Err(self.explain(session, trouble)),
        };
        // For no mere word are keys destroyed: neither the old ones nor the new ones.
        let taken = self.has_taken(session, &published).await;
        if !taken.map_err(|trouble| self.explain(session, trouble))? {
            if !refused {
                return Err(not_taken());
            }
            self.change_profile(|profile| profile.refused.extend(profile.pending.take())).await?;
            let reason = "it does not accept the new keys, and the old ones stay in force: run `tellal rekey` again. \
                          Should it turn out to have taken the new ones, they are kept";
            return Err(ClientError::Refused { reason: reason.to_owned() });
        }
        // And what came meanwhile, behind. From here on nothing more is wrapped for it.
        self.drain_on(session).await?;
        self.finish_rekey(pending).await
    }

    /// New keys that the server has said it does not accept take the old ones' places if it has taken them. Whether it
    /// has.
    async fn take_up_refused(&self, session: &Session) -> Result<bool, ClientError> {
        let refused = lock(&self.profile).refused.clone();
        for pending in refused {
            let Pending::Rekey { record, .. } = &pending else { continue };
            let taken = self.has_taken(session, record).await;
            if taken.map_err(|trouble| self.explain(session, trouble))? {
                // Nothing leaves under the old keys any more.
                let taken = pending.clone();
                self.change_profile(|profile| {
                    profile.refused.retain(|refused| *refused != taken);
                    profile.pending = Some(taken);
                })
                .await?;
                self.drain_on(session).await?;
                let settled = self.settle_sealed(session, Instant::now() + PATIENCE).await;
                settled.map_err(|trouble| self.explain(session, trouble))?;
                self.finish_rekey(pending).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the server shows a record that it was given, and holds itself to it by its transparency log.
    pub(super) async fn has_taken(&self, session: &Session, record: &Signed) -> Result<bool, Trouble> {
        let Some(chain) = shown(&session.wire, self.me.account, record).await? else { return Ok(false) };
        self.read_log(session).await?;
        let name = self.me.nickname.clone();
        Ok(self.db.run(move |db| log::has_chain(db, &name, &chain)).await?)
    }

    /// The server has the new keys: they take the old ones' places here, too.
    pub(super) async fn finish_rekey(&self, pending: Pending) -> Result<(), ClientError> {
        let Pending::Rekey { identity, device, key, from, .. } = pending else { return Ok(()) };
        let old = lock(&self.profile).clone();
        // What was sealed as the old device is sealed anew as the new one, whose chains begin.
        let me = self.me.account;
        self.db
            .write(move |db| {
                contacts::set_own(db, &me, &identity)?;
                log::settle_own_account(db)?;
                outbox::begin_anew(db)?;
                speaking::begin_anew(db)
            })
            .await?;
        self.change_profile(|profile| {
            profile.identity = Some(identity);
            profile.device = device;
            profile.message_key = key;
            profile.message_key_from = from;
            profile.replaced.clear();
            profile.removing.clear();
            profile.refused.clear();
            profile.pending = None;
        })
        .await?;
        let home = self.home.clone();
        let destroyed = tokio::task::spawn_blocking(move || {
            home.remove_key(&identity_name(&old))?;
            home.remove_key(&device_name(&old))?;
            let message_keys = home.message_keys()?;
            message_keys
                .iter()
                .filter(|other| **other != key)
                .try_for_each(|other| home.remove_key(&message_key_name(other)))
        });
        destroyed.await.map_err(|_| ClientError::Internal("old keys could not be removed".to_owned()))??;
        self.rekeyed.cancel();
        Ok(())
    }

    /// Makes keys and records, all of it durable.
    async fn prepare(&self, session: &Session) -> Result<Pending, ClientError> {
        let account = self.own_account(session).await?;
        if !account.takes_keys() {
            return Err(ClientError::NoPlaceForKeys { nickname: self.me.nickname.clone() });
        }
        let (home, profile) = (self.home.clone(), lock(&self.profile).clone());
        // From the moment on that the record will name, nothing leaves under the old keys: it would be refused by whoever
        // reads the record first.
        let _nothing_leaves = self.handing.write().await;
        let made = compute(move || make(&home, &profile, &account));
        let pending = made.await??;
        let begun = pending.clone();
        self.change_profile(|profile| profile.pending = Some(begun)).await?;
        Ok(pending)
    }

    /// One's own account, as the directory has it and as it is known here.
    pub(super) async fn own_account(&self, session: &Session) -> Result<Account, ClientError> {
        let found = self.look_up_account(session, self.me.account).await;
        let found = found.map_err(|trouble| self.explain(session, trouble))?;
        let known = |account: &Account| {
            account.identity.id() == self.me.identity && account.device(&self.me.device).is_some()
        };
        found.map(|person| person.account.clone()).filter(known).ok_or_else(|| ClientError::Refused {
            reason: "it shows another state of this account than this profile knows; ask whoever runs it"
                .to_owned(),
        })
    }

    /// Whether new keys are about to take the old ones' places, or have, so that nothing more is sealed under those.
    pub(super) fn is_rekeying(&self) -> bool {
        let profile = lock(&self.profile);
        matches!(profile.pending, Some(Pending::Rekey { .. })) || profile.device != self.me.device
    }

    /// New keys that the server may have taken, whatever it has said of them.
    pub(super) fn keys_to_come(&self) -> Vec<Pending> {
        let profile = lock(&self.profile);
        let all = profile.pending.iter().chain(&profile.refused);
        all.filter(|pending| matches!(pending, Pending::Rekey { .. })).cloned().collect()
    }

    /// How old a message key becomes.
    pub(super) fn message_key_age(&self) -> std::time::Duration {
        Settings::load(self.home.path()).0.message_key_days.into()
    }
}

fn make(
    home: &crate::client::profile::Home,
    profile: &Profile,
    account: &Account,
) -> Result<Pending, ClientError> {
    let present = home.load_key(&identity_name(profile))?;
    let bits = present.public().bits();
    let generate = || PrivateKey::generate(bits);
    let (identity, (device, message)) = rayon::join(generate, || rayon::join(generate, generate));
    let wrong = |error: crate::crypto::KeyError| ClientError::Internal(error.to_string());
    let (identity, device) = (identity.map_err(wrong)?, device.map_err(wrong)?);
    let message = message.map_err(wrong)?;
    let from = Millis::now();
    let record: Signed = rekey(account, &present, &identity, device.public(), from).map_err(failed)?;
    let message_key =
        announce_message_key(&device, account.id, message.public(), from, None).map_err(failed)?;
    let pending = Pending::Rekey {
        record,
        message_key,
        identity: identity.public().id(),
        device: device.public().id().into(),
        key: message.public().id(),
        from,
    };
    let new = Profile {
        identity: Some(identity.public().id()),
        device: device.public().id().into(),
        ..profile.clone()
    };
    home.save_key(&identity_name(&new), &identity)?;
    home.save_key(&device_name(&new), &device)?;
    home.save_key(&message_key_name(&message.public().id()), &message)?;
    Ok(pending)
}

/// The records of an account as the server shows them, if this one is among them.
async fn shown(wire: &Wire, account: AccountId, record: &Signed) -> Result<Option<Vec<Signed>>, Trouble> {
    let (answer, _) = wire.ask(Verb::LookUpAccount { account }).await?;
    let Answer::Directory { entries, .. } = answer else { return Err(Trouble::Strange) };
    Ok(entries.into_iter().map(|entry| entry.chain).find(|chain| chain.contains(record)))
}

/// The error that a server's mere word is.
pub(super) fn not_taken() -> ClientError {
    let reason = "it says that it has taken the new keys, but does not show them in its directory and its log; the \
                  old ones are kept: ask whoever runs it, and run `tellal rekey` again";
    ClientError::Refused { reason: reason.to_owned() }
}

fn failed(error: crate::crypto::SealError) -> ClientError {
    ClientError::Internal(error.to_string())
}
