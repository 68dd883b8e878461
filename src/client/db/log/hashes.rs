//! The hashes above the log's leaves (RFC 6962, section 2.1), in the order in which they come to be.

use rusqlite::Connection;
use tlog_tiles::{Hash, HashReader, stored_hash_count};

use crate::client::db::{Sql, signed};
use crate::model::{Head, Leaf};

/// Hashes of the tree: those that are stored, and behind them some that are not yet.
pub(in crate::client) struct Hashes<'a> {
    db: Option<&'a Connection>,
    stored: u64,
    pub(super) fresh: Vec<Hash>,
}

impl HashReader for Hashes<'_> {
    fn read_hashes(&self, places: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let missing = || tlog_tiles::Error::IndexesNotInTree;
        let read = |place: &u64| {
            if let Some(place) = place.checked_sub(self.stored) {
                let place = usize::try_from(place).map_err(|_| missing())?;
                return self.fresh.get(place).copied().ok_or_else(missing);
            }
            let found =
                self.db.ok_or_else(missing)?.prepare_cached("SELECT hash FROM log_hashes WHERE place = ?1");
            let found = found.and_then(|mut query| query.query_row([signed(*place)], |row| row.get(0)));
            found.map(Hash).map_err(|error| tlog_tiles::Error::InvalidInput(error.to_string()))
        };
        places.iter().map(read).collect()
    }
}

impl<'a> Hashes<'a> {
    /// Of the log as it is stored.
    pub(in crate::client) fn stored(db: &'a Connection, size: u64) -> Self {
        Self { db: Some(db), stored: stored_hash_count(size), fresh: Vec::new() }
    }

    /// Of nothing yet.
    pub(in crate::client) fn empty() -> Self {
        Self { db: None, stored: 0, fresh: Vec::new() }
    }

    /// Adds leaves behind the first `size`.
    pub(in crate::client) fn append(&mut self, size: u64, leaves: &[Leaf]) -> Sql<()> {
        for (place, leaf) in (size..).zip(leaves) {
            let more = tlog_tiles::stored_hashes(place, &leaf.to_bytes(), self).map_err(failed)?;
            self.fresh.extend(more);
        }
        Ok(())
    }

    /// What the first `size` leaves hash to.
    pub(in crate::client) fn head(&self, size: u64) -> Sql<Head> {
        let Hash(root) = tlog_tiles::tree_hash(size, self).map_err(failed)?;
        Ok(Head { size, root })
    }

    /// That the first `size` leaves have grown out of the first `from`.
    pub(in crate::client) fn prove(&self, from: u64, size: u64) -> Sql<Vec<[u8; 32]>> {
        let proof = tlog_tiles::prove_tree(size, from, self).map_err(failed)?;
        Ok(proof.into_iter().map(|Hash(hash)| hash).collect())
    }
}

fn failed(error: tlog_tiles::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

#[cfg(test)]
mod tests {
    use ct_merkle::ConsistencyProof;
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::model::NameHash;

    #[test]
    fn another_implementation_makes_the_same_roots_at_a_hundred_thousand_leaves() {
        // Around full trees, half-full ones, and the last one.
        const SIZES: [u64; 11] = [1, 2, 1_023, 1_024, 1_025, 65_535, 65_536, 65_537, 98_304, 99_999, 100_000];
        let leaf = |number: u64| {
            let hash: [u8; 32] = Sha256::digest(number.to_be_bytes()).into();
            Leaf { name: NameHash(hash), previous: number.checked_sub(7), record: hash }
        };
        let leaves: Vec<Leaf> = (0..100_000).map(leaf).collect();
        let mut hashes = Hashes::empty();
        hashes.append(0, &leaves).unwrap();
        let mut other = MemoryBackedTree::<Sha256, [u8; Leaf::SIZE]>::new();
        let mut roots = Vec::new();
        for (size, leaf) in (1..).zip(&leaves) {
            other.push(leaf.to_bytes());
            if SIZES.contains(&size) {
                let head = hashes.head(size).unwrap();
                assert_eq!(head.root.as_slice(), other.root().as_bytes().as_slice(), "{size}");
                roots.push(other.root());
            }
        }
        let whole = roots.pop().unwrap();
        assert_eq!((whole.num_leaves(), roots.len()), (100_000, 10));
        for smaller in roots {
            let proof = hashes.prove(smaller.num_leaves(), whole.num_leaves()).unwrap();
            let proof = ConsistencyProof::<Sha256>::try_from_bytes(proof.concat()).unwrap();
            whole.verify_consistency(&smaller, &proof).unwrap();
        }
    }
}
