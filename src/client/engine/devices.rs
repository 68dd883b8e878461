//! The devices of one's own account: which there are, and taking one of them away. That one is to go is noted in the
//! profile first, and holds until directory and log show that it is gone.

use crate::client::db::{contacts, log};
use crate::client::device::short;
use crate::client::profile::{Pending, identity_name};
use crate::client::{ClientError, OwnDevice};
use crate::crypto::record::{Account, remove_device};
use crate::model::{DeviceId, DirectoryEntry, Millis, Signed, from_canonical_cbor};
use crate::protocol::message::RefusalCode;

use super::{Engine, Session, Trouble, compute, lock};

/// How often a device is looked for and a record made that removes it. Somebody else may be changing the account too.
const ATTEMPTS: u32 = 4;

impl Engine {
    /// The devices of one's own account, as directory and log have them.
    pub(super) async fn devices(&self) -> Result<Vec<OwnDevice>, ClientError> {
        let session = self.session().await?;
        self.audit_soon(&session).await.map_err(|trouble| self.explain(&session, trouble))?;
        let (account, in_log) = self.own_state(&session).await?;
        let this = self.me.device;
        self.db
            .run(move |db| {
                let devices = account.devices.iter().map(|device| {
                    let id = device.id;
                    Ok(OwnDevice {
                        id,
                        short: short(id, account.devices.iter().map(|other| other.id)),
                        this: id == this,
                        known: id == this || log::is_own(db, &device.record)?,
                        since: device.since,
                        in_log,
                    })
                });
                devices.collect()
            })
            .await
    }

    /// Takes a device from one's own account. Another one than this.
    pub(super) async fn remove_device(&self, device: DeviceId) -> Result<(), ClientError> {
        let session = self.session().await;
        let _alone = self.renewing.lock().await;
        if self.is_rekeyed() {
            // New keys have taken all other devices away meanwhile.
            return Ok(());
        }
        let session = session?;
        let begun = lock(&self.profile).pending.clone();
        if let Some(pending @ Pending::Rekey { .. }) = begun {
            // New keys take all other devices away, too, and their record has to stay the next one.
            return self.carry_out(&session, pending).await;
        }
        let account = self.own_account(&session).await?;
        if device == self.me.device {
            let last = ClientError::LastDevice { nickname: self.me.nickname.clone() };
            return Err(if account.devices.len() == 1 { last } else { ClientError::ThisDevice });
        }
        if account.device(&device).is_none() && account.removed_device(&device).is_none() {
            return Err(ClientError::NoSuchDevice { id: device.to_string() });
        }
        self.change_profile(|profile| {
            if !profile.removing.contains(&device) {
                profile.removing.push(device);
            }
        })
        .await?;
        self.carry_out_removal(&session, device).await
    }

    /// Finishes what broke off.
    pub(super) async fn resume_removals(&self, session: &Session) -> Result<(), Trouble> {
        let _alone = self.renewing.lock().await;
        // New keys come first: with them the devices are gone.
        let begun = if self.is_rekeying() { Vec::new() } else { lock(&self.profile).removing.clone() };
        for device in begun {
            match self.carry_out_removal(session, device).await {
                Err(
                    error @ (ClientError::Refused { .. }
                    | ClientError::Limited { .. }
                    | ClientError::NoPlaceForDevices
                    | ClientError::NotInLog { .. }),
                ) => tracing::warn!(%device, %error, "a device could not be removed"),
                done => done?,
            }
        }
        Ok(())
    }

    async fn carry_out_removal(&self, session: &Session, device: DeviceId) -> Result<(), ClientError> {
        for _ in 0..ATTEMPTS {
            let (account, in_log) = self.own_state(session).await?;
            if account.device(&device).is_none() {
                if !in_log {
                    return Err(ClientError::NotInLog { nickname: self.me.nickname.clone() });
                }
                return self
                    .change_profile(|profile| profile.removing.retain(|other| *other != device))
                    .await;
            }
            if !account.takes_devices() {
                self.change_profile(|profile| profile.removing.retain(|other| *other != device)).await?;
                return Err(ClientError::NoPlaceForDevices);
            }
            let record = self.sign_removal(account, device).await?;
            match self.publish_record(session, record, None).await {
                // Whatever it says, the directory is looked at. Invalid is also what came behind another record.
                Ok(()) | Err(Trouble::Refused { code: RefusalCode::Invalid, .. }) => {}
                Err(trouble) => return Err(self.explain(session, trouble)),
            }
        }
        self.change_profile(|profile| profile.removing.retain(|other| *other != device)).await?;
        let reason = "its directory still has the device; ask whoever runs it".to_owned();
        Err(ClientError::Refused { reason })
    }

    async fn sign_removal(&self, account: Account, device: DeviceId) -> Result<Signed, ClientError> {
        let home = self.home.clone();
        let name = identity_name(&lock(&self.profile));
        let record = compute(move || {
            let identity = home.load_key(&name)?;
            remove_device(&account, &identity, device, Millis::now())
                .map_err(|error| ClientError::Internal(error.to_string()))
        });
        record.await?
    }

    /// One's own account as the directory has it now, and whether the log has the same.
    async fn own_state(&self, session: &Session) -> Result<(Account, bool), ClientError> {
        let account = self.own_account(session).await?;
        let (id, name) = (account.id, account.nickname.clone());
        let in_log = self.db.run(move |db| {
            let stored = contacts::by_account(db, &id)?;
            let entry = stored.and_then(|it| from_canonical_cbor::<DirectoryEntry>(&it.entry).ok());
            entry.map_or(Ok(false), |entry| log::has_chain(db, &name, &entry.chain))
        });
        Ok((account, in_log.await?))
    }
}
