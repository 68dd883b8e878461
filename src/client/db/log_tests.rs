use super::*;
use crate::client::db::memory;

fn leaf(name: &str, previous: Option<u64>, record: u8) -> Leaf {
    Leaf { name: NameHash::of(&name.parse().unwrap()), previous, record: [record; 32] }
}

/// What a log of these leaves has for its head.
fn head(leaves: &[Leaf]) -> Head {
    let mut hashes = Hashes::empty();
    hashes.append(0, leaves).unwrap();
    hashes.head(leaves.len() as u64).unwrap()
}

fn extend_by(db: &mut Connection, all: &[Leaf], from: usize) -> Option<Vec<Finding>> {
    let next = Known { head: head(all), note: format!("signed {}", all.len()) };
    let transaction = db.transaction().unwrap();
    let found = extend(&transaction, &all[from..], &next, NameHash::of(&"ayşe".parse().unwrap())).unwrap();
    transaction.commit().unwrap();
    found
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
fn what_others_say_takes_no_more_than_its_room() {
    let db = memory();
    let account = AccountId::new([1; 32]);
    for size in 1..200 {
        heard(&db, &account, &Head { size, root: [1; 32] }).unwrap();
        heard(&db, &account, &Head { size, root: [1; 32] }).unwrap();
        let word = LogWord { checkpoint: size.to_string(), evidence: None, asks: true };
        told(&db, &account, &word).unwrap();
    }
    assert_eq!(unchecked(&db).unwrap().len(), 64);
    let (place, _, word) = next_word(&db).unwrap().unwrap();
    assert_eq!(word.unwrap().checkpoint, "1");
    forget_word(&db, place).unwrap();
    let words: i64 = db.query_row("SELECT COUNT(*) FROM log_words", [], |row| row.get(0)).unwrap();
    assert_eq!(words, 63);
}
