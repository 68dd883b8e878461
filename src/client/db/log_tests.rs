use super::*;
use crate::client::db::memory;
use crate::client::{Alarm, AlarmKind};
use crate::crypto::{Evidence, LogWord, Proof, TwoLogKeys};
use crate::model::{AccountId, LogCertificate, ServerId};

fn leaf(name: &str, previous: Option<u64>, record: u8) -> Leaf {
    Leaf { name: NameHash::of(&name.parse().unwrap()), previous, record: [record; 32] }
}

fn certificate(log_key: u8) -> LogCertificate {
    LogCertificate {
        server: ServerId::new([5; 32]),
        log_key: [log_key; 32],
        tls_key: vec![1].into(),
        scheme: 0x0403,
        signature: vec![2].into(),
    }
}

/// What a log of these leaves has for its head.
fn head(leaves: &[Leaf]) -> Head {
    let mut hashes = Hashes::empty();
    hashes.append(0, leaves).unwrap();
    hashes.head(leaves.len() as u64).unwrap()
}

/// What the leaves from a place on tell, and it is said.
fn extend_by(db: &mut Connection, all: &[Leaf], from: usize) -> Option<Vec<Finding>> {
    let next = Known { head: head(all), note: format!("signed {}", all.len()) };
    let transaction = db.transaction().unwrap();
    let extended = extend(&transaction, &all[from..], &next, NameHash::of(&"ayşe".parse().unwrap())).unwrap();
    transaction.commit().unwrap();
    let found = findings(db).unwrap();
    // It stays until it was said, whatever breaks off.
    assert_eq!(findings(db).unwrap(), found);
    found.last().iter().for_each(|(place, _)| said(db, *place).unwrap());
    assert_eq!(findings(db).unwrap(), []);
    assert_eq!(extended.unwrap_or_default(), !found.is_empty());
    extended.map(|_| found.into_iter().map(|(_, finding)| finding).collect())
}

#[test]
fn a_log_is_taken_in_as_it_grows_and_knows_each_of_its_earlier_heads() {
    let mut db = memory();
    let all: Vec<Leaf> = (0..40).map(|number| leaf(&format!("name{number}"), None, number)).collect();
    assert_eq!(extend_by(&mut db, &all[..7], 0), Some(vec![]));
    assert_eq!(extend_by(&mut db, &all[..8], 7), Some(vec![]));
    assert_eq!(extend_by(&mut db, &all, 8), Some(vec![]));
    assert_eq!(newest(&db).unwrap().unwrap().head, head(&all));
    for size in 0..=40 {
        assert_eq!(Hashes::stored(&db, 40).head(size as u64).unwrap(), head(&all[..size]));
    }
}

#[test]
fn leaves_that_do_not_make_the_signed_head_leave_no_trace() {
    let mut db = memory();
    let all = [leaf("burak", None, 1), leaf("zoé", None, 2)];
    extend_by(&mut db, &all[..1], 0).unwrap();
    let next = Known { head: Head { size: 2, root: [9; 32] }, note: String::new() };
    let transaction = db.transaction().unwrap();
    assert_eq!(extend(&transaction, &all[1..], &next, all[0].name).unwrap(), None);
    transaction.commit().unwrap();
    assert_eq!(newest(&db).unwrap().unwrap().head, head(&all[..1]));
    assert_eq!(extend_by(&mut db, &all, 1), Some(vec![]));
}

#[test]
fn a_second_chain_a_broken_one_and_a_leaf_in_ones_own_name_are_found() {
    let mut db = memory();
    let signed = |body: u8| Signed { body: vec![body].into(), signature: vec![].into() };
    let mine = Leaf { record: record_hash(&signed(1)), ..leaf("ayşe", None, 0) };
    made(&db, &signed(1)).unwrap();
    let all = [
        mine,
        leaf("burak", None, 2),
        leaf("burak", Some(1), 3),
        leaf("burak", None, 4),
        leaf("zoé", Some(1), 5),
        leaf("AYŞE", Some(0), 6),
    ];
    let found = extend_by(&mut db, &all, 0).unwrap();
    let expected =
        [Finding::SecondChain(all[1].name), Finding::BrokenChain(all[4].name), Finding::OwnName([6; 32])];
    assert_eq!(found, expected);
    assert_eq!(own(&db).unwrap(), (1, 1));
}

#[test]
fn a_look_up_has_to_be_the_whole_of_what_the_log_has_of_a_name() {
    let mut db = memory();
    let chain: Vec<Signed> =
        (0..3).map(|body| Signed { body: vec![body].into(), signature: vec![1].into() }).collect();
    let of = |record: &Signed, previous| Leaf { record: record_hash(record), ..leaf("burak", previous, 0) };
    let all = [of(&chain[0], None), leaf("zoé", None, 1), of(&chain[1], Some(0))];
    extend_by(&mut db, &all, 0).unwrap();
    let burak = "Burak".parse().unwrap();
    for (records, expected) in
        [(&chain[..1], false), (&chain[..2], true), (&chain[..], false), (&chain[1..2], false)]
    {
        assert_eq!(has_chain(&db, &burak, records).unwrap(), expected);
    }
    assert!(!has_chain(&db, &"nobody".parse().unwrap(), &chain[..1]).unwrap());
}

#[test]
fn what_a_person_has_accepted_stands_until_the_log_has_something_new_of_the_name() {
    let mut db = memory();
    let burak = "burak".parse().unwrap();
    let all =
        [leaf("burak", None, 1), leaf("burak", Some(0), 2), leaf("zoé", None, 3), leaf("burak", Some(1), 4)];
    extend_by(&mut db, &all[..2], 0).unwrap();
    let stands = |db: &Connection, records: &[u8]| {
        let records: Vec<[u8; 32]> = records.iter().map(|record| [*record; 32]).collect();
        stands(db, &burak, &records).unwrap()
    };
    assert!(stands(&db, &[1, 2]));
    // What is out of date, what is not there, nothing.
    for records in [&[1][..], &[1, 2, 9], &[9], &[]] {
        assert!(!stands(&db, records), "{records:?}");
    }
    decide(&db, &burak, &[9; 32]).unwrap();
    assert!(stands(&db, &[9]) && stands(&db, &[1, 2, 9]) && !stands(&db, &[1]));
    // Somebody else's news change nothing.
    extend_by(&mut db, &all[..3], 2).unwrap();
    assert!(stands(&db, &[9]));
    extend_by(&mut db, &all, 3).unwrap();
    assert!(!stands(&db, &[9]) && stands(&db, &[1, 2, 4]));
}

#[test]
fn a_head_is_asked_about_of_each_who_bears_it_until_it_agrees() {
    let db = memory();
    let (mallory, ayşe) = (AccountId::new([1; 32]), AccountId::new([2; 32]));
    let (head, other) = (Head { size: 3, root: [1; 32] }, Head { size: 3, root: [2; 32] });
    for account in [&mallory, &ayşe] {
        heard(&db, account, &head).unwrap();
        heard(&db, account, &head).unwrap();
    }
    assert_eq!(unchecked(&db).unwrap(), [(head, mallory), (head, ayşe)]);
    // That mallory was asked is not that ayşe was.
    settle(&db, &head, &mallory, Standing::Asked).unwrap();
    heard(&db, &mallory, &head).unwrap();
    assert_eq!(unchecked(&db).unwrap(), [(head, ayşe)]);
    // Who could not be reached comes after what is new.
    settle(&db, &head, &ayşe, Standing::Pending).unwrap();
    heard(&db, &mallory, &other).unwrap();
    assert_eq!(unchecked(&db).unwrap(), [(other, mallory), (head, ayşe)]);
    // What agrees does so whoever bears it.
    settle(&db, &head, &mallory, Standing::Agrees).unwrap();
    heard(&db, &AccountId::new([3; 32]), &head).unwrap();
    assert_eq!(unchecked(&db).unwrap(), [(other, mallory)]);
}

#[test]
fn what_others_say_takes_no_more_than_its_room() {
    let db = memory();
    let account = |number: u8| AccountId::new([number; 32]);
    let word = |size: u64| LogWord {
        checkpoint: size.to_string(),
        evidence: None,
        asks: true,
        certificate: certificate(1),
    };
    let count = |table: &str| -> i64 {
        db.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    for size in 1..200 {
        heard(&db, &account(1), &Head { size, root: [1; 32] }).unwrap();
        heard(&db, &account(1), &Head { size, root: [1; 32] }).unwrap();
        told(&db, &account(1), &word(size)).unwrap();
    }
    assert_eq!((unchecked(&db).unwrap().len(), words(&db).unwrap().len()), (64, 16));
    // One account's room is nobody else's.
    heard(&db, &account(2), &Head { size: 1, root: [1; 32] }).unwrap();
    told(&db, &account(2), &word(1000)).unwrap();
    assert_eq!((unchecked(&db).unwrap().len(), words(&db).unwrap().len()), (65, 17));
    let first = words(&db).unwrap()[0];
    assert_eq!(super::word(&db, first).unwrap(), Some((account(1), Some(word(1)))));
    // One that could not be answered comes last, and is gone when it was.
    keep_word(&db, first).unwrap();
    assert_eq!(words(&db).unwrap().last(), Some(&first));
    forget_word(&db, first).unwrap();
    assert_eq!(words(&db).unwrap().len(), 16);

    // All accounts together have room for so much; what has been dealt with gives way to what is new.
    for number in 3..=70 {
        for size in 1..=64 {
            heard(&db, &account(number), &Head { size, root: [2; 32] }).unwrap();
            told(&db, &account(number), &word(size)).unwrap();
        }
    }
    assert_eq!((count("log_heads"), count("log_words")), (4096, 1024));
    for (head, bearer) in unchecked(&db).unwrap() {
        settle(&db, &head, &bearer, Standing::Asked).unwrap();
    }
    words(&db).unwrap().into_iter().for_each(|place| keep_word(&db, place).unwrap());
    let late = Head { size: 7, root: [3; 32] };
    heard(&db, &account(70), &late).unwrap();
    told(&db, &account(70), &word(7)).unwrap();
    assert_eq!(unchecked(&db).unwrap(), [(late, account(70))]);
    assert_eq!((count("log_heads"), count("log_words")), (4096, 1024));
    assert_eq!(super::word(&db, words(&db).unwrap()[0]).unwrap(), Some((account(70), Some(word(7)))));
}

#[test]
fn what_happens_once_more_after_it_was_accepted_is_an_alarm_once_more() {
    let db = memory();
    let alarm = |kind: AlarmKind, nickname: Option<&str>, at: u64| Alarm {
        alarm: kind,
        nickname: nickname.map(|name| name.parse().unwrap()),
        text: format!("{kind:?} at {at}"),
        at: Millis(at),
        accepted: false,
    };
    let open = |db: &Connection| -> Vec<AlarmKind> {
        alarms(db)
            .unwrap()
            .iter()
            .filter(|(alarm, _)| !alarm.accepted)
            .map(|(alarm, _)| alarm.alarm)
            .collect()
    };
    let certificates = |other| TwoLogKeys { one: certificate(1), other: certificate(other) };
    let keys = |other| Proof::Keys(Box::new(certificates(other)));
    let evidence = Evidence {
        smaller: "one".to_owned(),
        larger: "other".to_owned(),
        root: [1; 32].into(),
        proof: vec![[2; 32].into()],
    };
    let logs = Proof::Logs(evidence);
    for (kind, proof) in [
        (AlarmKind::RolledBack, None),
        (AlarmKind::Withheld, None),
        (AlarmKind::Contradicts, None),
        (AlarmKind::LogLost, Some(&keys(2))),
        (AlarmKind::Forked, Some(&logs)),
    ] {
        assert!(raise(&db, &alarm(kind, None, 1), b"it", proof).unwrap());
        assert!(!raise(&db, &alarm(kind, None, 2), b"it", proof).unwrap(), "{kind:?} is said once");
        assert_eq!(open(&db), [kind]);
        accept(&db).unwrap();
        assert_eq!(open(&db), []);
        let proof = proof.map(|proof| match proof {
            Proof::Keys(_) => keys(3),
            logs => logs.clone(),
        });
        assert!(raise(&db, &alarm(kind, None, 3), b"it", proof.as_ref()).unwrap(), "{kind:?}");
        assert_eq!(open(&db), [kind]);
        let (kept, proven) = alarms(&db).unwrap().pop().unwrap();
        assert_eq!((kept, proven), (alarm(kind, None, 3), proof), "as it is now");
        accept(&db).unwrap();
    }
    // What the log has, it has whenever it is read anew: whoever has accepted that is not told again.
    for (kind, nickname) in [
        (AlarmKind::OwnName, Some("ayşe")),
        (AlarmKind::OwnAccount, Some("ayşe")),
        (AlarmKind::SecondChain, Some("burak")),
        (AlarmKind::SecondChain, None),
        (AlarmKind::NotInLog, Some("burak")),
        (AlarmKind::OwnMissing, None),
        (AlarmKind::TwoLogKeys, None),
    ] {
        let about = nickname.unwrap_or_default().as_bytes();
        assert!(raise(&db, &alarm(kind, nickname, 1), about, None).unwrap());
        accept(&db).unwrap();
        assert!(!raise(&db, &alarm(kind, nickname, 2), about, None).unwrap(), "{kind:?}");
        assert_eq!(open(&db), []);
    }
}
