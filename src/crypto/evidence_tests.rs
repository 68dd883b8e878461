use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use proptest::prelude::*;
use tlog_tiles::{Hash, HashReader};

use super::*;
use crate::model::ServerId;

struct Tree(Vec<Hash>);

impl HashReader for Tree {
    fn read_hashes(&self, places: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        Ok(places.iter().map(|place| self.0[usize::try_from(*place).unwrap()]).collect())
    }
}

/// A log of so many leaves; those from `forks` on are not what they are in another.
fn tree(size: u64, forks: u64, other: u8) -> Tree {
    let mut tree = Tree(Vec::new());
    for place in 0..size {
        let leaf = [if place < forks { 0 } else { other }, u8::try_from(place).unwrap()];
        let more = tlog_tiles::stored_hashes(place, &leaf, &tree).unwrap();
        tree.0.extend(more);
    }
    tree
}

fn head(tree: &Tree, size: u64) -> Head {
    Head { size, root: tlog_tiles::tree_hash(size, tree).unwrap().0 }
}

fn signed(seed: u8, head: &Head) -> (String, LogKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let key =
        LogKey { server: ServerId::new([7; 32]), public: pair.public_key().as_ref().try_into().unwrap() };
    let text = key.text(head);
    (key.note(&text, pair.sign(text.as_bytes()).as_ref()), key)
}

/// What shows that the first tree's head is none of the second's.
fn evidence(smaller: (&Tree, u64), larger: (&Tree, u64), seeds: (u8, u8)) -> (Evidence, LogKey) {
    let (one, key) = signed(seeds.0, &head(smaller.0, smaller.1));
    let (other, _) = signed(seeds.1, &head(larger.0, larger.1));
    let proof = tlog_tiles::prove_tree(larger.1, smaller.1, larger.0).unwrap();
    let proof = proof.into_iter().map(|Hash(hash)| hash.into()).collect();
    (Evidence { smaller: one, larger: other, root: head(larger.0, smaller.1).root.into(), proof }, key)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn two_logs_that_part_are_proven_and_one_that_grows_never_is(
        forks in 0_u64..20, more in 1_u64..10, longer in 0_u64..20,
    ) {
        let (size, larger) = (forks + more, forks + more + longer);
        let (one, other) = (tree(size, forks, 1), tree(larger, forks, 2));
        let (good, key) = evidence((&one, size), (&other, larger), (1, 1));
        prop_assert_eq!(good.check(&key), Some((head(&one, size), head(&other, larger))));
        let (lag, key) = evidence((&other, size), (&other, larger), (1, 1));
        prop_assert_eq!(lag.check(&key), None, "an earlier head of one log contradicts nothing");
        let (claimed, key) = evidence((&one, size), (&other, larger), (1, 2));
        prop_assert_eq!(claimed.check(&key), None, "the log's key has to have signed both");
        let forged = Evidence { root: [9; 32].into(), ..good.clone() };
        prop_assert_eq!(forged.check(&key), None);
        let turned = Evidence { smaller: good.larger.clone(), larger: good.smaller.clone(), ..good };
        prop_assert!(longer == 0 || turned.check(&key).is_none());
    }
}

fn spki(pair: &Ed25519KeyPair) -> Vec<u8> {
    let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    der.as_ref().to_vec()
}

#[test]
fn two_log_keys_of_one_server_are_proven_by_the_one_tls_key_that_signed_for_both_and_by_nothing_else() {
    let (pair, other_pair) = (Ed25519KeyPair::generate().unwrap(), Ed25519KeyPair::generate().unwrap());
    let certificate = |pair: &Ed25519KeyPair, server: u8, log_key: u8| {
        let server = ServerId::new([server; 32]);
        LogCertificate {
            server,
            log_key: [log_key; 32],
            tls_key: spki(pair).into(),
            scheme: 0x0807,
            signature: pair.sign(&certificate::input(server, &[log_key; 32])).as_ref().to_vec().into(),
        }
    };
    let (one, other) = (certificate(&pair, 7, 1), certificate(&pair, 7, 2));
    assert!(TwoLogKeys { one: one.clone(), other: other.clone() }.check());
    for innocent in [
        one.clone(),
        certificate(&pair, 8, 2),
        certificate(&other_pair, 7, 2),
        LogCertificate { log_key: [3; 32], ..other.clone() },
        LogCertificate { signature: one.signature.clone(), ..other.clone() },
    ] {
        assert!(!TwoLogKeys { one: one.clone(), other: innocent.clone() }.check(), "{innocent:?}");
        assert!(!TwoLogKeys { one: innocent, other: one.clone() }.check());
    }
}
