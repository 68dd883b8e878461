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
    /// Bytes in a mailbox above, of one sender.
    senders: HashMap<(AccountId, AccountId), u64>,
    /// Mailboxes whose accounts' rows do not say yet how they stand.
    uncounted: HashSet<AccountId>,
    /// The same for senders in one of those.
    uncounted_senders: HashSet<(AccountId, AccountId)>,
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
        if self.mailboxes.len() + self.senders.len() + self.keys.len() > REMEMBERED {
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
        let mut mailbox = Mailbox { newest: newest.cast_unsigned(), bytes: bytes.cast_unsigned() };
        let mut behind = connection.prepare_cached(
            "SELECT sender, max(seq), sum(?3 + coalesce(length(body), 0) + length(wraps))
             FROM mailbox JOIN envelope ON envelope.id = mailbox.envelope
             WHERE account = ?1 AND seq > ?2 GROUP BY sender",
        )?;
        let mut rows = behind.query((account.as_bytes(), newest, ENTRY.cast_signed()))?;
        while let Some(row) = rows.next()? {
            let sender = AccountId::new(row.get(0)?);
            let (newest, more): (i64, i64) = (row.get(1)?, row.get(2)?);
            mailbox.newest = mailbox.newest.max(newest.cast_unsigned());
            mailbox.bytes += more.cast_unsigned();
            // Nobody has no rows.
            if *account != NOBODY {
                let counted = counted(connection, account, &sender)?;
                self.senders.insert((*account, sender), counted + more.cast_unsigned());
                // Both rows are written together, or what is behind would be counted twice.
                self.uncounted_senders.insert((*account, sender));
                self.uncounted.insert(*account);
            }
        }
        Ok(known.insert(mailbox))
    }

    /// Bytes in an account's mailbox of one sender.
    pub fn of_sender(
        &mut self,
        connection: &Connection,
        account: AccountId,
        sender: AccountId,
    ) -> Result<&mut u64, StoreError> {
        // Whose row is behind is known from then on.
        self.mailbox(connection, &account)?;
        match self.senders.entry((account, sender)) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => Ok(unknown.insert(counted(connection, &account, &sender)?)),
        }
    }

    /// An entry of so many bytes comes into a mailbox; its place.
    pub fn put(
        &mut self,
        connection: &Connection,
        account: AccountId,
        sender: AccountId,
        bytes: u64,
    ) -> Result<u64, StoreError> {
        let mailbox = self.mailbox(connection, &account)?;
        mailbox.newest += 1;
        mailbox.bytes += bytes;
        let seq = mailbox.newest;
        if account != NOBODY {
            *self.of_sender(connection, account, sender)? += bytes;
            self.changed(account, sender);
        }
        Ok(seq)
    }

    /// An entry of so many bytes has gone from a mailbox.
    pub fn take(
        &mut self,
        connection: &Connection,
        account: AccountId,
        sender: AccountId,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let mailbox = self.mailbox(connection, &account)?;
        mailbox.bytes = mailbox.bytes.saturating_sub(bytes);
        if account != NOBODY {
            let held = self.of_sender(connection, account, sender)?;
            *held = held.saturating_sub(bytes);
            self.changed(account, sender);
        }
        Ok(())
    }

    /// How a mailbox stands has changed, and what a sender has in it.
    fn changed(&mut self, account: AccountId, sender: AccountId) {
        self.uncounted.insert(account);
        self.uncounted_senders.insert((account, sender));
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
        let mut update = connection.prepare_cached(
            "INSERT INTO mailbox_sender (account, sender, bytes) VALUES (?, ?, ?)
             ON CONFLICT (account, sender) DO UPDATE SET bytes = excluded.bytes",
        )?;
        let mut remove =
            connection.prepare_cached("DELETE FROM mailbox_sender WHERE account = ? AND sender = ?")?;
        for who @ (account, sender) in self.uncounted_senders.drain() {
            match self.senders.get(&who) {
                None => {}
                Some(0) => drop(remove.execute((account.as_bytes(), sender.as_bytes()))?),
                Some(bytes) => {
                    update.execute((account.as_bytes(), sender.as_bytes(), bytes.cast_signed()))?;
                }
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

/// What its row says that an account's mailbox has of a sender.
fn counted(connection: &Connection, account: &AccountId, sender: &AccountId) -> Result<u64, StoreError> {
    let bytes: Option<i64> = connection
        .prepare_cached("SELECT bytes FROM mailbox_sender WHERE account = ? AND sender = ?")?
        .query_row((account.as_bytes(), sender.as_bytes()), |row| row.get(0))
        .optional()?;
    Ok(bytes.unwrap_or(0).cast_unsigned())
}
