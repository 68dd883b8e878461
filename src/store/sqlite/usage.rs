//! How much room blobs take, by account. Counted as chunks come, and measured anew after each pruning.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _};

use super::blobs::Blobs;
use crate::model::{AccountId, BlobId, DeviceId, KeyId};
use crate::store::StoreError;

/// What a blob counts beside its chunks: a file takes room however small it is.
const FILE: u64 = 4096;

/// Blobs that an account may have under way.
const UNDER_WAY: usize = 64;

/// Bytes of blobs, sealed or under way, and whose the devices are that made them.
#[derive(Clone, Debug, Default)]
pub struct Usage(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    bytes: HashMap<AccountId, u64>,
    under_way: HashMap<AccountId, HashSet<(DeviceId, BlobId)>>,
    owners: HashMap<DeviceId, AccountId>,
}

impl Usage {
    /// Measures everything. Chunks that come meanwhile may be missed until the next time.
    pub fn measure(&self, connection: &Connection, blobs: &Blobs) -> Result<(), StoreError> {
        let sealed: Vec<(DeviceId, i64)> = connection
            .prepare_cached("SELECT device, sum(bytes + ?) FROM blob GROUP BY device")?
            .query_map([FILE.cast_signed()], |row| Ok((DeviceId::new(row.get(0)?), row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let (mut bytes, mut under_way) = (HashMap::<_, u64>::new(), HashMap::<_, HashSet<_>>::new());
        for (device, sealed) in sealed {
            *bytes.entry(self.owner(connection, &device)?).or_default() += sealed.cast_unsigned();
        }
        for (device, blob, length) in blobs.under_way()? {
            let account = self.owner(connection, &device)?;
            *bytes.entry(account).or_default() += length + FILE;
            under_way.entry(account).or_default().insert((device, blob));
        }
        let mut known = self.lock();
        (known.bytes, known.under_way) = (bytes, under_way);
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

    /// Whether an account has room for more of a blob of its device's.
    pub fn has_room(&self, account: &AccountId, device: DeviceId, blob: BlobId, quota: u64) -> bool {
        let known = self.lock();
        let bytes = known.bytes.get(account).copied().unwrap_or(0);
        let fits =
            |under_way: &HashSet<_>| under_way.len() < UNDER_WAY || under_way.contains(&(device, blob));
        bytes < quota && known.under_way.get(account).is_none_or(fits)
    }

    /// Counts what was added to a blob under way.
    pub fn add(&self, account: AccountId, device: DeviceId, blob: BlobId, bytes: u64) {
        let mut known = self.lock();
        let begun = known.under_way.entry(account).or_default().insert((device, blob));
        *known.bytes.entry(account).or_default() += if begun { bytes + FILE } else { bytes };
    }

    /// A blob is not under way any more. Its bytes count until all is measured anew.
    pub fn end(&self, device: DeviceId, blob: BlobId) {
        let mut known = self.lock();
        let Some(account) = known.owners.get(&device).copied() else { return };
        if let Some(under_way) = known.under_way.get_mut(&account) {
            under_way.remove(&(device, blob));
            if under_way.is_empty() {
                known.under_way.remove(&account);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
