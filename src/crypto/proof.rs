//! Proofs over the transparency log (RFC 6962, section 2.1): that it holds a leaf, that it has only grown. Not here:
//! who has signed the heads.

use minicbor::bytes::ByteArray;
use tlog_tiles::{Hash, check_record, check_tree, record_hash};

use crate::model::Head;

/// Hashes in a proof, at most: a tree of 2^40 leaves needs fewer.
const LIMIT: usize = 82;

/// Whether a log with this head holds these bytes at this place, by the audit path from the leaf's neighbour upwards.
pub fn holds(head: &Head, place: u64, leaf: &[u8], path: &[ByteArray<32>]) -> bool {
    hashes(path).is_some_and(|path| {
        place < head.size && check_record(&path, head.size, Hash(head.root), place, record_hash(leaf)).is_ok()
    })
}

/// Whether a log with the one head has grown into one with the other, by a consistency proof.
pub fn has_grown(from: &Head, to: &Head, proof: &[ByteArray<32>]) -> bool {
    hashes(proof).is_some_and(|proof| {
        (1..=to.size).contains(&from.size)
            && check_tree(&proof, to.size, Hash(to.root), from.size, Hash(from.root)).is_ok()
    })
}

fn hashes(proof: &[ByteArray<32>]) -> Option<Vec<Hash>> {
    (proof.len() <= LIMIT).then(|| proof.iter().map(|hash| Hash(**hash)).collect())
}
