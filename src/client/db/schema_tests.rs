use rusqlite::params;

use super::*;
use crate::client::db::{messages, signed};
use crate::model::Millis;

/// A file as it was before the migration that does this.
fn before(what: &str) -> Connection {
    let db = Connection::open_in_memory().unwrap();
    let version = MIGRATIONS.iter().position(|migration| migration.contains(what)).unwrap();
    MIGRATIONS[..version].iter().for_each(|migration| db.execute_batch(migration).unwrap());
    db.pragma_update(None, "user_version", i64::try_from(version).unwrap()).unwrap();
    db
}

#[test]
fn messages_of_before_bear_no_mark_of_a_key_that_they_may_not_have_come_under() {
    let mut db = before("ADD COLUMN certified_by");
    let contact = |name: &str, account: u8, identity: u8, pinned: bool| {
        db.execute(
            "INSERT INTO contacts (account, nickname, folded, color, since, entry, fetched_at, verified, pinned,
                 identity) VALUES (?1, ?2, ?2, 'teal', 0, x'', 0, 1, ?3, ?4)",
            params![[account; 32], name, pinned, [identity; 32]],
        )
        .unwrap();
    };
    contact("burak", 1, 1, true);
    // Somebody who has made new keys, and two accounts under a name.
    contact("zoé", 2, 3, true);
    contact("지민", 4, 4, true);
    contact("지민", 5, 5, false);
    let mut arrival = 0;
    let mut message = |peer: &str, own: bool, kind: i64, key_changed: bool| {
        arrival += 1;
        db.execute(
            "INSERT INTO messages (number, id, device, own, peer, sender, recipient, color, kind, sent_at, key_changed)
             VALUES (?1, ?2, x'07', ?3, ?4, ?4, ?4, 'teal', ?5, ?6, ?7)",
            params![arrival, [u8::try_from(arrival).unwrap(); 16], own, peer, kind, signed(Millis(1).0), key_changed],
        )
        .unwrap();
    };
    message("burak", false, 1, false);
    message("burak", false, 1, true);
    message("burak", false, 3, false);
    message("burak", true, 1, false);
    message("zoé", false, 1, false);
    message("지민", false, 1, false);
    message("지민", false, 1, true);
    migrate(&mut db).unwrap();
    let marks = messages::since(&db, 0).unwrap();
    let marks: Vec<_> = marks.iter().map(|message| (message.verified, message.key_changed)).collect();
    let (compared, none, changed) = ((true, false), (false, false), (false, true));
    assert_eq!(marks, [compared, changed, none, none, none, none, changed]);
}
