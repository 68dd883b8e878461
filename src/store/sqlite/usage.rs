//! How much room blobs take, by account. Counted as chunks come, and measured anew after each pruning.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _};

use super::blobs::Blobs;
use crate::model::{AccountId, DeviceId, KeyId};
use crate::store::StoreError;

/// Bytes of blobs, sealed or under way, and whose the devices are that made them.
#[derive(Clone, Debug, Default)]
pub struct Usage(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    bytes: HashMap<AccountId, u64>,
    owners: HashMap<DeviceId, AccountId>,
}

impl Usage {
    /// Measures everything. Chunks that come meanwhile may be missed until the next time.
    pub fn measure(&self, connection: &Connection, blobs: &Blobs) -> Result<(), StoreError> {
        let sealed: Vec<(DeviceId, i64)> = connection
            .prepare_cached("SELECT device, sum(bytes) FROM blob GROUP BY device")?
            .query_map([], |row| Ok((DeviceId::new(row.get(0)?), row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let sealed = sealed.into_iter().map(|(device, bytes)| (device, bytes.cast_unsigned()));
        let mut bytes = HashMap::new();
        for (device, more) in sealed.chain(blobs.under_way()?) {
            *bytes.entry(self.owner(connection, &device)?).or_default() += more;
        }
        self.lock().bytes = bytes;
        Ok(())
    }

    /// The account that a device is of. One that is of none counts for itself.
    pub fn owner(&self, connection: &Connection, device: &DeviceId) -> Result<AccountId, StoreError> {
        if let Some(owner) = self.lock().owners.get(device) {
            return Ok(*owner);
        }
        let owner = connection
            .prepare_cached("SELECT account FROM device WHERE id = ?")?
            .query_row([device.as_bytes()], |row| row.get(0).map(AccountId::new))
            .optional()?;
        if let Some(owner) = owner {
            self.lock().owners.insert(*device, owner);
        }
        Ok(owner.unwrap_or_else(|| KeyId::from(*device).into()))
    }

    /// Bytes of an account's blobs.
    pub fn of(&self, account: &AccountId) -> u64 {
        self.lock().bytes.get(account).copied().unwrap_or(0)
    }

    pub fn add(&self, account: AccountId, bytes: u64) {
        *self.lock().bytes.entry(account).or_default() += bytes;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
