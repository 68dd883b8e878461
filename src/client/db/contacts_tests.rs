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
    let stored = || by_name(&db, &name).unwrap().unwrap();
    assert_eq!(meet(&db, &first, &entry, Millis(1)).unwrap(), Pin::Holds);
    assert_eq!(meet(&db, &first, &entry, Millis(2)).unwrap(), Pin::Holds);
    assert_eq!(stored().fetched_at, Millis(2));
    set_verified(&db, &first.id).unwrap();

    let changed = meet(&db, &other, &other_entry, Millis(3)).unwrap();
    assert!(matches!(&changed, Pin::Changed(known) if known.account == first.id), "{changed:?}");
    assert_eq!(meet(&db, &other, &other_entry, Millis(4)).unwrap(), Pin::StillChanged);
    assert_eq!(stored().account, first.id);
    let rival = Rival {
        account: other.id,
        identity: other.identity.id(),
        since: Millis(3),
        record: record_hash(&other_entry.chain[0]),
    };
    assert_eq!(stored().rival, Some(rival));
    assert!(by_account(&db, &other.id).unwrap().unwrap().is_held());

    // That the directory shows the known key again decides nothing.
    assert_eq!(meet(&db, &first, &entry, Millis(5)).unwrap(), Pin::Disputed);
    assert!(stored().is_held());
    set_verified(&db, &first.id).unwrap();
    assert!(!stored().is_held() && stored().verified);

    // And once more, until somebody accepts it.
    assert!(matches!(meet(&db, &other, &other_entry, Millis(6)).unwrap(), Pin::Changed(_)));
    // Whoever decided about another key has not decided about this one.
    assert_eq!(accept_rival(&db, &name, &first.identity.id()).unwrap(), None);
    accept_rival(&db, &name, &other.identity.id()).unwrap().unwrap();
    assert!(stored().account == other.id && !stored().is_held() && !stored().verified);
    assert_eq!(accept_rival(&db, &name, &other.identity.id()).unwrap(), None);
    assert_eq!(meet(&db, &other, &other_entry, Millis(7)).unwrap(), Pin::Holds);
    assert!(matches!(meet(&db, &first, &entry, Millis(8)).unwrap(), Pin::Changed(_)));
}
