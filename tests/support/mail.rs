//! Mail that is carried from one server to another.

use std::path::Path;

use rusqlite::{OptionalExtension as _, params};

use super::swap::database;

/// Carries mail of two people from one server's folder to another's, as their operator could. Neither may run.
pub fn carry_mail(from: &Path, to: &Path) {
    let (from, to) = (database(from), database(to));
    let mut mail = from
        .prepare(
            "SELECT envelope.device, message, sender, conversation, hash, accepted_at, body, mailbox.account, wraps
             FROM mailbox JOIN envelope ON envelope.id = mailbox.envelope ORDER BY envelope.id",
        )
        .unwrap();
    let mut rows = mail.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let bytes = |column: usize| row.get::<_, Vec<u8>>(column).unwrap();
        let known = to
            .query_row(
                "SELECT id FROM envelope WHERE device = ?1 AND message = ?2",
                params![bytes(0), bytes(1)],
                |row| row.get::<_, i64>(0),
            )
            .optional()
            .unwrap();
        if known.is_some() {
            continue;
        }
        let time: i64 = row.get(5).unwrap();
        to.execute(
            "INSERT INTO envelope (device, message, sender, conversation, hash, accepted_at, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![bytes(0), bytes(1), bytes(2), bytes(3), bytes(4), time, bytes(6)],
        )
        .unwrap();
        let envelope = to.last_insert_rowid();
        to.execute("UPDATE account SET newest = newest + 1 WHERE id = ?1", [bytes(7)]).unwrap();
        to.execute(
            "INSERT INTO mailbox (account, seq, envelope, wraps)
             SELECT id, newest, ?2, ?3 FROM account WHERE id = ?1",
            params![bytes(7), envelope, bytes(8)],
        )
        .unwrap();
    }
}
