//! What the transparency log has under a name and is known to be somebody else's.
//!
//! Whoever runs the server can put leaves under any name. One that begins another account there stops what is sent to
//! the name, until a person compares the known account's key: from then on that leaf counts for nothing. A leaf that
//! names one before it may be the known account's own, such as the removal of a device, which a safety number tells
//! nothing of: that one goes on to count.

use rusqlite::{Connection, params};

use crate::model::{NameHash, Nickname};

use super::Sql;

/// The account with these records, by their hashes, is whose name it is: it has just been compared. Beginnings of other
/// accounts that the log has under the name count for nothing.
pub(in crate::client) fn settle(db: &Connection, name: &Nickname, records: &[[u8; 32]]) -> Sql<()> {
    let name = NameHash::of(name).0;
    db.prepare_cached(
        "DELETE FROM log_disowned WHERE place IN (SELECT place FROM log_leaves WHERE name = ?1)",
    )?
    .execute([name])?;
    db.prepare_cached(
        "INSERT INTO log_disowned (place, record)
         SELECT place, record FROM log_leaves WHERE name = ?1 AND previous IS NULL",
    )?
    .execute([name])?;
    let mut own = db.prepare_cached(
        "DELETE FROM log_disowned WHERE place =
             (SELECT MIN(place) FROM log_leaves WHERE name = ?1 AND record = ?2)",
    )?;
    records.iter().try_for_each(|record| own.execute(params![name, record]).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::db::{log, memory};

    fn logged(db: &Connection, name: &Nickname, place: i64, previous: Option<i64>, record: u8) {
        db.execute(
            "INSERT INTO log_leaves (place, name, previous, record) VALUES (?1, ?2, ?3, ?4)",
            params![place, NameHash::of(name).0, previous, [record; 32]],
        )
        .unwrap();
    }

    #[test]
    fn what_begins_another_account_counts_for_nothing_and_what_may_be_hidden_does() {
        let db = memory();
        let name: Nickname = "burak".parse().unwrap();
        let stands = |records: &[u8]| {
            let records: Vec<[u8; 32]> = records.iter().map(|record| [*record; 32]).collect();
            log::stands(&db, &name, &records).unwrap()
        };
        let compared = || settle(&db, &name, &[[1; 32]]).unwrap();
        logged(&db, &name, 0, None, 1);
        logged(&db, &name, 3, None, 66);
        // The same record once more.
        logged(&db, &name, 4, None, 1);
        assert!(!stands(&[1]));
        compared();
        assert!(stands(&[1]) && !stands(&[66]) && !stands(&[1, 2]));
        // A new record of theirs has to be shown; another false one is another matter.
        logged(&db, &name, 5, Some(4), 2);
        assert!(!stands(&[1]) && stands(&[1, 2]));
        compared();
        assert!(!stands(&[1]) && stands(&[1, 2]));
        logged(&db, &name, 9, None, 67);
        assert!(!stands(&[1, 2]));
        compared();
        assert!(stands(&[1, 2]));
        // The log is another one: what was found in the former says nothing of it.
        db.execute("DELETE FROM log_leaves", []).unwrap();
        logged(&db, &name, 3, None, 1);
        assert!(stands(&[1]) && !stands(&[66]));
        // It was the other one that was theirs.
        logged(&db, &name, 7, None, 66);
        settle(&db, &name, &[[66; 32]]).unwrap();
        assert!(stands(&[66]) && !stands(&[1]));
    }
}
