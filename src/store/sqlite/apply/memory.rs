//! What the writer remembers from group to group, being the only one who writes it.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension as _};

use super::{ENTRY, NOBODY};
use crate::model::{AccountId, DeviceId, KeyId, Millis};
use crate::store::{Quotas, StoreError};

/// How many accounts and devices are remembered before all are forgotten.
const REMEMBERED: usize = 100_000;

/// What can be read again, and is not.
#[derive(Default)]
pub struct Memory {
    mailboxes: HashMap<AccountId, Mailbox>,
    /// Mailboxes whose accounts' rows do not say yet how they stand.
    uncounted: HashSet<AccountId>,
    keys: HashMap<DeviceId, (AccountId, KeyId, Millis)>,
    /// All there are: who wants no mail, and whose. Looking for one takes as long whether it is there or not.
    blocks: Option<HashSet<(AccountId, AccountId)>>,
    /// Leaves of the transparency log, once one was appended.
    pub log: Option<u64>,
    pub quotas: Quotas,
}

/// How a mailbox stands.
#[derive(Clone, Copy)]
pub struct Mailbox {
    pub newest: u64,
    pub bytes: u64,
}

impl Memory {
    /// Of nothing yet.
    pub fn new(quotas: Quotas) -> Self {
        Self { quotas, ..Self::default() }
    }

    /// How many leaves the transparency log has, if it may have grown.
    pub fn log_size(&self) -> Option<u64> {
        self.log
    }

    /// Forgets everything.
    pub fn forget(&mut self) {
        *self = Self::new(self.quotas);
    }

    /// Forgets everything once it is too much.
    pub fn bound(&mut self, connection: &Connection) -> Result<(), StoreError> {
        if self.mailboxes.len() + self.keys.len() > REMEMBERED {
            self.write_counts(connection)?;
            self.forget();
        }
        Ok(())
    }

    /// How an account's mailbox stands.
    ///
    /// Its row may be behind, and what has come since is counted: so a message does not need to change it.
    pub fn mailbox(
        &mut self,
        connection: &Connection,
        account: &AccountId,
    ) -> Result<&mut Mailbox, StoreError> {
        let known = match self.mailboxes.entry(*account) {
            Entry::Occupied(known) => return Ok(known.into_mut()),
            Entry::Vacant(known) => known,
        };
        let row: Option<(i64, i64)> = connection
            .prepare_cached("SELECT newest, bytes FROM account WHERE id = ?")?
            .query_row([account.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (newest, bytes) = match row {
            Some(row) => row,
            // Nobody is no account.
            None if *account == NOBODY => (0, 0),
            None => return Err(StoreError::UnknownAccount),
        };
        let (newest, more): (i64, i64) = connection
            .prepare_cached(
                "SELECT coalesce(max(seq), ?2), coalesce(sum(?3 + coalesce(length(body), 0) + length(wraps)), 0)
                 FROM mailbox JOIN envelope ON envelope.id = mailbox.envelope WHERE account = ?1 AND seq > ?2",
            )?
            .query_row((account.as_bytes(), newest, ENTRY.cast_signed()), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let bytes = bytes.saturating_add(more);
        Ok(known.insert(Mailbox { newest: newest.cast_unsigned(), bytes: bytes.cast_unsigned() }))
    }

    /// How a mailbox stands has changed.
    pub fn changed(&mut self, account: AccountId) {
        // Nobody has no row.
        if account != NOBODY {
            self.uncounted.insert(account);
        }
    }

    /// Whether accounts' rows are behind.
    pub fn is_ahead(&self) -> bool {
        !self.uncounted.is_empty()
    }

    /// Writes how mailboxes stand into their accounts' rows.
    pub fn write_counts(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let mut update =
            connection.prepare_cached("UPDATE account SET newest = ?, bytes = ? WHERE id = ?")?;
        for account in self.uncounted.drain() {
            if let Some(Mailbox { newest, bytes }) = self.mailboxes.get(&account) {
                update.execute((newest.cast_signed(), bytes.cast_signed(), account.as_bytes()))?;
            }
        }
        Ok(())
    }

    /// A device's message key, and whose the device is.
    pub fn message_key(
        &mut self,
        connection: &Connection,
        device: &DeviceId,
    ) -> Result<Option<(AccountId, KeyId, Millis)>, StoreError> {
        if let Some(known) = self.keys.get(device) {
            return Ok(Some(*known));
        }
        let found = connection
            .prepare_cached(
                "SELECT device.account, message_key.key, message_key.until
                 FROM message_key JOIN device ON device.id = message_key.device WHERE device.id = ?",
            )?
            .query_row([device.as_bytes()], |row| {
                let (account, key, until): ([u8; 32], [u8; 32], i64) =
                    (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok((AccountId::new(account), KeyId::new(key), Millis(until.cast_unsigned())))
            })
            .optional()?;
        if let Some(found) = found {
            self.keys.insert(*device, found);
        }
        Ok(found)
    }

    /// A device's message key has changed, or is gone.
    pub fn forget_key(&mut self, device: &DeviceId) {
        self.keys.remove(device);
    }

    /// A place in its mailbox that a device says it has reached, no further than there is something: no device has
    /// what its mailbox has not had yet.
    pub fn reached(
        &mut self,
        connection: &Connection,
        device: &DeviceId,
        seq: u64,
    ) -> Result<u64, StoreError> {
        let account = match self.message_key(connection, device)? {
            Some((account, ..)) => Some(account),
            // One that was removed has no key.
            None => connection
                .prepare_cached("SELECT account FROM device WHERE id = ?")?
                .query_row([device.as_bytes()], |row| row.get(0).map(AccountId::new))
                .optional()?,
        };
        let Some(account) = account else { return Ok(0) };
        Ok(self.mailbox(connection, &account)?.newest.min(seq))
    }

    /// All blocks.
    pub fn blocks(
        &mut self,
        connection: &Connection,
    ) -> Result<&mut HashSet<(AccountId, AccountId)>, StoreError> {
        if self.blocks.is_none() {
            let mut query = connection.prepare_cached("SELECT account, other FROM block")?;
            let rows = query
                .query_map([], |row| Ok((AccountId::new(row.get(0)?), AccountId::new(row.get(1)?))))?
                .collect::<Result<_, _>>()?;
            self.blocks = Some(rows);
        }
        Ok(self.blocks.get_or_insert_default())
    }
}
