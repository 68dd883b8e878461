use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;
use rusqlite::TransactionBehavior;
use sha2::Sha256;

use super::*;
use crate::model::{AccountId, AccountRecordKind, Millis, to_cbor};
use crate::store::sqlite::schema;

fn record(number: u64) -> Signed {
    Signed { body: number.to_be_bytes().to_vec().into(), signature: vec![1].into() }
}

/// A log of so many names with a record each.
fn log(folder: &std::path::Path, size: u64) -> Connection {
    let mut connection = schema::open_writer(&folder.join("server.db")).unwrap();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    for number in 0..size {
        append(&transaction, number, &format!("name{number}"), 0, &record(number)).unwrap();
    }
    transaction.commit().unwrap();
    connection
}

/// The leaf of one of them.
fn leaf_of(number: u64) -> [u8; Leaf::SIZE] {
    let name = NameHash::of_folded(&format!("name{number}"));
    Leaf { name, previous: None, record: record_hash(&record(number)) }.to_bytes()
}

/// That this library's proofs that a leaf is in a log of this size and that it has grown are proofs for the other one.
fn accepts(connection: &Connection, whole: &RootHash<Sha256>, smaller: &RootHash<Sha256>) {
    let (size, from) = (whole.num_leaves(), smaller.num_leaves());
    let place = from - 1;
    let name = NameHash::of_folded(&format!("name{place}"));
    let proven = prove_leaf(connection, name, size).unwrap().unwrap();
    assert_eq!((proven.place, proven.leaf.to_bytes()), (place, leaf_of(place)));
    let proof = InclusionProof::<Sha256>::try_from_bytes(proven.proof.concat()).unwrap();
    whole.verify_inclusion(&leaf_of(place), place, &proof).unwrap();
    if from < size {
        let proof = prove_growth(connection, from, size).unwrap();
        let proof = ConsistencyProof::<Sha256>::try_from_bytes(proof.concat()).unwrap();
        whole.verify_consistency(smaller, &proof).unwrap();
    }
}

#[test]
fn another_implementation_makes_the_same_roots_and_accepts_the_same_proofs() {
    const SIZE: u64 = 300;
    let folder = tempfile::tempdir().unwrap();
    let connection = log(folder.path(), SIZE);
    let (head, leaves) = read(&connection, 0, 1000).unwrap();
    let mut other = MemoryBackedTree::<Sha256, [u8; Leaf::SIZE]>::new();
    let mut roots = Vec::new();
    for (size, leaf) in (1..).zip(&leaves) {
        assert_eq!(leaf.to_bytes(), leaf_of(size - 1));
        other.push(leaf_of(size - 1));
        let Hash(root) = tlog_tiles::tree_hash(size, &Hashes(&connection)).unwrap();
        assert_eq!(root.as_slice(), other.root().as_bytes().as_slice(), "{size}");
        roots.push(other.root());
    }
    assert_eq!((head.size, roots.len()), (SIZE, 300));
    assert_eq!(head.root.as_slice(), other.root().as_bytes().as_slice());
    roots.iter().for_each(|smaller| accepts(&connection, &other.root(), smaller));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_proof_proves_one_leaf_at_one_place_of_one_tree(size in 1_u64..70, place in 0_u64..70, bit in any::<u8>()) {
        let place = place % size;
        let folder = tempfile::tempdir().unwrap();
        let connection = log(folder.path(), size);
        let (head, _) = read(&connection, 0, 0).unwrap();
        let name = NameHash::of_folded(&format!("name{place}"));
        let proven = prove_leaf(&connection, name, size).unwrap().unwrap();
        let leaf = tlog_tiles::record_hash(&proven.leaf.to_bytes());
        let mut proof: Vec<Hash> = proven.proof.into_iter().map(Hash).collect();
        let root = Hash(head.root);
        prop_assert!(tlog_tiles::check_record(&proof, size, root, place, leaf).is_ok());
        prop_assert!(tlog_tiles::check_record(&proof, size, root, place + 1, leaf).is_err());
        prop_assert!(tlog_tiles::check_record(&proof, size, root, place, Hash([bit; 32])).is_err());
        if let Some(hash) = proof.first_mut() {
            hash.0[usize::from(bit) % 32] ^= 1 << (bit % 8);
            prop_assert!(tlog_tiles::check_record(&proof, size, root, place, leaf).is_err());
        }
    }
}

#[test]
fn a_store_of_before_the_log_gets_its_leaves_in_the_order_of_registration() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("server.db");
    let mut connection = schema::open_writer(&database).unwrap();
    let register = |id: u8, name: &str, made_at: u64| {
        let account = AccountId::new([id; 32]);
        let kind = AccountRecordKind::Registration {
            nickname: name.parse().unwrap(),
            identity_key: vec![id].into(),
            device_key: vec![id].into(),
            color: None,
        };
        let body =
            AccountRecord { version: 1, account, index: 0, previous: None, made_at: Millis(made_at), kind };
        let record = Signed { body: to_cbor(&body).into(), signature: vec![1].into() };
        connection
            .execute("INSERT INTO account (id, nickname) VALUES (?, ?)", (account.as_bytes(), name))
            .unwrap();
        connection
            .execute(
                "INSERT INTO account_record (account, place, record) VALUES (?, 0, ?)",
                (account.as_bytes(), to_cbor(&record)),
            )
            .unwrap();
        Leaf { name: NameHash::of_folded(name), previous: None, record: record_hash(&record) }
    };
    let (last, first, middle) =
        (register(1, "zoé", 300), register(2, "ayşe", 100), register(3, "burak", 200));
    let transaction = connection.transaction().unwrap();
    fill(&transaction).unwrap();
    fill(&transaction).unwrap();
    transaction.commit().unwrap();
    let (head, leaves) = read(&connection, 0, 10).unwrap();
    assert_eq!((head.size, leaves), (3, vec![first, middle, last]));
}

#[test]
fn a_later_record_of_a_name_names_the_one_before_and_a_new_chain_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = log(folder.path(), 3);
    let transaction = connection.transaction().unwrap();
    append(&transaction, 3, "name1", 1, &record(9)).unwrap();
    append(&transaction, 4, "name1", 2, &record(10)).unwrap();
    append(&transaction, 5, "name1", 0, &record(11)).unwrap();
    transaction.commit().unwrap();
    let (_, leaves) = read(&connection, 3, 10).unwrap();
    assert_eq!(leaves.iter().map(|leaf| leaf.previous).collect::<Vec<_>>(), [Some(1), Some(3), None]);
}
