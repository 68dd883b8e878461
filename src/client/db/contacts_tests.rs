use super::*;
use crate::client::db::memory;
use crate::crypto::record::{register, verify_account};
use crate::crypto::test_keys::{AYŞE, BURAK, Person};

/// burak, with this person's keys.
fn burak(keys: &Person) -> (Account, DirectoryEntry) {
    let name = "burak".parse().unwrap();
    let record = register(&keys.identity, keys.device.public(), name, None, Millis(5)).unwrap();
    let account = verify_account(std::slice::from_ref(&record)).unwrap();
    (account, DirectoryEntry { chain: vec![record], message_keys: Vec::new(), online: true })
}

#[test]
fn a_name_stays_with_the_key_that_it_was_first_met_with() {
    let db = memory();
    let ((first, entry), (other, other_entry)) = (burak(&BURAK), burak(&AYŞE));
    let name = first.nickname.clone();
    assert_eq!(meet(&db, &first, &entry, Millis(1)).unwrap(), Pin::Holds);
    assert_eq!(meet(&db, &first, &entry, Millis(2)).unwrap(), Pin::Holds);
    assert_eq!(by_name(&db, &name).unwrap().unwrap().fetched_at, Millis(2));

    assert_eq!(meet(&db, &other, &other_entry, Millis(3)).unwrap(), Pin::Changed);
    assert_eq!(meet(&db, &other, &other_entry, Millis(4)).unwrap(), Pin::StillChanged);
    let pinned = by_name(&db, &name).unwrap().unwrap();
    assert!(pinned.account == first.id && pinned.changed);
    assert!(by_account(&db, &other.id).unwrap().unwrap().changed);

    confirm(&db, &other.id).unwrap();
    assert!(by_name(&db, &name).unwrap().unwrap().changed, "only the pinned account can be confirmed");
    confirm(&db, &first.id).unwrap();
    assert!(!by_name(&db, &name).unwrap().unwrap().changed);
}
